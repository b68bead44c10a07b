import fc from "fast-check";
import { expect, test } from "vitest";
import { BlockCutter } from "./blocks.ts";

const BLOCK = 100_000;

/** All blocks that come of these slices. */
function cut(slices: readonly Uint8Array[], blockBytes = BLOCK): (readonly Uint8Array[])[] {
  const cutter = new BlockCutter(blockBytes);
  const blocks: (readonly Uint8Array[])[] = [];
  for (const slice of slices) {
    cutter.push(slice);
    while (cutter.isFull) blocks.push(cutter.take());
  }
  blocks.push(cutter.take());
  return blocks;
}

function bytesOf(count: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, at) => (at * 7 + (at >> 8)) % 251);
}

test("blocks are whole and hold every byte in its order, however it came", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 9000 }), { maxLength: 60 }),
      fc.integer({ min: 1, max: 20_000 }),
      (sizes, blockBytes) => {
        const whole = bytesOf(sizes.reduce((sum, size) => sum + size, 0));
        const slices: Uint8Array[] = [];
        let at = 0;
        for (const size of sizes) {
          slices.push(whole.subarray(at, at + size));
          at += size;
        }
        const blocks = cut(slices, blockBytes);
        const lengths = blocks.map((block) => block.reduce((sum, slice) => sum + slice.length, 0));
        expect(lengths.slice(0, -1).every((length) => length === blockBytes)).toBe(true);
        expect(lengths.at(-1)).toBeLessThan(blockBytes);
        expect(Buffer.compare(Buffer.concat(blocks.flat()), whole)).toBe(0);
      },
    ),
    { numRuns: 200 },
  );
});

test("what comes in large slices is not copied", () => {
  const slices = [bytesOf(65_536), bytesOf(65_536), bytesOf(5000)];
  const memory = new Set(slices.map(({ buffer }) => buffer));
  expect(
    cut(slices)
      .flat()
      .every(({ buffer }) => memory.has(buffer)),
  ).toBe(true);
});

test("one small slice is not copied", () => {
  const slice = bytesOf(1000);
  expect(cut([slice]).flat()[0]?.buffer).toBe(slice.buffer);
});

test("what comes byte by byte ends in few slices", () => {
  const whole = bytesOf(300_000);
  const blocks = cut(Array.from(whole, (_, at) => whole.subarray(at, at + 1)));
  expect(Buffer.compare(Buffer.concat(blocks.flat()), whole)).toBe(0);
  expect(blocks.flat().length).toBeLessThan(10);
});
