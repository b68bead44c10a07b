/**
 * Wraps anew what the KMS wrapped, once per wish of the configuration: the bucket's keys, then, where there are any, the
 * data keys of open uploads and of single objects. In this order, since an upload that ends meanwhile is an object then.
 */
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { type BucketKeys, noCounts, type StepDone } from "../keys/keys.ts";
import type { ObjectStore } from "../objects/objects.ts";
import { bucketOf } from "../snapshot.ts";
import type { JobKind, JobSpec } from "./kind.ts";

const KEYS = "keys:";
const UPLOADS = "uploads:";
const OBJECTS = "objects:";

type Objects = Pick<ObjectStore, "rewrap" | "rewrapUploads">;

/** Of what may take long, these put no data key anywhere: an upload has its own already. */
const HARMLESS: ReadonlySet<string> = new Set(["GetObject", "UploadPart", "UploadPartCopy"]);

/** `isUnderWay`: whether a call is being served for which that holds. */
export function createRewrapJob(
  keys: BucketKeys,
  objects: Objects,
  isUnderWay: (holds: (call: Call) => boolean) => boolean,
): JobKind {
  async function step(call: Call, bucket: BucketEntry, cursor: string): Promise<StepDone> {
    if (cursor.startsWith(UPLOADS)) {
      const done = await objects.rewrapUploads(call, bucket.name, cursor.slice(UPLOADS.length) || undefined);
      return { ...done, cursor: done.cursor === undefined ? OBJECTS : UPLOADS + done.cursor };
    }
    if (cursor.startsWith(OBJECTS)) {
      const done = await objects.rewrap(call, bucket.name, cursor.slice(OBJECTS.length) || undefined);
      return { ...done, cursor: done.cursor && OBJECTS + done.cursor };
    }
    const done = await keys.rewrap(call, bucket, cursor.slice(KEYS.length) || undefined);
    if (done.cursor !== undefined) return { ...done, cursor: KEYS + done.cursor };
    const hasDataKeys = await keys.wrapsDataKeys(call, bucket);
    return { ...done, cursor: hasDataKeys ? UPLOADS : undefined };
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
      if (cursor === UPLOADS && isUnderWay((other) => mayHoldOldKey(other, spec))) {
        return { cursor, counts: noCounts, keyVersions: [], blocked: undefined, waits: "WritesUnderWay" };
      }
      return { ...(await step(call, bucket, cursor ?? KEYS)), blocked: undefined };
    },
  };
}

/**
 * Who came under another wish may have had a data key wrapped by the version before, and puts it where the sweep finds it
 * only once the whole body has come: the sweep begins behind him.
 */
function mayHoldOldKey(call: Call, { bucket, wish }: JobSpec): boolean {
  if (call.bucket !== bucket || call.principal.kind === "job" || HARMLESS.has(call.operation)) return false;
  return bucketOf(call.snapshot, bucket)?.rewrapWish !== wish;
}
