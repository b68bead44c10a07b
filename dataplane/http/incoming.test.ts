import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { createIncoming } from "./incoming.ts";
import { Turns } from "./turns.ts";

const MIB = 1024 * 1024;
const BODY_BYTES = 8 * MIB;
/** What a turn may bring, and one block that Node had read already. */
const TURN_BYTES_MAX = (128 + 64) * 1024;

const turns = new Turns();

/** Sends a body at once; `read` gets it as the inside does. */
async function receive(read: (sent: AsyncIterable<Uint8Array>) => Promise<void>): Promise<void> {
  const done = Promise.withResolvers<void>();
  const server = createServer({ highWaterMark: 64 * 1024 }, (head: IncomingMessage, answer: ServerResponse) => {
    const incoming = createIncoming(head, answer, {
      bytesMax: () => BODY_BYTES,
      refuse: () => undefined,
      turns,
      onWhole: () => undefined,
    });
    read(incoming.sent).then(() => {
      answer.end();
      done.resolve();
    }, done.reject);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const asked = request({ port, method: "PUT", agent: false, headers: { "content-length": BODY_BYTES } });
  asked.end(Buffer.alloc(BODY_BYTES, 7));
  const answered = once(asked, "response");
  await done.promise;
  const [answer] = await answered;
  answer.resume();
  await once(answer, "end");
  server.close();
}

test("one body brings no more in one turn of the loop than leaves room for others", async () => {
  let turnBytes = 0;
  let mostBytes = 0;
  let allBytes = 0;
  await receive(async (sent) => {
    const turn = (): void => {
      mostBytes = Math.max(mostBytes, turnBytes);
      turnBytes = 0;
      if (allBytes < BODY_BYTES) setImmediate(turn);
    };
    setImmediate(turn);
    for await (const block of sent) {
      turnBytes += block.length;
      allBytes += block.length;
    }
  });
  expect(allBytes).toBe(BODY_BYTES);
  expect(mostBytes).toBeLessThanOrEqual(TURN_BYTES_MAX);
});

test("a reader that is slow gets all of it too", async () => {
  let allBytes = 0;
  await receive(async (sent) => {
    for await (const block of sent) {
      allBytes += block.length;
      if (allBytes % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      await new Promise((resolve) => setImmediate(resolve));
    }
  });
  expect(allBytes).toBe(BODY_BYTES);
});
