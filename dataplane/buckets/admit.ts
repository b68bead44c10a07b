/** The guard before every method of a bucket or of its objects: does the bucket serve, and may the caller do this. */
import { type Action, authorize } from "../access/access.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";

/**
 * The bucket's entry. A credential that is limited to other buckets gets AccessDenied for any name, whether it exists or
 * not; who could use a bucket of this name gets NoSuchBucket. Also notes the bucket in the call.
 */
export function admit(call: Call, bucket: string, action: Action, nowMs: number): BucketEntry {
  call.bucket = bucket;
  const entry = call.snapshot.buckets.get(bucket);
  const verdict = authorize(call.principal, action, { bucket, selfServiceBucket: false }, nowMs);
  if (verdict !== "allowed") {
    throw new Failure("AccessDenied", `Access to bucket "${bucket}" is denied: ${verdict.deniedBy}`);
  }
  if (entry === undefined || (entry.state === "empty-and-remove" && call.principal.kind !== "job")) {
    throw new Failure("NoSuchBucket", `Bucket "${bucket}" does not exist`);
  }
  return entry;
}

/** Whether the caller may know that a name does not exist. */
export function mayLearnAbsence(call: Call, bucket: string, nowMs: number): boolean {
  return authorize(call.principal, "ListObjects", { bucket, selfServiceBucket: false }, nowMs) === "allowed";
}
