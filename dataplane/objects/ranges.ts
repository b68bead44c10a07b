/** Which plaintext bytes a read answers: pure arithmetic on the size, and for a part number on the lengths of the parts. */
import { Failure } from "../failure.ts";
import type { RangeWanted } from "./store.ts";

/** [fromByte, toByte) of the plaintext. */
export interface Selection {
  readonly fromByte: number;
  readonly toByte: number;
  /** A range or a part was asked for and answered. */
  readonly partial: boolean;
}

/**
 * `partBytes`: the plaintext length of each part by its number; undefined for a body in one piece, which is its own part 1.
 * Throws InvalidRange with the size that the answer names, or InvalidPartNumber.
 */
export function selectBytes(
  wanted: RangeWanted | undefined,
  sizeBytes: number,
  partBytes: ReadonlyMap<number, number> | undefined,
): Selection {
  if (wanted === undefined) return { fromByte: 0, toByte: sizeBytes, partial: false };
  switch (wanted.kind) {
    case "bytes": {
      const { first, last } = wanted;
      if (first >= sizeBytes) throw invalidRange(sizeBytes);
      return { fromByte: first, toByte: Math.min(sizeBytes, (last ?? sizeBytes) + 1), partial: true };
    }
    case "suffix":
      if (wanted.bytes === 0 || sizeBytes === 0) throw invalidRange(sizeBytes);
      return { fromByte: Math.max(0, sizeBytes - wanted.bytes), toByte: sizeBytes, partial: true };
    case "part":
      return selectPart(wanted.partNumber, sizeBytes, partBytes);
  }
}

function selectPart(
  partNumber: number,
  sizeBytes: number,
  partBytes: ReadonlyMap<number, number> | undefined,
): Selection {
  if (partBytes === undefined) {
    if (partNumber !== 1) throw invalidPart(partNumber);
    return { fromByte: 0, toByte: sizeBytes, partial: true };
  }
  let fromByte = 0;
  for (const [number, bytes] of partBytes) {
    if (number === partNumber) return { fromByte, toByte: fromByte + bytes, partial: true };
    fromByte += bytes;
  }
  throw invalidPart(partNumber);
}

function invalidRange(sizeBytes: number): Failure {
  const headers = { "Content-Range": `bytes */${sizeBytes}` };
  return new Failure("InvalidRange", "The range lies outside the object", { headers });
}

function invalidPart(partNumber: number): Failure {
  return new Failure("InvalidPartNumber", `The object has no part ${partNumber}`);
}
