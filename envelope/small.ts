/**
 * Small segments, sealed and opened in one go (FORMAT.md §3): envelopes, part lists, data keys under other keys, and what
 * the Local provider wraps. Always AES-256-GCM with chunks of 64 KiB.
 */
import { createChunkCipher, createChunkDecipher, finishChunk, tagHolds } from "./chunks.ts";
import { EnvelopeError, insist } from "./failure.ts";
import {
  checkCommitment,
  type Key,
  parseHead,
  SMALL_CHUNK_LOG2,
  SMALL_SUITE,
  segmentKeys,
  type Use,
  writeHead,
} from "./head.ts";
import { freshBytes } from "./random.ts";
import { HEAD_BYTES, HEADER_BYTES, openedBytes, sealedBytes, TAG_BYTES } from "./sizes.ts";

export type SmallUse = Exclude<Use, "body">;

const CHUNK_BYTES = 2 ** SMALL_CHUNK_LOG2;
const NAMES: Readonly<Record<SmallUse, string>> = {
  "part-list": "The part list",
  envelope: "The envelope",
  "data-key": "The data key",
  "local-wrap": "The wrapped key",
};

/** Size of a small segment. */
export function smallSealedBytes(plainBytes: number): number {
  return sealedBytes(plainBytes, SMALL_CHUNK_LOG2);
}

/** Seals `plain` with a new salt; the context is the concatenation of its parts (FORMAT.md §3, table of uses). */
export function sealSmall(use: SmallUse, key: Key, context: readonly Uint8Array[], plain: Uint8Array): Uint8Array {
  const segment = Buffer.allocUnsafeSlow(smallSealedBytes(plain.length));
  sealSmallInto(segment, 0, use, key, context, plain);
  return segment;
}

/** The same, into `target` from `offset` to its end, which is where it must fit. */
export function sealSmallInto(
  target: Buffer,
  offset: number,
  use: SmallUse,
  key: Key,
  context: readonly Uint8Array[],
  plain: Uint8Array,
): void {
  insist(target.length - offset === smallSealedBytes(plain.length), "the segment must fit its buffer");
  const head = { suite: SMALL_SUITE, chunkLog2: SMALL_CHUNK_LOG2, use, partNumber: 0, salt: freshBytes(16) };
  writeHead(target, offset, head);
  const { chunkKey, commitment } = segmentKeys(key, target.subarray(offset, offset + HEAD_BYTES), context);
  target.set(commitment, offset + HEAD_BYTES);
  const keys = { suite: SMALL_SUITE, chunkKey, chunkBytes: CHUNK_BYTES };
  let at = offset + HEADER_BYTES;
  for (let chunk = 0; chunk * CHUNK_BYTES <= plain.length; chunk += 1) {
    const slice = plain.subarray(chunk * CHUNK_BYTES, (chunk + 1) * CHUNK_BYTES);
    const cipher = createChunkCipher(keys, chunk);
    target.set(cipher.update(slice), at);
    target.set(finishChunk(cipher), at + slice.length);
    at += slice.length + TAG_BYTES;
  }
}

/**
 * The plaintext, in memory of its own. `Malformed` if this is no small segment of that use, `Unsupported` if nobody here
 * knows it, `WrongKey` if key or context are others, `Tampered` if a chunk does not hold.
 */
export function openSmall(use: SmallUse, key: Key, context: readonly Uint8Array[], segment: Uint8Array): Uint8Array {
  const what = NAMES[use];
  const head = parseHead(segment, what);
  if (head.use !== use) {
    throw new EnvelopeError("Malformed", `${what} is a segment of another use`);
  }
  const plainBytes = openedBytes(segment.length, SMALL_CHUNK_LOG2);
  const { chunkKey, commitment } = segmentKeys(key, segment.subarray(0, HEAD_BYTES), context);
  checkCommitment(segment.subarray(HEAD_BYTES, HEADER_BYTES), commitment, what);
  const keys = { suite: SMALL_SUITE, chunkKey, chunkBytes: CHUNK_BYTES };
  if (plainBytes < CHUNK_BYTES) {
    return openChunk(keys, 0, segment.subarray(HEADER_BYTES), what);
  }
  const plain = new Uint8Array(plainBytes);
  const sealedChunkBytes = CHUNK_BYTES + TAG_BYTES;
  for (let chunk = 0; chunk * CHUNK_BYTES <= plainBytes; chunk += 1) {
    const at = HEADER_BYTES + chunk * sealedChunkBytes;
    const sealed = segment.subarray(at, at + sealedChunkBytes);
    plain.set(openChunk(keys, chunk, sealed, what), chunk * CHUNK_BYTES);
  }
  return plain;
}

function openChunk(
  keys: Parameters<typeof createChunkDecipher>[0],
  chunk: number,
  sealed: Uint8Array,
  what: string,
): Uint8Array {
  const decipher = createChunkDecipher(keys, chunk);
  const plain = decipher.update(sealed.subarray(0, sealed.length - TAG_BYTES));
  if (!tagHolds(decipher, sealed.subarray(sealed.length - TAG_BYTES))) {
    throw new EnvelopeError("Tampered", `${what} is not as it was sealed`);
  }
  return plain;
}
