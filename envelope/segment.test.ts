import { createHash, createSecretKey } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { runOpen, type SealJob } from "./chunks.ts";
import type { Suite } from "./head.ts";
import { createOpener, createSealer, cutToRange, runSeal } from "./segment.ts";

const dataKey = createHash("sha256").update("data key").digest();
const bodyId = new Uint8Array(16).fill(7);
const SUITES: readonly Suite[] = ["AES-256-GCM", "ChaCha20-Poly1305"];
const C = 2 ** 14;

interface Sealed {
  readonly header: Uint8Array;
  readonly stored: Buffer;
}

describe.each(SUITES)("a body under %s", (suite) => {
  const edges = [0, 1, C - 1, C, C + 1, 2 * C - 1, 2 * C, 2 * C + 1];

  test.each(edges)("of %d bytes comes out as it went in", (plainBytes) => {
    const plain = pattern(plainBytes);
    expect(openWhole(seal(suite, 14, [plain]), plainBytes).equals(plain)).toBe(true);
  });

  test.each(edges)("of %d bytes, stored and read byte by byte, is the same", (plainBytes) => {
    const plain = pattern(plainBytes);
    const sealed = seal(suite, 14, slices(plain, 1));
    const reader = opener(sealed, plainBytes).read(0, plainBytes);
    const opened: Uint8Array[] = [];
    const oneByte = Buffer.alloc(1);
    for (const byte of sealed.stored) {
      oneByte[0] = byte; // the same buffer again: the reader may keep nothing of it
      opened.push(...reader.push(oneByte));
    }
    reader.end();
    expect(Buffer.concat(opened).equals(plain)).toBe(true);
  });

  test.each([14, 15, 16, 17, 18, 19, 20])("with chunks of 2^%d bytes holds at their edges", (chunkLog2) => {
    for (const plainBytes of [2 ** chunkLog2 - 1, 2 ** chunkLog2, 2 ** chunkLog2 + 1]) {
      const plain = Buffer.alloc(plainBytes, 5);
      const sealed = seal(suite, chunkLog2, [plain]);
      expect(openWhole(sealed, plainBytes).equals(plain)).toBe(true);
    }
  });

  test("every range is the slice of the plaintext, however the stored bytes are cut", () => {
    const plain = pattern(3 * C + 100);
    const sealed = seal(suite, 14, [plain]);
    const body = opener(sealed, plain.length);
    const near = fc.constantFrom(...edges, 3 * C - 1, 3 * C, plain.length);
    const place = fc.oneof(near, fc.nat({ max: plain.length }));
    fc.assert(
      fc.property(place, place, fc.integer({ min: 1, max: 40_000 }), (a, b, sliceBytes) => {
        fc.pre(a !== b);
        const reader = body.read(Math.min(a, b), Math.max(a, b));
        const stored = sealed.stored.subarray(reader.storedFromByte, reader.storedToByte);
        const opened = slices(stored, sliceBytes).flatMap((slice) => reader.push(slice));
        reader.end();
        expect(Buffer.concat(opened).equals(plain.subarray(Math.min(a, b), Math.max(a, b)))).toBe(true);
      }),
      { seed: 1 },
    );
  });

  test("jobs give the same as reading, and as often as they are run", () => {
    const plain = pattern(3 * C + 100);
    const sealed = seal(suite, 14, [plain]);
    const body = opener(sealed, plain.length);
    const range = body.read(C + 5, 2 * C + 6);
    const stored = sealed.stored.subarray(range.storedFromByte, range.storedToByte);
    const job = body.job(range, slices(stored, 1000));
    const expected = plain.subarray(C + 5, 2 * C + 6);
    for (const run of [job, job, structuredClone(job)]) {
      const opened = cutToRange(runOpen(run), range.skipBytes, range.takeBytes);
      expect(Buffer.concat(opened).equals(expected)).toBe(true);
    }
  });

  test("every flipped bit is refused, and nothing of the plaintext is given before", () => {
    const plain = Buffer.from("a small body");
    const { stored, header } = seal(suite, 16, [plain]);
    for (let bit = 0; bit < 8 * stored.length; bit += 1) {
      const flipped = Buffer.from(stored);
      flipped[bit >> 3] = (stored[bit >> 3] as number) ^ (1 << (bit & 7));
      const reader = opener({ header, stored: flipped }, plain.length).read(0, plain.length);
      const commitment = bit >= 8 * 32 && bit < 8 * 64;
      expect(() => reader.push(flipped)).toThrow(failing(commitment ? "WrongKey" : "Tampered"));
    }
  });

  test("every flipped bit of the head that an envelope names is refused", () => {
    const plain = Buffer.from("a small body");
    const { stored, header } = seal(suite, 16, [plain]);
    for (let bit = 0; bit < 8 * 32; bit += 1) {
      const flipped = Buffer.from(header);
      flipped[bit >> 3] = (header[bit >> 3] as number) ^ (1 << (bit & 7));
      const open = () => opener({ header: flipped, stored }, plain.length).read(0, plain.length).push(stored);
      expect(open).toThrow(expect.objectContaining({ name: "EnvelopeError" }));
    }
  });

  test("every truncation and every addition is refused, by the length that the storage names and by reading", () => {
    const plain = Buffer.from("a small body");
    const sealed = seal(suite, 16, [plain]);
    for (let length = 0; length < sealed.stored.length; length += 1) {
      const stored = sealed.stored.subarray(0, length);
      expect(() => opener({ ...sealed, stored }, plain.length)).toThrow(failing("Tampered"));
      const reader = opener(sealed, plain.length).read(0, plain.length);
      const read = () => {
        reader.push(stored);
        reader.end();
      };
      expect(read).toThrow(failing("Tampered"));
    }
    const reader = opener(sealed, plain.length).read(0, plain.length);
    reader.push(sealed.stored);
    expect(() => reader.push(Buffer.alloc(1))).toThrow(failing("Tampered"));
  });

  test("chunks that are swapped, dropped or repeated are refused, in the whole and in ranges", () => {
    const plain = pattern(3 * C);
    const { stored, header } = seal(suite, 14, [plain]);
    const chunk = (index: number) => stored.subarray(64 + index * (C + 16), 64 + (index + 1) * (C + 16));
    const start = stored.subarray(0, 64);
    const orders = {
      swapped: [1, 0, 2, 3],
      repeated: [0, 0, 2, 3],
      "last two swapped": [0, 2, 1, 3],
      dropped: [0, 2, 3],
    };
    for (const order of Object.values(orders)) {
      const changed = { header, stored: Buffer.concat([start, ...order.map(chunk)]) };
      expect(() => openWhole(changed, order.length === 3 ? 2 * C : 3 * C)).toThrow(failing("Tampered"));
    }
    const reader = opener({ header, stored }, plain.length).read(C, 2 * C);
    expect(() => reader.push(chunk(2))).toThrow(failing("Tampered"));
  });

  test("a tag shorter than 16 bytes is never accepted", () => {
    const { stored, header } = seal(suite, 16, [Buffer.from("x")]);
    for (let tagBytes = 0; tagBytes < 16; tagBytes += 1) {
      const body = opener({ header, stored }, 1);
      const cut = stored.subarray(64, 64 + 1 + tagBytes);
      expect(() => runOpen(body.job({ ...body.read(0, 1) }, [cut]))).toThrow(failing("Tampered"));
    }
  });
});

describe("a sealer", () => {
  test("gives the same bytes however the plaintext is cut into slices and jobs", () => {
    const plain = pattern(4 * C + 77);
    const sealer = createSealer({ suite: "AES-256-GCM", chunkLog2: 14, partNumber: 0, dataKey, bodyId });
    const jobs = [
      sealer.next([plain.subarray(0, C)], false),
      sealer.next([], false),
      sealer.next(slices(plain.subarray(C, 3 * C), 999), false),
      sealer.next([plain.subarray(3 * C)], true),
    ];
    const late = jobs.toReversed().map((job) => runSeal(structuredClone(job)));
    const stored = Buffer.concat([sealer.header, ...late.toReversed().flat()]);
    expect(openWhole({ header: sealer.header, stored }, plain.length).equals(plain)).toBe(true);
    expect(jobs.map((job) => job.firstChunk)).toEqual([0, 1, 1, 3]);
    expect(Buffer.concat(jobs.flatMap((job) => runSeal(job))).equals(stored.subarray(64))).toBe(true);
  });

  test("makes one buffer of each slice and one of each tag: nothing is joined", () => {
    const sealer = createSealer({ suite: "AES-256-GCM", chunkLog2: 14, partNumber: 0, dataKey, bodyId });
    const sealed = runSeal(sealer.next([Buffer.alloc(10), Buffer.alloc(C), Buffer.alloc(5)], true));
    expect(sealed.map((buffer) => buffer.length)).toEqual([10, C - 10, 16, 10, 5, 16]);
  });

  test("takes a key as bytes or as KeyObject, which are the same", () => {
    const { header, stored } = seal("AES-256-GCM", 14, [Buffer.from("x")]);
    const head = header.subarray(0, 32);
    const body = { head, dataKey: createSecretKey(dataKey), bodyId, plainBytes: 1, storedBytes: stored.length };
    expect(createOpener(body).read(0, 1).push(stored).join()).toBe("x");
  });

  const spec = { suite: "AES-256-GCM", chunkLog2: 14, partNumber: 0, dataKey, bodyId } as const;
  test.each<[string, () => unknown]>([
    ["a job after the last", () => endedSealer().next([], true)],
    [
      "a job in the middle that is no whole number of chunks",
      () => createSealer(spec).next([Buffer.alloc(C - 1)], false),
    ],
    ["a key of 31 bytes", () => createSealer({ ...spec, dataKey: dataKey.subarray(1) })],
    ["a KeyObject of 16 bytes", () => createSealer({ ...spec, dataKey: createSecretKey(dataKey.subarray(16)) })],
    ["an id of 15 bytes", () => createSealer({ ...spec, bodyId: bodyId.subarray(1) })],
    ["chunks of 2^13 bytes", () => createSealer({ ...spec, chunkLog2: 13 })],
    ["chunks of 2^21 bytes", () => createSealer({ ...spec, chunkLog2: 21 })],
    ["part 10,001", () => createSealer({ ...spec, partNumber: 10_001 })],
    ["more than 2^32 chunks", () => createSealer(spec).next([{ length: 2 ** 46 } as Uint8Array], true)],
    ["a job that was cut", () => runSeal({ ...wholeChunkJob(), plain: [Buffer.alloc(5)] })],
  ])("refuses %s as a mistake of the caller", (_, mistake) => {
    expect(mistake).toThrow(/Mistake in the calling code/);
  });

  function endedSealer() {
    const sealer = createSealer(spec);
    sealer.next([], true);
    return sealer;
  }

  function wholeChunkJob(): SealJob {
    return createSealer(spec).next([Buffer.alloc(C)], false);
  }
});

describe("an opener", () => {
  test("refuses an earlier attempt of the same part", () => {
    const [earlier, later] = [
      seal("AES-256-GCM", 16, [Buffer.from("one")]),
      seal("AES-256-GCM", 16, [Buffer.from("two")]),
    ];
    const mixed = { header: later.header, stored: earlier.stored };
    expect(() => openWhole(mixed, 3)).toThrow(failing("Tampered"));
    const headless = Buffer.concat([later.header, earlier.stored.subarray(64)]);
    expect(() => openWhole({ header: later.header, stored: headless }, 3)).toThrow(failing("Tampered"));
  });

  test("refuses another key and another body by the commitment, before any chunk", () => {
    const { header, stored } = seal("AES-256-GCM", 16, [Buffer.from("x")]);
    const body = { head: header.subarray(0, 32), dataKey, bodyId, plainBytes: 1, storedBytes: stored.length };
    const other = [{ dataKey: Buffer.alloc(32, 1) }, { bodyId: new Uint8Array(16) }];
    for (const change of other) {
      const wrong = createOpener({ ...body, ...change });
      expect(() => wrong.checkHeader(stored)).toThrow(failing("WrongKey"));
      expect(() => wrong.read(0, 1).push(stored.subarray(0, 64))).toThrow(failing("WrongKey"));
    }
  });

  test("gives nothing of a chunk before its tag was seen", () => {
    const plain = pattern(2 * C);
    const { header, stored } = seal("AES-256-GCM", 14, [plain]);
    const reader = opener({ header, stored }, plain.length).read(0, plain.length);
    expect(reader.push(stored.subarray(0, 64 + C + 15))).toEqual([]);
    expect(Buffer.concat(reader.push(stored.subarray(64 + C + 15, 64 + C + 16))).equals(plain.subarray(0, C))).toBe(
      true,
    );
    expect(() => reader.end()).toThrow(failing("Tampered"));
  });
});

function seal(suite: Suite, chunkLog2: number, plain: readonly Uint8Array[]): Sealed {
  const sealer = createSealer({ suite, chunkLog2, partNumber: 0, dataKey, bodyId });
  return { header: sealer.header, stored: Buffer.concat([sealer.header, ...runSeal(sealer.next(plain, true))]) };
}

function opener({ header, stored }: Sealed, plainBytes: number) {
  return createOpener({ head: header.subarray(0, 32), dataKey, bodyId, plainBytes, storedBytes: stored.length });
}

function openWhole(sealed: Sealed, plainBytes: number): Buffer {
  const reader = opener(sealed, plainBytes).read(0, plainBytes);
  const plain = reader.push(sealed.stored.subarray(reader.storedFromByte, reader.storedToByte));
  reader.end();
  return Buffer.concat(plain);
}

function failing(code: string) {
  return expect.objectContaining({ name: "EnvelopeError", code });
}

function pattern(byteCount: number): Buffer {
  return Buffer.from(Array.from({ length: byteCount }, (_, index) => index % 251));
}

function slices(bytes: Uint8Array, sliceBytes: number): Uint8Array[] {
  const cut: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += sliceBytes) {
    cut.push(bytes.subarray(at, at + sliceBytes));
  }
  return cut;
}
