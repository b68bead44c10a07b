// Random choices that a seed repeats.

import { createHash, randomInt } from "node:crypto";

export class Draw {
  readonly seed: number;
  #state: number;

  constructor(seed: number = randomInt(2 ** 31)) {
    this.seed = seed;
    this.#state = createHash("sha256").update(String(seed)).digest().readUInt32LE();
  }

  /** A whole number from 0 to below `end`: mulberry32. */
  below(end: number): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end);
  }

  one<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)];
    if (item === undefined) throw new Error("There is nothing to choose from");
    return item;
  }
}
