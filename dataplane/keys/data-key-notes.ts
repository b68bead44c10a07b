/**
 * Notes, as a document, that the KMS itself wrapped a data key in a bucket. It is there before the first such key, so a
 * rewrap of a bucket without it has no objects to look at, however many there are.
 */
import type { BucketEntry } from "../config/config.ts";
import { type Storage, StorageError } from "../storage/storage.ts";

export interface DataKeyNotes {
  /** Durable when it resolves; asks the storage once for each configuration entry: a bucket that was removed and comes
   *  again under its name has another, and no note any more. */
  note(bucket: BucketEntry, signal: AbortSignal): Promise<void>;
  isNoted(bucket: string, signal: AbortSignal): Promise<boolean>;
}

export function createDataKeyNotes(storage: Storage): DataKeyNotes {
  const noted = new WeakSet<BucketEntry>();
  return {
    async note(bucket, signal) {
      if (noted.has(bucket)) return;
      try {
        await storage.putDocument(pathOf(bucket.name), Buffer.from('{"format":1}'), "absent", signal);
      } catch (error) {
        if (!(error instanceof StorageError && error.code === "changed")) throw error;
      }
      noted.add(bucket);
    },
    isNoted: async (bucket, signal) => (await storage.document(pathOf(bucket), signal)) !== undefined,
  };
}

function pathOf(bucket: string): string {
  return `bucket/${bucket}/data-keys`;
}
