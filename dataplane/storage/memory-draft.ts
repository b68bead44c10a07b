/* How a body is written to and read from memory, in the manner of larger storages. */

import type { Draft, Expect } from "./storage.ts";

const BLOCK_BYTES = 1024 * 1024;

/** The bytes from … to of what lies in pieces, in blocks, as views. */
export async function* slices(pieces: readonly Uint8Array[], from: number, to: number, signal: AbortSignal) {
  let at = 0;
  for (const piece of pieces) {
    const end = Math.min(piece.length, to - at);
    for (let start = Math.max(0, from - at); start < end; start += BLOCK_BYTES) {
      signal.throwIfAborted();
      yield piece.subarray(start, Math.min(end, start + BLOCK_BYTES));
    }
    at += piece.length;
  }
}

/** Copies what is written, and hands it to `store` at each commit. */
export class MemoryDraft<Result> implements Draft<Result> {
  #pieces: Uint8Array[] = [];
  readonly #signal: AbortSignal;
  readonly #store: (pieces: readonly Uint8Array[], expect: Expect | undefined) => Result;

  constructor(signal: AbortSignal, store: (pieces: readonly Uint8Array[], expect: Expect | undefined) => Result) {
    this.#signal = signal;
    this.#store = store;
  }

  write(buffers: readonly Uint8Array[]): Promise<void> | undefined {
    this.#signal.throwIfAborted();
    this.#pieces.push(...buffers.map((buffer) => Uint8Array.from(buffer)));
    return undefined;
  }

  async commit(expect?: Expect): Promise<Result> {
    this.#signal.throwIfAborted();
    return this.#store(this.#pieces, expect);
  }

  async discard(): Promise<void> {
    this.#pieces = [];
  }
}
