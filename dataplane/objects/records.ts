/**
 * Envelopes of objects, both ways: what is known of an object becomes what the storage keeps of it, and back. The bytes
 * are envelope/'s; whether a body's chunks hold is reading.ts's.
 */
import { sameBytes } from "../../envelope/bytes.ts";
import {
  bodyIdOf,
  bucketKeyIdOf,
  type Contents,
  type Etag,
  isPlaintextHead,
  openEnvelope,
  type Place,
  type ReadContents,
  type Checksum as StoredChecksum,
  sealEnvelope,
} from "../../envelope/envelope.ts";
import { EnvelopeError } from "../../envelope/failure.ts";
import { footer, type PartTable, sealPartList } from "../../envelope/parts.ts";
import { HEAD_BYTES, sealedBytes } from "../../envelope/sizes.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import type { BucketKey } from "../keys/keys.ts";
import type { Entry, EnvelopeSource, ObjectRef } from "../storage/storage.ts";
import type { Encryption } from "./encryption.ts";
import { digestOf, type Listable, markOf } from "./listed.ts";
import type { OpenedMemory, OpenedObject } from "./opened.ts";
import type { Room } from "./room.ts";
import type { Checksum, ListedObject, ObjectInfo, Shown } from "./store.ts";

/** What stays as the request said it. */
export interface Described {
  readonly headers: ReadonlyMap<string, string>;
  readonly tags: ReadonlyMap<string, string>;
}

/** What is known of an object only once its body is. */
export interface Measured {
  readonly sizeBytes: number;
  readonly etag: Etag;
  readonly checksums: readonly StoredChecksum[];
  readonly modifiedMs: number;
  /** One entry for a body in one piece. */
  readonly table: PartTable;
  readonly inOnePiece: boolean;
}

/** Seals an object's envelope whenever the storage asks. `measured` is called once the body is whole. */
export function objectSource(
  room: Room,
  ref: ObjectRef,
  encryption: Encryption,
  described: Described,
  measured: () => Measured,
): EnvelopeSource {
  const { bucketKey, bodyId, dataKey, shape } = encryption;
  const seal = (contents: Contents<"object">, storedBytes: number) =>
    sealObject(room, { ref, version: ref.version ?? "", storedBytes }, contents, bodyId, bucketKey);
  return {
    whole() {
      const known = measured();
      const { sizeBytes, table, inOnePiece } = known;
      const tail = inOnePiece ? undefined : sealPartList({ sizeBytes, parts: table }, dataKey, bodyId);
      const bodyHead = tail?.subarray(0, HEAD_BYTES) ?? table.entries[0]?.head;
      const storedBytes = storedBytesOf(table, shape);
      return { envelope: seal({ ...objectContents(encryption, described, known), bodyHead }, storedBytes), tail };
    },
    early() {
      return seal(earlyContents(encryption, described, room.nowMs()), 0);
    },
    tail() {
      const { sizeBytes, etag, checksums, table } = measured();
      return joined(footer(sealPartList({ sizeBytes, etag, checksums, parts: table }, dataKey, bodyId)));
    },
  };
}

/** Of a body whose parts are all of one shape. */
function storedBytesOf({ entries }: PartTable, shape: Encryption["shape"]): number {
  let storedBytes = 0;
  for (const { plainBytes } of entries) {
    storedBytes += shape === undefined ? plainBytes : sealedBytes(plainBytes, shape.chunkLog2);
  }
  return storedBytes;
}

/** A new envelope, which listings need not open while it is stored so and there: what they say is known now. */
export function sealObject(
  room: Room,
  place: Pick<Entry, "ref" | "version" | "storedBytes">,
  contents: Contents<"object">,
  bodyId: Uint8Array,
  bucketKey: BucketKey,
): Uint8Array {
  const { ref, version } = place;
  const envelope = sealEnvelope(placeOf(ref.name, version), contents, bucketKey.id, bodyId, bucketKey.key);
  const { bodyHead, sizeBytes, etag } = contents;
  // Else what they say stands behind the body, or nowhere.
  if (bodyHead !== undefined && sizeBytes !== undefined && etag !== undefined) {
    const digest = digestOf({ ...place, marker: false, envelope });
    if (digest !== undefined) room.listed.put(digest, markOf(bucketKey), listableOf(contents));
  }
  return envelope;
}

/** All but what names the body. */
function objectContents(encryption: Encryption, described: Described, measured: Measured): Contents<"object"> {
  const { sizeBytes, etag, checksums, modifiedMs } = measured;
  return {
    ...earlyContents(encryption, described, modifiedMs),
    sizeBytes,
    etag,
    checksums: checksums.length > 0 ? checksums : undefined,
  };
}

function earlyContents(encryption: Encryption, described: Described, modifiedMs: number): Contents<"object"> {
  return {
    key: encryption.sealedKey,
    modifiedMs,
    shown: encryption.shown,
    headers: unlessEmpty(described.headers),
    tags: unlessEmpty(described.tags),
    context: encryption.context,
  };
}

/** No promise while the bucket key is cached. What does not open throws: it is never an absence. */
export function openObject(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  entry: Entry,
): OpenedObject | Promise<OpenedObject> {
  return openEntry(room, call, bucket, entry, undefined, room.opened);
}

/**
 * The same for one of many, which would drive what is asked for often out of the memory. `before` is the key of the one
 * before it in the same call: nearly always it is this one's too.
 */
export function openListed(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  entry: Entry,
  before: BucketKey | undefined,
): OpenedObject | Promise<OpenedObject> {
  return openEntry(room, call, bucket, entry, before, undefined);
}

function openEntry(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  entry: Entry,
  before: BucketKey | undefined,
  memory: OpenedMemory | undefined,
): OpenedObject | Promise<OpenedObject> {
  const envelope = envelopeOf(entry);
  const id = bucketKeyIdOf(envelope);
  const bucketKey = before !== undefined && sameBytes(before.id, id) ? before : room.keys.byId(call, bucket, id);
  if (bucketKey instanceof Promise) return bucketKey.then((key) => openUnder(key, entry, envelope, memory));
  return openUnder(bucketKey, entry, envelope, memory);
}

function openUnder(
  bucketKey: BucketKey,
  entry: Entry,
  envelope: Uint8Array,
  memory: OpenedMemory | undefined,
): OpenedObject {
  const remembered = memory?.get(entry, envelope, bucketKey);
  if (remembered !== undefined) return remembered;
  const contents = openEnvelope(envelope, placeOf(entry.ref.name, entry.version), bucketKey.key);
  const opened = { entry, contents, bucketKey, bodyId: Uint8Array.from(bodyIdOf(envelope)), shared: {} };
  memory?.put(opened, envelope);
  return opened;
}

/** Throws unless this is a delete marker that was written here. */
export async function checkMarker(room: Room, call: Call, bucket: BucketEntry, entry: Entry): Promise<void> {
  const envelope = envelopeOf(entry);
  const bucketKey = await room.keys.byId(call, bucket, bucketKeyIdOf(envelope));
  openEnvelope(envelope, { ...placeOf(entry.ref.name, entry.version), kind: "marker" }, bucketKey.key);
}

/** What a listing says. `sizeBytes` and `etag` are there once the contents are whole. */
export function listableOf(contents: Contents<"object">): Listable {
  const { sizeBytes, etag } = measuredOf(contents);
  const checksums = (contents.checksums ?? []).map(
    ({ algorithm, composite }) => ({ algorithm, kind: composite ? "composite" : "whole" }) as const,
  );
  return { sizeBytes, etag, modifiedMs: contents.modifiedMs, checksums };
}

export function listedOf(ref: ObjectRef, { sizeBytes, etag, modifiedMs, checksums }: Listable): ListedObject {
  return { ref, sizeBytes, etag: etagText(etag), modifiedMs, checksums };
}

/** The answer to a client, likewise. */
export function infoOf(ref: ObjectRef, contents: ReadContents<"object">, bucketKey: BucketKey): ObjectInfo {
  const { key, bodyHead } = contents;
  const { sizeBytes, etag } = measuredOf(contents);
  return {
    ref,
    sizeBytes,
    etag: etagText(etag),
    modifiedMs: contents.modifiedMs,
    headers: contents.headers ?? NOTHING,
    tags: contents.tags ?? NOTHING,
    shown: SHOWN_AS[contents.shown],
    kmsKeyId: contents.shown === "aws:kms" ? kmsKeyIdOf(key, bucketKey) : undefined,
    bucketKeyEnabled: contents.shown === "aws:kms" && key.mode === "bucket",
    context: contents.context ?? NOTHING,
    checksums: (contents.checksums ?? []).map((checksum) => checksumOf(checksum, etag.parts)),
    partsCount: bodyHead === undefined || isPartListHead(bodyHead) ? etag.parts : undefined,
  };
}

function measuredOf({ sizeBytes, etag }: Contents<"object">): { readonly sizeBytes: number; readonly etag: Etag } {
  if (sizeBytes === undefined || etag === undefined) {
    throw new EnvelopeError(
      "Missing",
      "The size or the ETag of the object is neither in its envelope nor behind its body",
    );
  }
  return { sizeBytes, etag };
}

/** The answer about what has just been written. */
export function newInfo(ref: ObjectRef, encryption: Encryption, described: Described, measured: Measured): ObjectInfo {
  const { headers, tags } = described;
  const { context } = encryption;
  const partsCount = measured.inOnePiece ? undefined : measured.etag.parts;
  const contents = { ...objectContents(encryption, described, measured), headers, tags, context, bodyHead: ONE_PIECE };
  return { ...infoOf(ref, contents, encryption.bucketKey), partsCount };
}

/** As answers show it, without quotes. */
export function etagText({ bytes, parts }: Etag): string {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
  return parts === 0 ? hex : `${hex}-${parts}`;
}

export function checksumOf({ algorithm, composite, value }: StoredChecksum, parts: number): Checksum {
  return { algorithm, kind: composite ? "composite" : "whole", value, parts: composite ? parts : undefined };
}

export function kmsKeyIdOf(key: Contents<"object">["key"], bucketKey: BucketKey): string {
  return key.mode === "object" ? key.wrapped.kmsKeyId : bucketKey.kmsKeyId;
}

/** Whether the body has a part list of its own; the head of a plaintext body in one piece is all zero. */
export function isPartListHead(head: Uint8Array): boolean {
  return !isPlaintextHead(head) && head[USE_OFFSET] === PART_LIST_USE;
}

function envelopeOf(entry: Pick<Entry, "envelope">): Uint8Array {
  if (entry.envelope === undefined)
    throw new EnvelopeError("Missing", "The storage gave an entry without its envelope");
  return entry.envelope;
}

export const SHOWN_AS: Readonly<Record<Contents<"object">["shown"], Shown>> = {
  nothing: "none",
  AES256: "AES256",
  "aws:kms": "aws:kms",
  customer: "customer",
};

export function unlessEmpty(pairs: ReadonlyMap<string, string>): ReadonlyMap<string, string> | undefined {
  return pairs.size > 0 ? pairs : undefined;
}

const USE_OFFSET = 7;
const PART_LIST_USE = 1;
const ONE_PIECE: Uint8Array = new Uint8Array(HEAD_BYTES);
const NOTHING: ReadonlyMap<string, string> = new Map();

/** Where the envelope of an object is bound to. */
function placeOf(objectName: string, version: string | undefined): Place & { readonly kind: "object" } {
  return { kind: "object", objectName, versionId: version ?? "" };
}

function joined(buffers: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(buffers.reduce((bytes, buffer) => bytes + buffer.length, 0));
  let at = 0;
  for (const buffer of buffers) {
    whole.set(buffer, at);
    at += buffer.length;
  }
  return whole;
}
