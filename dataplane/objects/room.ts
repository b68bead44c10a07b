/** What the verbs of this room are given, and what surrounds each of them: a Failure whatever went wrong, and one audit line. */
import type { Audit, AuditEvent } from "../audit/audit.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { type Failure, failureOf } from "../failure.ts";
import type { BucketKeys } from "../keys/keys.ts";
import type { Metrics } from "../metrics.ts";
import type { Storage } from "../storage/storage.ts";
import type { ListedMemory } from "./listed.ts";
import type { OpenedMemory } from "./opened.ts";
import type { Queues } from "./queues.ts";

export interface ObjectsNeeds {
  readonly storage: Storage;
  readonly keys: BucketKeys;
  readonly audit: Audit;
  readonly nowMs: () => number;
  /** What objects of the bucket show where the request does not say. `none` stores plaintext, where the bucket permits it. */
  shownByDefault(call: Call, bucket: BucketEntry): DefaultShown | Promise<DefaultShown>;
  /** The least that a part but the last may have; S3's 5 MiB if left out. The storage may ask for more. */
  readonly partBytesMin?: number;
  readonly metrics?: Pick<Metrics, "listed">;
}

/** What the verbs share: what they were given, what they remember, and who waits for whom. */
export interface Room extends ObjectsNeeds {
  readonly opened: OpenedMemory;
  readonly listed: ListedMemory;
  readonly queues: Queues;
}

export type DefaultShown = "AES256" | "aws:kms" | "none";

/** The operations of the audit line, as S3 calls them, and how messages say what could not be done. */
const DOING = {
  PutObject: "store",
  GetObject: "read",
  HeadObject: "read",
  ListObjects: "list",
  DeleteObject: "remove",
  CopyObject: "copy to",
  ChangeObject: "change",
  GetObjectAttributes: "read",
  UploadPartCopy: "copy to a part of",
  CreateMultipartUpload: "begin an upload of",
  UploadPart: "store a part of",
  CompleteMultipartUpload: "complete the upload of",
  AbortMultipartUpload: "abort the upload of",
  ListParts: "list the parts of",
  ListMultipartUploads: "list the uploads of",
  RewrapObjects: "wrap the data keys anew of",
  RewrapUploads: "wrap the data keys of uploads anew in",
} as const;

/** What an operation says of itself in the audit line. */
export interface Deed {
  readonly operation: keyof typeof DOING;
  readonly kind: AuditEvent["kind"];
  readonly bucket: string;
  readonly name?: string | undefined;
}

/** Runs one operation; its audit line is written before the answer. `bytesOf`: plaintext bytes moved, if it succeeded. */
export async function audited<Result>(
  room: Room,
  call: Call,
  deed: Deed,
  work: () => Promise<Result>,
  bytesOf?: (result: Result) => number,
): Promise<Result> {
  call.bucket = deed.bucket;
  call.name = deed.name;
  let result: Result;
  try {
    result = await work();
  } catch (error) {
    throw await auditedFailure(room, call, deed, error);
  }
  await room.audit(call, { ...deed, bytes: bytesOf?.(result) });
  return result;
}

/** The Failure that an error becomes, once it stands in the audit line. */
export async function auditedFailure(
  room: Room,
  call: Call,
  deed: Deed,
  error: unknown,
  bytes?: number,
): Promise<Failure> {
  const what = deed.name === undefined ? `bucket "${deed.bucket}"` : `"${deed.name}"`;
  const failure = failureOf(error, `${DOING[deed.operation]} ${what}`);
  await room.audit(call, { ...deed, bytes, failure });
  return failure;
}
