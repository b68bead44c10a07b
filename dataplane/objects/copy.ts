/**
 * Copies on this side. The body stays where it is and gets a second envelope, under its own data key and with its own
 * ETag; only another suite, plaintext on one side, or a storage that cannot share bodies opens and seals the bytes again.
 */
import { type Contents, isPlaintextHead } from "../../envelope/envelope.ts";
import { parseHead } from "../../envelope/head.ts";
import { admit } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import { type Draft, type Entry, type ObjectRef, type PartRef, StorageError } from "../storage/storage.ts";
import { openKeyBytes } from "./bodies.ts";
import { createDigest } from "./digests.ts";
import { type Decision, decideEncryption, type Encryption, encryptUnder, planEncryption } from "./encryption.ts";
import { commitHeld } from "./find.ts";
import { takeBody } from "./intake.ts";
import { putPart } from "./parts.ts";
import { queueOf } from "./queues.ts";
import { type Described, infoOf, type Measured, newInfo, objectSource, sealObject, unlessEmpty } from "./records.ts";
import type { Room } from "./room.ts";
import { bodyOfSource, holdingSource, type Source, withSource } from "./source.ts";
import type { CopyWanted, ObjectInfo, PartCopyWanted, PartInfo, UploadInfo } from "./store.ts";

const COPIED_BYTES_MAX = 5 * 2 ** 30;

interface Copy {
  readonly source: Source;
  readonly bucket: BucketEntry;
  readonly to: ObjectRef;
  readonly wanted: CopyWanted;
  readonly described: Described;
  readonly checksums: Measured["checksums"];
}

export async function copyObject(
  room: Room,
  call: Call,
  from: ObjectRef,
  to: ObjectRef,
  wanted: CopyWanted,
): Promise<ObjectInfo> {
  const bucket = admit(call, to.bucket, "WriteObject", room.nowMs());
  const origin = admitSource(room, call, from, to);
  const info = await withSource(room, call, origin, from, wanted.source, queueOf(from), async (source) => {
    checkCopied(source, to, wanted);
    const { contents } = source.object;
    const headers = wanted.headers ?? contents.headers ?? new Map();
    const tags = wanted.tags ?? contents.tags ?? new Map();
    const checksums = await checksumsOf(room, call, source, wanted);
    const copy = { source, bucket, to, wanted, described: { headers, tags }, checksums };
    const decision = await decideEncryption(room, call, bucket, wanted.encryption);
    if (!fits(source, decision)) return sealAgain(room, call, copy);
    try {
      return await keepBody(room, call, copy, decision);
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== "unsupported") throw error;
      return sealAgain(room, call, copy);
    }
  });
  await auditSource(room, call, "CopyObject", from, info.sizeBytes);
  return info;
}

/** The bytes are sealed again in any case: a part is bound to its upload, and has a salt of its own. */
export async function copyPart(
  room: Room,
  call: Call,
  from: ObjectRef,
  part: PartRef,
  wanted: PartCopyWanted,
): Promise<PartInfo & { readonly upload: UploadInfo }> {
  admit(call, part.bucket, "WriteObject", room.nowMs());
  const origin = admitSource(room, call, from, part);
  // Its bytes are moved: nobody else has to wait for that.
  const queue = `part ${part.uploadId} ${part.partNumber}`;
  const info = await withSource(room, call, origin, from, wanted.source, queue, async (source) => {
    const { sizeBytes } = source.info;
    const { fromByte, toByte } = selected(wanted.range, sizeBytes);
    if (toByte - fromByte > COPIED_BYTES_MAX) throw tooLarge();
    return putPart(room, call, part, bodyOfSource(room, call, source, fromByte, toByte));
  });
  await auditSource(room, call, "UploadPartCopy", from, info.sizeBytes);
  return info;
}

/** The same guard as for any other read; the call goes on as one on the target. */
function admitSource(room: Room, call: Call, from: ObjectRef, to: ObjectRef): BucketEntry {
  try {
    return admit(call, from.bucket, "ReadObject", room.nowMs());
  } finally {
    call.bucket = to.bucket;
  }
}

/** That the source was read stands in its own line: who looks for reads of an object finds its copies. */
async function auditSource(
  room: Room,
  call: Call,
  operation: "CopyObject" | "UploadPartCopy",
  { bucket, name }: ObjectRef,
  bytes: number,
): Promise<void> {
  await room.audit(call, { operation, kind: "read", bucket, name, bytes });
}

function selected(range: PartCopyWanted["range"], sizeBytes: number): { fromByte: number; toByte: number } {
  if (range === undefined) return { fromByte: 0, toByte: sizeBytes };
  if (range.first > range.last || range.last >= sizeBytes) {
    throw new Failure("InvalidRange", `The range lies outside the source, which has ${sizeBytes} bytes`);
  }
  return { fromByte: range.first, toByte: range.last + 1 };
}

function checkCopied({ object, info }: Source, to: ObjectRef, wanted: CopyWanted): void {
  if (info.sizeBytes > COPIED_BYTES_MAX) throw tooLarge();
  const { ref } = object.entry;
  if (ref.bucket !== to.bucket || ref.name !== to.name) return;
  const { headers, tags, encryption } = wanted;
  const changes = headers !== undefined || tags !== undefined || Object.values(encryption).some(isGiven);
  if (changes) return;
  throw new Failure(
    "InvalidRequest",
    "An object can be copied onto itself only with other metadata, tags or another encryption",
  );
}

function isGiven(value: unknown): boolean {
  return value !== undefined;
}

function tooLarge(): Failure {
  return new Failure("InvalidRequest", `The source of a copy may have at most ${COPIED_BYTES_MAX} bytes`);
}

/** Those of the source, or the one that is asked for, over the bytes of the source if it has no such one. */
async function checksumsOf(
  room: Room,
  call: Call,
  source: Source,
  { checksum: algorithm }: CopyWanted,
): Promise<Measured["checksums"]> {
  const kept = source.body.object.contents.checksums ?? [];
  if (algorithm === undefined) return kept;
  const found = kept.find((checksum) => checksum.algorithm === algorithm && !checksum.composite);
  if (found !== undefined) return [found];
  const digest = createDigest(algorithm);
  for await (const block of bodyOfSource(room, call, source, 0, source.info.sizeBytes)) digest.update(block);
  return [{ algorithm, composite: false, value: digest.digest() }];
}

/** Whether the body can stay as it is. The size of its chunks is its own affair. */
function fits({ object, body }: Source, { shape, anySuite }: Decision): boolean {
  const head = body.parts[0]?.entry.head;
  if (head === undefined || object.contents.key.mode === "plaintext" || isPlaintextHead(head)) {
    return shape === undefined && object.contents.key.mode === "plaintext";
  }
  if (shape === undefined) return false;
  return anySuite || parseHead(head, "the body").suite === shape.suite;
}

async function keepBody(
  room: Room,
  call: Call,
  { source, bucket, to, wanted, described, checksums }: Copy,
  decision: Decision,
): Promise<ObjectInfo> {
  const { object, body } = source;
  const { entry, bodyId } = object;
  const dataKey = await openKeyBytes(room, call, source.bucket, object);
  const encryption = await encryptUnder(room, call, bucket, decision, bodyId, dataKey);
  const { bucketKey } = encryption;
  const changes = {
    key: encryption.sealedKey,
    modifiedMs: room.nowMs(),
    shown: encryption.shown,
    context: encryption.context,
    headers: unlessEmpty(described.headers),
    tags: unlessEmpty(described.tags),
    ...(checksums.length > 0 ? { checksums } : {}),
  };
  const contents: Contents<"object"> = { ...object.contents, ...changes };
  const { storedBytes } = entry;
  const envelope = sealObject(room, { ref: to, version: to.version ?? "", storedBytes }, contents, bodyId, bucketKey);
  await commitHeld(room, call, bucket, to, wanted.conditions, (expect) =>
    holdingSource(room, call, entry, () => room.storage.copy(entry, to, envelope, expect, call.signal)),
  );
  return infoOf(to, { ...body.object.contents, ...changes }, bucketKey);
}

async function sealAgain(room: Room, call: Call, copy: Copy): Promise<ObjectInfo> {
  const { source, bucket, to, wanted, described } = copy;
  const { entry } = source.object;
  const encryption = await planEncryption(room, call, bucket, wanted.encryption);
  // Onto itself, what was read must still be there: a newer object is not to be replaced by an older one.
  const ontoItself = entry.ref.bucket === to.bucket && entry.ref.name === to.name;
  let measured: Measured | undefined;
  let draft: Draft<Entry> | undefined;
  const known = (): Measured => {
    if (measured === undefined) throw new Error("the storage asked for an envelope before the body was whole");
    return measured;
  };
  const store = objectSource(room, to, encryption, described, known);
  try {
    await commitHeld(room, call, bucket, to, wanted.conditions, async (expect) => {
      draft ??= room.storage.draft(to, store, call.signal);
      const open = draft;
      measured ??= await seal(room, call, copy, encryption, open);
      const held = expect ?? (ontoItself ? entry.tag : undefined);
      return holdingSource(room, call, entry, () => open.commit(held));
    });
  } catch (error) {
    await draft?.discard();
    throw error;
  }
  return newInfo(to, encryption, described, known());
}

/** Writes the body into the draft; ETag and checksums stay those of the source. */
async function seal(
  room: Room,
  call: Call,
  { source, checksums }: Copy,
  encryption: Encryption,
  draft: Draft<Entry>,
): Promise<Measured> {
  const { etag } = source.body.object.contents;
  if (etag === undefined) throw new Error("a source without ETag was told of");
  const body = bodyOfSource(room, call, source, 0, source.info.sizeBytes);
  const { head, sizeBytes } = await takeBody(call, body, encryption, 0, [], draft);
  const entries = [{ head, plainBytes: sizeBytes, etag: etag.bytes, checksum: new Uint8Array(0) }];
  return {
    sizeBytes,
    etag,
    checksums,
    modifiedMs: room.nowMs(),
    table: { checksumAlgorithm: undefined, entries },
    inOnePiece: true,
  };
}
