/**
 * Bodies and parts of any length (FORMAT.md §3): a sealer that counts its own chunks, and an opener for the whole or any
 * range. Small segments in one go are `small.ts`; what comes before and after a body is left to the callers.
 */
import { ChunkOpening, type OpenJob, type SealJob } from "./chunks.ts";
import { EnvelopeError, insist } from "./failure.ts";
import { checkCommitment, type Key, parseHead, type Suite, segmentKeys, writeHead } from "./head.ts";
import { freshBytes } from "./random.ts";
import { HEAD_BYTES, HEADER_BYTES, type StoredRange, sealedBytes, storedRange } from "./sizes.ts";

export { type OpenJob, type RunOpen, type RunSeal, runOpen, runSeal, type SealJob } from "./chunks.ts";

/** What a body, or one attempt of one part of it, is sealed with. */
export interface BodySpec {
  readonly suite: Suite;
  readonly chunkLog2: number;
  /** 0 for a body in one piece, else 1 … 10,000. */
  readonly partNumber: number;
  readonly dataKey: Key;
  /** 16 bytes. */
  readonly bodyId: Uint8Array;
}

/**
 * Seals one segment. Counts its own chunks, so that no caller can use an index, which is the nonce, twice. A job is plain
 * data: run here or in a worker, late or twice, with one result.
 */
export interface SegmentSealer {
  /** The 64 bytes that come first. Bytes 0 … 31 go into the envelope or part list; 32 … 47 may serve as ETag. */
  readonly header: Uint8Array;
  /** Plaintext bytes of every chunk but the last. */
  readonly chunkBytes: number;
  /**
   * The next plaintext, in slices of any size, and whether the segment ends with it. All but the last are a whole number
   * of chunks; the last may be empty. The slices belong to the job until it has been run.
   */
  next(plain: readonly Uint8Array[], last: boolean): SealJob;
}

/** Where the bytes of a segment, and of which segment, are expected to be. */
export interface StoredBody {
  /** Bytes 0 … 31, from the envelope or the part list: never those that the storage holds beside the body. */
  readonly head: Uint8Array;
  readonly dataKey: Key;
  readonly bodyId: Uint8Array;
  /** Plaintext bytes, as the envelope or part list says. */
  readonly plainBytes: number;
  /** What the storage says of its length; of a part: what is left of it for this part. */
  readonly storedBytes: number;
}

/** Opens one segment. Holds nothing but keys and sizes: may be kept, shared, and used for many ranges at once. */
export interface SegmentOpener {
  readonly plainBytes: number;
  readonly storedBytes: number;
  /** The 64 bytes with which the stored segment must begin. */
  readonly header: Uint8Array;
  /** Reads plaintext bytes [fromByte, toByte); empty only for an empty segment. */
  read(fromByte: number, toByte: number): RangeReader;
  /** `WrongKey` or `Tampered` unless these, the first 64 stored bytes, are the header of this segment. */
  checkHeader(stored: Uint8Array): void;
  /** The same chunks as a job for a worker: `stored` are the bytes from the start of its first chunk, without the header. */
  job(range: StoredRange, stored: readonly Uint8Array[]): OpenJob;
}

/** Opens the stored bytes of one range as they come. */
export interface RangeReader extends StoredRange {
  /**
   * Takes the next stored bytes, in slices of any size, and gives the plaintext of the range that they completed: never a
   * byte whose tag has not held. The slice may be reused at once.
   */
  push(stored: Uint8Array): Uint8Array[];
  /** Must be called when the storage has no more: `Tampered` unless all of the range was seen. */
  end(): void;
}

/** A sealer for a new segment, with a new salt: each attempt needs one of its own. */
export function createSealer(spec: BodySpec): SegmentSealer {
  insist(spec.bodyId.length === 16, "a body id has 16 bytes");
  const header = Buffer.allocUnsafeSlow(HEADER_BYTES);
  const { suite, chunkLog2, partNumber } = spec;
  writeHead(header, 0, { suite, chunkLog2, use: "body", partNumber, salt: freshBytes(16) });
  const { chunkKey, commitment } = segmentKeys(spec.dataKey, header.subarray(0, HEAD_BYTES), [spec.bodyId]);
  header.set(commitment, HEAD_BYTES);
  const chunkBytes = 2 ** chunkLog2;
  let nextChunk = 0;
  let ended = false;
  return {
    header,
    chunkBytes,
    next(plain, last) {
      insist(!ended, "a segment has one last job");
      const plainBytes = totalBytes(plain);
      insist(last || plainBytes % chunkBytes === 0, "all jobs but the last are a whole number of chunks");
      const firstChunk = nextChunk;
      nextChunk += Math.floor(plainBytes / chunkBytes) + (last ? 1 : 0);
      insist(nextChunk <= 2 ** 32, "a segment has at most 2^32 chunks");
      ended = last;
      return { suite, chunkKey, chunkBytes, firstChunk, plain, last };
    },
  };
}

/** `Tampered` at once if the stored length is not the one that so many plaintext bytes have. */
export function createOpener(body: StoredBody): SegmentOpener {
  const { suite, chunkLog2, use } = parseHead(body.head, "the body");
  if (use !== "body") {
    throw new EnvelopeError("Malformed", "The head is not that of a body");
  }
  const storedBytes = sealedBytes(body.plainBytes, chunkLog2);
  if (storedBytes !== body.storedBytes) {
    throw new EnvelopeError("Tampered", `The body has ${body.storedBytes} stored bytes instead of ${storedBytes}`);
  }
  const { plainBytes } = body;
  const head = body.head.subarray(0, HEAD_BYTES);
  const { chunkKey, commitment } = segmentKeys(body.dataKey, head, [body.bodyId]);
  const header = Buffer.allocUnsafeSlow(HEADER_BYTES);
  header.set(head);
  header.set(commitment, HEAD_BYTES);
  const keys = { suite, chunkKey, chunkBytes: 2 ** chunkLog2 };
  const checkHeader = (stored: Uint8Array) => checkStart(stored, header);
  return {
    plainBytes,
    storedBytes,
    header,
    checkHeader,
    read(fromByte, toByte) {
      const range = storedRange(plainBytes, chunkLog2, fromByte, toByte);
      const endChunk = range.firstChunk + range.chunkCount;
      const opening = new ChunkOpening(keys, range.firstChunk, endChunk, plainBytes);
      return createRangeReader(range, opening, checkHeader);
    },
    job({ firstChunk, chunkCount }, stored) {
      return { ...keys, firstChunk, endChunk: firstChunk + chunkCount, plainBytes, stored };
    },
  };
}

/** The part of verified chunks that lies in the range: slices without the first `skipBytes`, `takeBytes` in all. */
export function cutToRange(plain: readonly Uint8Array[], skipBytes: number, takeBytes: number): Uint8Array[] {
  const cut: Uint8Array[] = [];
  let skip = skipBytes;
  let take = takeBytes;
  for (const slice of plain) {
    const wanted = slice.subarray(Math.min(skip, slice.length), Math.min(skip + take, slice.length));
    skip -= Math.min(skip, slice.length);
    take -= wanted.length;
    if (wanted.length > 0) {
      cut.push(wanted);
    }
  }
  return cut;
}

function createRangeReader(
  range: StoredRange,
  opening: ChunkOpening,
  checkHeader: (stored: Uint8Array) => void,
): RangeReader {
  const header = Buffer.alloc(range.storedFromByte === 0 ? HEADER_BYTES : 0);
  let headerSeen = 0;
  let skip = range.skipBytes;
  let take = range.takeBytes;
  return {
    ...range,
    push(stored) {
      let chunks = stored;
      if (headerSeen < header.length) {
        const headerSlice = stored.subarray(0, header.length - headerSeen);
        header.set(headerSlice, headerSeen);
        headerSeen += headerSlice.length;
        if (headerSeen < header.length) {
          return [];
        }
        checkHeader(header);
        chunks = stored.subarray(headerSlice.length);
      }
      const plain: Uint8Array[] = [];
      opening.push(chunks, plain);
      const wanted = cutToRange(plain, skip, take);
      skip = Math.max(0, skip - totalBytes(plain));
      take -= totalBytes(wanted);
      return wanted;
    },
    end() {
      if (headerSeen < header.length) {
        throw new EnvelopeError("Tampered", "The segment ends in its header");
      }
      opening.end();
    },
  };
}

function totalBytes(slices: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const slice of slices) {
    bytes += slice.length;
  }
  return bytes;
}

function checkStart(stored: Uint8Array, header: Uint8Array): void {
  if (Buffer.compare(stored.subarray(0, HEAD_BYTES), header.subarray(0, HEAD_BYTES)) !== 0) {
    throw new EnvelopeError("Tampered", "The body does not begin with the head that its envelope names");
  }
  checkCommitment(stored.subarray(HEAD_BYTES, HEADER_BYTES), header.subarray(HEAD_BYTES), "The body");
}
