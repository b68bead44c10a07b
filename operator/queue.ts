// Names of what wants to be looked at. One that is in the queue twice is looked at once; one that is added while it is
// being looked at comes again; one that failed waits longer each time. Knows no kinds.

import { backoffMs } from "./backoff.ts";
import type { Clock } from "./clock.ts";

const BACKOFF = { firstMs: 250, mostMs: 60_000 };

/** Told of what happens in a queue. */
export interface QueueCounts {
  /** How many items could be taken now. */
  depth(items: number): void;
  added(): void;
  /** One that failed comes again. */
  retried(): void;
  /** One was taken, so long after it was added. */
  waited(seconds: number): void;
}

export class WorkQueue {
  readonly #clock: Clock;
  readonly #counts: QueueCounts | undefined;
  /** When they were added. */
  readonly #ready = new Map<string, number>();
  readonly #taken = new Set<string>();
  /** Added while they were taken. */
  readonly #again = new Set<string>();
  readonly #later = new Map<string, { readonly atMs: number; readonly callOff: () => void }>();
  readonly #failures = new Map<string, number>();
  readonly #takers = new Set<(item: string) => void>();
  #isClosed = false;

  constructor(clock: Clock, counts?: QueueCounts) {
    this.#clock = clock;
    this.#counts = counts;
  }

  /** Now. Plans to look at it later are overtaken; its failures are not forgotten. */
  add(item: string): void {
    this.#callOff(item);
    if (this.#taken.has(item)) {
      this.#again.add(item);
      return;
    }
    if (this.#ready.has(item)) return;
    this.#counts?.added();
    const [taker] = this.#takers;
    if (taker === undefined) {
      this.#ready.set(item, this.#clock.monotonicMs());
      this.#counts?.depth(this.#ready.size);
      return;
    }
    this.#takers.delete(taker);
    this.#taken.add(item);
    this.#counts?.waited(0);
    taker(item);
  }

  /** Later, unless something calls it earlier. */
  addAfter(item: string, delayMs: number): void {
    if (this.#isClosed || this.#ready.has(item) || this.#again.has(item)) return;
    if (delayMs <= 0) {
      this.add(item);
      return;
    }
    const atMs = this.#clock.monotonicMs() + delayMs;
    const planned = this.#later.get(item);
    if (planned !== undefined && planned.atMs <= atMs) return;
    this.#callOff(item);
    this.#later.set(item, { atMs, callOff: this.#clock.after(delayMs, () => this.add(item)) });
  }

  /** It failed: later, and later still if it fails again. `atLeastMs`: somebody asked to be left alone so long. */
  addFailed(item: string, atLeastMs = 0): void {
    const failures = (this.#failures.get(item) ?? 0) + 1;
    this.#failures.set(item, failures);
    this.#counts?.retried();
    this.addAfter(item, Math.max(atLeastMs, backoffMs(failures, BACKOFF, this.#clock.random)));
  }

  /** It succeeded. */
  forget(item: string): void {
    this.#failures.delete(item);
  }

  /** The next item, which is the taker's until `done`. Rejects with the signal's reason. */
  take(signal: AbortSignal): Promise<string> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const [first] = this.#ready;
      if (first !== undefined) {
        const [item, addedMs] = first;
        this.#ready.delete(item);
        this.#taken.add(item);
        this.#counts?.depth(this.#ready.size);
        this.#counts?.waited((this.#clock.monotonicMs() - addedMs) / 1000);
        resolve(item);
        return;
      }
      const giveUp = () => {
        this.#takers.delete(give);
        reject(signal.reason);
      };
      const give = (given: string) => {
        signal.removeEventListener("abort", giveUp);
        resolve(given);
      };
      this.#takers.add(give);
      signal.addEventListener("abort", giveUp, { once: true });
    });
  }

  done(item: string): void {
    this.#taken.delete(item);
    if (this.#again.delete(item)) this.add(item);
  }

  /** Items that could be taken now. */
  get length(): number {
    return this.#ready.size;
  }

  /** Calls off all that was to come later, for good. */
  close(): void {
    this.#isClosed = true;
    for (const item of [...this.#later.keys()]) this.#callOff(item);
    this.#counts?.depth(0);
  }

  #callOff(item: string): void {
    this.#later.get(item)?.callOff();
    this.#later.delete(item);
  }
}
