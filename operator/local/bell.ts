// Wakes the runtime: somebody rings, or a time has come. Rings that come in a burst wake it once.

export interface Bell {
  /** Something may have changed; the sleeper wakes when it has been quiet for a moment. */
  ring(): void;
  /** Resolves after a ring, after `timeoutMs`, or when the signal aborts. */
  wait(timeoutMs: number, signal: AbortSignal): Promise<void>;
}

/** Editors write a file in several steps. */
const QUIET_MS = 60;
/** Whatever goes on: then it is looked at. */
const PATIENCE_MS = 300;

export function createBell(): Bell {
  let rungAtMs: number | undefined;
  let wake: (() => void) | undefined;
  let quiet: NodeJS.Timeout | undefined;

  function ring(): void {
    const nowMs = performance.now();
    rungAtMs ??= nowMs;
    clearTimeout(quiet);
    const leftMs = Math.max(0, PATIENCE_MS - (nowMs - rungAtMs));
    quiet = setTimeout(() => wake?.(), Math.min(QUIET_MS, leftMs));
  }

  return {
    ring,
    async wait(timeoutMs, signal) {
      if (signal.aborted) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      wake = resolve;
      const timer = setTimeout(resolve, rungAtMs === undefined ? timeoutMs : Math.min(timeoutMs, PATIENCE_MS));
      signal.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      clearTimeout(timer);
      clearTimeout(quiet);
      wake = undefined;
      rungAtMs = undefined;
    },
  };
}
