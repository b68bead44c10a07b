/** Opened bucket keys, kept for as long as their provider allows, and which of them a bucket writes with. */
import type { Call } from "../call.ts";
import type { BucketEntry, ProviderEntry } from "../config/config.ts";
import type { Snapshot } from "../snapshot.ts";
import { createKeyCache, type KeyCache } from "./cache.ts";
import type { BucketKey } from "./port.ts";
import { isAllowed, writingSource } from "./sources.ts";

export interface OpenedKeys {
  /** Only by a provider that this call's configuration still allows for the bucket. */
  get(call: Call, bucket: BucketEntry, idHex: string): BucketKey | undefined;
  keep(call: Call, bucket: BucketEntry, key: BucketKey): void;
  /** What was chosen under this very configuration entry, a short while ago. */
  current(call: Call, bucket: BucketEntry): BucketKey | undefined;
  choose(call: Call, bucket: BucketEntry, key: BucketKey): void;
  /** Lets go of all whose time has run out, or whose provider is not this configuration's; how many keys these were. */
  sweep(snapshot: Snapshot): number;
}

/** By the configuration entry that it was chosen under: another entry chooses anew. */
interface Choice {
  readonly entry: BucketEntry;
  readonly idHex: string;
  readonly untilMs: number;
}

type CacheLimits = Pick<ProviderEntry["cache"], "ttlMs" | "maxEntries">;

/** Of a provider that has gone. */
const NO_CACHE: CacheLimits = { ttlMs: 0, maxEntries: 1 };

export function createOpenedKeys(nowMs: () => number): OpenedKeys {
  const caches = new Map<string, KeyCache>();
  const choices = new Map<string, Choice>();

  function cacheOf(call: Call, providerName: string): KeyCache {
    const limits = call.snapshot.providers.get(providerName)?.cache ?? NO_CACHE;
    const { ttlMs, maxEntries } = limits;
    const name = nameOf(providerName, limits);
    let cache = caches.get(name);
    if (cache === undefined) {
      cache = createKeyCache(ttlMs, maxEntries);
      caches.set(name, cache);
    }
    return cache;
  }

  function get(call: Call, bucket: BucketEntry, idHex: string): BucketKey | undefined {
    for (const { provider } of bucket.keys) {
      const found = cacheOf(call, provider).get(`${bucket.name} ${idHex}`, nowMs());
      if (found !== undefined && isAllowed(call.snapshot, bucket, found.provider, found.kmsKeyId)) return found;
    }
    return undefined;
  }

  return {
    get,
    keep(call, bucket, key) {
      cacheOf(call, key.provider).put(`${bucket.name} ${hexOf(key)}`, key, nowMs());
    },
    current(call, bucket) {
      const choice = choices.get(bucket.name);
      if (choice?.entry !== bucket || choice.untilMs <= nowMs()) return undefined;
      return get(call, bucket, choice.idHex);
    },
    choose(call, bucket, key) {
      const { ttlMs } = writingSource(call.snapshot, bucket).provider.cache;
      choices.set(bucket.name, { entry: bucket, idHex: hexOf(key), untilMs: nowMs() + ttlMs });
    },
    sweep(snapshot) {
      const inUse = new Set([...snapshot.providers.values()].map(({ name, cache }) => nameOf(name, cache)));
      let count = 0;
      for (const [name, cache] of caches) {
        if (inUse.has(name)) {
          count += cache.sweep(nowMs());
        } else {
          count += cache.size;
          caches.delete(name);
        }
      }
      for (const [bucket, { untilMs }] of choices) if (untilMs <= nowMs()) choices.delete(bucket);
      return count;
    },
  };
}

/** Other limits make another cache. */
function nameOf(provider: string, { ttlMs, maxEntries }: CacheLimits): string {
  return `${provider} ${ttlMs} ${maxEntries}`;
}

function hexOf(key: BucketKey): string {
  return Buffer.from(key.id).toString("hex");
}
