// Time and chance as parameters, so that what waits and retries can be tested without either.

import { randomInt } from "node:crypto";
import { performance } from "node:perf_hooks";

export interface Timers {
  /** Never goes back; of no meaning but for differences. */
  nowMs(): number;
  /** Runs once, later; the answer calls it off. */
  after(delayMs: number, run: () => void): () => void;
  /** Evenly distributed in [0, 1). */
  random(): number;
}

const RANDOM_STEPS = 2 ** 32;

/** The machine's own. */
export const systemTimers: Timers = {
  nowMs: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  random: () => randomInt(RANDOM_STEPS) / RANDOM_STEPS,
};

/** Resolves after a while, or rejects with the signal's reason. */
export function sleep(delayMs: number, timers: Timers, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(signal.reason);
      return;
    }
    const giveUp = () => {
      callOff();
      reject(signal.reason);
    };
    const callOff = timers.after(delayMs, () => {
      signal.removeEventListener("abort", giveUp);
      resolve();
    });
    signal.addEventListener("abort", giveUp, { once: true });
  });
}
