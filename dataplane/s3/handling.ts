/** What every operation of the table needs: where it acts, and the order in which it refuses. */
import type { Action } from "../access/access.ts";
import { admit, type Buckets } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import { Failure } from "../failure.ts";
import type { Exchange } from "../http/table.ts";
import type { GetWanted, ObjectRef, ObjectStore } from "../objects/objects.ts";
import { bucketOf as entryOf } from "../snapshot.ts";
import type { Target } from "./target.ts";

export interface Needs {
  readonly objects: ObjectStore;
  readonly buckets: Buckets;
  readonly nowMs: () => number;
  /** After how long an answer that takes long begins, and how often it shows that it lives. */
  readonly slowAnswerMs: number;
}

export type S3Exchange = Exchange<Target>;
export type Handle = (needs: Needs, call: Call, exchange: S3Exchange) => Promise<void>;

/** Of an operation on a bucket or on an object in it. */
export function bucketOf(target: Target): string {
  if (target.bucket === undefined) throw new Error("an operation of a bucket was dispatched without one");
  return target.bucket;
}

/** The object that a request names. Versions are not kept, so none but "null" names one. */
export function objectOf(target: Target): ObjectRef {
  if (target.name === undefined) throw new Error("an operation of an object was dispatched without its name");
  const version = target.query.get("versionId");
  if (version !== undefined && version !== "null") {
    throw new Failure("InvalidArgument", "The version id is not valid: versions are not kept");
  }
  return { bucket: bucketOf(target), name: target.name };
}

/** A read of the whole object without conditions. */
export const NOTHING_ASKED: GetWanted = {
  range: undefined,
  conditions: {
    ifMatch: undefined,
    ifNoneMatch: undefined,
    ifModifiedSinceMs: undefined,
    ifUnmodifiedSinceMs: undefined,
  },
};

/** Before a body is read for who may not do what it asks for. */
export function checkAdmitted(needs: Needs, call: Call, target: Target, action: Action): void {
  admit(call, bucketOf(target), action, needs.nowMs());
}

/**
 * What the head of a request decides. Where it is refused, bucket and permission are judged first: who may not act on a
 * bucket learns nothing else.
 */
export function decided<Wanted>(
  needs: Needs,
  call: Call,
  target: Target,
  action: Action,
  decide: () => Wanted,
): Wanted {
  try {
    return decide();
  } catch (error) {
    if (target.bucket !== undefined) admit(call, target.bucket, action, needs.nowMs());
    throw error;
  }
}

/** Whether the bucket allows customers' keys; a bucket that is not there allows nothing. */
export function allowsCustomerKeys(call: Call, target: Target): boolean {
  return entryOf(call.snapshot, bucketOf(target))?.allowCustomerKeys === true;
}
