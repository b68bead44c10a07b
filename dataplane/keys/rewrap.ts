/**
 * Wraps the records of a bucket anew, under the newest version of the KMS key that it writes with: same id, epoch and
 * key, so no object is touched. A step is bounded, and repeating it changes nothing.
 */
import { encodeBucketKeyRecord } from "../../envelope/record.ts";
import { KmsError } from "../../kms/kms.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { type Failure, failureOf } from "../failure.ts";
import { StorageError } from "../storage/storage.ts";
import type { BucketKeysNeeds, Counts, StepDone } from "./port.ts";
import { type FoundRecord, readRecord, recordsPrefix } from "./records.ts";
import { clientOf, sourcesFor, writingSource } from "./sources.ts";
import { contextOf, unwrapRecord } from "./wrapping.ts";

const RECORDS_PER_STEP = 16;

type Outcome = { readonly count: Exclude<keyof Counts, "scanned">; readonly version: string | undefined };

export async function rewrapStep(
  call: Call,
  bucket: BucketEntry,
  cursor: string | undefined,
  needs: BucketKeysNeeds,
): Promise<StepDone> {
  const prefix = recordsPrefix(bucket.name);
  const page = await needs.storage
    .documents(prefix, cursor ?? "", RECORDS_PER_STEP, call.signal)
    .catch((error: unknown) => {
      throw failureOf(error, `list the bucket keys of "${bucket.name}"`);
    });
  const counts = { scanned: 0, rewrapped: 0, current: 0, excluded: 0, conflict: 0, failed: 0 };
  const versions = new Set<string>();
  for (const document of page.items) {
    const outcome = await rewrapOne(call, bucket, readRecord(document, bucket, needs.storeId), needs);
    counts.scanned += 1;
    counts[outcome.count] += 1;
    if (outcome.version !== undefined) versions.add(outcome.version);
  }
  return { cursor: page.next, counts, keyVersions: [...versions] };
}

async function rewrapOne(
  call: Call,
  bucket: BucketEntry,
  found: FoundRecord,
  needs: BucketKeysNeeds,
): Promise<Outcome> {
  const { wrapped } = found.record;
  if (sourcesFor(call.snapshot, bucket, wrapped).length === 0) return { count: "excluded", version: undefined };
  const event = { operation: "RewrapBucketKey", kind: "key", bucket: bucket.name } as const;
  try {
    const outcome = await wrapAnew(call, bucket, found, needs);
    const { name: provider, kmsKeyId } = writingSource(call.snapshot, bucket).provider;
    await needs.audit(call, { ...event, provider, kmsKeyId, keyVersion: outcome.version });
    return outcome;
  } catch (error) {
    const failure = failureOf(error, `wrap the bucket key of "${bucket.name}" anew`);
    await needs.audit(call, { ...event, failure });
    if (isVerdict(failure)) return { count: "failed", version: undefined };
    throw failure;
  }
}

async function wrapAnew(call: Call, bucket: BucketEntry, found: FoundRecord, needs: BucketKeysNeeds): Promise<Outcome> {
  const target = writingSource(call.snapshot, bucket);
  const { plain, source } = await unwrapRecord(call, bucket, found);
  try {
    const context = contextOf(found, bucket);
    const wrapped = await clientOf(target, call.snapshot).wrap(plain, context, call.signal);
    const before = found.record.wrapped;
    // Of two servers with one KMS key id, only the wanted one's own word counts.
    const openedByTarget = source.provider.name === target.provider.name;
    if (openedByTarget && wrapped.version === before.version) return { count: "current", version: wrapped.version };
    const bytes = encodeBucketKeyRecord({ ...found.record, wrapped }, plain);
    await needs.storage.putDocument(found.document.path, bytes, found.document.tag, call.signal);
    return { count: "rewrapped", version: wrapped.version };
  } catch (error) {
    if (error instanceof StorageError && error.code === "changed") return { count: "conflict", version: undefined };
    throw error;
  } finally {
    plain.fill(0);
  }
}

/** Of one record alone, not of the KMS or the storage as a whole: the sweep goes on without it. */
function isVerdict(failure: Failure): boolean {
  const { cause } = failure;
  if (failure.tamper) return true;
  return cause instanceof KmsError && (cause.code === "disabled" || cause.code === "not-found");
}
