/** What the documents of buckets say, as far as a data plane that runs alone has to know. */
import { type Document, StorageError } from "../storage/storage.ts";

export const BUCKETS_PREFIX = "bucket/";

export function bucketPath(bucket: string): string {
  return BUCKETS_PREFIX + bucket;
}

/** Of a bucket's own document. Not: somebody made the bucket by request. */
export function isOfConfiguration(document: Document): boolean {
  return membersOf(document)["madeBy"] !== "self-service";
}

/** Throws StorageError "damaged". */
export function membersOf({ bytes, path }: Document): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString("utf8"));
    if (typeof value === "object" && value !== null) return value as Readonly<Record<string, unknown>>;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new StorageError("damaged", `the document "${path}" cannot be read`);
}
