import { once } from "node:events";
import { createServer, get, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, expect, test } from "vitest";
import type { Call } from "../call.ts";
import { sendBlocks } from "./stream.ts";

const BLOCK_BYTES = 256 * 1024;

let server: Server | undefined;

afterEach(() => {
  server?.close();
  server = undefined;
});

function createCall(): Call {
  return { doneBytes: 0, signal: new AbortController().signal } as Partial<Call> as Call;
}

/** Answers one request by `serve`; resolves with all that its client got. */
async function serveOnce(serve: (answer: ServerResponse) => Promise<void>): Promise<Buffer> {
  const served = Promise.withResolvers<void>();
  server = createServer({ highWaterMark: 64 * 1024 }, (_head, answer) => {
    serve(answer).then(served.resolve, served.reject);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const parts: Buffer[] = [];
  const asked = get({ port: (server.address() as AddressInfo).port, agent: false });
  const [answer] = await once(asked, "response");
  answer.on("data", (part: Buffer) => parts.push(part));
  await Promise.all([once(answer, "end"), served.promise]);
  return Buffer.concat(parts);
}

function blocksOf(count: number): Uint8Array[][] {
  return Array.from({ length: count }, (_, at) => [
    new Uint8Array(BLOCK_BYTES / 2).fill(2 * at),
    new Uint8Array(BLOCK_BYTES / 2).fill(2 * at + 1),
  ]);
}

test("blocks arrive whole and in their order, though their memory is given back on the way", async () => {
  const blocks = blocksOf(40);
  const whole = Buffer.concat(blocks.flat());
  const call = createCall();
  let heldMax = 0;
  const got = await serveOnce((answer) =>
    sendBlocks(
      call,
      answer,
      (async function* () {
        for (const [at, block] of blocks.entries()) {
          yield block;
          heldMax = Math.max(heldMax, blocks.slice(0, at + 1).filter(([one]) => one?.length !== 0).length);
        }
      })(),
    ),
  );
  expect(got.equals(whole)).toBe(true);
  expect(call.doneBytes).toBe(whole.length);
  expect(heldMax).toBeLessThanOrEqual(2);
});

test("an answer waits for its turn between blocks, and has none to wait for at its end", async () => {
  const turn = Promise.withResolvers<void>();
  const counted: number[] = [];
  let asked = 0;
  const call: Call = {
    ...createCall(),
    totalBytes: 2 * BLOCK_BYTES,
    sent(bytes) {
      counted.push(bytes);
      return counted.length === 1 ? turn.promise : new Promise(() => undefined);
    },
  };
  const got = serveOnce((answer) =>
    sendBlocks(
      call,
      answer,
      (async function* () {
        for (const block of blocksOf(2)) {
          asked += 1;
          yield block;
        }
      })(),
    ),
  );
  while (counted.length === 0) await new Promise((resolve) => setImmediate(resolve));
  for (let loop = 0; loop < 10; loop += 1) await new Promise((resolve) => setImmediate(resolve));
  expect(asked).toBe(1);
  turn.resolve();
  expect((await got).length).toBe(2 * BLOCK_BYTES);
  expect(counted).toEqual([BLOCK_BYTES, BLOCK_BYTES]);
});
