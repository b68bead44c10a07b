import fc from "fast-check";
import { expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import type { Body } from "../call.ts";
import { bodyOf, callOf, createWorld, PHOTO, plainBytes, putWanted, read } from "./contract/world.ts";

const LINE_BYTES = 85;

/** As the wire brings it: blocks with memory of their own, and in them lines that are no part of the body. */
function wireBody(bytes: Uint8Array, blockBytes: number, pieceBytes: number, blocks: Uint8Array[]): Body {
  return {
    ...bodyOf(bytes),
    disposable: true,
    async *[Symbol.asyncIterator]() {
      let block = new Uint8Array(blockBytes);
      blocks.push(block);
      let at = 0;
      for (let from = 0; from < bytes.length; from += pieceBytes) {
        let piece = bytes.subarray(from, from + pieceBytes);
        while (piece.length > 0) {
          if (at >= block.length) {
            block = new Uint8Array(blockBytes);
            blocks.push(block);
            at = 0;
          }
          const slice = block.subarray(at, at + piece.length);
          slice.set(piece.subarray(0, slice.length));
          piece = piece.subarray(slice.length);
          at += slice.length;
          yield slice;
        }
        at += LINE_BYTES;
      }
    },
  };
}

test("a body whose memory is given back as it comes is stored whole, however blocks and pieces lie to each other", async () => {
  const world = await createWorld(localKey());
  await fc.assert(
    fc.asyncProperty(
      fc.nat(400_000),
      fc.integer({ min: 1_000, max: 90_000 }),
      fc.integer({ min: 1_000, max: 90_000 }),
      async (count, blockBytes, pieceBytes) => {
        const bytes = plainBytes(count, pieceBytes);
        await world.objects.put(callOf(world), PHOTO, wireBody(bytes, blockBytes, pieceBytes, []), putWanted());
        expect(Buffer.compare(await read(world, PHOTO), bytes)).toBe(0);
      },
    ),
    { numRuns: 60 },
  );
});

test("while a body comes, no more of its blocks are held than make two chunks", async () => {
  const world = await createWorld(localKey());
  const blocks: Uint8Array[] = [];
  const bytes = plainBytes(2 ** 20);
  const body = wireBody(bytes, 65_536, 65_536, blocks);
  let heldMax = 0;
  const watched: Body = {
    ...body,
    async *[Symbol.asyncIterator]() {
      for await (const slice of body) {
        yield slice;
        heldMax = Math.max(heldMax, blocks.filter(({ length }) => length > 0).length);
      }
    },
  };
  await world.objects.put(callOf(world), PHOTO, watched, putWanted());
  expect(blocks.length).toBeGreaterThan(15);
  expect(heldMax).toBeLessThanOrEqual(3);
});

test("the blocks of a body that does not say so stay as they are", async () => {
  const world = await createWorld(localKey());
  const bytes = plainBytes(300_000);
  await world.objects.put(callOf(world), PHOTO, bodyOf(bytes), putWanted());
  expect(Buffer.compare(bytes, plainBytes(300_000))).toBe(0);
});
