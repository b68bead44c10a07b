/**
 * Bucket keys: made on first write, kept wrapped as documents, handed out as cached KeyObjects, re-wrapped on wish.
 * What the configuration does not allow is refused before any KMS is asked.
 */
import { dataKeyContext } from "../../envelope/wrapcontext.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { failureOf } from "../failure.ts";
import { createKeyCache, type KeyCache } from "./cache.ts";
import { chooseCurrent } from "./choose.ts";
import { createDataKeyNotes } from "./data-key-notes.ts";
import type { BucketKey, BucketKeys, BucketKeysNeeds } from "./port.ts";
import { findRecord, listRecords } from "./records.ts";
import { rewrapStep } from "./rewrap.ts";
import { createSharing } from "./sharing.ts";
import { askInTurn, clientOf, isAllowed, sourcesFor, writingSource } from "./sources.ts";
import { makeRecord, openRecord } from "./wrapping.ts";

export type { BucketKey, BucketKeys, BucketKeysNeeds, Counts, StepDone } from "./port.ts";
export { noCounts } from "./port.ts";
export { createSettingsSealer } from "./settings.ts";
export { openStoreId } from "./store-id.ts";

/** Which key a bucket writes with, by the configuration entry that it was chosen under. */
interface Choice {
  readonly entry: BucketEntry;
  readonly idHex: string;
  readonly untilMs: number;
}

export function createBucketKeys(needs: BucketKeysNeeds): BucketKeys {
  const { storage, storeId, nowMs } = needs;
  const caches = new Map<string, KeyCache>();
  const choices = new Map<string, Choice>();
  const share = createSharing();
  const dataKeys = createDataKeyNotes(storage);

  function cacheOf(call: Call, providerName: string): KeyCache {
    const limits = call.snapshot.providers.get(providerName)?.cache;
    const { ttlMs, maxEntries } = limits ?? { ttlMs: 0, maxEntries: 1 };
    const name = `${providerName} ${ttlMs} ${maxEntries}`;
    let cache = caches.get(name);
    if (cache === undefined) {
      cache = createKeyCache(ttlMs, maxEntries);
      caches.set(name, cache);
    }
    return cache;
  }

  /** Only by a provider that this call's configuration still allows for the bucket. */
  function cached(call: Call, bucket: BucketEntry, idHex: string): BucketKey | undefined {
    for (const { provider } of bucket.keys) {
      const found = cacheOf(call, provider).get(`${bucket.name} ${idHex}`, nowMs());
      if (found !== undefined && isAllowed(call.snapshot, bucket, found.provider, found.kmsKeyId)) return found;
    }
    return undefined;
  }

  function keep(call: Call, bucket: BucketEntry, key: BucketKey): void {
    const idHex = Buffer.from(key.id).toString("hex");
    cacheOf(call, key.provider).put(`${bucket.name} ${idHex}`, key, nowMs());
  }

  async function openById(call: Call, bucket: BucketEntry, id: Uint8Array): Promise<BucketKey> {
    const found = await findRecord(storage, bucket, storeId, id, call.signal);
    const key = await openRecord(call, bucket, found, needs.audit);
    keep(call, bucket, key);
    return key;
  }

  async function choose(call: Call, bucket: BucketEntry): Promise<BucketKey> {
    const records = await listRecords(storage, bucket, storeId, call.signal);
    const choice = await chooseCurrent(call, bucket, records, storage);
    let key: BucketKey | undefined;
    if (choice.open !== undefined) {
      key = cached(call, bucket, choice.open.idHex) ?? (await openRecord(call, bucket, choice.open, needs.audit));
      keep(call, bucket, key);
    }
    if (choice.makeEpoch !== undefined) {
      key = await makeRecord(call, bucket, choice.makeEpoch, needs);
      keep(call, bucket, key);
    }
    if (key === undefined) throw new Error("a choice opens a key or makes one");
    const { cache } = writingSource(call.snapshot, bucket).provider;
    const idHex = Buffer.from(key.id).toString("hex");
    choices.set(bucket.name, { entry: bucket, idHex, untilMs: nowMs() + cache.ttlMs });
    return key;
  }

  return {
    current(call, bucket) {
      const choice = choices.get(bucket.name);
      if (choice?.entry === bucket && choice.untilMs > nowMs()) {
        const key = cached(call, bucket, choice.idHex);
        if (key !== undefined) return key;
      }
      const name = `current ${bucket.name} ${call.snapshot.config.revision}`;
      return share(name, call, (shared) => choose(shared, bucket), `open the bucket key of "${bucket.name}"`);
    },
    byId(call, bucket, id) {
      const idHex = Buffer.from(id).toString("hex");
      const key = cached(call, bucket, idHex);
      if (key !== undefined) return key;
      const name = `${bucket.name} ${idHex} ${call.snapshot.config.revision}`;
      return share(name, call, (shared) => openById(shared, bucket, id), `open a bucket key of "${bucket.name}"`);
    },
    async wrapDataKey(call, bucket, dataKey, bodyId, request) {
      const source = writingSource(call.snapshot, bucket);
      try {
        const pairs = dataKeyContext(
          storeId,
          bucket.name,
          bodyId,
          Object.entries(bucket.context),
          Object.entries(request),
        );
        await dataKeys.note(bucket.name, call.signal);
        return await clientOf(source, call.snapshot).wrap(dataKey, pairs, call.signal);
      } catch (error) {
        throw failureOf(error, `wrap a data key in bucket "${bucket.name}"`);
      }
    },
    async wrapsDataKeys(call, bucket) {
      try {
        return await dataKeys.isNoted(bucket.name, call.signal);
      } catch (error) {
        throw failureOf(error, `look up how data keys in bucket "${bucket.name}" are wrapped`);
      }
    },
    async unwrapDataKey(call, bucket, wrapped, bodyId, request) {
      const doing = `unwrap a data key in bucket "${bucket.name}"`;
      const pairs = dataKeyContext(
        storeId,
        bucket.name,
        bodyId,
        Object.entries(bucket.context),
        Object.entries(request),
      );
      const sources = sourcesFor(call.snapshot, bucket, wrapped);
      const { result } = await askInTurn(call, sources, doing, (kms) => kms.unwrap(wrapped, pairs, call.signal));
      return result;
    },
    rewrap: (call, bucket, cursor) => rewrapStep(call, bucket, cursor, needs),
  };
}
