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
  /** Nearly every request asks for the same one again: to insert it again each time costs more than all else here. */
  let newest: string | undefined;
  return {
    get size() {
      return kept.size;
    },
    get(id, nowMs) {
      const found = kept.get(id);
      if (found === undefined) return undefined;
      if (found.untilMs <= nowMs) {
        kept.delete(id);
        return undefined;
      }
      if (id !== newest) {
        kept.delete(id);
        kept.set(id, found);
        newest = id;
      }
      return found.bucketKey;
    },
    put(id, bucketKey, nowMs) {
      if (ttlMs === 0) return;
      kept.delete(id);
      kept.set(id, { bucketKey, untilMs: nowMs + ttlMs });
      newest = id;
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
