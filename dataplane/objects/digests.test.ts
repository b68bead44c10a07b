import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CHECKSUM_BYTES } from "../../envelope/checksums.ts";
import type { ChecksumAlgorithm } from "../call.ts";
import { canCombine, combineWhole, compositeDigest, createDigest, createDigests } from "./digests.ts";

const CHECK_VALUES: Readonly<Record<ChecksumAlgorithm, string>> = {
  CRC32: "cbf43926",
  CRC32C: "e3069283",
  CRC64NVME: "ae8b14860a799888",
  SHA1: "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
  SHA256: "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
  SHA512:
    "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274ad27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85",
  MD5: "25f9e794323b453885f5181f1b624d0b",
};
const ALGORITHMS = Object.keys(CHECK_VALUES) as ChecksumAlgorithm[];
const DIGITS = Buffer.from("123456789");

function digestOf(algorithm: ChecksumAlgorithm, bytes: Uint8Array): Buffer {
  const digest = createDigest(algorithm);
  digest.update(bytes);
  return Buffer.from(digest.digest());
}

describe.each(ALGORITHMS)("%s", (algorithm) => {
  test("gives the published check value", () => {
    expect(digestOf(algorithm, DIGITS).toString("hex")).toBe(CHECK_VALUES[algorithm]);
    expect(digestOf(algorithm, DIGITS)).toHaveLength(CHECKSUM_BYTES[algorithm]);
  });

  test("does not care how the bytes are cut, nor which other bodies pass at the same time", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.uint8Array({ maxLength: 400 }), fc.nat(40), (a, b, step) => {
        const [one, other] = [createDigest(algorithm), createDigest(algorithm)];
        for (let at = 0; at < 400; at += step + 1) {
          one.update(a.subarray(at, at + step + 1));
          other.update(b.subarray(at, at + step + 1));
        }
        expect(Buffer.from(one.digest())).toEqual(digestOf(algorithm, a));
        expect(Buffer.from(other.digest())).toEqual(digestOf(algorithm, b));
      }),
      { numRuns: 50 },
    );
  });

  test("of nothing is the value of an empty body", () => {
    expect(Buffer.from(createDigest(algorithm).digest())).toEqual(digestOf(algorithm, new Uint8Array(0)));
  });
});

test.each(ALGORITHMS.filter(canCombine))(
  "%s of the whole comes out of the values of parts of any length",
  (algorithm) => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 100 }), { minLength: 1, maxLength: 6 }), (parts) => {
        const values = parts.map((part) => ({ value: digestOf(algorithm, part), plainBytes: part.length }));
        expect(Buffer.from(combineWhole(algorithm, values))).toEqual(digestOf(algorithm, Buffer.concat(parts)));
      }),
      { numRuns: 60 },
    );
  },
);

test("combining 10,000 parts takes no noticeable time", () => {
  const parts = Array.from({ length: 10_000 }, () => ({ value: Buffer.alloc(8, 0x5a), plainBytes: 5 * 2 ** 20 }));
  const startedMs = performance.now();
  expect(combineWhole("CRC64NVME", parts)).toHaveLength(8);
  expect(performance.now() - startedMs).toBeLessThan(3000);
});

test("compositeDigest() hashes the raw values, one after the other", () => {
  const values = [digestOf("SHA256", DIGITS), digestOf("SHA256", Buffer.from("x"))];
  expect(Buffer.from(compositeDigest("SHA256", values))).toEqual(digestOf("SHA256", Buffer.concat(values)));
});

test("createDigests() computes each algorithm once, also if it is asked for twice", () => {
  const set = createDigests(["CRC32", "MD5", "CRC32"]);
  set.update(DIGITS);
  const digests = set.digests();
  expect([...digests.keys()]).toEqual(["CRC32", "MD5"]);
  expect(Buffer.from(digests.get("CRC32") ?? []).toString("hex")).toBe(CHECK_VALUES.CRC32);
});
