/**
 * Shares the turns of the event loop among all bodies that come: each may bring so much in one turn, and all together so
 * much, or timers and small requests would wait for many large bodies at once. Who has to wait goes on first come first
 * served.
 */

/** Node reads up to 2 MiB of one connection at once. */
const BODY_BYTES = 128 * 1024;
/** About four milliseconds of hashing and sealing. */
const ALL_BYTES = 2 * 1024 * 1024;

export class Turns {
  #number = 0;
  #leftBytes = ALL_BYTES;
  #isScheduled = false;
  #waiting: (() => void)[] = [];

  /** Of the turn that runs. */
  get number(): number {
    return this.#number;
  }

  /** Whether a body that has brought so much in this turn may bring more. */
  hasRoom(broughtBytes: number): boolean {
    return broughtBytes < BODY_BYTES && this.#leftBytes > 0;
  }

  spend(bytes: number): void {
    this.#leftBytes -= bytes;
    this.#schedule();
  }

  /** Calls `go` in a turn to come. */
  later(go: () => void): void {
    this.#waiting.push(go);
    this.#schedule();
  }

  #schedule(): void {
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    setImmediate(() => this.#next());
  }

  #next(): void {
    this.#isScheduled = false;
    this.#number += 1;
    this.#leftBytes = ALL_BYTES;
    for (const go of this.#waiting.splice(0, ALL_BYTES / BODY_BYTES)) go();
    if (this.#waiting.length > 0) this.#schedule();
  }
}
