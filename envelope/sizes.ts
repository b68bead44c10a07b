/**
 * Sizes and offsets of segments (FORMAT.md §4): how many bytes a plaintext takes when stored, and which stored bytes
 * hold a range of it. Arithmetic alone.
 */
import { EnvelopeError, insist } from "./failure.ts";

/** Bytes 0 … 31 of a segment: what an envelope or part list repeats. */
export const HEAD_BYTES = 32;
/** Head and commitment: what comes before the first chunk. */
export const HEADER_BYTES = 64;
export const TAG_BYTES = 16;
export const CHUNK_LOG2_MIN = 14;
export const CHUNK_LOG2_MAX = 20;

/** Which part of a stored segment holds a range of its plaintext. */
export interface StoredRange {
  readonly firstChunk: number;
  readonly chunkCount: number;
  /** Stored bytes [from, to) of the segment. 0 if the range begins in the first chunk: then the header is read too. */
  readonly storedFromByte: number;
  readonly storedToByte: number;
  /** How many plaintext bytes of these chunks come before the range, and how many are in it. */
  readonly skipBytes: number;
  readonly takeBytes: number;
}

/** Stored size of a segment of that many plaintext bytes. */
export function sealedBytes(plainBytes: number, chunkLog2: number): number {
  return HEADER_BYTES + plainBytes + TAG_BYTES * chunkCount(plainBytes, chunkLog2);
}

/** Plaintext size of a segment of that many stored bytes; `Malformed` if no segment has that size. */
export function openedBytes(storedBytes: number, chunkLog2: number): number {
  const sealedChunkBytes = 2 ** chunkLog2 + TAG_BYTES;
  const chunksBytes = storedBytes - HEADER_BYTES;
  if (chunksBytes < TAG_BYTES || chunksBytes % sealedChunkBytes < TAG_BYTES) {
    throw new EnvelopeError("Malformed", `No segment has ${storedBytes} bytes`);
  }
  return chunksBytes - TAG_BYTES * (Math.floor(chunksBytes / sealedChunkBytes) + 1);
}

/** Chunks of a segment: the last one is always shorter than the others, and may be empty. */
export function chunkCount(plainBytes: number, chunkLog2: number): number {
  return Math.floor(plainBytes / 2 ** chunkLog2) + 1;
}

/** Where a chunk starts in its segment. */
function chunkOffset(chunk: number, chunkLog2: number): number {
  return HEADER_BYTES + chunk * (2 ** chunkLog2 + TAG_BYTES);
}

/**
 * What to read for plaintext bytes [fromByte, toByte) of a segment of `plainBytes`. The range may be empty only if the
 * segment is. A range that reaches the end includes the last chunk, also an empty one: so that nothing stored is unread.
 */
export function storedRange(plainBytes: number, chunkLog2: number, fromByte: number, toByte: number): StoredRange {
  insist(fromByte >= 0 && toByte <= plainBytes, "a range must lie within its segment");
  insist(fromByte < toByte || plainBytes === 0, "only an empty segment has an empty range");
  const chunkBytes = 2 ** chunkLog2;
  const firstChunk = Math.floor(fromByte / chunkBytes);
  const endChunk = toByte === plainBytes ? chunkCount(plainBytes, chunkLog2) : Math.ceil(toByte / chunkBytes);
  return {
    firstChunk,
    chunkCount: endChunk - firstChunk,
    storedFromByte: firstChunk === 0 ? 0 : chunkOffset(firstChunk, chunkLog2),
    storedToByte: Math.min(chunkOffset(endChunk, chunkLog2), sealedBytes(plainBytes, chunkLog2)),
    skipBytes: fromByte - firstChunk * chunkBytes,
    takeBytes: toByte - fromByte,
  };
}
