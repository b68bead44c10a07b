import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CHUNK_LOG2_MAX, CHUNK_LOG2_MIN, chunkCount, openedBytes, sealedBytes, storedRange } from "./sizes.ts";

const malformed = expect.objectContaining({ code: "Malformed" });
const everyChunkLog2 = Array.from(
  { length: CHUNK_LOG2_MAX - CHUNK_LOG2_MIN + 1 },
  (_, index) => CHUNK_LOG2_MIN + index,
);

describe.each(everyChunkLog2)("with chunks of 2^%d bytes", (chunkLog2) => {
  const chunkBytes = 2 ** chunkLog2;
  const aroundEdges = [0, 1, 2, 3, 1000].flatMap((chunks) =>
    Array.from({ length: 81 }, (_, index) => chunks * chunkBytes + index - 40).filter((bytes) => bytes >= 0),
  );

  test("sealedBytes() and openedBytes() are inverse for every size around the edges of chunks", () => {
    for (const plainBytes of aroundEdges) {
      expect(openedBytes(sealedBytes(plainBytes, chunkLog2), chunkLog2)).toBe(plainBytes);
    }
  });

  test("a stored size that no plaintext gives is refused, and each other one is the size of one plaintext", () => {
    for (const edge of aroundEdges) {
      const stored = edge + 64;
      const rest = (stored - 64) % (chunkBytes + 16);
      if (rest < 16) {
        expect(() => openedBytes(stored, chunkLog2)).toThrow(malformed);
      } else {
        expect(sealedBytes(openedBytes(stored, chunkLog2), chunkLog2)).toBe(stored);
      }
    }
    for (let stored = 0; stored < 80; stored += 1) {
      expect(() => openedBytes(stored, chunkLog2)).toThrow(malformed);
    }
  });

  test("sizes grow with the plaintext: no two plaintexts share one", () => {
    for (const plainBytes of aroundEdges) {
      const grown = sealedBytes(plainBytes + 1, chunkLog2) - sealedBytes(plainBytes, chunkLog2);
      expect(grown).toBe((plainBytes + 1) % chunkBytes === 0 ? 17 : 1);
    }
  });

  test("storedRange() covers its range with as few chunks as can be, and the whole exactly", () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    const sizes = fc.oneof(fc.constantFrom(...aroundEdges), fc.nat({ max: 5 * 2 ** 40 })).filter((bytes) => bytes > 0);
    fc.assert(
      fc.property(sizes, share, share, (plainBytes, a, b) => {
        const fromByte = Math.min(Math.floor(a * plainBytes), plainBytes - 1);
        const toByte = Math.min(fromByte + 1 + Math.floor(b * (plainBytes - fromByte)), plainBytes);
        const range = storedRange(plainBytes, chunkLog2, fromByte, toByte);
        const endChunk = range.firstChunk + range.chunkCount;
        expect(range.firstChunk).toBe(Math.floor(fromByte / chunkBytes));
        expect(range.skipBytes).toBe(fromByte - range.firstChunk * chunkBytes);
        expect(range.takeBytes).toBe(toByte - fromByte);
        expect(endChunk * chunkBytes >= toByte).toBe(true);
        expect((endChunk - 1) * chunkBytes < toByte || toByte === plainBytes).toBe(true);
        expect(range.storedFromByte).toBe(
          range.firstChunk === 0 ? 0 : sealedBytes(range.firstChunk * chunkBytes, chunkLog2) - 16,
        );
        const isLast = endChunk === chunkCount(plainBytes, chunkLog2);
        expect(range.storedToByte).toBe(
          isLast ? sealedBytes(plainBytes, chunkLog2) : sealedBytes(endChunk * chunkBytes, chunkLog2) - 16,
        );
      }),
      { seed: 1 },
    );
  });

  test("the whole is read to its last stored byte, also where the last chunk is empty", () => {
    for (const plainBytes of aroundEdges) {
      const range = storedRange(plainBytes, chunkLog2, 0, plainBytes);
      expect([range.storedFromByte, range.storedToByte]).toEqual([0, sealedBytes(plainBytes, chunkLog2)]);
      expect(range.chunkCount).toBe(chunkCount(plainBytes, chunkLog2));
    }
  });
});

test("4 KiB of 1 GiB need one chunk, and across the border of two chunks both", () => {
  const inside = storedRange(2 ** 30, 16, 2 ** 29, 2 ** 29 + 4096);
  expect(inside.storedToByte - inside.storedFromByte).toBe(65_536 + 16);
  const range = storedRange(2 ** 30, 16, 2 ** 29 - 2048, 2 ** 29 + 2048);
  expect(range.storedToByte - range.storedFromByte).toBe(2 * (65_536 + 16));
});

test.each([
  [10, -1, 5],
  [10, 5, 11],
  [10, 5, 5],
  [10, 6, 5],
  [0, 0, 1],
])("of %d bytes, the range from %d to %d is a mistake of the caller", (plainBytes, fromByte, toByte) => {
  expect(() => storedRange(plainBytes, 16, fromByte, toByte)).toThrow(/Mistake in the calling code/);
});
