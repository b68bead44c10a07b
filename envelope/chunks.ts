/**
 * The work on chunks (FORMAT.md §3): seals and opens what a job says, and decides nothing. A job is plain data, so it may
 * be run here or sent to a worker, late or twice, with one result. Jobs are made by `segment.ts`, which counts.
 */
import {
  type CipherChaCha20Poly1305,
  type CipherGCM,
  createCipheriv,
  createDecipheriv,
  type DecipherChaCha20Poly1305,
  type DecipherGCM,
} from "node:crypto";
import { EnvelopeError, insist } from "./failure.ts";
import type { Suite } from "./head.ts";
import { TAG_BYTES } from "./sizes.ts";

/** What both kinds of jobs say of their segment. */
export interface ChunkKeys {
  readonly suite: Suite;
  /** 32 bytes; of this one segment. */
  readonly chunkKey: Uint8Array;
  /** Plaintext bytes of every chunk but the last. */
  readonly chunkBytes: number;
}

/** Seal these bytes as the chunks from `firstChunk` on. Its buffers must not change until it has been run for good. */
export interface SealJob extends ChunkKeys {
  readonly firstChunk: number;
  readonly plain: readonly Uint8Array[];
  /** Whether the segment ends here. If not, `plain` is a whole number of chunks. */
  readonly last: boolean;
}

/** Open these stored bytes, which are the chunks from `firstChunk` to before `endChunk`, whole. */
export interface OpenJob extends ChunkKeys {
  readonly firstChunk: number;
  readonly endChunk: number;
  /** Plaintext bytes of the whole segment: they say which chunk is the last, and how long it is. */
  readonly plainBytes: number;
  readonly stored: readonly Uint8Array[];
}

export type RunSeal = (job: SealJob) => Uint8Array[];
export type RunOpen = (job: OpenJob) => Uint8Array[];

type ChunkCipher = CipherGCM | CipherChaCha20Poly1305;
type ChunkDecipher = DecipherGCM | DecipherChaCha20Poly1305;

const TAG_LENGTH = { authTagLength: TAG_BYTES } as const;

/** The stored bytes of the job's chunks, in order: ciphertext slice by slice as the plaintext came, tags between them. */
export const runSeal: RunSeal = (job) => {
  const sealed: Uint8Array[] = [];
  let chunk = job.firstChunk;
  let roomBytes = job.chunkBytes;
  let cipher: ChunkCipher | undefined;
  for (const slice of job.plain) {
    for (let at = 0; at < slice.length; ) {
      cipher ??= createChunkCipher(job, chunk);
      const taken = at === 0 && slice.length <= roomBytes ? slice : slice.subarray(at, at + roomBytes);
      sealed.push(cipher.update(taken));
      at += taken.length;
      roomBytes -= taken.length;
      if (roomBytes === 0) {
        sealed.push(finishChunk(cipher));
        cipher = undefined;
        chunk += 1;
        roomBytes = job.chunkBytes;
      }
    }
  }
  if (job.last) {
    sealed.push(finishChunk(cipher ?? createChunkCipher(job, chunk)));
  } else {
    insist(cipher === undefined, "only the last job may end within a chunk");
  }
  return sealed;
};

/** The plaintext of the job's chunks; `Tampered` unless each tag holds and the bytes are exactly those chunks. */
export const runOpen: RunOpen = (job) => {
  const opening = new ChunkOpening(job, job.firstChunk, job.endChunk, job.plainBytes);
  const plain: Uint8Array[] = [];
  for (const slice of job.stored) {
    opening.push(slice, plain);
  }
  opening.end();
  return plain;
};

/** Opens chunks from stored bytes as they come, in slices of any size. Gives nothing of a chunk whose tag was not seen. */
export class ChunkOpening {
  readonly #keys: ChunkKeys;
  readonly #endChunk: number;
  readonly #plainBytes: number;
  readonly #tag = Buffer.alloc(TAG_BYTES);
  #chunk: number;
  #decipher: ChunkDecipher | undefined;
  #bodyLeft = 0;
  #tagLeft = 0;
  #unverified: Uint8Array[] = [];

  constructor(keys: ChunkKeys, firstChunk: number, endChunk: number, plainBytes: number) {
    this.#keys = keys;
    this.#chunk = firstChunk;
    this.#endChunk = endChunk;
    this.#plainBytes = plainBytes;
  }

  /** Appends to `plain` what the slice completed. The slice may be reused as soon as this returns. */
  push(stored: Uint8Array, plain: Uint8Array[]): void {
    let at = 0;
    while (at < stored.length) {
      const decipher = this.#decipher ?? this.#begin();
      const taken = stored.subarray(at, at + (this.#bodyLeft > 0 ? this.#bodyLeft : this.#tagLeft));
      at += taken.length;
      if (this.#bodyLeft > 0) {
        this.#unverified.push(decipher.update(taken));
        this.#bodyLeft -= taken.length;
      } else {
        this.#tag.set(taken, TAG_BYTES - this.#tagLeft);
        this.#tagLeft -= taken.length;
        if (this.#tagLeft === 0) {
          this.#finish(decipher, plain);
        }
      }
    }
  }

  /** `Tampered` if a chunk is missing or incomplete. */
  end(): void {
    if (this.#chunk !== this.#endChunk) {
      throw new EnvelopeError("Tampered", `The segment ends in chunk ${this.#chunk}, before its end`);
    }
  }

  #begin(): ChunkDecipher {
    if (this.#chunk >= this.#endChunk) {
      throw new EnvelopeError("Tampered", `Bytes follow chunk ${this.#chunk - 1}, the last`);
    }
    const { chunkBytes } = this.#keys;
    this.#bodyLeft = Math.min(chunkBytes, this.#plainBytes - this.#chunk * chunkBytes);
    this.#tagLeft = TAG_BYTES;
    this.#decipher = createChunkDecipher(this.#keys, this.#chunk);
    return this.#decipher;
  }

  #finish(decipher: ChunkDecipher, plain: Uint8Array[]): void {
    if (!tagHolds(decipher, this.#tag)) {
      this.#unverified = [];
      throw new EnvelopeError("Tampered", `Chunk ${this.#chunk} is not as it was sealed`);
    }
    for (const slice of this.#unverified) {
      plain.push(slice);
    }
    this.#unverified = [];
    this.#decipher = undefined;
    this.#chunk += 1;
  }
}

/** A cipher for one chunk. The nonce is its index, which makers of jobs count and nobody chooses. */
export function createChunkCipher(keys: ChunkKeys, chunk: number): ChunkCipher {
  return keys.suite === "AES-256-GCM"
    ? createCipheriv("aes-256-gcm", keys.chunkKey, chunkNonce(chunk), TAG_LENGTH)
    : createCipheriv("chacha20-poly1305", keys.chunkKey, chunkNonce(chunk), TAG_LENGTH);
}

/** Ends a chunk: its tag, 16 bytes. */
export function finishChunk(cipher: ChunkCipher): Uint8Array {
  cipher.final();
  return cipher.getAuthTag();
}

export function createChunkDecipher(keys: ChunkKeys, chunk: number): ChunkDecipher {
  return keys.suite === "AES-256-GCM"
    ? createDecipheriv("aes-256-gcm", keys.chunkKey, chunkNonce(chunk), TAG_LENGTH)
    : createDecipheriv("chacha20-poly1305", keys.chunkKey, chunkNonce(chunk), TAG_LENGTH);
}

/** Whether what the decipher has read is what was sealed with this tag; a tag that is not 16 bytes long never holds. */
export function tagHolds(decipher: ChunkDecipher, tag: Uint8Array): boolean {
  if (tag.length !== TAG_BYTES) {
    return false;
  }
  decipher.setAuthTag(tag);
  try {
    decipher.final();
    return true;
  } catch {
    return false;
  }
}

const nonce = Buffer.alloc(12);

/** Valid until the next call: ciphers copy it. */
function chunkNonce(chunk: number): Buffer {
  insist(Number.isInteger(chunk) && chunk >= 0 && chunk < 2 ** 32, "a segment has at most 2^32 chunks");
  nonce.writeUInt32BE(chunk, 8);
  return nonce;
}
