/** Makes the buckets that the configuration names, and knows since when they exist. */
import type { BucketEntry } from "../config/config.ts";
import { type Storage, StorageError } from "../storage/storage.ts";
import { type BucketDocument, bucketPath, parseBucketDocument, printBucketDocument } from "./documents.ts";

export interface BucketInfo {
  readonly name: string;
  readonly createdMs: number;
}

export interface Catalogue {
  prepare(buckets: readonly BucketEntry[], signal: AbortSignal): Promise<void>;
  describe(names: readonly string[], signal: AbortSignal): Promise<readonly BucketInfo[]>;
}

/** Together, so that the storage can put many into one commit. */
const AT_ONCE = 64;

export function createCatalogue(storage: Storage, nowMs: () => number): Catalogue {
  async function prepareOne(bucket: BucketEntry, signal: AbortSignal): Promise<void> {
    const path = bucketPath(bucket.name);
    if ((await storage.document(path, signal)) === undefined) {
      const made: BucketDocument = { madeBy: "configuration", createdMs: nowMs() };
      await storage.putDocument(path, printBucketDocument(made), "absent", signal).catch((error: unknown) => {
        // Another replica made it at the same time.
        if (!(error instanceof StorageError && error.code === "changed")) throw error;
      });
    }
    await storage.createBucket(bucket.name, signal);
  }

  async function describeOne(name: string, signal: AbortSignal): Promise<BucketInfo> {
    const document = await storage.document(bucketPath(name), signal);
    return { name, createdMs: document === undefined ? 0 : parseBucketDocument(document.bytes, name).createdMs };
  }

  return {
    async prepare(buckets, signal) {
      for (let from = 0; from < buckets.length; from += AT_ONCE) {
        await Promise.all(buckets.slice(from, from + AT_ONCE).map((bucket) => prepareOne(bucket, signal)));
      }
    },
    async describe(names, signal) {
      const infos: BucketInfo[] = [];
      for (const name of names) infos.push(await describeOne(name, signal));
      return infos;
    },
  };
}
