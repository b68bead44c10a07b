/** Removes a bucket whose configuration says so: if it is empty, or after everything in it has been removed. */
import type { Buckets } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { failureOf } from "../failure.ts";
import { noCounts } from "../keys/keys.ts";
import type { ObjectStore } from "../objects/objects.ts";
import { type Storage, StorageError } from "../storage/storage.ts";
import type { JobKind, JobStep } from "./kind.ts";

const OBJECTS_PER_STEP = 100;
const DOCUMENTS_PER_PAGE = 100;

const finished: JobStep = { cursor: undefined, counts: noCounts, keyVersions: [], blocked: undefined };

/** It is to be served again: the next configuration is about to say so. */
const servedAgain: JobStep = { ...finished, cursor: "more", waits: "ServedAgain" };

export function createEmptyJob(
  storage: Storage,
  objects: ObjectStore,
  { removing }: Pick<Buckets, "removing">,
): JobKind {
  return {
    kind: "empty",
    wanted: (snapshot) =>
      snapshot.config.buckets
        .filter((bucket) => bucket.state !== "serve")
        .map((bucket) => ({ bucket: bucket.name, wish: `${bucket.state} ${bucket.revision}` })),
    async step(call, spec) {
      const bucket = call.snapshot.buckets.get(spec.bucket);
      // It went with a newer configuration: then so did the wish.
      if (bucket === undefined) return finished;
      try {
        return (await removing(bucket.name, () => removalStep(call, bucket, storage, objects))) ?? servedAgain;
      } catch (error) {
        throw failureOf(error, `empty bucket "${bucket.name}"`);
      }
    },
  };
}

async function removalStep(call: Call, bucket: BucketEntry, storage: Storage, objects: ObjectStore): Promise<JobStep> {
  if (bucket.state === "empty-and-remove" && (await removeSome(call, bucket, storage, objects))) {
    return { ...finished, cursor: "more" };
  }
  return await removeBucket(bucket.name, storage, call.signal);
}

/** Whether there was something to remove. */
async function removeSome(call: Call, bucket: BucketEntry, storage: Storage, objects: ObjectStore): Promise<boolean> {
  const query = { prefix: "", delimiter: undefined, after: undefined, limit: OBJECTS_PER_STEP };
  try {
    const page = await storage.list(bucket.name, query, call.signal);
    await Promise.all(page.items.map(({ ref }) => objects.remove(call, ref, { ifMatch: undefined })));
    return page.items.length > 0;
  } catch (error) {
    if (error instanceof StorageError && error.code === "no-bucket") return false;
    throw error;
  }
}

/** The bucket first, in one step with concurrent commits; only then its keys, which open nothing any more. */
async function removeBucket(bucket: string, storage: Storage, signal: AbortSignal): Promise<JobStep> {
  try {
    await storage.removeBucket(bucket, signal);
  } catch (error) {
    if (!(error instanceof StorageError)) throw error;
    if (error.code === "not-empty") return { ...finished, blocked: "BucketNotEmpty" };
    if (error.code !== "no-bucket") throw error;
  }
  for (;;) {
    const page = await storage.documents(`bucket/${bucket}/`, "", DOCUMENTS_PER_PAGE, signal);
    for (const document of page.items) await storage.removeDocument(document.path, document.tag, signal);
    if (page.next === undefined) break;
  }
  const own = await storage.document(`bucket/${bucket}`, signal);
  if (own !== undefined) await storage.removeDocument(own.path, own.tag, signal);
  return finished;
}
