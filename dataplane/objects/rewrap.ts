/**
 * Data keys that the KMS itself wrapped, of objects and of uploads that are open, wrapped anew under its newest version.
 * Bodies, parts, ETags and times stay; what is replaced or ends meanwhile is left to its writer. Records of bucket keys
 * are keys/'s.
 */
import { type Contents, sealEnvelope } from "../../envelope/envelope.ts";
import { admit } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { type Failure, failureOf } from "../failure.ts";
import type { BucketKey, Counts, StepDone } from "../keys/keys.ts";
import { type Entry, StorageError, type UploadRef } from "../storage/storage.ts";
import { openObject, sealObject } from "./records.ts";
import type { Room } from "./room.ts";
import { openIfThere, placeOf as placeOfUpload } from "./uploads.ts";

const LOOKED_AT_PER_STEP = 128;
/** What a KMS is asked for at the same time. */
const ASKED_AT_ONCE = 8;

type Outcome = { readonly count: Exclude<keyof Counts, "scanned">; readonly version?: string };
type WrappedKey = Extract<Contents<"object">["key"], { readonly mode: "object" }>;

/** A data key that the KMS wrapped, and what it is bound to. */
interface Wrapping {
  readonly key: WrappedKey;
  readonly bodyId: Uint8Array;
  readonly context: ReadonlyMap<string, string> | undefined;
  /** Puts the same data key, wrapped anew, into the place of this one; "changed" if that is no longer there. */
  replace(key: WrappedKey, bucketKey: BucketKey): Promise<unknown>;
}

/** One bounded step; repeating it changes nothing. Objects whose data key only the bucket key protects are not counted. */
export async function rewrapObjects(
  room: Room,
  call: Call,
  bucketName: string,
  cursor: string | undefined,
): Promise<StepDone> {
  const bucket = admit(call, bucketName, "WriteObject", room.nowMs());
  const after = cursor === undefined ? undefined : ({ skip: "name", name: cursor } as const);
  const query = { prefix: "", delimiter: undefined, after, limit: LOOKED_AT_PER_STEP };
  const page = await room.storage.list(bucketName, query, call.signal);
  const done = await rewrapAll(page.items, (entry) =>
    rewrapOne(room, call, bucket, "RewrapObject", entry.ref.name, () => wrappingOfObject(room, call, bucket, entry)),
  );
  return { cursor: page.next && page.items.at(-1)?.ref.name, ...done };
}

/** The same for uploads that are neither completed nor aborted. The cursor is an upload's id, and its name behind it. */
export async function rewrapUploads(
  room: Room,
  call: Call,
  bucketName: string,
  cursor: string | undefined,
): Promise<StepDone> {
  const bucket = admit(call, bucketName, "WriteObject", room.nowMs());
  const query = { prefix: "", delimiter: undefined, after: afterUpload(cursor), limit: LOOKED_AT_PER_STEP };
  const page = await room.storage.uploads(bucketName, query, call.signal);
  const done = await rewrapAll(page.items, ({ name, uploadId }) => {
    const ref = { bucket: bucketName, name, uploadId };
    return rewrapOne(room, call, bucket, "RewrapUpload", name, () => wrappingOfUpload(room, call, bucket, ref));
  });
  const last = page.items.at(-1);
  return { cursor: page.next && last && `${last.uploadId} ${last.name}`, ...done };
}

function afterUpload(cursor: string | undefined) {
  if (cursor === undefined) return undefined;
  const space = cursor.indexOf(" ");
  return { skip: "upload", uploadId: cursor.slice(0, space), name: cursor.slice(space + 1) } as const;
}

async function rewrapAll<Item>(
  items: readonly Item[],
  rewrap: (item: Item) => Promise<Outcome | undefined>,
): Promise<Pick<StepDone, "counts" | "keyVersions">> {
  const counts = { scanned: 0, rewrapped: 0, current: 0, excluded: 0, conflict: 0, failed: 0 };
  const versions = new Set<string>();
  for (let from = 0; from < items.length; from += ASKED_AT_ONCE) {
    for (const outcome of await Promise.all(items.slice(from, from + ASKED_AT_ONCE).map(rewrap))) {
      if (outcome === undefined) continue;
      counts.scanned += 1;
      counts[outcome.count] += 1;
      if (outcome.version !== undefined) versions.add(outcome.version);
    }
  }
  return { counts, keyVersions: [...versions] };
}

/** undefined: there is nothing to wrap. */
async function rewrapOne(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  operation: "RewrapObject" | "RewrapUpload",
  name: string,
  open: () => Promise<Wrapping | undefined>,
): Promise<Outcome | undefined> {
  const event = { operation, kind: "key", bucket: bucket.name, name } as const;
  try {
    const wrapping = await open();
    if (wrapping === undefined) return undefined;
    if (!isAllowed(call, bucket, wrapping.key.wrapped.kmsKeyId)) return { count: "excluded" };
    const outcome = await wrapAnew(room, call, bucket, wrapping);
    await room.audit(call, { ...event, keyVersion: outcome.version });
    return outcome;
  } catch (error) {
    const failure = failureOf(error, `wrap the data key of "${name}" anew`);
    await room.audit(call, { ...event, failure });
    if (isVerdict(failure)) return { count: "failed" };
    throw failure;
  }
}

async function wrappingOfObject(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  entry: Entry,
): Promise<Wrapping | undefined> {
  const { contents, bodyId } = await openObject(room, call, bucket, entry);
  const { key, context } = contents;
  if (key.mode !== "object") return undefined;
  return {
    key,
    bodyId,
    context,
    replace(renewed, bucketKey) {
      const envelope = sealObject(room, entry, { ...contents, key: renewed }, bodyId, bucketKey);
      return room.storage.update(entry, envelope, call.signal);
    },
  };
}

/** undefined also where the upload has ended meanwhile: what it became is an object. */
async function wrappingOfUpload(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  ref: UploadRef,
): Promise<Wrapping | undefined> {
  const upload = await openIfThere(room, call, bucket, ref);
  if (upload === undefined || upload.state.completed !== undefined) return undefined;
  const { contents, bodyId } = upload;
  const { key, context } = contents;
  if (key.mode !== "object") return undefined;
  const found = { ...ref, state: upload.state.state };
  return {
    key,
    bodyId,
    context,
    replace(renewed, bucketKey) {
      const { id, key: sealedUnder } = bucketKey;
      const state = sealEnvelope(placeOfUpload(ref), { ...contents, key: renewed }, id, bodyId, sealedUnder);
      return room.storage.updateUpload(found, state, call.signal);
    },
  };
}

async function wrapAnew(room: Room, call: Call, bucket: BucketEntry, wrapping: Wrapping): Promise<Outcome> {
  const { bodyId, context } = wrapping;
  const before = wrapping.key.wrapped;
  const request = Object.fromEntries(context ?? []);
  const dataKey = await room.keys.unwrapDataKey(call, bucket, before, bodyId, request);
  try {
    const wrapped = await room.keys.wrapDataKey(call, bucket, dataKey, bodyId, request);
    const { version } = wrapped;
    // While the bucket may use two servers, which of them opened it is not known: only a new wrap is a proof.
    const isOnlySource = bucket.keys.length === 1;
    if (isOnlySource && wrapped.kmsKeyId === before.kmsKeyId && version === before.version) {
      return { count: "current", version };
    }
    await wrapping.replace({ mode: "object", wrapped }, await room.keys.current(call, bucket));
    return { count: "rewrapped", version };
  } catch (error) {
    // It was replaced, or has ended: the sweep looks again.
    if (error instanceof StorageError && (error.code === "changed" || error.code === "no-upload")) {
      return { count: "conflict" };
    }
    throw error;
  } finally {
    dataKey.fill(0);
  }
}

function isAllowed(call: Call, bucket: BucketEntry, kmsKeyId: string): boolean {
  return bucket.keys.some(({ provider }) => call.snapshot.providers.get(provider)?.kmsKeyId === kmsKeyId);
}

/** Of one object alone, not of the KMS or the storage as a whole: the sweep goes on without it. */
function isVerdict({ tamper, code }: Failure): boolean {
  return tamper || code === "KMS.DisabledException" || code === "KMS.NotFoundException";
}
