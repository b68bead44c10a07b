/* What a row of records or documents says, and the checksum over it. SQLite has none of its own: a flipped bit in a
 * name would make a record unfindable, and absence must be proven. So who finds nothing looks at both neighbours. */

import { crc32 } from "node:zlib";

export const RECORD_COLUMNS = "bucket, name, tag, modified, stored, inline, file, list, envelope, crc";

/** Where a body is: at most one of the three is set, none for an empty body. */
export interface Place {
  readonly inline: number | null;
  readonly file: string | null;
  readonly list: number | null;
}

export interface RecordRow extends Place {
  readonly bucket: string;
  readonly name: Uint8Array;
  readonly tag: string;
  readonly modifiedMs: number;
  readonly storedBytes: number;
  readonly envelope: Uint8Array;
}

/** In the order of RECORD_COLUMNS. */
export type RecordValues = readonly [
  bucket: string,
  name: Uint8Array,
  tag: string,
  modified: number,
  stored: number,
  inline: number | null,
  file: string | null,
  list: number | null,
  envelope: Uint8Array,
  crc: number,
];

export function recordCrc(row: RecordRow): number {
  return crc32(row.envelope, crc32(row.name, crc32(headOf(row, row.name.length))));
}

/** All that the checksum of a row covers but for the name and the envelope, which follow. */
function headOf(row: Omit<RecordRow, "name" | "envelope">, nameBytes: number): string {
  const { bucket, tag, modifiedMs, storedBytes, inline, file, list } = row;
  return `${bucket}\0${tag}\0${modifiedMs}\0${storedBytes}\0${inline}\0${file}\0${list}\0${nameBytes}`;
}

/** undefined: the row is not what was written. */
export function recordOf(values: RecordValues): RecordRow | undefined {
  const [bucket, name, tag, modifiedMs, storedBytes, inline, file, list, envelope, crc] = values;
  if (!(name instanceof Uint8Array) || !(envelope instanceof Uint8Array)) {
    return undefined;
  }
  const row: RecordRow = { bucket, name, tag, modifiedMs, storedBytes, inline, file, list, envelope };
  return recordCrc(row) === crc ? row : undefined;
}

/** What a record says of itself, for who asked for it by bucket and name. */
export type NamedRow = Omit<RecordRow, "bucket" | "name">;

export const NAMED_COLUMNS = "tag, modified, stored, inline, file, list, envelope, crc";

/** In the order of NAMED_COLUMNS. */
export type NamedValues = RecordValues extends readonly [string, Uint8Array, ...infer Rest] ? Rest : never;

/** undefined: the row is not what was written, or not under this name. */
export function namedOf(bucket: string, name: string, values: NamedValues): NamedRow | undefined {
  const [tag, modifiedMs, storedBytes, inline, file, list, envelope, crc] = values;
  const row: NamedRow = { tag, modifiedMs, storedBytes, inline, file, list, envelope };
  return isWhole(bucket, name, row, crc) ? row : undefined;
}

/** What a listing reads: names as text, which are given much faster than bytes, and no bucket, since one was asked for. */
export const LISTED_COLUMNS = `CAST(name AS TEXT), ${NAMED_COLUMNS}`;

/** In the order of LISTED_COLUMNS. */
export type ListedValues = readonly [name: string, ...NamedValues];

/** A name that was not UTF-8 is other text, and has another checksum. */
export function isWholeListed(bucket: string, values: ListedValues): boolean {
  const [name, tag, modifiedMs, storedBytes, inline, file, list, envelope, crc] = values;
  return isWhole(bucket, name, { tag, modifiedMs, storedBytes, inline, file, list, envelope }, crc);
}

function isWhole(bucket: string, name: string, row: NamedRow, crc: number): boolean {
  const { tag, modifiedMs, storedBytes, inline, file, list, envelope } = row;
  if (!(envelope instanceof Uint8Array)) {
    return false;
  }
  const head = headOf({ bucket, tag, modifiedMs, storedBytes, inline, file, list }, Buffer.byteLength(name));
  // One call fewer than with the name by itself: a page has a thousand.
  return crc32(envelope, crc32(head + name)) === crc;
}

export const DOCUMENT_COLUMNS = "path, tag, bytes, crc";

export type DocumentValues = readonly [path: Uint8Array, tag: string, bytes: Uint8Array, crc: number];

export function documentCrc(path: Uint8Array, tag: string, bytes: Uint8Array): number {
  return crc32(bytes, crc32(path, crc32(`${tag}\0${path.length}`)));
}

export function isWholeDocument(values: DocumentValues): boolean {
  const [path, tag, bytes, crc] = values;
  return path instanceof Uint8Array && bytes instanceof Uint8Array && documentCrc(path, tag, bytes) === crc;
}
