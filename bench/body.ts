// What is sent and what must come back: random bytes that repeat every MiB, so that a body of a GiB costs the client no
// memory. Each chunk's hash is known, and bytes that come are compared with those that went.

import { hash, randomBytes } from "node:crypto";

export const CHUNK_BYTES = 64 * 1024;
const BLOCK_BYTES = 1024 * 1024;

export interface Chunk {
  readonly bytes: Buffer;
  readonly sha256: string;
}

export class BenchBody {
  readonly sizeBytes: number;
  readonly #block: Buffer;
  readonly #chunks: readonly Chunk[];
  readonly #last: Chunk | undefined;

  constructor(sizeBytes: number) {
    this.sizeBytes = sizeBytes;
    this.#block = randomBytes(Math.min(sizeBytes, BLOCK_BYTES));
    const whole = Math.floor(this.#block.length / CHUNK_BYTES);
    this.#chunks = Array.from({ length: whole }, (_, at) => this.#chunk(at * CHUNK_BYTES, CHUNK_BYTES));
    const rest = sizeBytes % CHUNK_BYTES;
    const from = (sizeBytes - rest) % BLOCK_BYTES;
    this.#last = rest === 0 ? undefined : this.#chunk(from, rest);
  }

  #chunk(from: number, length: number): Chunk {
    const bytes = this.#block.subarray(from, from + length);
    return { bytes, sha256: hash("sha256", bytes) };
  }

  *chunks(): Generator<Chunk> {
    for (let at = 0; at + CHUNK_BYTES <= this.sizeBytes; at += CHUNK_BYTES) {
      const chunk = this.#chunks[(at / CHUNK_BYTES) % this.#chunks.length];
      if (chunk !== undefined) yield chunk;
    }
    if (this.#last !== undefined) yield this.#last;
  }

  /** Whether these are the bytes from `fromByte` on. */
  holds(bytes: Buffer, fromByte: number): boolean {
    let at = 0;
    while (at < bytes.length) {
      const inBlock = (fromByte + at) % this.#block.length;
      const length = Math.min(bytes.length - at, this.#block.length - inBlock);
      if (bytes.compare(this.#block, inBlock, inBlock + length, at, at + length) !== 0) return false;
      at += length;
    }
    return fromByte + bytes.length <= this.sizeBytes;
  }
}
