/** The checksum algorithms that envelopes and part lists name (FORMAT.md §6). To compute them is left to others. */
import { EnvelopeError } from "./failure.ts";

export type ChecksumAlgorithm = "CRC32" | "CRC32C" | "CRC64NVME" | "SHA1" | "SHA256" | "SHA512" | "MD5";

/** How long a checksum is. */
export const CHECKSUM_BYTES: Readonly<Record<ChecksumAlgorithm, number>> = {
  CRC32: 4,
  CRC32C: 4,
  CRC64NVME: 8,
  SHA1: 20,
  SHA256: 32,
  SHA512: 64,
  MD5: 16,
};

const ALGORITHMS = Object.keys(CHECKSUM_BYTES) as readonly ChecksumAlgorithm[];

/** The byte that stands for an algorithm, from 1. */
export function checksumByte(algorithm: ChecksumAlgorithm): number {
  return ALGORITHMS.indexOf(algorithm) + 1;
}

/** The algorithm that a byte stands for; `Unsupported` if none. */
export function checksumAlgorithmOf(byte: number): ChecksumAlgorithm {
  const algorithm = ALGORITHMS[byte - 1];
  if (algorithm === undefined) {
    throw new EnvelopeError("Unsupported", `Checksum algorithm ${byte} is unknown`);
  }
  return algorithm;
}
