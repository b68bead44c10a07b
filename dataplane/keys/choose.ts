/** Which of a bucket's keys its writers use, and when a new one is made. */
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import type { Storage } from "../storage/storage.ts";
import type { FoundRecord } from "./records.ts";
import { notAllowed, sourcesFor } from "./sources.ts";

/** `open` comes first: a new epoch is made only while the key before it opens. */
export interface CurrentChoice {
  readonly open: FoundRecord | undefined;
  readonly makeEpoch: number | undefined;
}

/** The highest epoch, of equals the smallest id, among the records that the configuration allows. Throws Failure. */
export async function chooseCurrent(
  call: Call,
  bucket: BucketEntry,
  records: readonly FoundRecord[],
  storage: Storage,
): Promise<CurrentChoice> {
  const minEpoch = bucket.keys[0]?.minEpoch ?? 1;
  if (records.length === 0) {
    await refuseUnlessEmpty(storage, bucket.name, call.signal);
    return { open: undefined, makeEpoch: minEpoch };
  }
  const allowed = records.filter(({ record }) => sourcesFor(call.snapshot, bucket, record.wrapped).length > 0);
  const best = allowed.reduce<FoundRecord | undefined>(higher, undefined);
  if (best === undefined) throw notAllowed(`open a bucket key of "${bucket.name}"`);
  return { open: best, makeEpoch: best.record.epoch < minEpoch ? minEpoch : undefined };
}

function higher(best: FoundRecord | undefined, next: FoundRecord): FoundRecord {
  if (best === undefined || next.record.epoch > best.record.epoch) return next;
  return next.record.epoch === best.record.epoch && next.idHex < best.idHex ? next : best;
}

/** Objects without any bucket key: the records have gone, and a new key would hide that. */
async function refuseUnlessEmpty(storage: Storage, bucket: string, signal: AbortSignal): Promise<void> {
  const query = { prefix: "", delimiter: undefined, after: undefined, limit: 1 };
  const objects = await storage.list(bucket, query, signal);
  const uploads = objects.items.length > 0 ? objects : await storage.uploads(bucket, query, signal);
  if (objects.items.length === 0 && uploads.items.length === 0) return;
  throw new Failure("InternalError", `Cannot write to "${bucket}": it holds objects, but its bucket keys are missing`, {
    tamper: true,
  });
}
