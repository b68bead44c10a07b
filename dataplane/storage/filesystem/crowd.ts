/* How large the blocks are in which body files are read and written: the more bodies move at once, the smaller, so that
 * together their buffers stay within a bound. */

const TOGETHER_BYTES = 16 * 1024 * 1024;
const BLOCK_BYTES_MAX = 1024 * 1024;
const BLOCK_BYTES_MIN = 64 * 1024;

export class Crowd {
  #bodies = 0;

  enter(): void {
    this.#bodies += 1;
  }

  leave(): void {
    this.#bodies -= 1;
  }

  /** A power of two from 64 KiB to 1 MiB. */
  blockBytes(): number {
    let bytes = BLOCK_BYTES_MAX;
    while (bytes > BLOCK_BYTES_MIN && bytes * this.#bodies > TOGETHER_BYTES) {
      bytes /= 2;
    }
    return bytes;
  }
}
