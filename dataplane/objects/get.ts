/** Answers one object, whole or in part, with its bytes or without: nothing before envelope, length and first chunk have held. */
import { admit } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import type { ObjectRef } from "../storage/storage.ts";
import { completeContents, type OpenedBody, openBody, partNumberOf } from "./bodies.ts";
import { judgeRead } from "./conditions.ts";
import { findStored, isChanged } from "./find.ts";
import type { OpenedObject } from "./opened.ts";
import { type Selection, selectBytes } from "./ranges.ts";
import { readPlaintext } from "./reading.ts";
import { infoOf, isPartListHead, openObject } from "./records.ts";
import { audited, auditedFailure, type Deed, type Room } from "./room.ts";
import type { GetWanted, Heading, ObjectInfo, Reading } from "./store.ts";

type Blocks = AsyncGenerator<readonly Uint8Array[], void, undefined>;

/** An answer that can begin: its first block is verified and waits in `first`. */
interface Begun {
  readonly info: ObjectInfo;
  readonly selection: Selection;
  readonly first: readonly Uint8Array[] | undefined;
  readonly blocks: Blocks;
}

/** How often an object is looked up again that was replaced between the look and the first byte. */
const ATTEMPTS_MAX = 8;

/** The audit line is written when the bytes have gone, or could not. */
export async function getObject(room: Room, call: Call, ref: ObjectRef, wanted: GetWanted): Promise<Reading> {
  const deed: Deed = { operation: "GetObject", kind: "read", bucket: ref.bucket, name: ref.name };
  call.bucket = ref.bucket;
  call.name = ref.name;
  try {
    return createReading(room, call, deed, await begin(room, call, ref, wanted));
  } catch (error) {
    throw await auditedFailure(room, call, deed, error);
  }
}

export function headObject(room: Room, call: Call, ref: ObjectRef, wanted: GetWanted): Promise<Heading> {
  const deed: Deed = { operation: "HeadObject", kind: "read", bucket: ref.bucket, name: ref.name };
  return audited(room, call, deed, async () => {
    const bucket = admit(call, ref.bucket, "ReadObject", room.nowMs());
    const entry = await findStored(room, call, bucket, ref);
    const object = await completeContents(room, call, bucket, await openObject(room, call, bucket, entry));
    const info = infoOf(ref, object.contents, object.bucketKey);
    judgeRead(wanted.conditions, info);
    const inParts = wanted.range?.kind === "part" && info.partsCount !== undefined;
    const body = inParts ? await openBody(room, call, bucket, object) : undefined;
    return { info, ...select(wanted, info, body) };
  });
}

async function begin(room: Room, call: Call, ref: ObjectRef, wanted: GetWanted): Promise<Begun> {
  const bucket = admit(call, ref.bucket, "ReadObject", room.nowMs());
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await beginOnce(room, call, bucket, ref, wanted);
    } catch (error) {
      if (!isChanged(error) || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

async function beginOnce(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  ref: ObjectRef,
  wanted: GetWanted,
): Promise<Begun> {
  const entry = await findStored(room, call, bucket, ref);
  const found = await openObject(room, call, bucket, entry);
  judgeEarly(wanted, found);
  const body = await openBody(room, call, bucket, found);
  const info = infoOf(ref, body.object.contents, body.object.bucketKey);
  judgeRead(wanted.conditions, info);
  const selection = select(wanted, info, body);
  call.reserve?.(selection.toByte - selection.fromByte);
  const blocks = readPlaintext(room.storage, body, selection.fromByte, selection.toByte, call.signal);
  const begun = await blocks.next();
  call.totalBytes = selection.toByte - selection.fromByte;
  return { info, selection, blocks, first: begun.done === true ? undefined : begun.value };
}

/** A condition that does not hold spares the part list and the KMS. */
function judgeEarly({ conditions }: GetWanted, { entry, contents, bucketKey }: OpenedObject): void {
  if (contents.etag !== undefined && contents.bodyHead !== undefined) {
    judgeRead(conditions, infoOf(entry.ref, contents, bucketKey));
  }
}

function select({ range }: GetWanted, info: ObjectInfo, body: OpenedBody | undefined): Selection {
  const head = body?.object.contents.bodyHead;
  const inParts = range?.kind === "part" && body !== undefined && (head === undefined || isPartListHead(head));
  return selectBytes(range, info.sizeBytes, inParts ? partBytesOf(body) : undefined);
}

function partBytesOf({ parts }: OpenedBody): ReadonlyMap<number, number> {
  return new Map(parts.map((part) => [partNumberOf(part), part.entry.plainBytes]));
}

function createReading(room: Room, call: Call, deed: Deed, begun: Begun): Reading {
  const { info, selection, blocks } = begun;
  const leftAtStart = selection.toByte - selection.fromByte;
  let first = begun.first;
  let goneBytes = 0;
  let settled = false;

  const next = async (): Promise<IteratorResult<readonly Uint8Array[], undefined>> => {
    if (settled) return { done: true, value: undefined };
    try {
      const block = first ?? (await blocks.next()).value;
      first = undefined;
      if (block === undefined) {
        await settle();
        return { done: true, value: undefined };
      }
      for (const slice of block) goneBytes += slice.length;
      return { done: false, value: block };
    } catch (error) {
      settled = true;
      throw await auditedFailure(room, call, deed, error, goneBytes);
    }
  };

  /** Also lets the storage forget that somebody reads. */
  const settle = async (): Promise<void> => {
    if (settled) return;
    settled = true;
    await blocks.return();
    const whole = goneBytes === leftAtStart;
    const failure = whole
      ? undefined
      : new Failure("ClientClosedRequest", `"${info.ref.name}" was not read to its end`);
    await room.audit(call, { ...deed, bytes: goneBytes, failure });
  };

  return {
    info,
    ...selection,
    close: settle,
    [Symbol.asyncIterator]: () => ({
      next,
      async return() {
        await settle();
        return { done: true, value: undefined };
      },
    }),
  };
}
