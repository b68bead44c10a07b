/**
 * Sends a body: blocks go out as they are, corked so that each is one write to the kernel, and the source waits while
 * the client does not take them. What stands in the headers is left to the protocols.
 */
import type { ServerResponse } from "node:http";
import type { Call } from "../call.ts";
import { Failure } from "../failure.ts";
import { release } from "../memory.ts";

/**
 * Sends all blocks and ends the answer; `answer.statusCode` and headers, Content-Length with them, are set before. For
 * HEAD nothing is read. If the source throws after headers were sent, the connection is destroyed, so that no client
 * takes what it has for a whole; the error is thrown again in any case. Adds to call.doneBytes what the client took.
 * The buffers are this function's: their memory is given back once the kernel has taken them.
 */
export async function sendBlocks(
  call: Call,
  answer: ServerResponse,
  blocks: AsyncIterable<readonly Uint8Array[]>,
): Promise<void> {
  if (answer.req.method === "HEAD") {
    await blocks[Symbol.asyncIterator]().return?.();
    answer.end();
    return;
  }
  const sent: (readonly Uint8Array[])[] = [];
  try {
    for await (const block of blocks) {
      call.signal.throwIfAborted();
      let bytes = 0;
      answer.cork();
      for (const buffer of block) {
        bytes += buffer.length;
        answer.write(buffer);
      }
      answer.uncork();
      sent.push(block);
      if (answer.writableNeedDrain) await drained(call, answer);
      if (answer.writableLength === 0) for (const gone of sent.splice(0)) release(gone);
      call.doneBytes += bytes;
      const turn = call.sent?.(bytes);
      // Nobody has to wait for the end of an answer that has gone whole.
      if (turn !== undefined && call.doneBytes !== call.totalBytes) await turn;
    }
    answer.end();
  } catch (error) {
    if (answer.headersSent) answer.destroy();
    throw error;
  }
}

/** Sends one small body with its length. For HEAD the length alone. */
export function sendWhole(
  answer: ServerResponse,
  status: number,
  contentType: string,
  body: string | Uint8Array,
): void {
  const bytes = typeof body === "string" ? Buffer.from(body, "utf8") : body;
  answer.statusCode = status;
  answer.setHeader("Content-Type", contentType);
  answer.setHeader("Content-Length", bytes.length);
  answer.end(answer.req.method === "HEAD" ? undefined : bytes);
}

/** Resolves when the answer takes more; rejects when it never will. */
function drained(call: Call, answer: ServerResponse): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error: unknown): void => {
      answer.removeListener("drain", onDrain);
      answer.removeListener("close", onClose);
      call.signal.removeEventListener("abort", onAbort);
      if (error === undefined) resolve();
      else reject(error);
    };
    const onDrain = (): void => settle(undefined);
    const onClose = (): void => settle(new Failure("ClientClosedRequest", "The client closed the connection"));
    const onAbort = (): void => settle(call.signal.reason);
    answer.on("drain", onDrain);
    answer.on("close", onClose);
    call.signal.addEventListener("abort", onAbort);
    if (call.signal.aborted) onAbort();
    else if (answer.destroyed) onClose();
  });
}
