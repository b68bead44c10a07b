// Time and chance as parameters, so that what waits, repeats and holds a lease can be tested without either.

import { randomInt } from "node:crypto";
import { performance } from "node:perf_hooks";

export interface Clock {
  now(): Date;
  /** Never goes back; of no meaning but for differences. */
  monotonicMs(): number;
  /** Runs once, later; the answer calls it off. */
  after(delayMs: number, run: () => void): () => void;
  /** Evenly distributed in [0, 1). */
  random(): number;
}

const RANDOM_STEPS = 2 ** 32;
/** What a timer of Node can count. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** The machine's own. */
export const systemClock: Clock = {
  now: () => new Date(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, Math.min(delayMs, DELAY_MS_MAX));
    return () => clearTimeout(timer);
  },
  random: () => randomInt(RANDOM_STEPS) / RANDOM_STEPS,
};

/** Resolves after a while, or rejects with the signal's reason. */
export function sleep(delayMs: number, clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const giveUp = () => {
      callOff();
      reject(signal.reason);
    };
    const callOff = clock.after(delayMs, () => {
      signal.removeEventListener("abort", giveUp);
      resolve();
    });
    signal.addEventListener("abort", giveUp, { once: true });
  });
}

/** As long as `signal` lives, and at most so long. `isOver`: the time was what ended it. */
export interface Deadline {
  readonly signal: AbortSignal;
  isOver(): boolean;
  /** Begins anew: from now, as long as at first or so long. */
  extend(delayMs?: number): void;
  /** Now, and for that reason. */
  end(reason: Error): void;
  /** Must be called when the work is done, whatever came of it. */
  clear(): void;
}

export function createDeadline(delayMs: number, clock: Clock, signal: AbortSignal): Deadline {
  const controller = new AbortController();
  let over = false;
  const forward = () => controller.abort(signal.reason);
  const expire = () => {
    over = true;
    controller.abort(new Error(`No answer within ${delayMs} ms`));
  };
  let callOff = clock.after(Math.max(0, delayMs), expire);
  if (signal.aborted) forward();
  else signal.addEventListener("abort", forward, { once: true });
  return {
    signal: controller.signal,
    isOver: () => over,
    extend(nextMs = delayMs) {
      callOff();
      if (!controller.signal.aborted) callOff = clock.after(Math.max(0, nextMs), expire);
    },
    end(reason) {
      callOff();
      controller.abort(reason);
    },
    clear() {
      callOff();
      signal.removeEventListener("abort", forward);
    },
  };
}
