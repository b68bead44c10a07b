/**
 * Bucket keys: made on first write, kept wrapped as documents, handed out as cached KeyObjects, re-wrapped on wish.
 * What the configuration does not allow is refused before any KMS is asked.
 */
import { dataKeyContext } from "../../envelope/wrapcontext.ts";
import type { KmsContext } from "../../kms/kms.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { failureOf } from "../failure.ts";
import { chooseCurrent } from "./choose.ts";
import { createDataKeyNotes, type DataKeyNotes } from "./data-key-notes.ts";
import { createOpenedKeys } from "./opened.ts";
import type { BucketKey, BucketKeys, BucketKeysNeeds } from "./port.ts";
import { type FoundRecord, findRecord, listRecords } from "./records.ts";
import { rewrapStep } from "./rewrap.ts";
import { createSharing } from "./sharing.ts";
import { askInTurn, clientOf, sourcesFor, writingSource } from "./sources.ts";
import { makeRecord, openRecord } from "./wrapping.ts";

export { kmsKeysInUse } from "./in-use.ts";
export type { BucketKey, BucketKeys, BucketKeysNeeds, Counts, StepDone } from "./port.ts";
export { noCounts } from "./port.ts";
export { createSettingsSealer } from "./settings.ts";
export { openStoreId } from "./store-id.ts";
export { sweepKeys } from "./sweeping.ts";

export function createBucketKeys(needs: BucketKeysNeeds): BucketKeys {
  const { storage, storeId, nowMs } = needs;
  const opened = createOpenedKeys(nowMs);
  const share = createSharing();
  const dataKeys = createDataKeyNotes(storage);

  async function openById(call: Call, bucket: BucketEntry, id: Uint8Array): Promise<BucketKey> {
    return openAnew(call, bucket, await findRecord(storage, bucket, storeId, id, call.signal));
  }

  async function openAnew(call: Call, bucket: BucketEntry, found: FoundRecord): Promise<BucketKey> {
    const key = await openRecord(call, bucket, found, needs.audit);
    opened.keep(call, bucket, key);
    return key;
  }

  async function choose(call: Call, bucket: BucketEntry): Promise<BucketKey> {
    const records = await listRecords(storage, bucket, storeId, call.signal);
    const { open, makeEpoch } = await chooseCurrent(call, bucket, records, storage);
    let key: BucketKey | undefined;
    if (open !== undefined) {
      // What is cached already keeps its end: only the KMS can give it more time.
      key = opened.get(call, bucket, open.idHex) ?? (await openAnew(call, bucket, open));
    }
    if (makeEpoch !== undefined) {
      key = await makeRecord(call, bucket, makeEpoch, needs);
      opened.keep(call, bucket, key);
    }
    if (key === undefined) throw new Error("a choice opens a key or makes one");
    opened.choose(call, bucket, key);
    return key;
  }

  return {
    current(call, bucket) {
      const key = opened.current(call, bucket);
      if (key !== undefined) return key;
      const name = `current ${bucket.name} ${call.snapshot.config.revision}`;
      return share(name, call, (shared) => choose(shared, bucket), `open the bucket key of "${bucket.name}"`);
    },
    byId(call, bucket, id) {
      const idHex = Buffer.from(id).toString("hex");
      const key = opened.get(call, bucket, idHex);
      if (key !== undefined) return key;
      const name = `${bucket.name} ${idHex} ${call.snapshot.config.revision}`;
      return share(name, call, (shared) => openById(shared, bucket, id), `open a bucket key of "${bucket.name}"`);
    },
    ...dataKeyMethods(needs, dataKeys),
    rewrap: (call, bucket, cursor) => rewrapStep(call, bucket, cursor, needs),
    sweep: opened.sweep,
  };
}

/** Mode 2: what the KMS itself wraps, body by body. */
function dataKeyMethods(
  { storeId }: BucketKeysNeeds,
  notes: DataKeyNotes,
): Pick<BucketKeys, "wrapDataKey" | "unwrapDataKey" | "wrapsDataKeys"> {
  const contextOf = (bucket: BucketEntry, bodyId: Uint8Array, request: KmsContext) =>
    dataKeyContext(storeId, bucket.name, bodyId, Object.entries(bucket.context), Object.entries(request));
  return {
    async wrapDataKey(call, bucket, dataKey, bodyId, request) {
      const source = writingSource(call.snapshot, bucket);
      try {
        const context = contextOf(bucket, bodyId, request);
        await notes.note(bucket, call.signal);
        return await clientOf(source, call.snapshot).wrap(dataKey, context, call.signal);
      } catch (error) {
        throw failureOf(error, `wrap a data key in bucket "${bucket.name}"`);
      }
    },
    async unwrapDataKey(call, bucket, wrapped, bodyId, request) {
      const doing = `unwrap a data key in bucket "${bucket.name}"`;
      const sources = sourcesFor(call.snapshot, bucket, wrapped);
      const { result } = await askInTurn(call, sources, doing, (kms) =>
        kms.unwrap(wrapped, contextOf(bucket, bodyId, request), call.signal),
      );
      return result;
    },
    async wrapsDataKeys(call, bucket) {
      try {
        return await notes.isNoted(bucket.name, call.signal);
      } catch (error) {
        throw failureOf(error, `look up how data keys in bucket "${bucket.name}" are wrapped`);
      }
    },
  };
}
