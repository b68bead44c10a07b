// Rotations in the background, so that a KMS that does not answer holds up nothing else: one at a time of each key, and one
// that failed is left alone for a moment.

import { setTimeout as sleep } from "node:timers/promises";

export interface Rotations {
  /** Rotates the provider's key, unless that is under way. */
  begin(provider: string, rotate: () => Promise<void>, signal: AbortSignal): void;
  /** Whether none can begin now. */
  isUnderWay(provider: string): boolean;
  /** What came of the last one, if it failed. */
  failureOf(provider: string): string | undefined;
}

const RETRY_MS = 1000;

/** `ring` is called when one has ended, and when the next can begin. */
export function createRotations(ring: () => void): Rotations {
  const underWay = new Set<string>();
  const failures = new Map<string, string>();

  /** Never rejects: what failed is told by the next pass. */
  async function run(provider: string, rotate: () => Promise<void>, signal: AbortSignal): Promise<void> {
    try {
      await rotate();
      failures.delete(provider);
    } catch (error) {
      if (signal.aborted) return;
      failures.set(provider, error instanceof Error ? error.message : "The rotation failed");
      ring();
      await sleep(RETRY_MS, undefined, { signal }).catch(() => undefined);
    } finally {
      underWay.delete(provider);
    }
    ring();
  }

  return {
    begin(provider, rotate, signal) {
      if (underWay.has(provider)) return;
      underWay.add(provider);
      void run(provider, rotate, signal);
    },
    isUnderWay: (provider) => underWay.has(provider),
    failureOf: (provider) => failures.get(provider),
  };
}
