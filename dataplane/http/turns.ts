/**
 * Shares the turns of the event loop among all bodies: each may bring so much in one turn, and all together so much, in
 * and out, or timers and small requests would wait for many large bodies at once. Who has to wait goes on first come
 * first served.
 */

/** Node reads up to 2 MiB of one connection at once. */
const BODY_BYTES = 128 * 1024;
/** About four milliseconds of hashing and sealing. */
const ALL_BYTES = 2 * 1024 * 1024;
/** To open bytes and send them takes half of the time that it takes to hash, seal and store them. */
const SENT_SHARE = 1 / 2;

interface Waiting {
  readonly bytes: number;
  readonly go: () => void;
}

export class Turns {
  #number = 0;
  #leftBytes = ALL_BYTES;
  #isScheduled = false;
  #waiting: Waiting[] = [];

  /** Of the turn that runs. */
  get number(): number {
    return this.#number;
  }

  /** Whether a body that has brought so much, in this turn and in all, may bring more. A small one need not wait. */
  hasRoom(turnBytes: number, allBytes: number): boolean {
    return turnBytes < BODY_BYTES && (this.#leftBytes > 0 || allBytes < BODY_BYTES);
  }

  /** Counts what a body has brought. */
  spend(bytes: number): void {
    this.#leftBytes -= bytes;
    this.#schedule();
  }

  /** Counts what an answer has sent; a promise, until it may send more, if the turn is spent. */
  sent(bytes: number): Promise<void> | undefined {
    const cost = bytes * SENT_SHARE;
    this.spend(cost);
    return this.#leftBytes > 0 ? undefined : new Promise((resolve) => this.#wait(cost, resolve));
  }

  /** Calls `go`, in a turn to come, for a body that may then bring more. */
  later(go: () => void): void {
    this.#wait(BODY_BYTES, go);
  }

  #wait(bytes: number, go: () => void): void {
    this.#waiting.push({ bytes, go });
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
    let count = 0;
    for (let bytes = 0; bytes < ALL_BYTES && count < this.#waiting.length; count += 1) {
      bytes += this.#waiting[count]?.bytes ?? 0;
    }
    for (const { go } of this.#waiting.splice(0, count)) go();
    if (this.#waiting.length > 0) this.#schedule();
  }
}
