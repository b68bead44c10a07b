/**
 * S3's meaning of objects, once, for every protocol and every storage: the contract of this room, told by objects.ts.
 * Sizes and offsets are those of the plaintext; all methods authorise, audit, and fail with Failure alone.
 */
import type { Body, Call, ChecksumAlgorithm } from "../call.ts";
import type { StepDone } from "../keys/keys.ts";
import type { ObjectRef, Page, PartRef, UploadRef } from "../storage/storage.ts";

/** What S3 answers say of the encryption. */
export type Shown = "none" | "AES256" | "aws:kms" | "customer";

export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly kind: "whole" | "composite";
  readonly value: Uint8Array;
  /** Of a composite value: the number after the hyphen. */
  readonly parts: number | undefined;
}

export interface ObjectInfo {
  readonly ref: ObjectRef;
  readonly sizeBytes: number;
  /** Without quotes: 32 hex digits, with `-N` where there is a suffix. */
  readonly etag: string;
  readonly modifiedMs: number;
  /** `content-type` and its like and `x-amz-meta-*`, in lower case; values are decoded UTF-8. */
  readonly headers: ReadonlyMap<string, string>;
  readonly tags: ReadonlyMap<string, string>;
  readonly shown: Shown;
  readonly kmsKeyId: string | undefined;
  readonly bucketKeyEnabled: boolean;
  readonly context: ReadonlyMap<string, string>;
  readonly checksums: readonly Checksum[];
  /** Of an object made by a multipart upload. */
  readonly partsCount: number | undefined;
}

/** What a listing says of an object. */
export interface ListedObject extends Pick<ObjectInfo, "ref" | "sizeBytes" | "etag" | "modifiedMs"> {
  readonly checksums: readonly Pick<Checksum, "algorithm" | "kind">[];
}

/** Conditions of a write: judged on what is there, and held by its tag until the commit. */
export interface WriteConditions {
  readonly ifMatch: string | undefined;
  /** Only `*` has a meaning for a write. */
  readonly ifNoneMatch: "*" | undefined;
}

/** Conditions of a read, as they came; entity tags without quotes, `*` as it stands. */
export interface ReadConditions {
  readonly ifMatch: readonly string[] | undefined;
  readonly ifNoneMatch: readonly string[] | undefined;
  readonly ifModifiedSinceMs: number | undefined;
  readonly ifUnmodifiedSinceMs: number | undefined;
}

/** The encryption that a request asks for; undefined members follow the bucket. */
export interface EncryptionWanted {
  readonly shown: "AES256" | "aws:kms" | undefined;
  readonly kmsKeyId: string | undefined;
  readonly context: ReadonlyMap<string, string> | undefined;
  readonly bucketKeyEnabled: boolean | undefined;
}

export interface PutWanted {
  readonly headers: ReadonlyMap<string, string>;
  readonly tags: ReadonlyMap<string, string>;
  readonly encryption: EncryptionWanted;
  readonly conditions: WriteConditions;
  /** Kept with the object; what the body announces is verified in any case, and all but MD5 of it kept. */
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly kind: "whole" | "composite" } | undefined;
}

export type RangeWanted =
  | { readonly kind: "bytes"; readonly first: number; readonly last: number | undefined }
  | { readonly kind: "suffix"; readonly bytes: number }
  | { readonly kind: "part"; readonly partNumber: number };

export interface GetWanted {
  readonly range: RangeWanted | undefined;
  readonly conditions: ReadConditions;
}

/**
 * Plaintext on its way out: blocks of about 1 MiB, to be written corked. When it exists, envelope, size, commitment and
 * first chunk have held. If the iteration throws, the connection is destroyed. Iterate it, or `close` it.
 */
export interface Reading extends AsyncIterable<readonly Uint8Array[]> {
  readonly info: ObjectInfo;
  /** [fromByte, toByte) of the plaintext. */
  readonly fromByte: number;
  readonly toByte: number;
  /** True where a range or a part was asked for and answered: 206. */
  readonly partial: boolean;
  close(): Promise<void>;
}

/** What HEAD answers: the same selection as GET, without bytes. */
export type Heading = Pick<Reading, "info" | "fromByte" | "toByte" | "partial">;

export interface ListQuery {
  readonly prefix: string;
  readonly delimiter: string;
  /** Exclusive; a common prefix skips all below it. Empty: from the beginning. */
  readonly after: string;
  /** 0 … 1000, names and common prefixes together. */
  readonly limit: number;
}

/** Ordered by UTF-8 bytes, items and prefixes merged by the reader where the protocol wants them apart. */
export interface Listing {
  readonly objects: readonly ListedObject[];
  readonly prefixes: readonly string[];
  readonly truncated: boolean;
  /** The last name or common prefix of the page. */
  readonly last: string | undefined;
}

/** A copy on this side: what is undefined follows the source, but for encryption, which follows the request and the bucket. */
export interface CopyWanted {
  /** Of the source: what does not hold is PreconditionFailed, whichever it is. */
  readonly source: ReadConditions;
  readonly headers: ReadonlyMap<string, string> | undefined;
  readonly tags: ReadonlyMap<string, string> | undefined;
  readonly encryption: EncryptionWanted;
  readonly conditions: WriteConditions;
  /** The one that the copy is to be kept with. */
  readonly checksum: ChecksumAlgorithm | undefined;
}

export interface PartCopyWanted {
  readonly source: ReadConditions;
  /** Both ends count; undefined: all of the source. */
  readonly range: { readonly first: number; readonly last: number } | undefined;
}

/** Of what is known of an object, never of its body. */
export type Change =
  | { readonly kind: "tags"; readonly tags: ReadonlyMap<string, string> }
  | { readonly kind: "encryption"; readonly encryption: EncryptionWanted };

/** One part of an object that was uploaded in parts. */
export interface StoredPart {
  readonly partNumber: number;
  readonly sizeBytes: number;
  readonly checksum: Checksum | undefined;
}

export interface RemoveWanted {
  readonly ifMatch: string | undefined;
}

export interface CompletedPart {
  readonly partNumber: number;
  readonly etag: string;
  readonly checksums: ReadonlyMap<ChecksumAlgorithm, Uint8Array>;
}

/** `parts`: the number after the hyphen, which may be left out. */
export type StatedChecksum = Pick<Checksum, "value" | "parts">;

export interface CompleteWanted {
  readonly conditions: WriteConditions;
  /** x-amz-mp-object-size. */
  readonly sizeBytes: number | undefined;
  /** x-amz-checksum-type: absent, it is the upload's. */
  readonly kind?: Checksum["kind"] | undefined;
  /** Of the whole object, where the client states one. */
  readonly checksums: ReadonlyMap<ChecksumAlgorithm, StatedChecksum>;
}

export interface PartInfo {
  readonly partNumber: number;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly modifiedMs: number;
  readonly checksums: readonly Checksum[];
}

export interface UploadInfo {
  readonly ref: UploadRef;
  readonly startedMs: number;
  readonly shown: Shown;
  readonly kmsKeyId: string | undefined;
  readonly bucketKeyEnabled: boolean;
  readonly checksum: { readonly algorithm: ChecksumAlgorithm; readonly kind: "whole" | "composite" } | undefined;
}

export interface UploadListing {
  readonly uploads: readonly UploadInfo[];
  readonly prefixes: readonly string[];
  readonly truncated: boolean;
  readonly last: { readonly name: string; readonly uploadId: string } | undefined;
}

export interface ObjectStore {
  put(call: Call, ref: ObjectRef, body: Body, wanted: PutWanted): Promise<ObjectInfo>;
  get(call: Call, ref: ObjectRef, wanted: GetWanted): Promise<Reading>;
  head(call: Call, ref: ObjectRef, wanted: GetWanted): Promise<Heading>;
  list(call: Call, bucket: string, query: ListQuery): Promise<Listing>;
  /** Leaves the body alone wherever it can: ETag and checksums are the source's. The caller must be allowed to read it. */
  copy(call: Call, from: ObjectRef, to: ObjectRef, wanted: CopyWanted): Promise<ObjectInfo>;
  /** Body, ETag and times stay. */
  change(call: Call, ref: ObjectRef, change: Change): Promise<ObjectInfo>;
  /** The parts of an object that was uploaded in parts, in their order; none of any other. */
  storedParts(
    call: Call,
    ref: ObjectRef,
    conditions: ReadConditions,
  ): Promise<{ readonly info: ObjectInfo; readonly parts: readonly StoredPart[] }>;
  /** What is absent is removed. */
  remove(call: Call, ref: ObjectRef, wanted: RemoveWanted): Promise<void>;
  createUpload(call: Call, ref: ObjectRef, wanted: PutWanted): Promise<UploadInfo>;
  /** `upload` of the answer says how the part is encrypted. */
  putPart(call: Call, part: PartRef, body: Body): Promise<PartInfo & { readonly upload: UploadInfo }>;
  /** The bytes are opened and sealed again: a part has a salt of its own. */
  copyPart(
    call: Call,
    from: ObjectRef,
    part: PartRef,
    wanted: PartCopyWanted,
  ): Promise<PartInfo & { readonly upload: UploadInfo }>;
  completeUpload(
    call: Call,
    upload: UploadRef,
    parts: readonly CompletedPart[],
    wanted: CompleteWanted,
  ): Promise<ObjectInfo>;
  abortUpload(call: Call, upload: UploadRef): Promise<void>;
  /** `upload` of the answer says how the parts are encrypted and summed. */
  parts(
    call: Call,
    upload: UploadRef,
    afterPartNumber: number,
    limit: number,
  ): Promise<{ readonly upload: UploadInfo; readonly page: Page<PartInfo, number> }>;
  uploads(call: Call, bucket: string, query: ListQuery & { readonly afterUploadId: string }): Promise<UploadListing>;
  /** One bounded step of wrapping anew, under the newest version of the bucket's KMS key, what that key itself wrapped. */
  rewrap(call: Call, bucket: string, cursor: string | undefined): Promise<StepDone>;
  /** The same for uploads that are open. To be done before: an upload that ends meanwhile is an object then. */
  rewrapUploads(call: Call, bucket: string, cursor: string | undefined): Promise<StepDone>;
}
