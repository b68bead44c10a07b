// Logins that were refused, and when to try them again: a Vault locks a role out that fails too often, and then refuses the
// right secret id too. Shared by all sessions of a process, since who looks at a provider opens a new one for each look.

import type { Timers } from "../timers.ts";
import { LoginFailed } from "./answers.ts";

export interface RefusedLogins {
  /** What `login` does; or, where the same login was refused a moment ago, LoginFailed without it. `id` stands for server
   *  and credentials, so that nothing is held against others. One at a time, since each that fails may count. */
  attempt<Result>(id: string, login: () => Promise<Result>, signal: AbortSignal): Promise<Result>;
}

interface Refused {
  readonly error: LoginFailed;
  /** In a row. */
  readonly failures: number;
  readonly endsMs: number;
}

const PAUSE_MIN_MS = 5_000;
const PAUSE_MAX_MS = 60_000;
/** Unless told otherwise, Vault locks out after five failures and forgets them 15 minutes after the last. The operator and
 *  a pod may log in with one role, and both fail. */
const COUNTED_MAX = 2;
const COUNTED_PAUSE_MS = 16 * 60_000;
const REFUSED_MAX = 1_000;

export function createRefusedLogins(timers: Timers): RefusedLogins {
  const refused = new Map<string, Refused>();
  const underWay = new Map<string, Promise<unknown>>();

  function refuseIfPaused(id: string): void {
    const before = refused.get(id);
    const leftMs = (before?.endsMs ?? 0) - timers.nowMs();
    if (before === undefined || leftMs <= 0) return;
    throw again(before.error, leftMs);
  }

  /** Bounded by dropping the oldest. */
  function remember(id: string, error: LoginFailed): LoginFailed {
    const failures = (refused.get(id)?.failures ?? 0) + 1;
    const pauseMs = pauseMsAfter(failures, error.isCounted, timers.random());
    refused.delete(id);
    refused.set(id, { error, failures, endsMs: timers.nowMs() + pauseMs });
    for (const oldest of refused.keys()) {
      if (refused.size <= REFUSED_MAX) break;
      refused.delete(oldest);
    }
    return again(error, pauseMs);
  }

  async function tried<Result>(id: string, login: () => Promise<Result>): Promise<Result> {
    try {
      const result = await login();
      refused.delete(id);
      return result;
    } catch (error) {
      throw error instanceof LoginFailed ? remember(id, error) : error;
    }
  }

  return {
    async attempt(id, login, signal) {
      for (;;) {
        signal.throwIfAborted();
        refuseIfPaused(id);
        const other = underWay.get(id);
        if (other === undefined) break;
        await ended(other, signal);
      }
      const ours = tried(id, login).finally(() => underWay.delete(id));
      underWay.set(id, ours);
      return await ours;
    },
  };
}

/** A new one each time, so that its stack is its caller's. */
function again({ message, cause, isCounted }: LoginFailed, leftMs: number): LoginFailed {
  return new LoginFailed(message, { cause, isCounted, retryAfterMs: Math.ceil(leftMs) });
}

/** Doubles with each failure, and varies, so that processes that failed together come back apart. */
function pauseMsAfter(failures: number, isCounted: boolean, random: number): number {
  if (isCounted && failures >= COUNTED_MAX) return COUNTED_PAUSE_MS * (1 + 0.1 * random);
  return Math.min(PAUSE_MAX_MS, PAUSE_MIN_MS * 2 ** (failures - 1)) * (0.5 + 0.5 * random);
}

/** Resolves however it ends, and when the signal aborts. */
function ended(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const finish = () => {
      signal.removeEventListener("abort", finish);
      resolve();
    };
    signal.addEventListener("abort", finish, { once: true });
    work.then(finish, finish);
  });
}
