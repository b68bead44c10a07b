/**
 * Changes what is known of an object and leaves its body, ETag and times alone: another envelope with a new salt, and
 * only if the old one is still there.
 */
import type { Contents } from "../../envelope/envelope.ts";
import { admit } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import type { ObjectRef } from "../storage/storage.ts";
import { completeContents, openKeyBytes } from "./bodies.ts";
import { decideEncryption, encryptUnder } from "./encryption.ts";
import { findStored, isChanged } from "./find.ts";
import type { OpenedObject } from "./opened.ts";
import { queueOf } from "./queues.ts";
import { infoOf, openObject, sealObject, unlessEmpty } from "./records.ts";
import type { Room } from "./room.ts";
import type { Change, EncryptionWanted, ObjectInfo } from "./store.ts";

/** How often a change that a write overtook is made again. */
const ATTEMPTS_MAX = 16;

export async function changeObject(room: Room, call: Call, ref: ObjectRef, change: Change): Promise<ObjectInfo> {
  const bucket = admit(call, ref.bucket, "WriteObject", room.nowMs());
  return room.queues.run(queueOf(ref), ATTEMPTS_MAX, isChanged, () => changeOnce(room, call, bucket, ref, change));
}

async function changeOnce(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  ref: ObjectRef,
  change: Change,
): Promise<ObjectInfo> {
  const entry = await findStored(room, call, bucket, ref);
  const object = await openObject(room, call, bucket, entry);
  // Size and ETag may stand behind the body alone, and do not change.
  const { contents: whole } = await completeContents(room, call, bucket, object);
  const changes = change.kind === "tags" ? { tags: unlessEmpty(change.tags) } : await reseal(change.encryption);
  const bucketKey = await room.keys.current(call, bucket);
  const contents: Contents<"object"> = { ...object.contents, ...changes };
  const envelope = sealObject(room, entry, contents, object.bodyId, bucketKey);
  await room.storage.update(entry, envelope, call.signal);
  return infoOf(ref, { ...whole, ...changes }, bucketKey);

  async function reseal(
    wanted: EncryptionWanted,
  ): Promise<Pick<OpenedObject["contents"], "key" | "shown" | "context">> {
    const decision = await decideEncryption(room, call, bucket, wanted);
    if ((decision.mode === "plaintext") !== (object.contents.key.mode === "plaintext")) {
      throw new Failure("InvalidRequest", `"${ref.name}" is not encrypted: copy it onto itself instead`);
    }
    const dataKey = await openKeyBytes(room, call, bucket, object);
    const { sealedKey, shown, context } = await encryptUnder(room, call, bucket, decision, object.bodyId, dataKey);
    return { key: sealedKey, shown, context };
  }
}
