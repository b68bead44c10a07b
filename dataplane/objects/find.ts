/** The look at what is there: for reads and for conditions of writes. Absence is told only to who may list. */

import { mayLearnAbsence } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import { type Entry, type Expect, type ObjectRef, StorageError } from "../storage/storage.ts";
import { completeContents } from "./bodies.ts";
import { isConditional, judgeWrite } from "./conditions.ts";
import { checkMarker, etagText, openObject } from "./records.ts";
import type { Room } from "./room.ts";
import type { WriteConditions } from "./store.ts";

/** What is stored under the name. NoSuchKey for who may know it, AccessDenied for who may not. */
export async function findStored(room: Room, call: Call, bucket: BucketEntry, ref: ObjectRef): Promise<Entry> {
  const entry = await findPresent(room, call, bucket, ref);
  if (entry !== undefined) return entry;
  checkMayLearnAbsence(room, call, ref);
  throw new Failure("NoSuchKey", `"${ref.name}" does not exist`);
}

function checkMayLearnAbsence(room: Room, call: Call, ref: ObjectRef): void {
  if (mayLearnAbsence(call, ref.bucket, room.nowMs())) return;
  throw new Failure("AccessDenied", `Access to "${ref.name}" is denied`);
}

/** undefined only if absence is proven: a delete marker has to be one. */
async function findPresent(room: Room, call: Call, bucket: BucketEntry, ref: ObjectRef): Promise<Entry | undefined> {
  const entry = await room.storage.find(ref, call.signal);
  if (entry?.marker !== true) return entry;
  await checkMarker(room, call, bucket, entry);
  return undefined;
}

/** How often a verdict that somebody else overtook is given again. */
const ATTEMPTS_MAX = 16;

/**
 * Judges the conditions and runs `commit` with what it has to expect; if that changed meanwhile, judges and commits again.
 * So a condition that held is one that held at the commit. What takes long is done in the first round of `commit`.
 */
export async function commitHeld<Result>(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  ref: ObjectRef,
  conditions: WriteConditions,
  commit: (expect: Expect | undefined) => Promise<Result>,
): Promise<Result> {
  for (let attempt = 1; ; attempt += 1) {
    const expect = await judgeStored(room, call, bucket, ref, conditions);
    try {
      return await commit(expect);
    } catch (error) {
      if (!isChanged(error) || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

/** Somebody else was faster: to be judged again. */
export function isChanged(error: unknown): boolean {
  return error instanceof StorageError && error.code === "changed";
}

async function judgeStored(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  ref: ObjectRef,
  conditions: WriteConditions,
): Promise<Expect | undefined> {
  if (!isConditional(conditions)) return undefined;
  const entry = await findPresent(room, call, bucket, ref);
  if (entry === undefined) {
    // That If-None-Match holds is told by the write itself, to who may write.
    if (conditions.ifMatch !== undefined) checkMayLearnAbsence(room, call, ref);
    return judgeWrite(conditions, undefined);
  }
  const { contents } = await completeContents(room, call, bucket, await openObject(room, call, bucket, entry));
  return judgeWrite(conditions, { tag: entry.tag, etag: contents.etag === undefined ? "" : etagText(contents.etag) });
}
