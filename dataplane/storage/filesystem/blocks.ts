/* Reads a body file in blocks, the next one while the last is in use. The buffers are kept and used again: a fresh one
 * of this size is mapped, faulted in and unmapped each time. */

import { release } from "../../memory.ts";
import { StorageError } from "../storage.ts";
import { type BodyFiles, readError } from "./bodies.ts";
import { Crowd } from "./crowd.ts";

/** Smaller ones are made of the very size, and not kept. */
const SMALL_BYTES = 64 * 1024;
const SPARE_BYTES_MAX = 16 * 1024 * 1024;

/** A buffer, and its bytes once they are there. */
interface Filling {
  readonly buffer: Uint8Array;
  readonly filled: Promise<Uint8Array>;
}

export class Blocks {
  readonly #files: BodyFiles;
  readonly #crowd = new Crowd();
  readonly #spare = new Map<number, Uint8Array[]>();
  #spareBytes = 0;

  constructor(files: BodyFiles) {
    this.#files = files;
  }

  #borrow(bytes: number): Uint8Array {
    const spare = this.#spare.get(bytes)?.pop();
    this.#spareBytes -= spare?.length ?? 0;
    return spare ?? Buffer.allocUnsafeSlow(bytes);
  }

  #giveBack(buffer: Uint8Array): void {
    if (buffer.length < SMALL_BYTES || this.#spareBytes + buffer.length > SPARE_BYTES_MAX) {
      release([buffer]);
      return;
    }
    const spare = this.#spare.get(buffer.length) ?? [];
    this.#spare.set(buffer.length, spare);
    spare.push(buffer);
    this.#spareBytes += buffer.length;
  }

  /** Bytes [from, to) of a body file; "damaged" if it is not there or ends before. */
  async *read(file: string, from: number, to: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const descriptor = await this.#files.open(file).catch((cause: unknown) => {
      throw readError(cause, file);
    });
    this.#crowd.enter();
    try {
      yield* this.#ahead(descriptor, file, from, to, signal);
    } finally {
      this.#crowd.leave();
      await this.#files.close(descriptor);
    }
  }

  async *#ahead(descriptor: number, file: string, from: number, to: number, signal: AbortSignal) {
    let at = from;
    const fill = (): Filling => {
      const buffer = this.#borrow(Math.min(this.#crowd.blockBytes(), roundedUp(to - at)));
      const wanted = buffer.subarray(0, Math.min(buffer.length, to - at));
      const filled = this.#fill(descriptor, file, wanted, at);
      // It is waited for one block later: until then its failure would count as unhandled.
      filled.catch(() => undefined);
      at += wanted.length;
      return { buffer, filled };
    };
    let current: Filling | undefined;
    let next = at < to ? fill() : undefined;
    try {
      while (next !== undefined) {
        current = next;
        next = undefined;
        const block = await current.filled;
        signal.throwIfAborted();
        next = at < to ? fill() : undefined;
        yield block;
        this.#giveBack(current.buffer);
        current = undefined;
      }
    } finally {
      for (const filling of [current, next]) {
        if (filling !== undefined) {
          // Until the disk has let go of the buffer. What failed was thrown already, or is of bytes that nobody wants.
          await filling.filled.catch(() => undefined);
          this.#giveBack(filling.buffer);
        }
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

/** To a size that is kept. */
function roundedUp(bytes: number): number {
  return bytes <= SMALL_BYTES ? bytes : 2 ** Math.ceil(Math.log2(bytes));
}
