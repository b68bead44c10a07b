/**
 * Wraps anew what the KMS wrapped, once per wish of the configuration: the bucket's keys, then, where there are any, the
 * data keys of single objects.
 */
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { type BucketKeys, noCounts, type StepDone } from "../keys/keys.ts";
import type { ObjectStore } from "../objects/objects.ts";
import { bucketOf } from "../snapshot.ts";
import type { JobKind } from "./kind.ts";

const KEYS = "keys:";
const OBJECTS = "objects:";

export function createRewrapJob(keys: BucketKeys, objects: Pick<ObjectStore, "rewrap">): JobKind {
  async function step(call: Call, bucket: BucketEntry, cursor: string): Promise<StepDone> {
    if (cursor.startsWith(OBJECTS)) {
      const done = await objects.rewrap(call, bucket.name, cursor.slice(OBJECTS.length) || undefined);
      return { ...done, cursor: done.cursor && OBJECTS + done.cursor };
    }
    const done = await keys.rewrap(call, bucket, cursor.slice(KEYS.length) || undefined);
    if (done.cursor !== undefined) return { ...done, cursor: KEYS + done.cursor };
    const hasObjects = await keys.wrapsDataKeys(call, bucket);
    return { ...done, cursor: hasObjects ? OBJECTS : undefined };
  }

  return {
    kind: "rewrap",
    wanted: (snapshot) =>
      [...snapshot.config.buckets, ...snapshot.made.all()]
        .filter((bucket) => bucket.rewrapWish !== "" && bucket.state === "serve")
        .map((bucket) => ({ bucket: bucket.name, wish: bucket.rewrapWish })),
    async step(call, spec, cursor) {
      const bucket = bucketOf(call.snapshot, spec.bucket);
      // It went, or a newer configuration has it no more: then the wish went too.
      if (bucket === undefined) return { cursor: undefined, counts: noCounts, keyVersions: [], blocked: undefined };
      return { ...(await step(call, bucket, cursor ?? KEYS)), blocked: undefined };
    },
  };
}
