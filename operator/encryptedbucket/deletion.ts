// What becomes of a bucket's objects when its resource is deleted: pure. A finalizer holds the resource while the data
// plane removes them; it is dropped, and the data are kept, when nobody is left who could.

import type { EncryptedBucket } from "../../crds/encryptedbucket.ts";
import { FINALIZERS } from "../../crds/names.ts";
import { no, type Verdict, yes } from "../conditions.ts";
import type { Notice } from "../kind.ts";
import type { PodFacts } from "../rollout.ts";

/** How long the data plane may be away before a deletion ends without it. */
const PATIENCE_MS = 5 * 60_000;

export interface DeletionObserved {
  readonly bucket: EncryptedBucket;
  readonly bucketName: string;
  /** Another has the bucket's name: this one has no objects. */
  readonly isHeldByAnother: boolean;
  /** It is in the configuration of the store, or can be. */
  readonly isServable: boolean;
  /** Gone, or going itself. */
  readonly isStoreGone: boolean;
  readonly pods: readonly PodFacts[];
  readonly withoutReadyPodMs: number;
  /** Of the entry in the configuration that pods are given; undefined: it has none. */
  readonly revision: number | undefined;
}

export interface DeletionPlan {
  /** undefined: those that it has. */
  readonly finalizers: readonly string[] | undefined;
  /** DeletionBlocked, present only while true. */
  readonly blocked: Verdict;
  readonly events: readonly Notice[];
  readonly againAfterMs: number | undefined;
}

export function planDeletion(observed: DeletionObserved, now: Date): DeletionPlan {
  const { metadata, spec } = observed.bucket;
  const { finalizers = [], deletionTimestamp } = metadata;
  const isHeld = finalizers.includes(FINALIZERS.deleteBucket);
  const without = finalizers.filter((finalizer) => finalizer !== FINALIZERS.deleteBucket);
  const isWanted = spec.deletionPolicy !== "Retain";
  if (deletionTimestamp === undefined) {
    if (isWanted === isHeld) return left();
    return { ...left(), finalizers: isWanted ? [...finalizers, FINALIZERS.deleteBucket] : without };
  }
  if (!isHeld) return left();
  if (!isWanted || observed.isHeldByAnother) return { ...left(), finalizers: without };
  const kept = whyKept(observed, now);
  if (kept !== undefined) {
    const event: Notice = { type: "Warning", reason: "DataKept", message: `${kept}: the objects are kept` };
    return { ...left(), finalizers: without, events: [event] };
  }
  const job = removalOf(observed);
  if (job?.state === "done") return { ...left(), finalizers: without };
  if (job?.state === "blocked" && job.reason === "BucketNotEmpty") {
    const message = `The bucket is not empty: remove its objects, or set spec.deletionPolicy to DeleteWithObjects, or to Retain to keep them`;
    return { ...left(), blocked: yes("DeletionBlocked", "BucketNotEmpty", message) };
  }
  return { ...left(), againAfterMs: PATIENCE_MS - forsakenMs(observed, now) };
}

function left(): DeletionPlan {
  return {
    finalizers: undefined,
    blocked: no("DeletionBlocked", "BucketNotEmpty", ""),
    events: [],
    againAfterMs: undefined,
  };
}

function whyKept(observed: DeletionObserved, now: Date): string | undefined {
  const { isStoreGone, isServable } = observed;
  if (isStoreGone) return "The store has gone";
  if (!isServable) return "The bucket was never served";
  if (forsakenMs(observed, now) < PATIENCE_MS) return undefined;
  return "No pod of the store has been ready for five minutes";
}

/** How long it has been going without a pod that could do it. */
function forsakenMs({ bucket, withoutReadyPodMs }: DeletionObserved, now: Date): number {
  const goingMs = now.getTime() - Date.parse(bucket.metadata.deletionTimestamp ?? "");
  return Math.min(goingMs, withoutReadyPodMs);
}

/** The job that works for the entry as it is now: an older one had another policy, or another bucket of that name. */
function removalOf({ bucketName, pods, revision }: DeletionObserved) {
  const jobs = pods.flatMap((pod) => pod.jobs);
  return jobs.find(({ kind, bucket, wish }) => {
    const [, ofRevision] = wish.split(" ");
    return kind === "empty" && bucket === bucketName && Number(ofRevision) === revision;
  });
}
