// Holds a token with its lease and comes back before the lease ends, so that somebody can prolong it. What is done then is
// for given-token.ts and own-login.ts to say; a failure is told to nobody, it shows in the calls that come.

import type { Timers } from "../timers.ts";
import type { Lease } from "./login.ts";

/** A lease, and when it was given. */
export interface Held extends Lease {
  readonly sinceMs: number;
  readonly endsMs: number;
  /** When the token was new: a renewal that brings much less is near the token's greatest age. */
  readonly firstTtlMs: number;
}

export interface Keeper {
  readonly held: Held | undefined;
  /** A lease of a new token, or one more of the token that is held. */
  hold(lease: Lease): Held;
  /** Prolongs now, in the background, and again a while later if that fails. */
  prolongNow(held: Held): void;
  /** Ends what is under way. Nothing is prolonged any more; what is held stays readable. */
  close(): Promise<void>;
}

export interface KeeperPlan {
  readonly timers: Timers;
  prolong(held: Held, signal: AbortSignal): Promise<void>;
  /** Whether there is a way to go on with it. */
  canProlong(lease: Lease): boolean;
}

/** A lease is prolonged once so much of its time has gone. */
const PROLONG_AFTER = 2 / 3;
const WAIT_MIN_MS = 250;
/** Also keeps within what a timer can wait. */
const WAIT_MAX_MS = 24 * 3_600_000;
const RETRY_MIN_MS = 1_000;
const RETRY_MAX_MS = 30_000;

export function createKeeper({ timers, prolong, canProlong }: KeeperPlan): Keeper {
  const life = new AbortController();
  let held: Held | undefined;
  let callOff = () => {};
  let underWay: Promise<void> = Promise.resolve();

  function wake(delayMs: number): void {
    callOff();
    if (life.signal.aborted) return;
    callOff = timers.after(delayMs, () => {
      if (held !== undefined) prolongNow(held);
    });
  }

  function prolongNow(of: Held): void {
    underWay = prolong(of, life.signal).catch(() => {
      const leftMs = (held?.endsMs ?? 0) - timers.nowMs();
      if (leftMs > 0) wake(Math.min(RETRY_MAX_MS, Math.max(RETRY_MIN_MS, leftMs / 3)));
    });
  }

  return {
    get held() {
      return held;
    },

    hold(lease) {
      const nowMs = timers.nowMs();
      const before = held?.token === lease.token ? held : { sinceMs: nowMs, firstTtlMs: lease.ttlMs };
      const { sinceMs, firstTtlMs } = before;
      held = { ...lease, sinceMs, firstTtlMs, endsMs: nowMs + lease.ttlMs };
      callOff();
      if (lease.ttlMs < Number.POSITIVE_INFINITY && canProlong(lease)) {
        wake(Math.min(WAIT_MAX_MS, Math.max(WAIT_MIN_MS, lease.ttlMs * PROLONG_AFTER)));
      }
      return held;
    },

    prolongNow,

    async close() {
      life.abort(new Error("The session was closed"));
      callOff();
      await underWay;
    },
  };
}
