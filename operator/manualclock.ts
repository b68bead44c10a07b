// A clock that a test moves. Timers run in the order of their times, each followed by a turn of the event loop, so that
// whoever waited for it goes on before the next.

import type { Clock } from "./clock.ts";

export interface ManualClock extends Clock {
  /** Moves on, and runs what is due on the way. */
  pass(ms: number): Promise<void>;
  /** Timers that have not run. */
  readonly pending: number;
}

const START_MS = Date.UTC(2026, 0, 1);

/** `random` is what every draw gives. */
export function createManualClock(random = 0.5): ManualClock {
  const timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
  let nowMs = 0;

  async function settle(): Promise<void> {
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  return {
    now: () => new Date(START_MS + nowMs),
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      const timer = { atMs: nowMs + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    random: () => random,
    async pass(ms) {
      const endMs = nowMs + ms;
      await settle();
      for (;;) {
        const [next] = [...timers].filter(({ atMs }) => atMs <= endMs).sort((left, right) => left.atMs - right.atMs);
        if (next === undefined) break;
        timers.delete(next);
        nowMs = Math.max(nowMs, next.atMs);
        next.run();
        await settle();
      }
      nowMs = endMs;
    },
    get pending() {
      return timers.size;
    },
  };
}
