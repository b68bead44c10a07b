/** The guard before every method of a bucket or of its objects: does the bucket serve, and may the caller do this. */
import { type Action, authorize, type Resource } from "../access/access.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import { bucketOf } from "../snapshot.ts";

/**
 * The bucket's entry. A credential that is limited to other buckets gets AccessDenied for any name, whether it exists or
 * not; who could use a bucket of this name gets NoSuchBucket. Also notes the bucket in the call.
 */
export function admit(call: Call, bucket: string, action: Action, nowMs: number): BucketEntry {
  call.bucket = bucket;
  const verdict = authorize(call.principal, action, resourceOf(call, bucket), nowMs);
  if (verdict !== "allowed") {
    throw new Failure("AccessDenied", `Access to bucket "${bucket}" is denied: ${verdict.deniedBy}`);
  }
  const entry = bucketOf(call.snapshot, bucket);
  if (entry === undefined || (entry.state === "empty-and-remove" && call.principal.kind !== "job")) {
    throw new Failure("NoSuchBucket", `Bucket "${bucket}" does not exist`);
  }
  return entry;
}

/** Whether the caller may use the bucket at all. */
export function isUsable(call: Call, bucket: string, nowMs: number): boolean {
  const entry = bucketOf(call.snapshot, bucket);
  if (entry === undefined || entry.state === "empty-and-remove") return false;
  return authorize(call.principal, "HeadBucket", resourceOf(call, bucket), nowMs) === "allowed";
}

/** Whether the caller may know that a name does not exist. */
export function mayLearnAbsence(call: Call, bucket: string, nowMs: number): boolean {
  return authorize(call.principal, "ListObjects", resourceOf(call, bucket), nowMs) === "allowed";
}

/**
 * Returns if the caller may make a bucket of that name, as far as the configuration knows. Throws AccessDenied,
 * BucketAlreadyOwnedByYou for who may use it already, BucketAlreadyExists, or InvalidBucketName.
 */
export function admitCreation(call: Call, bucket: string, nowMs: number): void {
  call.bucket = bucket;
  if (isUsable(call, bucket, nowMs)) {
    throw new Failure("BucketAlreadyOwnedByYou", `Bucket "${bucket}" exists already, and you may use it`);
  }
  const verdict = authorize(call.principal, "CreateBucket", resourceOf(call, bucket), nowMs);
  if (verdict !== "allowed") {
    throw new Failure("AccessDenied", `Bucket "${bucket}" cannot be made: ${verdict.deniedBy}`);
  }
  if (call.snapshot.config.selfService === undefined) {
    throw new Failure("AccessDenied", `Bucket "${bucket}" cannot be made: the store has no self-service`);
  }
  if (call.snapshot.buckets.has(bucket)) throw alreadyExists(bucket);
  if (!isBucketName(bucket)) {
    throw new Failure("InvalidBucketName", `"${bucket}" cannot be the name of a bucket`);
  }
}

/** The name is one that a configuration has, or had: it stays with the data. */
export function alreadyExists(bucket: string): Failure {
  return new Failure("BucketAlreadyExists", `The name "${bucket}" is taken: choose another`);
}

/** As for an EncryptedBucket: 3 to 63 of `a-z0-9.-`, letters or digits at both ends, no `..`, no IPv4 address. */
function isBucketName(name: string): boolean {
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(name)) return false;
  return !name.includes("..") && !/^\d+\.\d+\.\d+\.\d+$/.test(name);
}

function resourceOf(call: Call, bucket: string): Resource {
  return { bucket, selfServiceBucket: !call.snapshot.buckets.has(bucket) };
}
