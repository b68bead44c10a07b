import { createHash, createSecretKey } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  bodyIdOf,
  bucketKeyIdOf,
  type Contents,
  encodePartShape,
  openEnvelope,
  type Place,
  parsePartShape,
  sealEnvelope,
  ZERO_ID,
} from "./envelope.ts";
import { createSealer } from "./segment.ts";

const bucketKey = createSecretKey(createHash("sha256").update("bucket key").digest());
const dataKey = createHash("sha256").update("data key").digest();
const bucketKeyId = new Uint8Array(16).fill(11);
const bodyId = new Uint8Array(16).fill(7);
const spec = { suite: "AES-256-GCM", chunkLog2: 16, dataKey, bodyId } as const;
const bodyHead = createSealer({ ...spec, partNumber: 0 }).header.subarray(0, 32);

const object = { kind: "object", objectName: "a/b.txt", versionId: "" } as const;
const contents: Contents<"object"> = {
  key: { mode: "bucket", dataKey },
  bodyHead,
  sizeBytes: 5,
  etag: { bytes: new Uint8Array(16).fill(3), parts: 1 },
  modifiedMs: 1_764_000_000_000,
  shown: "AES256",
  headers: [["content-type", "text/plain"]],
};

describe("an envelope", () => {
  test("opens at each place of its own and at no other", () => {
    const places: readonly Place[] = [
      object,
      { ...object, objectName: "a/B.txt" },
      { ...object, objectName: "a/b.txt\0" },
      { ...object, objectName: "" },
      { ...object, objectName: "", versionId: "a/b.txt" },
      { ...object, versionId: "1" },
      { kind: "marker", objectName: "a/b.txt", versionId: "" },
      { kind: "marker", objectName: "a/b.txt", versionId: "1" },
      { kind: "upload", objectName: "a/b.txt", uploadId: "" },
      { kind: "upload", objectName: "a/b.txt", uploadId: "1" },
      { kind: "part", uploadId: "a/b.txt", partNumber: 1 },
      { kind: "part", uploadId: "a/b.txt", partNumber: 2 },
      { kind: "part", uploadId: "1", partNumber: 1 },
      { kind: "settings" },
    ];
    for (const place of places) {
      const envelope = sealEnvelope(place, contentsOf(place), bucketKeyId, bodyId, bucketKey);
      expect(openEnvelope(envelope, place, bucketKey)).toBeDefined();
      for (const other of places.filter((candidate) => candidate !== place)) {
        expect(() => openEnvelope(envelope, other, bucketKey)).toThrow(failing("WrongKey"));
      }
    }
  });

  test("has another salt each time, also for the same contents", () => {
    const sealed = Array.from({ length: 100 }, () => seal().subarray(52, 68));
    expect(new Set(sealed.map((salt) => Buffer.from(salt).toString("hex"))).size).toBe(100);
  });

  test("tells the ids of its bucket key and body without a key", () => {
    const envelope = seal();
    expect(bucketKeyIdOf(envelope)).toEqual(Buffer.from(bucketKeyId));
    expect(bodyIdOf(envelope)).toEqual(Buffer.from(bodyId));
    expect(() => bodyIdOf(envelope.subarray(0, 35))).toThrow(failing("Malformed"));
  });

  test("has 220 to 600 bytes as a rule, and memory of its own", () => {
    const envelope = seal();
    expect(envelope.length).toBeGreaterThan(220);
    expect(envelope.length).toBeLessThan(600);
    expect(envelope.buffer.byteLength).toBe(envelope.length);
  });

  test("shows nothing of what it holds", () => {
    const envelope = Buffer.from(seal());
    for (const secret of [dataKey, Buffer.from("text/plain"), Buffer.from(bodyHead), Buffer.from("a/b.txt")]) {
      expect(envelope.includes(secret)).toBe(false);
    }
  });

  test("is refused with any bit flipped", () => {
    const envelope = seal();
    for (let bit = 0; bit < 8 * envelope.length; bit += 1) {
      const flipped = Buffer.from(envelope);
      flipped[bit >> 3] = (envelope[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => openEnvelope(flipped, object, bucketKey)).toThrow(refused());
    }
  });

  test("is refused at every truncation, and with anything behind it", () => {
    const envelope = seal();
    for (let length = 0; length < envelope.length; length += 1) {
      expect(() => openEnvelope(envelope.subarray(0, length), object, bucketKey)).toThrow(refused());
    }
    for (let more = 1; more < 40; more += 1) {
      const longer = Buffer.concat([envelope, Buffer.alloc(more)]);
      expect(() => openEnvelope(longer, object, bucketKey)).toThrow(failing("Tampered"));
    }
  });

  test("of more than one chunk opens too", () => {
    const headers = Array.from({ length: 2000 }, (_, index) => [`x-amz-meta-${index}`, "v".repeat(100)] as const);
    const envelope = sealEnvelope(object, { ...contents, headers }, bucketKeyId, bodyId, bucketKey);
    expect(envelope.length).toBeGreaterThan(2 ** 17);
    expect(openEnvelope(envelope, object, bucketKey).headers).toEqual(new Map(headers));
  });

  test("gives back what was put in, and what it does not know", () => {
    const text = fc.string({ unit: "binary", maxLength: 12 }).filter((value) => value.isWellFormed());
    const number64 = fc.maxSafeNat();
    const some = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: undefined });
    const bytesOf = (length: number) =>
      fc.uint8Array({ minLength: length, maxLength: length }).map((b) => Buffer.from(b));
    const arbitrary = fc.record({
      key: fc.oneof(
        fc.record({ mode: fc.constant("bucket" as const), dataKey: bytesOf(32) }),
        fc.record({ mode: fc.constant("other" as const), bucketKeyId: bytesOf(16), segment: bytesOf(112) }),
      ),
      bodyHead: fc.constant(Buffer.from(bodyHead)),
      sizeBytes: number64,
      modifiedMs: number64,
      shown: fc.constantFrom("nothing", "AES256", "aws:kms", "customer"),
      etag: some(fc.record({ bytes: bytesOf(16), parts: fc.nat({ max: 10_000 }) })),
      headers: some(fc.dictionary(text, text).map((record) => new Map(Object.entries(record)))),
      tags: some(fc.dictionary(text, text).map((record) => new Map(Object.entries(record)))),
      context: some(fc.dictionary(text, text).map((record) => new Map(Object.entries(record)))),
      kept: some(
        fc
          .uniqueArray(fc.record({ type: fc.integer({ min: 128, max: 255 }), value: bytesOf(3) }), {
            selector: ({ type }) => type,
            minLength: 1,
          })
          .map((fields) => fields.toSorted((a, b) => a.type - b.type)),
      ),
    });
    fc.assert(
      fc.property(arbitrary, text, text, (fields, objectName, versionId) => {
        const place = { kind: "object", objectName, versionId } as const;
        const envelope = sealEnvelope(place, fields as Contents<"object">, bucketKeyId, bodyId, bucketKey);
        expect(openEnvelope(envelope, place, bucketKey)).toEqual(fields);
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  test("is not written where it would be refused", () => {
    const { sizeBytes: _, ...sizeless } = contents;
    expect(() => sealEnvelope(object, sizeless, bucketKeyId, bodyId, bucketKey)).toThrow(failing("Malformed"));
    const illFormed = { ...object, objectName: "\ud800" };
    expect(() => sealEnvelope(illFormed, contents, bucketKeyId, bodyId, bucketKey)).toThrow(failing("Malformed"));
    const plaintextHead = { ...contents, bodyHead: new Uint8Array(32) };
    expect(() => sealEnvelope(object, plaintextHead, bucketKeyId, bodyId, bucketKey)).toThrow(failing("Malformed"));
  });
});

test("the shape of an upload's parts is what was put in, or plaintext", () => {
  for (const suite of ["AES-256-GCM", "ChaCha20-Poly1305"] as const) {
    for (let chunkLog2 = 14; chunkLog2 <= 20; chunkLog2 += 1) {
      expect(parsePartShape(encodePartShape({ suite, chunkLog2 }))).toEqual({ suite, chunkLog2 });
    }
  }
  expect(parsePartShape(encodePartShape(undefined))).toBeUndefined();
});

function seal(): Uint8Array {
  return sealEnvelope(object, contents, bucketKeyId, bodyId, bucketKey);
}

function contentsOf(place: Place): Contents<Place["kind"]> {
  switch (place.kind) {
    case "upload":
      return { ...contents, bodyHead: encodePartShape({ suite: "AES-256-GCM", chunkLog2: 16 }), settings: "{}" };
    case "part": {
      const head = createSealer({ ...spec, partNumber: place.partNumber }).header.subarray(0, 32);
      return { ...contents, bodyHead: head, settings: "{}" } as Contents<Place["kind"]>;
    }
    default:
      return { ...contents, settings: "{}" } as Contents<Place["kind"]>;
  }
}

function refused() {
  return expect.objectContaining({ name: "EnvelopeError" });
}

function failing(code: string) {
  return expect.objectContaining({ name: "EnvelopeError", code });
}

test("a marker and settings have no body", () => {
  const marker = { ...object, kind: "marker" } as const;
  const envelope = sealEnvelope(marker, { modifiedMs: 1 }, bucketKeyId, ZERO_ID, bucketKey);
  expect(openEnvelope(envelope, marker, bucketKey).modifiedMs).toBe(1);
  const settings = sealEnvelope({ kind: "settings" }, { settings: "{}" }, bucketKeyId, ZERO_ID, bucketKey);
  expect(openEnvelope(settings, { kind: "settings" }, bucketKey).settings).toBe("{}");
});
