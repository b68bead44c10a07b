import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type BucketKeyRecord,
  checkBucketKey,
  encodeBucketKeyRecord,
  type Provider,
  parseBucketKeyRecord,
} from "./record.ts";

const bucketKey = createHash("sha256").update("bucket key").digest();
const record: BucketKeyRecord = {
  id: Buffer.alloc(16, 11),
  storeId: Buffer.alloc(16, 5),
  epoch: 1,
  createdMs: 1_764_000_000_000,
  bucket: "photos",
  context: new Map([["team", "a"]]),
  wrapped: { provider: "Vault", kmsKeyId: "transit/photos", version: "3", bytes: Buffer.from("vault:v3:abc") },
};

describe("a bucket-key record", () => {
  test("gives back what was put in, without its key", () => {
    const text = fc.string({ unit: "binary", maxLength: 20 }).filter((value) => value.isWellFormed());
    const arbitrary = fc.record({
      epoch: fc.integer({ min: 1, max: 2 ** 32 - 1 }),
      createdMs: fc.maxSafeNat(),
      bucket: text,
      context: fc.dictionary(text, text).map((pairs) => new Map(Object.entries(pairs))),
      wrapped: fc.record({
        provider: fc.constantFrom<Provider>("Local", "Vault", "AWS", "Azure", "GCP", "PKCS11"),
        kmsKeyId: text,
        version: text,
        bytes: fc.uint8Array().map((bytes) => Buffer.from(bytes)),
      }),
    });
    fc.assert(
      fc.property(arbitrary, (fields) => {
        const bytes = encodeBucketKeyRecord({ ...record, ...fields }, bucketKey);
        expect(parseBucketKeyRecord(bytes)).toEqual({ ...record, ...fields });
        checkBucketKey(bytes, bucketKey);
      }),
      { seed: 1 },
    );
  });

  test("with any bit flipped is refused when it is read, or by its check", () => {
    const bytes = encodeBucketKeyRecord(record, bucketKey);
    for (let bit = 0; bit < 8 * bytes.length; bit += 1) {
      const flipped = Buffer.from(bytes);
      flipped[bit >> 3] = (bytes[bit >> 3] as number) ^ (1 << (bit & 7));
      expect(() => read(flipped)).toThrow(expect.objectContaining({ name: "EnvelopeError" }));
      expect(() => checkBucketKey(flipped, bucketKey)).toThrow(failing("Tampered"));
    }
  });

  test("is refused at every truncation, and with anything behind it", () => {
    const bytes = encodeBucketKeyRecord(record, bucketKey);
    for (let length = 0; length < bytes.length; length += 1) {
      expect(() => parseBucketKeyRecord(bytes.subarray(0, length))).toThrow(failing("Malformed"));
      expect(() => checkBucketKey(bytes.subarray(0, length), bucketKey)).toThrow(failing("Tampered"));
    }
    expect(() => parseBucketKeyRecord(Buffer.concat([bytes, Buffer.alloc(1)]))).toThrow(failing("Malformed"));
  });

  test("does not check with the key of another", () => {
    const bytes = encodeBucketKeyRecord(record, bucketKey);
    expect(() => checkBucketKey(bytes, Buffer.alloc(32, 1))).toThrow(failing("Tampered"));
  });

  test("does not show its key", () => {
    expect(Buffer.from(encodeBucketKeyRecord(record, bucketKey)).includes(bucketKey)).toBe(false);
  });

  test("of epoch 0 is a mistake of the caller", () => {
    expect(() => encodeBucketKeyRecord({ ...record, epoch: 0 }, bucketKey)).toThrow(/Mistake in the calling code/);
  });
});

function read(bytes: Uint8Array): void {
  parseBucketKeyRecord(bytes);
  checkBucketKey(bytes, bucketKey);
}

function failing(code: string) {
  return expect.objectContaining({ name: "EnvelopeError", code });
}
