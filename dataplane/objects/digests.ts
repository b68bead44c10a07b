/**
 * Checksums of bodies as they pass: each algorithm fed block by block, and the two ways in which the checksums of parts
 * become that of an object. Which are wanted, and what a mismatch means, is left to the callers.
 */
import { createHash, type Hash } from "node:crypto";
import { crc32 } from "node:zlib";
import { createCRC32, createCRC64, type IHasher } from "hash-wasm";
import { CHECKSUM_BYTES } from "../../envelope/checksums.ts";
import type { ChecksumAlgorithm, Digests } from "../call.ts";

/** Those whose values of parts can be combined to that of the whole. */
export type CombinableAlgorithm = "CRC32" | "CRC32C" | "CRC64NVME";

/** One checksum on its way; `digest` ends it. */
export interface Digest {
  update(bytes: Uint8Array): void;
  digest(): Uint8Array;
}

// Reflected polynomials; both registers begin and end inverted.
const POLYNOMIALS: Readonly<Record<CombinableAlgorithm, bigint>> = {
  CRC32: 0xedb88320n,
  CRC32C: 0x82f63b78n,
  CRC64NVME: 0x9a6c9329ac4bc9b5n,
};

// One instance of each serves all bodies: its register is loaded and saved around every block.
const crc32cHasher = await createCRC32(Number(POLYNOMIALS.CRC32C));
const crc64Hasher = await createCRC64(POLYNOMIALS.CRC64NVME.toString(16));

export function createDigest(algorithm: ChecksumAlgorithm): Digest {
  switch (algorithm) {
    case "CRC32":
      return createCrc32();
    case "CRC32C":
      return createSharedDigest(crc32cHasher);
    case "CRC64NVME":
      return createSharedDigest(crc64Hasher);
    case "SHA1":
    case "SHA256":
    case "SHA512":
    case "MD5":
      return createNodeDigest(createHash(algorithm.toLowerCase()));
  }
}

/** Several at once over the same bytes. */
export interface DigestSet {
  update(bytes: Uint8Array): void;
  digests(): Digests;
}

export function createDigests(algorithms: Iterable<ChecksumAlgorithm>): DigestSet {
  const running = [...new Set(algorithms)].map((algorithm) => ({ algorithm, digest: createDigest(algorithm) }));
  return {
    update(bytes) {
      for (const { digest } of running) digest.update(bytes);
    },
    digests: () => new Map(running.map(({ algorithm, digest }) => [algorithm, digest.digest()])),
  };
}

export function canCombine(algorithm: ChecksumAlgorithm): algorithm is CombinableAlgorithm {
  return Object.hasOwn(POLYNOMIALS, algorithm);
}

/** The value of the whole, of the values and lengths of its parts in their order. */
export function combineWhole(
  algorithm: CombinableAlgorithm,
  parts: Iterable<{ readonly value: Uint8Array; readonly plainBytes: number }>,
): Uint8Array {
  const polynomial = POLYNOMIALS[algorithm];
  const bits = 8 * CHECKSUM_BYTES[algorithm];
  const shifts = new Map<number, bigint>();
  let whole = 0n;
  for (const { value, plainBytes } of parts) {
    let shift = shifts.get(plainBytes);
    if (shift === undefined) {
      shift = powerOfX(8n * BigInt(plainBytes), polynomial, bits);
      shifts.set(plainBytes, shift);
    }
    whole = multiply(whole, shift, polynomial, bits) ^ BigInt(`0x${Buffer.from(value).toString("hex")}`);
  }
  return Buffer.from(whole.toString(16).padStart(bits / 4, "0"), "hex");
}

/** The checksum of the parts' checksums, raw and in their order: what S3 calls composite. */
export function compositeDigest(algorithm: ChecksumAlgorithm, values: Iterable<Uint8Array>): Uint8Array {
  const digest = createDigest(algorithm);
  for (const value of values) digest.update(value);
  return digest.digest();
}

function createCrc32(): Digest {
  let register = 0;
  return {
    update(bytes) {
      register = crc32(bytes, register);
    },
    digest() {
      const value = Buffer.alloc(4);
      value.writeUInt32BE(register);
      return value;
    },
  };
}

function createSharedDigest(hasher: IHasher): Digest {
  let register = hasher.init().save();
  return {
    update(bytes) {
      register = hasher.load(register).update(bytes).save();
    },
    digest: () => hasher.load(register).digest("binary"),
  };
}

function createNodeDigest(hash: Hash): Digest {
  return {
    update(bytes) {
      hash.update(bytes);
    },
    digest: () => hash.digest(),
  };
}

// Polynomials over GF(2) in reflected order: the highest bit stands for x^0.
function multiply(a: bigint, b: bigint, polynomial: bigint, bits: number): bigint {
  let product = 0n;
  let shifted = b;
  for (let mask = 1n << BigInt(bits - 1); mask > 0n; mask >>= 1n) {
    if ((a & mask) !== 0n) product ^= shifted;
    shifted = (shifted & 1n) === 0n ? shifted >> 1n : (shifted >> 1n) ^ polynomial;
  }
  return product;
}

function powerOfX(exponent: bigint, polynomial: bigint, bits: number): bigint {
  let power = 1n << BigInt(bits - 1);
  let square = 1n << BigInt(bits - 2);
  for (let rest = exponent; rest > 0n; rest >>= 1n) {
    if ((rest & 1n) === 1n) power = multiply(power, square, polynomial, bits);
    square = multiply(square, square, polynomial, bits);
  }
  return power;
}
