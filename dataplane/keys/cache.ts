/** Opened bucket keys of one provider: bounded, least recently used goes first, each for a limited time. */
import type { BucketKey } from "./port.ts";

interface Kept {
  readonly bucketKey: BucketKey;
  readonly untilMs: number;
}

export interface KeyCache {
  get(id: string, nowMs: number): BucketKey | undefined;
  put(id: string, bucketKey: BucketKey, nowMs: number): void;
  readonly size: number;
  /** Lets go of those whose time has run out; how many these were. */
  sweep(nowMs: number): number;
}

/** `ttlMs` 0 keeps nothing. */
export function createKeyCache(ttlMs: number, maxEntries: number): KeyCache {
  // A Map iterates in the order of insertion: what is used is inserted again, so the first is the least recently used.
  const kept = new Map<string, Kept>();
  return {
    get size() {
      return kept.size;
    },
    get(id, nowMs) {
      const found = kept.get(id);
      if (found === undefined) return undefined;
      kept.delete(id);
      if (found.untilMs <= nowMs) return undefined;
      kept.set(id, found);
      return found.bucketKey;
    },
    put(id, bucketKey, nowMs) {
      if (ttlMs === 0) return;
      kept.delete(id);
      kept.set(id, { bucketKey, untilMs: nowMs + ttlMs });
      for (const oldest of kept.keys()) {
        if (kept.size <= maxEntries) break;
        kept.delete(oldest);
      }
    },
    sweep(nowMs) {
      const before = kept.size;
      for (const [id, { untilMs }] of kept) if (untilMs <= nowMs) kept.delete(id);
      return before - kept.size;
    },
  };
}
