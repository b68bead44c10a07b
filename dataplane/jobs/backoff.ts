/** How long to leave a failing job alone: twice as long after each failure, up to a minute. */

export interface Backoff {
  isDue(key: string): boolean;
  /** `afterMs`: not twice as long as before, but that. */
  failed(key: string, afterMs?: number): void;
  succeeded(key: string): void;
  /** Forgets all others. */
  keepOnly(keys: ReadonlySet<string>): void;
  /** Until the next of those that are not due yet is; undefined: there is none. */
  nextMs(): number | undefined;
}

const FIRST_MS = 1000;
const LONGEST_MS = 60_000;

export function createBackoff(nowMs: () => number): Backoff {
  const waiting = new Map<string, { readonly times: number; readonly dueMs: number }>();
  return {
    isDue: (key) => (waiting.get(key)?.dueMs ?? 0) <= nowMs(),
    failed(key, afterMs) {
      const times = (waiting.get(key)?.times ?? 0) + 1;
      const delayMs = afterMs ?? Math.min(LONGEST_MS, FIRST_MS * 2 ** (times - 1));
      waiting.set(key, { times, dueMs: nowMs() + delayMs });
    },
    succeeded: (key) => void waiting.delete(key),
    keepOnly(keys) {
      for (const key of waiting.keys()) {
        if (!keys.has(key)) waiting.delete(key);
      }
    },
    nextMs() {
      const now = nowMs();
      const later = [...waiting.values()].map(({ dueMs }) => dueMs - now).filter((ms) => ms > 0);
      return later.length === 0 ? undefined : Math.min(...later);
    },
  };
}
