/** Removes one object. What is absent is removed, unless the request says what it has to find. */
import { admit } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import type { ObjectRef } from "../storage/storage.ts";
import { commitHeld } from "./find.ts";
import type { Room } from "./room.ts";
import type { RemoveWanted } from "./store.ts";

/** Opens nothing where no condition asks for it: what does not open can still be removed. */
export async function removeObject(room: Room, call: Call, ref: ObjectRef, wanted: RemoveWanted): Promise<void> {
  const bucket = admit(call, ref.bucket, "DeleteObject", room.nowMs());
  const conditions = { ifMatch: wanted.ifMatch, ifNoneMatch: undefined };
  await commitHeld(room, call, bucket, ref, conditions, (expect) => room.storage.remove(ref, expect, call.signal));
}
