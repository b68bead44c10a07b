// Lets calls through in the order in which they came: so many at once, so many a second. How many may wait is bounded by
// its caller, resilience.ts, which bounds calls in all.

import type { Timers } from "./timers.ts";

export interface GateLimits {
  readonly concurrentMax: number;
  /** Infinity: no limit. One second's worth may come at once. */
  readonly perSecondMax: number;
}

export interface Gate {
  /** True when it is this call's turn, and `leave` must follow; false if it was turned away. Rejects with the signal's
   *  reason. */
  enter(signal: AbortSignal): Promise<boolean>;
  leave(): void;
  /** Sends away all that wait now. */
  turnAway(): void;
}

/** Ends one caller's wait: whether it is let in. */
type Waiting = (admitted: boolean) => void;

export function createGate(limits: GateLimits, timers: Timers): Gate {
  const queue = new Set<Waiting>(); // in the order of arrival, and who gives up leaves at once
  const tokens = createTokens(limits.perSecondMax, timers);
  let running = 0;
  let stopTimer: (() => void) | undefined;

  function admitNext(): void {
    for (const waiting of queue) {
      if (running >= limits.concurrentMax || stopTimer !== undefined) return;
      const waitMs = tokens.take();
      if (waitMs > 0) {
        stopTimer = timers.after(waitMs, () => {
          stopTimer = undefined;
          admitNext();
        });
        return;
      }
      queue.delete(waiting);
      running += 1;
      waiting(true);
    }
    // Nobody waits any longer.
    stopTimer?.();
    stopTimer = undefined;
  }

  return {
    enter(signal) {
      return new Promise((resolve, reject) => {
        if (signal.aborted) {
          reject(signal.reason);
          return;
        }
        const giveUp = () => {
          queue.delete(waiting);
          reject(signal.reason);
          if (queue.size === 0) admitNext();
        };
        const waiting: Waiting = (admitted) => {
          signal.removeEventListener("abort", giveUp);
          resolve(admitted);
        };
        signal.addEventListener("abort", giveUp, { once: true });
        queue.add(waiting);
        admitNext();
      });
    },

    leave() {
      running -= 1;
      admitNext();
    },

    turnAway() {
      const sentAway = [...queue];
      queue.clear();
      admitNext();
      for (const waiting of sentAway) waiting(false);
    },
  };
}

/** `take` says how long it is until there is a token; 0: it took one. */
function createTokens(perSecondMax: number, timers: Timers): { take(): number } {
  const most = Math.max(1, perSecondMax);
  let tokens = most;
  let countedMs = timers.nowMs();
  return {
    take() {
      if (perSecondMax === Number.POSITIVE_INFINITY) return 0;
      const nowMs = timers.nowMs();
      tokens = Math.min(most, tokens + ((nowMs - countedMs) / 1000) * perSecondMax);
      countedMs = nowMs;
      if (tokens < 1) return Math.ceil(((1 - tokens) / perSecondMax) * 1000);
      tokens -= 1;
      return 0;
    },
  };
}
