/**
 * Uploads in parts: begun, looked at, listed, aborted. How all parts are encrypted and summed is sealed at the beginning.
 * Their bytes are parts.ts's, their end is complete.ts's.
 */
import { CHECKSUM_BYTES } from "../../envelope/checksums.ts";
import {
  bodyIdOf,
  bucketKeyIdOf,
  type Contents,
  encodePartShape,
  openEnvelope,
  type Place,
  parsePartShape,
  type ReadContents,
  sealEnvelope,
} from "../../envelope/envelope.ts";
import { freshBytes } from "../../envelope/random.ts";
import { admit } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import type { BucketKey } from "../keys/keys.ts";
import type { After, ObjectRef, UploadRef, UploadState } from "../storage/storage.ts";
import { openKey } from "./bodies.ts";
import { canCombine } from "./digests.ts";
import { type Encryption, planEncryption } from "./encryption.ts";
import { afterOf } from "./list.ts";
import { kmsKeyIdOf, objectSource, SHOWN_AS, unlessEmpty } from "./records.ts";
import type { Room } from "./room.ts";
import type { ListQuery, PutWanted, UploadInfo, UploadListing } from "./store.ts";

export type ChecksumChoice = UploadInfo["checksum"];

export interface OpenedUpload {
  readonly ref: UploadRef;
  readonly state: UploadState;
  readonly contents: ReadContents<"upload">;
  readonly bodyId: Uint8Array;
  readonly choice: ChecksumChoice;
  readonly info: UploadInfo;
}

export async function createUpload(
  room: Room,
  call: Call,
  { bucket: bucketName, name }: ObjectRef,
  wanted: PutWanted,
): Promise<UploadInfo> {
  const bucket = admit(call, bucketName, "WriteObject", room.nowMs());
  checkChoice(wanted.checksum);
  const encryption = await planEncryption(room, call, bucket, wanted.encryption);
  const { bucketKey, bodyId } = encryption;
  const ref: UploadRef = { bucket: bucketName, name, uploadId: Buffer.from(freshBytes(16)).toString("hex") };
  const startedMs = room.nowMs();
  const contents = uploadContents(encryption, wanted, startedMs);
  const state = sealEnvelope(placeOf(ref), contents, bucketKey.id, bodyId, bucketKey.key);
  const source = objectSource(room, ref, encryption, wanted, () => {
    throw new Error("an upload is not whole when it begins");
  });
  await room.storage.createUpload(ref, state, source, call.signal);
  return infoOfUpload(ref, contents, bucketKey, startedMs, wanted.checksum);
}

/** NoSuchUpload if there is none; one that has been completed is still there, with what it became. */
export async function openUpload(room: Room, call: Call, bucket: BucketEntry, ref: UploadRef): Promise<OpenedUpload> {
  const opened = await openIfThere(room, call, bucket, ref);
  if (opened === undefined) throw noSuchUpload();
  return opened;
}

/** What parts, and in the end the object, are encrypted with: the upload's own data key, under the newest bucket key. */
export async function encryptionOf(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  upload: OpenedUpload,
): Promise<Encryption> {
  const { contents, bodyId } = upload;
  return {
    bucketKey: await room.keys.current(call, bucket),
    bodyId,
    dataKey: await openKey(room, call, bucket, upload),
    sealedKey: contents.key,
    shape: parsePartShape(contents.bodyHead),
    shown: contents.shown,
    context: contents.context,
  };
}

export async function abortUpload(room: Room, call: Call, ref: UploadRef): Promise<void> {
  admit(call, ref.bucket, "WriteObject", room.nowMs());
  await room.storage.abort(ref, call.signal);
}

export async function listUploads(
  room: Room,
  call: Call,
  bucketName: string,
  query: ListQuery & { readonly afterUploadId: string },
): Promise<UploadListing> {
  const bucket = admit(call, bucketName, "ListObjects", room.nowMs());
  const { prefix, delimiter, limit } = query;
  const asked = { prefix, delimiter: delimiter === "" ? undefined : delimiter, after: afterUpload(query), limit };
  const page = await room.storage.uploads(bucketName, asked, call.signal);
  const uploads: UploadInfo[] = [];
  for (const { bucket: inBucket, name, uploadId } of page.items) {
    const opened = await openIfThere(room, call, bucket, { bucket: inBucket, name, uploadId });
    // It may have ended since the page was read.
    if (opened !== undefined) uploads.push(opened.info);
  }
  const { next } = page;
  const last =
    next === undefined ? undefined : { name: next.name, uploadId: next.skip === "upload" ? next.uploadId : "" };
  return { uploads, prefixes: page.prefixes, truncated: next !== undefined, last };
}

export function noSuchUpload(): Failure {
  return new Failure("NoSuchUpload", "The upload does not exist, was completed or was aborted");
}

/** undefined: there is none, any more. */
export async function openIfThere(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  ref: UploadRef,
): Promise<OpenedUpload | undefined> {
  const state = await room.storage.uploadState(ref, call.signal);
  if (state === undefined) return undefined;
  const bucketKey = await room.keys.byId(call, bucket, bucketKeyIdOf(state.state));
  const contents = openEnvelope(state.state, placeOf(ref), bucketKey.key);
  const choice = choiceOf(contents);
  const info = infoOfUpload(ref, contents, bucketKey, contents.modifiedMs, choice);
  return { ref, state, contents, bodyId: bodyIdOf(state.state), choice, info };
}

function uploadContents(encryption: Encryption, wanted: PutWanted, startedMs: number): Contents<"upload"> {
  const { checksum, headers, tags } = wanted;
  return {
    key: encryption.sealedKey,
    bodyHead: encodePartShape(encryption.shape),
    modifiedMs: startedMs,
    shown: encryption.shown,
    checksums: checksum === undefined ? undefined : [choiceField(checksum)],
    headers: unlessEmpty(headers),
    tags: unlessEmpty(tags),
    context: encryption.context,
  };
}

/** An upload has no checksum yet, only the choice of one: its value is all zero. */
function choiceField({ algorithm, kind }: NonNullable<ChecksumChoice>) {
  return { algorithm, composite: kind === "composite", value: new Uint8Array(CHECKSUM_BYTES[algorithm]) };
}

function choiceOf({ checksums }: ReadContents<"upload">): ChecksumChoice {
  const field = checksums?.[0];
  return field && { algorithm: field.algorithm, kind: field.composite ? "composite" : "whole" };
}

function checkChoice(choice: ChecksumChoice): void {
  if (choice === undefined) return;
  const { algorithm, kind } = choice;
  if (kind === "whole" ? !canCombine(algorithm) : algorithm === "CRC64NVME") {
    const why = kind === "whole" ? "cannot be that of the whole object" : "is always that of the whole object";
    throw new Failure("InvalidRequest", `The checksum ${algorithm} of a multipart upload ${why}`);
  }
}

function infoOfUpload(
  ref: UploadRef,
  contents: Contents<"upload">,
  bucketKey: BucketKey,
  startedMs: number,
  checksum: ChecksumChoice,
): UploadInfo {
  const { key, shown } = contents;
  const byKms = shown === "aws:kms";
  return {
    ref,
    startedMs,
    shown: SHOWN_AS[shown],
    kmsKeyId: byKms ? kmsKeyIdOf(key, bucketKey) : undefined,
    bucketKeyEnabled: byKms && key.mode === "bucket",
    checksum,
  };
}

function afterUpload(query: ListQuery & { readonly afterUploadId: string }): After | undefined {
  const { after: name, afterUploadId: uploadId } = query;
  return name === "" || uploadId === "" ? afterOf(query) : { skip: "upload", name, uploadId };
}

/** Where the envelope of an upload is bound to. */
export function placeOf({ name, uploadId }: UploadRef): Place & { readonly kind: "upload" } {
  return { kind: "upload", objectName: name, uploadId };
}
