/**
 * The end of an upload: the listed parts, held against what is stored, become one object in one step of the storage.
 * The same question again gets the same answer for as long as the storage remembers the upload.
 */
import { setImmediate } from "node:timers/promises";
import { EnvelopeError } from "../../envelope/failure.ts";
import { admit } from "../buckets/buckets.ts";
import type { Call, ChecksumAlgorithm } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import { type Entry, type Part, StorageError, type UploadRef } from "../storage/storage.ts";
import { completeContents } from "./bodies.ts";
import { canCombine, combineWhole, compositeDigest } from "./digests.ts";
import { commitHeld } from "./find.ts";
import { type OpenedPart, openPart } from "./parts.ts";
import { etagText, infoOf, type Measured, objectSource, openObject } from "./records.ts";
import type { Room } from "./room.ts";
import type { Checksum, CompletedPart, CompleteWanted, ObjectInfo } from "./store.ts";
import { type ChecksumChoice, encryptionOf, noSuchUpload, type OpenedUpload, openUpload } from "./uploads.ts";

const S3_PART_BYTES_MIN = 5 * 2 ** 20;
const PARTS_AT_ONCE = 1000;
/** Opened without letting others run. */
const OPENED_AT_ONCE = 128;

export async function completeUpload(
  room: Room,
  call: Call,
  ref: UploadRef,
  listed: readonly CompletedPart[],
  wanted: CompleteWanted,
): Promise<ObjectInfo> {
  const bucket = admit(call, ref.bucket, "WriteObject", room.nowMs());
  const upload = await openUpload(room, call, bucket, ref);
  checkOrder(listed, upload.choice);
  checkStated(listed, upload.choice, wanted);
  const { completed } = upload.state;
  if (completed !== undefined) return answerAgain(room, call, bucket, completed, listed, wanted);
  try {
    return await completeOpen(room, call, bucket, upload, listed, wanted);
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== "no-upload") throw error;
    // Somebody else was faster: with the same parts, the answer is the same.
    const now = (await openUpload(room, call, bucket, ref)).state.completed;
    if (now === undefined) throw error;
    return answerAgain(room, call, bucket, now, listed, wanted);
  }
}

async function completeOpen(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  upload: OpenedUpload,
  listed: readonly CompletedPart[],
  wanted: CompleteWanted,
): Promise<ObjectInfo> {
  const { ref, contents, choice } = upload;
  let { state } = upload.state;
  let encryption = await encryptionOf(room, call, bucket, upload);
  const described = { headers: contents.headers ?? new Map(), tags: contents.tags ?? new Map() };
  const entry = await commitHeld(room, call, bucket, ref, wanted.conditions, async (expect) => {
    const now = await openUpload(room, call, bucket, ref);
    // Its data key was wrapped anew: the object has to be opened by what holds from now on.
    if (Buffer.compare(now.state.state, state) !== 0) {
      encryption = await encryptionOf(room, call, bucket, now);
      state = now.state.state;
    }
    const parts = await collectParts(room, call, bucket, upload, listed);
    checkParts(room, parts, listed, wanted);
    const measured = measure(parts, choice, room.nowMs());
    checkChecksums(measured.checksums, wanted);
    const source = objectSource(room, ref, encryption, described, () => measured);
    const stored = parts.map(({ part }) => part);
    return room.storage.complete({ ...ref, state }, stored, source, expect, call.signal);
  });
  return answerAgain(room, call, bucket, entry, listed, wanted);
}

/** What the upload became, if it is what these parts give and what is said of them. Part numbers are not kept. */
async function answerAgain(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  completed: Entry,
  listed: readonly CompletedPart[],
  wanted: CompleteWanted,
): Promise<ObjectInfo> {
  const opened = await openObject(room, call, bucket, completed);
  const { contents, bucketKey, entry } = await completeContents(room, call, bucket, opened);
  const etags = listed.map(({ etag }) => Buffer.from(etag.slice(0, 32), "hex"));
  const info = infoOf(entry.ref, contents, bucketKey);
  if (info.etag !== etagText(etagOfParts(etags))) throw noSuchUpload();
  checkSize(info.sizeBytes, wanted);
  checkChecksums(info.checksums, wanted);
  return info;
}

function checkOrder(listed: readonly CompletedPart[], choice: ChecksumChoice): void {
  if (listed.length === 0) throw new Failure("MalformedXML", "A completed upload has at least one part");
  let before = 0;
  for (const { partNumber } of listed) {
    if (partNumber <= before) throw new Failure("InvalidPartOrder", "The parts are not listed in ascending order");
    if (choice?.kind === "composite" && partNumber !== before + 1) {
      throw new Failure("InvalidPart", "With a composite checksum, part numbers run from 1 without gaps");
    }
    before = partNumber;
  }
}

/** The stored parts that are listed, in that order. */
async function collectParts(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  upload: OpenedUpload,
  listed: readonly CompletedPart[],
): Promise<OpenedPart[]> {
  const stored = await storedParts(room, call, upload.ref);
  const parts: OpenedPart[] = [];
  for (const { partNumber, etag } of listed) {
    const part = stored.get(partNumber);
    if (part === undefined) throw invalidPart(partNumber, "was not uploaded");
    const opened = await openPart(room, call, bucket, upload, part);
    if (etagText(opened.contents.etag) !== etag) throw invalidPart(partNumber, "has another ETag");
    parts.push(opened);
    if (parts.length % OPENED_AT_ONCE === 0) await setImmediate();
    call.signal.throwIfAborted();
  }
  return parts;
}

async function storedParts(room: Room, call: Call, ref: UploadRef): Promise<Map<number, Part>> {
  const stored = new Map<number, Part>();
  let after: number | undefined = 0;
  while (after !== undefined) {
    const page: { items: readonly Part[]; next: number | undefined } = await room.storage.parts(
      ref,
      after,
      PARTS_AT_ONCE,
      call.signal,
    );
    for (const part of page.items) stored.set(part.partNumber, part);
    after = page.next;
  }
  return stored;
}

function checkParts(
  room: Room,
  parts: readonly OpenedPart[],
  listed: readonly CompletedPart[],
  wanted: CompleteWanted,
): void {
  const leastBytes = Math.max(room.storage.traits.partBytesMin, room.partBytesMin ?? S3_PART_BYTES_MIN);
  let sizeBytes = 0;
  for (const [index, { part, contents }] of parts.entries()) {
    sizeBytes += contents.sizeBytes;
    if (index < parts.length - 1 && contents.sizeBytes < leastBytes) {
      throw new Failure("EntityTooSmall", `Part ${part.partNumber} has less than ${leastBytes} bytes`);
    }
    for (const [algorithm, value] of listed[index]?.checksums ?? []) {
      const stored = contents.checksums?.find((checksum) => checksum.algorithm === algorithm);
      if (stored === undefined || Buffer.compare(stored.value, value) !== 0) {
        throw invalidPart(part.partNumber, `has another ${algorithm}`);
      }
    }
  }
  checkSize(sizeBytes, wanted);
}

function checkSize(sizeBytes: number, wanted: CompleteWanted): void {
  if (wanted.sizeBytes !== undefined && wanted.sizeBytes !== sizeBytes) {
    throw new Failure("InvalidRequest", `The parts have ${sizeBytes} bytes instead of ${wanted.sizeBytes}`);
  }
}

function measure(parts: readonly OpenedPart[], choice: ChecksumChoice, modifiedMs: number): Measured {
  const entries = parts.map(({ contents }) => ({
    head: contents.bodyHead,
    plainBytes: contents.sizeBytes,
    etag: contents.etag.bytes,
    checksum: choice === undefined ? NO_BYTES : checksumOfPart(contents, choice.algorithm),
  }));
  return {
    sizeBytes: entries.reduce((sum, { plainBytes }) => sum + plainBytes, 0),
    etag: etagOfParts(entries.map(({ etag }) => etag)),
    checksums: choice === undefined ? [] : [wholeChecksum(choice, entries)],
    modifiedMs,
    table: { checksumAlgorithm: choice?.algorithm, entries },
    inOnePiece: false,
  };
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

function wholeChecksum(
  { algorithm, kind }: NonNullable<ChecksumChoice>,
  entries: readonly { readonly plainBytes: number; readonly checksum: Uint8Array }[],
): Measured["checksums"][number] {
  if (kind === "whole" && canCombine(algorithm)) {
    const values = entries.map(({ plainBytes, checksum }) => ({ value: checksum, plainBytes }));
    return { algorithm, composite: false, value: combineWhole(algorithm, values) };
  }
  const values = entries.map(({ checksum }) => checksum);
  return { algorithm, composite: true, value: compositeDigest(algorithm, values) };
}

/** Every part of an upload with a choice has been summed by it. */
function checksumOfPart({ checksums }: OpenedPart["contents"], algorithm: ChecksumAlgorithm): Uint8Array {
  const found = checksums?.find((checksum) => checksum.algorithm === algorithm);
  if (found === undefined) throw new EnvelopeError("Missing", `A part has no ${algorithm}`);
  return found.value;
}

/** What is said of the checksum can be judged before anything is read, but for its value. */
function checkStated(listed: readonly CompletedPart[], choice: ChecksumChoice, wanted: CompleteWanted): void {
  if (wanted.kind !== undefined && wanted.kind !== choice?.kind) {
    throw new Failure("InvalidRequest", "The checksum type is not the one that the upload was created with");
  }
  for (const [algorithm, { parts }] of wanted.checksums) {
    if (choice?.algorithm !== algorithm) {
      throw new Failure("InvalidRequest", `The upload was not created with ${algorithm}`);
    }
    if (parts === undefined) continue;
    if (choice.kind === "whole") {
      throw new Failure("InvalidRequest", `The ${algorithm} of the full object does not end with a number of parts`);
    }
    if (parts !== listed.length) throw badDigest(algorithm);
  }
}

function checkChecksums(found: readonly Pick<Checksum, "algorithm" | "value">[], wanted: CompleteWanted): void {
  for (const [algorithm, { value }] of wanted.checksums) {
    const ours = found.find((checksum) => checksum.algorithm === algorithm);
    if (ours === undefined || Buffer.compare(ours.value, value) !== 0) throw badDigest(algorithm);
  }
}

function badDigest(algorithm: ChecksumAlgorithm): Failure {
  return new Failure("BadDigest", `The ${algorithm} of the object is not the one that was promised`);
}

/** MD5 over the 16 bytes of each part's ETag. */
function etagOfParts(etags: readonly Uint8Array[]): { bytes: Uint8Array; parts: number } {
  return { bytes: compositeDigest("MD5", etags), parts: etags.length };
}

function invalidPart(partNumber: number, why: string): Failure {
  return new Failure("InvalidPart", `Part ${partNumber} ${why}`);
}
