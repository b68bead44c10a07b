// Of several EncryptedBuckets with one bucket name in one store, which one has it.

import type { EncryptedBucket } from "../../crds/encryptedbucket.ts";
import { bucketNameOf, storeNameOf } from "./bucket.ts";

/** By resource name, for each bucket whose name is another's: the resource that holds it. The one whose status says so
 *  keeps it, else the older has it, else the one with the smaller name. */
export function holdersOf(buckets: readonly EncryptedBucket[]): ReadonlyMap<string, string> {
  const claims = new Map<string, EncryptedBucket[]>();
  for (const bucket of buckets) {
    const place = `${storeNameOf(bucket)}/${bucketNameOf(bucket)}`;
    const others = claims.get(place);
    if (others === undefined) claims.set(place, [bucket]);
    else others.push(bucket);
  }
  const holders = new Map<string, string>();
  for (const rivals of claims.values()) {
    const [holder, ...rest] = rivals.sort(before);
    if (holder === undefined) continue;
    for (const loser of rest) holders.set(loser.metadata.name, holder.metadata.name);
  }
  return holders;
}

function before(left: EncryptedBucket, right: EncryptedBucket): number {
  const held = Number(holds(right)) - Number(holds(left));
  if (held !== 0) return held;
  const leftMade = left.metadata.creationTimestamp ?? "";
  const rightMade = right.metadata.creationTimestamp ?? "";
  if (leftMade !== rightMade) return leftMade < rightMade ? -1 : 1;
  return left.metadata.name < right.metadata.name ? -1 : 1;
}

function holds(bucket: EncryptedBucket): boolean {
  return bucket.status.bucketName === bucketNameOf(bucket);
}
