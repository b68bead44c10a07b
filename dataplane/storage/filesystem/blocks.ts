/* Reads a body file in blocks, the next one while the last is in use. The buffers are kept and used again: a fresh one
 * of this size is mapped, faulted in and unmapped each time. */

import { StorageError } from "../storage.ts";
import { type BodyFiles, readError } from "./bodies.ts";

const BLOCK_BYTES = 1024 * 1024;
/** With many readers at once their blocks are smaller, so that together they stay within some 64 MiB. */
const CROWDED_BLOCK_BYTES = 256 * 1024;
const CROWD = 24;
/** Below this a buffer of the very size costs less than a large one is worth. */
const SMALL_BYTES = 64 * 1024;
const SPARE_MAX = 16;

export class Blocks {
  readonly #files: BodyFiles;
  readonly #spare = new Map<number, Uint8Array[]>([
    [BLOCK_BYTES, []],
    [CROWDED_BLOCK_BYTES, []],
  ]);
  #readers = 0;

  constructor(files: BodyFiles) {
    this.#files = files;
  }

  #borrow(bytes: number): Uint8Array {
    return this.#spare.get(bytes)?.pop() ?? Buffer.allocUnsafeSlow(bytes);
  }

  #giveBack(buffer: Uint8Array): void {
    const spare = this.#spare.get(buffer.length);
    if (spare !== undefined && spare.length < SPARE_MAX) {
      spare.push(buffer);
    }
  }

  /** Bytes [from, to) of a body file; "damaged" if it is not there or ends before. */
  async *read(file: string, from: number, to: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const descriptor = await this.#files.open(file).catch((cause: unknown) => {
      throw readError(cause, file);
    });
    this.#readers += 1;
    try {
      yield* this.#ahead(descriptor, file, from, to, signal);
    } finally {
      this.#readers -= 1;
      await this.#files.close(descriptor);
    }
  }

  async *#ahead(descriptor: number, file: string, from: number, to: number, signal: AbortSignal) {
    const most = this.#readers > CROWD ? CROWDED_BLOCK_BYTES : BLOCK_BYTES;
    const blockBytes = to - from <= SMALL_BYTES ? to - from : most;
    const buffers = [this.#borrow(blockBytes)];
    const fill = (at: number): Promise<Uint8Array> => {
      const buffer = buffers[Math.round((at - from) / blockBytes) % 2] ?? this.#borrow(blockBytes);
      buffers[Math.round((at - from) / blockBytes) % 2] = buffer;
      const filled = this.#fill(descriptor, file, buffer.subarray(0, Math.min(blockBytes, to - at)), at);
      filled.catch(() => undefined);
      return filled;
    };
    let next: Promise<Uint8Array> | undefined;
    try {
      next = from < to ? fill(from) : undefined;
      for (let at = from + blockBytes; next !== undefined; at += blockBytes) {
        const block = await next;
        signal.throwIfAborted();
        next = at < to ? fill(at) : undefined;
        yield block;
      }
    } finally {
      await next?.catch(() => undefined);
      for (const buffer of buffers) {
        this.#giveBack(buffer);
      }
    }
  }

  async #fill(descriptor: number, file: string, buffer: Uint8Array, position: number): Promise<Uint8Array> {
    let filled = 0;
    while (filled < buffer.length) {
      const bytes = await this.#files.disk
        .read(descriptor, buffer.subarray(filled), position + filled)
        .catch((cause: unknown) => {
          throw readError(cause, file);
        });
      if (bytes === 0) {
        throw new StorageError("damaged", `The body "${file}" ends at byte ${position + filled}`);
      }
      filled += bytes;
    }
    return buffer;
  }
}
