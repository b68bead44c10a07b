/** Parts of an upload: each a segment of its own with a salt of its own, whose envelope says what was stored. */
import {
  bodyIdOf,
  bucketKeyIdOf,
  isPlaintextHead,
  openEnvelope,
  type Place,
  type ReadContents,
  sealEnvelope,
} from "../../envelope/envelope.ts";
import { EnvelopeError } from "../../envelope/failure.ts";
import { parseHead } from "../../envelope/head.ts";
import { sealedBytes } from "../../envelope/sizes.ts";
import { admit } from "../buckets/buckets.ts";
import type { Body, Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import type { EnvelopeSource, Page, Part, PartRef, UploadRef } from "../storage/storage.ts";
import type { Encryption } from "./encryption.ts";
import { keptDigests, type Taken, takeBody } from "./intake.ts";
import { checksumOf, etagText } from "./records.ts";
import type { Room } from "./room.ts";
import type { PartInfo, UploadInfo } from "./store.ts";
import { type ChecksumChoice, encryptionOf, noSuchUpload, type OpenedUpload, openUpload } from "./uploads.ts";

const PART_NUMBER_MAX = 10_000;

/** A part as it is stored, opened. */
export interface OpenedPart {
  readonly part: Part;
  readonly contents: ReadContents<"part">;
}

export async function putPart(
  room: Room,
  call: Call,
  ref: PartRef,
  body: Body,
): Promise<PartInfo & { readonly upload: UploadInfo }> {
  const bucket = admit(call, ref.bucket, "WriteObject", room.nowMs());
  const { partNumber } = ref;
  if (!Number.isInteger(partNumber) || partNumber < 1 || partNumber > PART_NUMBER_MAX) {
    throw new Failure("InvalidArgument", `A part number is 1 to ${PART_NUMBER_MAX}`);
  }
  const upload = await openUpload(room, call, bucket, uploadOf(ref));
  if (upload.state.completed !== undefined) throw noSuchUpload();
  checkAnnounced(body, upload.choice);
  const encryption = await encryptionOf(room, call, bucket, upload);
  const asked = upload.choice?.algorithm;
  let taken: Taken | undefined;
  const contentsNow = () => partContents(taken, encryption, body, asked);
  const source = partSource(ref, encryption, contentsNow);
  const draft = room.storage.part(uploadOf(ref), partNumber, source, call.signal);
  try {
    taken = await takeBody(call, body, encryption, partNumber, asked === undefined ? [] : [asked], draft);
    const part = await draft.commit();
    return { ...partInfo({ part, contents: contentsNow() }), upload: upload.info };
  } catch (error) {
    await draft.discard();
    throw error;
  }
}

export async function listParts(
  room: Room,
  call: Call,
  ref: UploadRef,
  afterPartNumber: number,
  limit: number,
): Promise<{ readonly upload: UploadInfo; readonly page: Page<PartInfo, number> }> {
  const bucket = admit(call, ref.bucket, "WriteObject", room.nowMs());
  const upload = await openUpload(room, call, bucket, ref);
  const page = await room.storage.parts(ref, afterPartNumber, limit, call.signal);
  const items: PartInfo[] = [];
  for (const part of page.items) items.push(partInfo(await openPart(room, call, bucket, upload, part)));
  return { upload: upload.info, page: { ...page, items } };
}

/** `Tampered` if the part belongs to another body, or its stored length is not the one that was sealed. */
export async function openPart(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  upload: OpenedUpload,
  part: Part,
): Promise<OpenedPart> {
  const { uploadId } = upload.ref;
  const bucketKey = await room.keys.byId(call, bucket, bucketKeyIdOf(part.envelope));
  const contents = openEnvelope(part.envelope, placeOf(uploadId, part.partNumber), bucketKey.key);
  if (Buffer.compare(bodyIdOf(part.envelope), upload.bodyId) !== 0) {
    throw new EnvelopeError("Tampered", `Part ${part.partNumber} belongs to another body`);
  }
  if (storedBytesOf(contents) !== part.storedBytes) {
    throw new EnvelopeError("Tampered", `Part ${part.partNumber} has another stored length than was sealed`);
  }
  return { part, contents };
}

function partInfo({ part, contents }: OpenedPart): PartInfo {
  const { partNumber, modifiedMs } = part;
  const { sizeBytes, etag } = contents;
  const checksums = (contents.checksums ?? []).map((checksum) => checksumOf(checksum, 0));
  return { partNumber, sizeBytes, etag: etagText(etag), modifiedMs, checksums };
}

function storedBytesOf({ bodyHead, sizeBytes }: ReadContents<"part">): number {
  if (isPlaintextHead(bodyHead)) return sizeBytes;
  return sealedBytes(sizeBytes, parseHead(bodyHead, "a part").chunkLog2);
}

function partContents(
  taken: Taken | undefined,
  { shown }: Encryption,
  body: Body,
  asked: NonNullable<ChecksumChoice>["algorithm"] | undefined,
): ReadContents<"part"> {
  if (taken === undefined) throw new Error("the storage asked for an envelope before the part was whole");
  const kept = [...keptDigests(taken, body, asked)];
  return {
    bodyHead: taken.head,
    sizeBytes: taken.sizeBytes,
    etag: { bytes: taken.etag, parts: shown === "AES256" ? 0 : 1 },
    checksums:
      kept.length === 0 ? undefined : kept.map(([algorithm, value]) => ({ algorithm, composite: false, value })),
  };
}

/** A storage that sends envelopes first has no place for that of a part: it keeps it beside the upload. */
function partSource(
  { uploadId, partNumber }: PartRef,
  { bucketKey, bodyId }: Encryption,
  contents: () => ReadContents<"part">,
): EnvelopeSource {
  const envelope = () => sealEnvelope(placeOf(uploadId, partNumber), contents(), bucketKey.id, bodyId, bucketKey.key);
  return { whole: () => ({ envelope: envelope(), tail: undefined }), early: () => NO_BYTES, tail: envelope };
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

function checkAnnounced(body: Body, choice: ChecksumChoice): void {
  const other = body.announced.find((algorithm) => algorithm !== "MD5" && algorithm !== choice?.algorithm);
  if (choice !== undefined && other !== undefined) {
    throw new Failure("InvalidRequest", `The upload was created with ${choice.algorithm}, the part came with ${other}`);
  }
}

function uploadOf({ bucket, name, uploadId }: UploadRef): UploadRef {
  return { bucket, name, uploadId };
}

function placeOf(uploadId: string, partNumber: number): Place & { readonly kind: "part" } {
  return { kind: "part", uploadId, partNumber };
}
