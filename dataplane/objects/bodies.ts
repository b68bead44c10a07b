/**
 * Where the bytes of a stored body lie, and under which key: the data key by its mode, the part list where there is one,
 * and the check that the stored length is exactly the one that was sealed, before anything of it is read.
 */
import { createSecretKey, KeyObject } from "node:crypto";
import { openDataKey } from "../../envelope/datakey.ts";
import { isPlaintextHead, type SealedKey, ZERO_ID } from "../../envelope/envelope.ts";
import { EnvelopeError } from "../../envelope/failure.ts";
import { type Key, parseHead } from "../../envelope/head.ts";
import { openPartList, type PlacedPart, placeParts, splitFooter } from "../../envelope/parts.ts";
import { sealedBytes } from "../../envelope/sizes.ts";
import type { Call, ChecksumAlgorithm } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import type { OpenedObject } from "./opened.ts";
import { isPartListHead } from "./records.ts";
import type { Room } from "./room.ts";

/** A body ready to be read: `object` with all that was behind the body. */
export interface OpenedBody {
  readonly object: OpenedObject;
  readonly dataKey: Key;
  readonly parts: readonly PlacedPart[];
  /** What each part was summed by when it was uploaded. */
  readonly partsSummedBy: ChecksumAlgorithm | undefined;
}

/** Plaintext parts have no number of their own: they count from 1. */
export function partNumberOf({ index, entry }: PlacedPart): number {
  const numbered = isPlaintextHead(entry.head) ? 0 : parseHead(entry.head, "a part").partNumber;
  return numbered === 0 ? index + 1 : numbered;
}

/** Throws EnvelopeError, StorageError ("changed") or Failure. Asks the KMS only where the data key is wrapped by it. */
export async function openBody(room: Room, call: Call, bucket: BucketEntry, object: OpenedObject): Promise<OpenedBody> {
  const dataKey = await openKey(room, call, bucket, object);
  const { bodyHead, sizeBytes } = object.contents;
  if (bodyHead === undefined) return openFooter(room, call, object, dataKey);
  if (!isPartListHead(bodyHead)) {
    return { object, dataKey, parts: [onePiece(object, bodyHead, sizeBytes)], partsSummedBy: undefined };
  }
  const tail = await room.storage.tail(object.entry, call.signal);
  const list = openPartList(tail, bodyHead, dataKey, object.bodyId);
  if (list.sizeBytes !== sizeBytes) {
    throw new EnvelopeError("Tampered", "The part list has another size than the envelope");
  }
  const partsSummedBy = list.parts.checksumAlgorithm;
  return { object, dataKey, parts: placeParts(list, object.entry.storedBytes, 0), partsSummedBy };
}

/** What an answer without bytes needs: opens the part list only where the envelope does not say all, else no promise. */
export function completeContents(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  object: OpenedObject,
): OpenedObject | Promise<OpenedObject> {
  const { bodyHead, sizeBytes } = object.contents;
  if (bodyHead === undefined) return openBody(room, call, bucket, object).then((body) => body.object);
  if (!isPartListHead(bodyHead)) onePiece(object, bodyHead, sizeBytes);
  return object;
}

async function openFooter(room: Room, call: Call, object: OpenedObject, dataKey: Key): Promise<OpenedBody> {
  const { entry, contents, bodyId } = object;
  const tail = await room.storage.tail(entry, call.signal);
  const { footerBytes, partList } = splitFooter(tail, entry.storedBytes);
  if (partList === undefined) throw new EnvelopeError("Missing", "The storage gave only the end of the part list");
  const list = openPartList(partList, undefined, dataKey, bodyId);
  const { sizeBytes, etag, checksums } = list;
  const whole = { ...contents, sizeBytes, etag: contents.etag ?? etag, checksums: contents.checksums ?? checksums };
  const partsSummedBy = list.parts.checksumAlgorithm;
  const parts = placeParts(list, entry.storedBytes, footerBytes);
  return { object: { ...object, contents: whole }, dataKey, parts, partsSummedBy };
}

/** A body in one piece as a list of one part; `Tampered` if its stored length is not the one that was sealed. */
function onePiece({ entry }: OpenedObject, head: Uint8Array, sizeBytes: number | undefined): PlacedPart {
  const plainBytes = sizeBytes ?? 0;
  const storedBytes = isPlaintextHead(head)
    ? plainBytes
    : sealedBytes(plainBytes, parseHead(head, "the body").chunkLog2);
  if (storedBytes !== entry.storedBytes) {
    throw new EnvelopeError("Tampered", `The body has ${entry.storedBytes} stored bytes instead of ${storedBytes}`);
  }
  const part = { head, plainBytes, etag: NO_BYTES, checksum: NO_BYTES };
  return { index: 0, entry: part, storedFromByte: 0, storedBytes, plainFromByte: 0 };
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** The data key by its mode: the bucket key gives it, the KMS, or the bucket key that a request named. */
export async function openKey(room: Room, call: Call, bucket: BucketEntry, sealed: SealedDataKey): Promise<Key> {
  const { key, context } = sealed.contents;
  switch (key.mode) {
    case "plaintext":
    case "bucket":
      return key.dataKey;
    case "object": {
      const request = Object.fromEntries(context ?? []);
      return kept(await room.keys.unwrapDataKey(call, bucket, key.wrapped, sealed.bodyId, request));
    }
    case "other": {
      if (Buffer.compare(key.bucketKeyId, ZERO_ID) === 0) {
        throw new Failure(
          "InvalidRequest",
          "The object is encrypted with a customer's key, which the request must bring",
        );
      }
      const other = await room.keys.byId(call, bucket, key.bucketKeyId);
      return kept(openDataKey(key.segment, other.key, key.bucketKeyId, sealed.bodyId));
    }
  }
}

/** The same in bytes of their own, for who seals it anew and then zeroes them. */
export async function openKeyBytes(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  sealed: SealedDataKey,
): Promise<Uint8Array> {
  const key = await openKey(room, call, bucket, sealed);
  return key instanceof KeyObject ? Uint8Array.from(key.export()) : Uint8Array.from(key);
}

/** What an envelope says of its data key. */
interface SealedDataKey {
  readonly contents: { readonly key: SealedKey; readonly context?: ReadonlyMap<string, string> | undefined };
  readonly bodyId: Uint8Array;
}

/** Plain key bytes do not stay where they came. */
function kept(dataKey: Uint8Array): Key {
  const key = createSecretKey(dataKey);
  dataKey.fill(0);
  return key;
}
