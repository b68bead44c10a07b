/** How long to leave a failing job alone: twice as long after each failure, up to a minute. */

export interface Backoff {
  isDue(key: string): boolean;
  failed(key: string): void;
  succeeded(key: string): void;
  /** Until the first of those that wait is due; undefined: none waits. */
  nextMs(): number | undefined;
}

const FIRST_MS = 1000;
const LONGEST_MS = 60_000;

export function createBackoff(nowMs: () => number): Backoff {
  const waiting = new Map<string, { readonly times: number; readonly dueMs: number }>();
  return {
    isDue: (key) => (waiting.get(key)?.dueMs ?? 0) <= nowMs(),
    failed(key) {
      const times = (waiting.get(key)?.times ?? 0) + 1;
      waiting.set(key, { times, dueMs: nowMs() + Math.min(LONGEST_MS, FIRST_MS * 2 ** (times - 1)) });
    },
    succeeded: (key) => void waiting.delete(key),
    nextMs() {
      const due = [...waiting.values()].map(({ dueMs }) => dueMs);
      return due.length === 0 ? undefined : Math.max(0, Math.min(...due) - nowMs());
    },
  };
}
