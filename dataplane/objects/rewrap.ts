/**
 * Data keys that the KMS itself wrapped, object by object, wrapped anew under its newest version. Bodies, ETags and times
 * stay; an object that is replaced meanwhile is left to its writer. Records of bucket keys are keys/'s.
 */
import { type Contents, sealEnvelope } from "../../envelope/envelope.ts";
import { admit } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { type Failure, failureOf } from "../failure.ts";
import type { Counts, StepDone } from "../keys/keys.ts";
import { type Entry, StorageError } from "../storage/storage.ts";
import type { OpenedObject } from "./opened.ts";
import { openObject, placeOf } from "./records.ts";
import type { Room } from "./room.ts";

const OBJECTS_PER_STEP = 128;
/** What a KMS is asked for at the same time. */
const ASKED_AT_ONCE = 8;

type Outcome = { readonly count: Exclude<keyof Counts, "scanned">; readonly version?: string };
type WrappedByKms = OpenedObject & { readonly contents: { readonly key: { readonly mode: "object" } } };

/** One bounded step; repeating it changes nothing. Objects whose data key only the bucket key protects are not counted. */
export async function rewrapObjects(
  room: Room,
  call: Call,
  bucketName: string,
  cursor: string | undefined,
): Promise<StepDone> {
  const bucket = admit(call, bucketName, "WriteObject", room.nowMs());
  const after = cursor === undefined ? undefined : ({ skip: "name", name: cursor } as const);
  const query = { prefix: "", delimiter: undefined, after, limit: OBJECTS_PER_STEP };
  const page = await room.storage.list(bucketName, query, call.signal);
  const counts = { scanned: 0, rewrapped: 0, current: 0, excluded: 0, conflict: 0, failed: 0 };
  const versions = new Set<string>();
  for (let from = 0; from < page.items.length; from += ASKED_AT_ONCE) {
    const entries = page.items.slice(from, from + ASKED_AT_ONCE);
    for (const outcome of await Promise.all(entries.map((entry) => rewrapOne(room, call, bucket, entry)))) {
      if (outcome === undefined) continue;
      counts.scanned += 1;
      counts[outcome.count] += 1;
      if (outcome.version !== undefined) versions.add(outcome.version);
    }
  }
  const last = page.items.at(-1);
  return { cursor: page.next && last?.ref.name, counts, keyVersions: [...versions] };
}

/** undefined: there is nothing to wrap. */
async function rewrapOne(room: Room, call: Call, bucket: BucketEntry, entry: Entry): Promise<Outcome | undefined> {
  const event = { operation: "RewrapObject", kind: "key", bucket: bucket.name, name: entry.ref.name } as const;
  try {
    const opened = await openObject(room, call, bucket, entry);
    if (!isWrappedByKms(opened)) return undefined;
    if (!isAllowed(call, bucket, opened.contents.key.wrapped.kmsKeyId)) return { count: "excluded" };
    const outcome = await wrapAnew(room, call, bucket, opened);
    await room.audit(call, { ...event, keyVersion: outcome.version });
    return outcome;
  } catch (error) {
    const failure = failureOf(error, `wrap the data key of "${entry.ref.name}" anew`);
    await room.audit(call, { ...event, failure });
    if (isVerdict(failure)) return { count: "failed" };
    throw failure;
  }
}

async function wrapAnew(room: Room, call: Call, bucket: BucketEntry, opened: WrappedByKms): Promise<Outcome> {
  const { entry, contents, bodyId } = opened;
  const before = contents.key.wrapped;
  const request = Object.fromEntries(contents.context ?? []);
  const dataKey = await room.keys.unwrapDataKey(call, bucket, before, bodyId, request);
  try {
    const wrapped = await room.keys.wrapDataKey(call, bucket, dataKey, bodyId, request);
    const { version } = wrapped;
    // While the bucket may use two servers, which of them opened it is not known: only a new wrap is a proof.
    const isOnlySource = bucket.keys.length === 1;
    if (isOnlySource && wrapped.kmsKeyId === before.kmsKeyId && version === before.version) {
      return { count: "current", version };
    }
    const bucketKey = await room.keys.current(call, bucket);
    const renewed: Contents<"object"> = { ...contents, key: { mode: "object", wrapped } };
    const place = placeOf(entry.ref.name, entry.version);
    await room.storage.update(entry, sealEnvelope(place, renewed, bucketKey.id, bodyId, bucketKey.key), call.signal);
    return { count: "rewrapped", version };
  } catch (error) {
    if (error instanceof StorageError && error.code === "changed") return { count: "conflict" };
    throw error;
  } finally {
    dataKey.fill(0);
  }
}

function isWrappedByKms(opened: OpenedObject): opened is WrappedByKms {
  return opened.contents.key.mode === "object";
}

function isAllowed(call: Call, bucket: BucketEntry, kmsKeyId: string): boolean {
  return bucket.keys.some(({ provider }) => call.snapshot.providers.get(provider)?.kmsKeyId === kmsKeyId);
}

/** Of one object alone, not of the KMS or the storage as a whole: the sweep goes on without it. */
function isVerdict({ tamper, code }: Failure): boolean {
  return tamper || code === "KMS.DisabledException" || code === "KMS.NotFoundException";
}
