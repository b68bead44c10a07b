/** Wraps every bucket key of a bucket anew, once per wish of the configuration. */
import type { BucketKeys } from "../keys/keys.ts";
import type { JobKind } from "./jobs.ts";

export function createRewrapJob(keys: BucketKeys): JobKind {
  return {
    kind: "rewrap",
    wanted: (snapshot) =>
      snapshot.config.buckets
        .filter((bucket) => bucket.rewrapWish !== "" && bucket.state === "serve")
        .map((bucket) => ({ bucket: bucket.name, wish: bucket.rewrapWish })),
    async step(call, spec, cursor) {
      const bucket = call.snapshot.buckets.get(spec.bucket);
      if (bucket === undefined) throw new Error(`a job for "${spec.bucket}", which the configuration does not have`);
      return { ...(await keys.rewrap(call, bucket, cursor)), blocked: undefined };
    },
  };
}
