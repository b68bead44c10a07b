/** What is known of an object beyond what GET answers: the parts that it was uploaded in. */
import { admit } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import type { ObjectRef } from "../storage/storage.ts";
import { completeContents, openBody, partNumberOf } from "./bodies.ts";
import { judgeRead } from "./conditions.ts";
import { findStored, isChanged } from "./find.ts";
import { infoOf, openObject } from "./records.ts";
import type { Room } from "./room.ts";
import type { ObjectInfo, ReadConditions, StoredPart } from "./store.ts";

export interface WithParts {
  readonly info: ObjectInfo;
  readonly parts: readonly StoredPart[];
}

/** How often an object is looked up again that was replaced before its part list was read. */
const ATTEMPTS_MAX = 8;

export async function storedParts(
  room: Room,
  call: Call,
  ref: ObjectRef,
  conditions: ReadConditions,
): Promise<WithParts> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await storedPartsOnce(room, call, ref, conditions);
    } catch (error) {
      if (!isChanged(error) || attempt === ATTEMPTS_MAX) throw error;
    }
  }
}

async function storedPartsOnce(room: Room, call: Call, ref: ObjectRef, conditions: ReadConditions): Promise<WithParts> {
  const bucket = admit(call, ref.bucket, "ReadObject", room.nowMs());
  const entry = await findStored(room, call, bucket, ref);
  const object = await completeContents(room, call, bucket, await openObject(room, call, bucket, entry));
  const info = infoOf(ref, object.contents, object.bucketKey);
  judgeRead(conditions, info);
  if (info.partsCount === undefined) return { info, parts: [] };
  const { parts, partsSummedBy } = await openBody(room, call, bucket, object);
  // A copy may be summed by another algorithm than its parts were: theirs says nothing of it then.
  const algorithm = info.checksums.find((checksum) => checksum.algorithm === partsSummedBy)?.algorithm;
  return {
    info,
    parts: parts.map((part) => ({
      partNumber: partNumberOf(part),
      sizeBytes: part.entry.plainBytes,
      checksum: algorithm && { algorithm, kind: "whole", value: part.entry.checksum, parts: undefined },
    })),
  };
}
