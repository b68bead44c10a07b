/**
 * The fields of envelopes and part lists, as TLVs (FORMAT.md §6): one line for each type in one table, encoder and decoder
 * side by side. Which fields a kind needs, and whether they agree with each other, is left to `envelope.ts` and `parts.ts`.
 */
import { ByteReader, type ByteWriter, type Pairs } from "./bytes.ts";
import { CHECKSUM_BYTES, type ChecksumAlgorithm, checksumAlgorithmOf, checksumByte } from "./checksums.ts";
import { DATA_KEY_BYTES, ID_BYTES, SEALED_DATA_KEY_BYTES } from "./datakey.ts";
import { EnvelopeError, insist } from "./failure.ts";
import { type PartTable, readPartTable, writePartTable } from "./parttable.ts";
import { HEAD_BYTES } from "./sizes.ts";
import { providerByte, providerOf, readWrapped, type WrappedKey, writeWrapped } from "./wrapped.ts";

/**
 * How an envelope holds the data key. `plaintext`: as it is, for a body that is stored as it is. `bucket`: as it is, the
 * bucket key protects it. `object`: wrapped by the KMS. `other`: sealed under the bucket key of that id, or with `ZERO_ID`
 * under the customer's key; for `openDataKey()`.
 */
export type SealedKey =
  | { readonly mode: "plaintext"; readonly dataKey: Uint8Array }
  | { readonly mode: "bucket"; readonly dataKey: Uint8Array }
  | { readonly mode: "object"; readonly wrapped: WrappedKey }
  | { readonly mode: "other"; readonly bucketKeyId: Uint8Array; readonly segment: Uint8Array };

/** 16 bytes, shown as hex; with `-parts` behind it unless `parts` is 0. */
export interface Etag {
  readonly bytes: Uint8Array;
  readonly parts: number;
}

/** What S3's answers say of the encryption. */
export type Shown = "nothing" | "AES256" | "aws:kms" | "customer";

/** Over the whole body, or composite: over the checksums of its parts. */
export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly composite: boolean;
  readonly value: Uint8Array;
}

/** A field of a type from 128 on: kept when an envelope is sealed again, else ignored. */
export interface KeptField {
  readonly type: number;
  readonly value: Uint8Array;
}

/** All that an envelope or part list may hold. Byte fields that were read are views of the opened plaintext. */
export interface Fields {
  readonly key?: SealedKey | undefined;
  /** Bytes 0 … 31 of the body's only segment or of its part list; all zero for a plaintext body in one piece. */
  readonly bodyHead?: Uint8Array | undefined;
  /** Plaintext bytes. */
  readonly sizeBytes?: number | undefined;
  readonly etag?: Etag | undefined;
  /** Milliseconds since 1970. */
  readonly modifiedMs?: number | undefined;
  readonly shown?: Shown | undefined;
  readonly checksums?: readonly Checksum[] | undefined;
  /** Names in lower case: `content-type` and its like, `x-amz-meta-…`. */
  readonly headers?: Pairs | undefined;
  readonly tags?: Pairs | undefined;
  /** The encryption context of the request. */
  readonly context?: Pairs | undefined;
  readonly parts?: PartTable | undefined;
  /** JSON. */
  readonly settings?: string | undefined;
  /** Ascending by type. */
  readonly kept?: readonly KeptField[] | undefined;
}

/** Fields as they were read: pairs are maps then. */
export interface ReadFields extends Fields {
  readonly headers?: ReadonlyMap<string, string> | undefined;
  readonly tags?: ReadonlyMap<string, string> | undefined;
  readonly context?: ReadonlyMap<string, string> | undefined;
}

interface Codec<Value> {
  write(writer: ByteWriter, value: Value): void;
  read(reader: ByteReader): Value;
}

type FieldName = Exclude<keyof Fields, "kept">;
type Mutable = { -readonly [Name in keyof ReadFields]: ReadFields[Name] };

const FIRST_KEPT_TYPE = 128;
const SHOWN: readonly Shown[] = ["nothing", "AES256", "aws:kms", "customer"];

const pairsCodec: Codec<Pairs> = {
  write: (writer, pairs) => writer.pairs(pairs),
  read: (reader) => reader.restPairs(),
};

const number64Codec: Codec<number> = {
  write: (writer, value) => writer.be64(value),
  read: (reader) => reader.be64(),
};

const CODECS: { readonly [Name in FieldName]-?: Codec<NonNullable<Fields[Name]>> } = {
  key: { write: writeSealedKey, read: readSealedKey },
  bodyHead: {
    write: (writer, head) => writer.fixed(head, HEAD_BYTES),
    read: (reader) => reader.take(HEAD_BYTES),
  },
  sizeBytes: number64Codec,
  etag: {
    write(writer, etag) {
      writer.fixed(etag.bytes, 16);
      writer.be16(etag.parts);
    },
    read: (reader) => ({ bytes: reader.take(16), parts: reader.be16() }),
  },
  modifiedMs: number64Codec,
  shown: {
    write: (writer, shown) => writer.u8(SHOWN.indexOf(shown)),
    read: (reader) => SHOWN[reader.u8()] ?? unknownValue("shown encryption"),
  },
  checksums: { write: writeChecksums, read: readChecksums },
  headers: pairsCodec,
  tags: pairsCodec,
  context: pairsCodec,
  parts: { write: writePartTable, read: readPartTable },
  settings: {
    write: (writer, settings) => writer.textBare(settings),
    read: (reader) => reader.restText(),
  },
};

/** Field of each type: the type is the place in this list, from 1. */
const TYPES: readonly FieldName[] = [
  "key",
  "bodyHead",
  "sizeBytes",
  "etag",
  "modifiedMs",
  "shown",
  "checksums",
  "headers",
  "tags",
  "context",
  "parts",
  "settings",
];

/** The TLVs of all fields that are there, into a writer that its owner erases after sealing. */
export function writeFields(writer: ByteWriter, fields: Fields): void {
  let type = 0;
  for (const name of TYPES) {
    type += 1;
    if (fields[name] !== undefined) {
      writer.u8(type);
      const begun = writer.beginLp();
      writeField(writer, name, fields);
      writer.endLp(begun);
    }
  }
  for (const kept of fields.kept ?? []) {
    insist(kept.type >= FIRST_KEPT_TYPE && kept.type > type, "kept fields ascend from type 128");
    type = kept.type;
    writer.u8(type);
    writer.lp(kept.value);
  }
}

/** Reads TLVs, strictly: types ascend, none comes twice, none below 128 is unknown. */
export function readFields(bytes: Uint8Array, what: string): ReadFields {
  const reader = new ByteReader(bytes, what);
  const fields: Mutable = {};
  const kept: KeptField[] = [];
  let before = 0;
  while (!reader.atEnd) {
    const type = reader.u8();
    if (type <= before) {
      throw new EnvelopeError("Malformed", `Cannot read ${what}: field ${type} follows field ${before}`);
    }
    before = type;
    if (type >= FIRST_KEPT_TYPE) {
      kept.push({ type, value: reader.lp() });
    } else {
      readField(fields, type, reader, what);
    }
  }
  if (kept.length > 0) {
    fields.kept = kept;
  }
  return fields;
}

function writeField<Name extends FieldName>(writer: ByteWriter, name: Name, fields: Fields): void {
  const codec = CODECS[name] as Codec<NonNullable<Fields[Name]>>;
  codec.write(writer, fields[name] as NonNullable<Fields[Name]>);
}

function readField(fields: Mutable, type: number, reader: ByteReader, what: string): void {
  const name = TYPES[type - 1];
  if (name === undefined) {
    throw new EnvelopeError("Malformed", `Cannot read ${what}: field ${type} is unknown`);
  }
  (fields as Record<FieldName, unknown>)[name] = reader.field<unknown>(type, CODECS[name].read);
}

const MODES: readonly SealedKey["mode"][] = ["plaintext", "bucket", "object", "other"];

function writeSealedKey(writer: ByteWriter, key: SealedKey): void {
  writer.u8(MODES.indexOf(key.mode));
  switch (key.mode) {
    case "plaintext":
    case "bucket":
      writer.fixed(key.dataKey, DATA_KEY_BYTES);
      break;
    case "object":
      writer.u8(providerByte(key.wrapped.provider));
      writeWrapped(writer, key.wrapped);
      break;
    case "other":
      writer.fixed(key.bucketKeyId, ID_BYTES);
      writer.fixed(key.segment, SEALED_DATA_KEY_BYTES);
      break;
  }
}

function readSealedKey(reader: ByteReader): SealedKey {
  const mode = MODES[reader.u8()] ?? unknownValue("mode of the data key");
  switch (mode) {
    case "plaintext":
    case "bucket":
      return { mode, dataKey: reader.take(DATA_KEY_BYTES) };
    case "object":
      return { mode, wrapped: readWrapped(reader, providerOf(reader.u8())) };
    case "other":
      return { mode, bucketKeyId: reader.take(ID_BYTES), segment: reader.take(SEALED_DATA_KEY_BYTES) };
  }
}

function writeChecksums(writer: ByteWriter, checksums: readonly Checksum[]): void {
  for (const { algorithm, composite, value } of checksums) {
    insist(value.length === CHECKSUM_BYTES[algorithm], "a checksum has the length of its algorithm");
    writer.u8(checksumByte(algorithm));
    writer.u8(composite ? 1 : 0);
    writer.lp(value);
  }
}

function readChecksums(reader: ByteReader): Checksum[] {
  const checksums: Checksum[] = [];
  while (!reader.atEnd) {
    const algorithm = checksumAlgorithmOf(reader.u8());
    const over = reader.u8();
    const value = reader.lp();
    if (over > 1 || value.length !== CHECKSUM_BYTES[algorithm]) {
      throw new EnvelopeError("Malformed", `A checksum by ${algorithm} is not one`);
    }
    checksums.push({ algorithm, composite: over === 1, value });
  }
  return checksums;
}

function unknownValue(what: string): never {
  throw new EnvelopeError("Unsupported", `An unknown ${what} was read`);
}
