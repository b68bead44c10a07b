import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  footer,
  openPartList,
  type PartEntry,
  type PartList,
  partsOfRange,
  placeParts,
  sealPartList,
  splitFooter,
} from "./parts.ts";
import { createSealer } from "./segment.ts";
import { sealedBytes } from "./sizes.ts";

const dataKey = createHash("sha256").update("data key").digest();
const bodyId = new Uint8Array(16).fill(7);

describe("a part list", () => {
  test("gives back what was put in, and begins with the head that its envelope will name", () => {
    const list = listOf([5, 0, 70_000]);
    const segment = sealPartList(list, dataKey, bodyId);
    expect(openPartList(segment, segment.slice(0, 32), dataKey, bodyId)).toEqual(list);
  });

  test("of 10,000 parts with SHA-256 each opens, over many chunks", () => {
    const list = listOf(
      Array.from({ length: 10_000 }, () => 5 * 2 ** 20),
      "SHA256",
    );
    const segment = sealPartList(list, dataKey, bodyId);
    expect(segment.length).toBeGreaterThan(13 * 2 ** 16);
    expect(openPartList(segment, undefined, dataKey, bodyId).parts.entries).toHaveLength(10_000);
  });

  test("with its footer fits one read of 64 KiB: 760 parts with SHA-256, 1,200 without checksums", () => {
    const long = (count: number, algorithm?: "SHA256") =>
      sealPartList(
        listOf(
          Array.from({ length: count }, () => 5),
          algorithm,
        ),
        dataKey,
        bodyId,
      ).length + 8;
    expect(long(760, "SHA256")).toBeLessThanOrEqual(2 ** 16);
    expect(long(1_200)).toBeLessThanOrEqual(2 ** 16);
  });

  test("is refused with any bit flipped, and at every truncation", () => {
    const segment = sealPartList(listOf([5, 6]), dataKey, bodyId);
    const head = Buffer.from(segment.subarray(0, 32));
    for (let bit = 0; bit < 8 * segment.length; bit += 1) {
      const flipped = Buffer.from(segment);
      flipped[bit >> 3] = (segment[bit >> 3] as number) ^ (1 << (bit & 7));
      const expected = bit < 8 * 32 || bit >= 8 * 64 ? "Tampered" : "WrongKey";
      expect(() => openPartList(flipped, head, dataKey, bodyId)).toThrow(failing(expected));
    }
    for (let length = 0; length < segment.length; length += 1) {
      const cut = segment.subarray(0, length);
      expect(() => openPartList(cut, head, dataKey, bodyId)).toThrow(
        expect.objectContaining({ name: "EnvelopeError" }),
      );
    }
  });

  test("of an earlier completion of the same upload is refused", () => {
    const [earlier, later] = [listOf([5]), listOf([6])].map((list) => sealPartList(list, dataKey, bodyId));
    const open = () => openPartList(earlier as Uint8Array, later?.subarray(0, 32), dataKey, bodyId);
    expect(open).toThrow(failing("Tampered"));
  });

  test("is not written where it would be refused", () => {
    const list = listOf([5, 6]);
    const seal = (change: Partial<PartList>) => sealPartList({ ...list, ...change }, dataKey, bodyId);
    const entries = list.parts.entries;
    expect(() => seal({ sizeBytes: 12 })).toThrow(failing("Malformed"));
    const reversed = { checksumAlgorithm: undefined, entries: entries.toReversed() };
    expect(() => seal({ parts: reversed })).toThrow(failing("Malformed"));
    const mixed = {
      checksumAlgorithm: undefined,
      entries: [{ ...(entries[0] as PartEntry), checksum: Buffer.alloc(4) }],
    };
    expect(() => seal({ sizeBytes: 5, parts: mixed })).toThrow(/Mistake in the calling code/);
  });
});

describe("a footer", () => {
  const segment = sealPartList(listOf([5, 6]), dataKey, bodyId);
  const joined = Buffer.concat(footer(segment));

  test("is found in any tail that is long enough, and asked for where the tail is not", () => {
    for (let before = 0; before < 20; before += 1) {
      const found = splitFooter(Buffer.concat([Buffer.alloc(before, 1), joined]), 1000);
      expect(found).toEqual({ footerBytes: joined.length, partList: Buffer.from(segment) });
    }
    for (let length = 8; length < joined.length; length += 1) {
      const found = splitFooter(joined.subarray(joined.length - length), 1000);
      expect(found).toEqual({ footerBytes: joined.length, partList: undefined });
    }
  });

  test("is refused with any bit of its end flipped, or cut anywhere", () => {
    for (let bit = 8 * (joined.length - 8); bit < 8 * joined.length; bit += 1) {
      const flipped = Buffer.from(joined);
      flipped[bit >> 3] = (joined[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => openTail(flipped)).toThrow(expect.objectContaining({ name: "EnvelopeError" }));
    }
    for (let length = 0; length < joined.length; length += 1) {
      expect(() => openTail(joined.subarray(0, length))).toThrow(failing("Malformed"));
    }
  });

  function openTail(tail: Uint8Array): void {
    const { partList } = splitFooter(tail, joined.length);
    openPartList(partList as Uint8Array, undefined, dataKey, bodyId);
  }
});

describe("placed parts", () => {
  test("lie one after the other, and their stored length is exactly that of the body", () => {
    const list = listOf([70_000, 0, 65_536]);
    const total = [70_000, 0, 65_536].reduce((bytes, plainBytes) => bytes + sealedBytes(plainBytes, 16), 0);
    const placed = placeParts(list, total + 100, 100);
    expect(placed.map((part) => part.storedFromByte)).toEqual([
      0,
      sealedBytes(70_000, 16),
      sealedBytes(70_000, 16) + sealedBytes(0, 16),
    ]);
    expect(placed.map((part) => part.plainFromByte)).toEqual([0, 70_000, 70_000]);
    for (const wrong of [total + 99, total + 101, total, 0]) {
      expect(() => placeParts(list, wrong, 100)).toThrow(failing("Tampered"));
    }
  });

  test("of plaintext are as long as they are", () => {
    const list = listOf([5, 6]);
    const entries = list.parts.entries.map((entry) => ({ ...entry, head: new Uint8Array(32) }));
    const plaintext = { ...list, parts: { checksumAlgorithm: undefined, entries } };
    expect(placeParts(plaintext, 11, 0).map((part) => part.storedBytes)).toEqual([5, 6]);
  });

  test("of a range are those that hold its bytes, in order", () => {
    const sizes = fc.array(fc.nat({ max: 9 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(sizes, fc.nat(), fc.nat(), (partSizes, a, b) => {
        const size = partSizes.reduce((sum, bytes) => sum + bytes, 0);
        fc.pre(size > 0);
        const fromByte = a % size;
        const toByte = fromByte + 1 + (b % (size - fromByte));
        const owners = partSizes.flatMap((bytes, index) => Array.from({ length: bytes }, () => index));
        const expected = [...new Set(owners.slice(fromByte, toByte))];
        const list = listOf(partSizes);
        const stored = partSizes.reduce((bytes, plainBytes) => bytes + sealedBytes(plainBytes, 16), 0);
        const found = partsOfRange(placeParts(list, stored, 0), fromByte, toByte);
        expect(found.filter((part) => part.entry.plainBytes > 0).map((part) => part.index)).toEqual(expected);
      }),
      { seed: 1 },
    );
  });

  test("of the whole are all, empty ones too: so that each is checked", () => {
    const sizes = [0, 5, 0, 6, 0];
    const stored = sizes.reduce((bytes, plainBytes) => bytes + sealedBytes(plainBytes, 16), 0);
    const placed = placeParts(listOf(sizes), stored, 0);
    expect(partsOfRange(placed, 0, 11)).toHaveLength(5);
    expect(partsOfRange(placeParts(listOf([0]), sealedBytes(0, 16), 0), 0, 0)).toHaveLength(1);
  });
});

function listOf(partSizes: readonly number[], checksumAlgorithm?: "SHA256"): PartList {
  const salted = createSealer({ suite: "AES-256-GCM", chunkLog2: 16, partNumber: 0, dataKey, bodyId }).header;
  const entries = partSizes.map((plainBytes, index) => {
    const head = Buffer.from(salted.subarray(0, 32));
    head.writeUInt32BE(index + 1, 8);
    const checksum = Buffer.alloc(checksumAlgorithm === undefined ? 0 : 32, index);
    return { head, plainBytes, etag: Buffer.alloc(16, index), checksum };
  });
  const sizeBytes = partSizes.reduce((bytes, plainBytes) => bytes + plainBytes, 0);
  return { sizeBytes, parts: { checksumAlgorithm, entries } };
}

function failing(code: string) {
  return expect.objectContaining({ name: "EnvelopeError", code });
}
