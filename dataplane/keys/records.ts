/** Bucket-key records as documents: where they stand, and what must hold before anybody is asked to open one. */
import { parseBucketKeyRecord, type ReadBucketKeyRecord } from "../../envelope/record.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure, failureOf } from "../failure.ts";
import type { Document, Storage } from "../storage/storage.ts";

/** A record that stands where it says it belongs. */
export interface FoundRecord {
  readonly document: Document;
  readonly record: ReadBucketKeyRecord;
  readonly idHex: string;
}

const PAGE = 100;

export function recordsPrefix(bucket: string): string {
  return `bucket/${bucket}/key/`;
}

export function recordPath(bucket: string, id: Uint8Array): string {
  return recordsPrefix(bucket) + Buffer.from(id).toString("hex");
}

/** All records of a bucket, ordered by id. Throws if one of them is not what its place says. */
export async function listRecords(
  storage: Storage,
  bucket: BucketEntry,
  storeId: Uint8Array,
  signal: AbortSignal,
): Promise<readonly FoundRecord[]> {
  const found: FoundRecord[] = [];
  let after: string | undefined = "";
  while (after !== undefined) {
    const page = await storage.documents(recordsPrefix(bucket.name), after, PAGE, signal);
    for (const document of page.items) found.push(readRecord(document, bucket, storeId));
    after = page.next;
  }
  return found;
}

/** A record that is not there is an error: an envelope named it. */
export async function findRecord(
  storage: Storage,
  bucket: BucketEntry,
  storeId: Uint8Array,
  id: Uint8Array,
  signal: AbortSignal,
): Promise<FoundRecord> {
  const document = await storage.document(recordPath(bucket.name, id), signal);
  if (document !== undefined) return readRecord(document, bucket, storeId);
  throw new Failure(
    "InternalError",
    `Cannot open what is stored in "${bucket.name}": its bucket key is not among the bucket's records`,
    { tamper: true },
  );
}

/** Id, store, bucket and context must be those of the place: what the record itself says decides nothing. */
export function readRecord(document: Document, bucket: BucketEntry, storeId: Uint8Array): FoundRecord {
  let record: ReadBucketKeyRecord;
  try {
    record = parseBucketKeyRecord(document.bytes);
  } catch (error) {
    throw failureOf(error, `read a bucket key of "${bucket.name}"`);
  }
  const idHex = document.path.slice(recordsPrefix(bucket.name).length);
  const inPlace =
    Buffer.from(record.id).toString("hex") === idHex &&
    Buffer.compare(record.storeId, storeId) === 0 &&
    record.bucket === bucket.name &&
    sameContext(record.context, bucket.context);
  if (!inPlace) {
    throw new Failure(
      "InternalError",
      `Cannot read a bucket key of "${bucket.name}": the record belongs to another key, bucket, store or context`,
      { tamper: true },
    );
  }
  return { document, record, idHex };
}

function sameContext(recorded: ReadonlyMap<string, string>, configured: Readonly<Record<string, string>>): boolean {
  const names = Object.keys(configured);
  return names.length === recorded.size && names.every((name) => recorded.get(name) === configured[name]);
}
