/** The document that keeps a bucket's name: who made it, and when. It is written before the bucket's first key. */
import { StorageError } from "../storage/storage.ts";

export interface BucketDocument {
  readonly madeBy: "configuration" | "self-service";
  readonly createdMs: number;
}

export const BUCKETS_PREFIX = "bucket/";

export function bucketPath(bucket: string): string {
  return BUCKETS_PREFIX + bucket;
}

export function printBucketDocument(document: BucketDocument): Uint8Array {
  return Buffer.from(JSON.stringify({ format: 1, ...document }), "utf8");
}

/** Throws StorageError "damaged". */
export function parseBucketDocument(bytes: Uint8Array, bucket: string): BucketDocument {
  const damaged = () => new StorageError("damaged", `the document of bucket "${bucket}" cannot be read`);
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString("utf8"));
  } catch {
    throw damaged();
  }
  if (typeof value !== "object" || value === null) throw damaged();
  const { format, madeBy, createdMs } = value as Readonly<Record<string, unknown>>;
  const known = madeBy === "configuration" || madeBy === "self-service";
  if (format !== 1 || !known || typeof createdMs !== "number") throw damaged();
  return { madeBy, createdMs };
}
