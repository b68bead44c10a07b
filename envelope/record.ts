/**
 * The bucket-key record (FORMAT.md §9): a bucket key, wrapped by a KMS, with all that its unwrapping is bound to. Which
 * provider, KMS key and epoch a bucket may use is the configuration's word, never the record's.
 */
import { timingSafeEqual } from "node:crypto";
import { ByteReader, ByteWriter, decodePairs, encodePairs, type Pairs } from "./bytes.ts";
import { ID_BYTES } from "./datakey.ts";
import { EnvelopeError, insist } from "./failure.ts";
import { expand, type Key } from "./head.ts";
import { providerByte, providerOf, readWrapped, type WrappedKey, writeWrapped } from "./wrapped.ts";

export type { Provider, WrappedKey } from "./wrapped.ts";

export interface BucketKeyRecord {
  /** 16 random bytes each: of this bucket key, and of the store. */
  readonly id: Uint8Array;
  readonly storeId: Uint8Array;
  /** From 1. */
  readonly epoch: number;
  readonly createdMs: number;
  readonly bucket: string;
  /** The pairs that the bucket's configuration adds to the wrap context. */
  readonly context: Pairs;
  readonly wrapped: WrappedKey;
}

/** As it was parsed: not to be trusted before `checkBucketKey()` has held. Byte fields are views. */
export interface ReadBucketKeyRecord extends BucketKeyRecord {
  readonly context: ReadonlyMap<string, string>;
}

const VERSION = 1;
const CHECK_BYTES = 32;
const WHAT = "the bucket-key record";
const LABEL = Buffer.from("oes1/bucket-key\0");

/** The record, with the check that binds all of it to the bucket key. In memory of its own. */
export function encodeBucketKeyRecord(record: BucketKeyRecord, bucketKey: Key): Uint8Array {
  insist(Number.isInteger(record.epoch) && record.epoch >= 1, "epochs count from 1");
  const writer = new ByteWriter();
  writer.u8(0x4f); // O
  writer.u8(0x4b); // K
  writer.u8(VERSION);
  writer.u8(providerByte(record.wrapped.provider));
  writer.fixed(record.id, ID_BYTES);
  writer.fixed(record.storeId, ID_BYTES);
  writer.be32(record.epoch);
  writer.be64(record.createdMs);
  writer.text(record.bucket);
  writer.lp(encodePairs(record.context));
  writeWrapped(writer, record.wrapped);
  writer.raw(check(bucketKey, writer.written()));
  return writer.copy();
}

/** Reads a record without its key, strictly. */
export function parseBucketKeyRecord(bytes: Uint8Array): ReadBucketKeyRecord {
  const reader = new ByteReader(bytes, WHAT);
  if (reader.be16() !== 0x4f4b) {
    throw new EnvelopeError("Malformed", `Cannot read ${WHAT}: it does not begin with OK`);
  }
  const version = reader.u8();
  if (version !== VERSION) {
    throw new EnvelopeError("Unsupported", `Version ${version} of ${WHAT} is unknown`);
  }
  const provider = providerOf(reader.u8());
  const record = {
    id: reader.take(ID_BYTES),
    storeId: reader.take(ID_BYTES),
    epoch: reader.be32(),
    createdMs: reader.be64(),
    bucket: reader.text(),
    context: decodePairs(reader.lp(), `the context in ${WHAT}`),
    wrapped: readWrapped(reader, provider),
  };
  reader.take(CHECK_BYTES);
  reader.end();
  if (record.epoch === 0) {
    throw new EnvelopeError("Malformed", `Cannot read ${WHAT}: its epoch is 0`);
  }
  return record;
}

/** `Tampered` unless the record is, byte by byte, the one that was made for this bucket key. */
export function checkBucketKey(bytes: Uint8Array, bucketKey: Key): void {
  const end = bytes.length - CHECK_BYTES;
  if (end < 0 || !timingSafeEqual(check(bucketKey, bytes.subarray(0, end)), bytes.subarray(end))) {
    throw new EnvelopeError("Tampered", "The bucket-key record is not the one that was made for its key");
  }
}

function check(bucketKey: Key, record: Uint8Array): Uint8Array {
  return expand(bucketKey, LABEL, [record]).subarray(0, CHECK_BYTES);
}
