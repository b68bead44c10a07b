/**
 * Cuts what comes in into blocks of one size: slices stay as they came, but for small ones, which are gathered, since
 * a body that comes in single bytes would otherwise take a hundred times its size.
 */

/** Smaller slices are copied together. */
const SMALL_BYTES = 4096;
const GATHER_BYTES = 65_536;

/** `take` gives the slices of a whole block while `isFull`, and in the end those that are left. */
export class BlockCutter {
  readonly #blockBytes: number;
  #slices: Uint8Array[] = [];
  #bytes = 0;
  /** What follows the bytes of the last slice in its own memory, if that is ours. */
  #room: Uint8Array = NONE;
  #rest: Uint8Array = NONE;

  constructor(blockBytes: number) {
    this.#blockBytes = blockBytes;
  }

  /** The slice is kept until its block has been taken, and must stay as it is. */
  push(slice: Uint8Array): void {
    this.#rest = slice;
    this.#fill();
  }

  get isFull(): boolean {
    return this.#bytes === this.#blockBytes;
  }

  take(): readonly Uint8Array[] {
    const slices = this.#slices;
    this.#slices = [];
    this.#bytes = 0;
    this.#room = NONE;
    this.#fill();
    return slices;
  }

  #fill(): void {
    if (this.#rest.length === 0 || this.isFull) return;
    const slice = this.#rest.subarray(0, this.#blockBytes - this.#bytes);
    this.#rest = this.#rest.subarray(slice.length);
    this.#bytes += slice.length;
    if (slice.length < SMALL_BYTES) this.#appendSmall(slice);
    else this.#append(slice, NONE);
  }

  #append(slice: Uint8Array, room: Uint8Array): void {
    this.#slices.push(slice);
    this.#room = room;
  }

  #appendSmall(slice: Uint8Array): void {
    const last = this.#slices.at(-1);
    if (last !== undefined && slice.length <= this.#room.length) {
      this.#room.set(slice);
      this.#slices.pop();
      const longer = new Uint8Array(last.buffer, last.byteOffset, last.length + slice.length);
      this.#append(longer, this.#room.subarray(slice.length));
    } else if (last !== undefined && last.length < SMALL_BYTES) {
      const gathered = new Uint8Array(GATHER_BYTES);
      gathered.set(last);
      gathered.set(slice, last.length);
      this.#slices.pop();
      const both = last.length + slice.length;
      this.#append(gathered.subarray(0, both), gathered.subarray(both));
    } else {
      this.#append(slice, NONE);
    }
  }
}

const NONE: Uint8Array = new Uint8Array(0);
