/**
 * Bodies of several parts (FORMAT.md §8): the part list, a small segment under the data key, the footer that carries it
 * where the envelope had to be sent before the body, and where in the stored body each part lies.
 */
import { ByteWriter, sameBytes } from "./bytes.ts";
import { isPlaintextHead } from "./envelope.ts";
import { EnvelopeError } from "./failure.ts";
import { type Fields, type ReadFields, readFields, writeFields } from "./fields.ts";
import { type Key, PART_NUMBER_MAX, parseHead } from "./head.ts";
import type { PartEntry, PartTable } from "./parttable.ts";
import { HEAD_BYTES, sealedBytes } from "./sizes.ts";
import { openSmall, sealSmall } from "./small.ts";

export type { PartEntry, PartTable } from "./parttable.ts";

/** What a part list holds: the table, the size of the whole, and in a footer what the envelope could not yet say. */
type ListField = "sizeBytes" | "etag" | "checksums" | "parts" | "kept";
export type PartList = Pick<Fields, ListField> & { readonly sizeBytes: number; readonly parts: PartTable };

/** One part and its place in the stored body. */
export interface PlacedPart {
  /** Place in the list, from 0. */
  readonly index: number;
  readonly entry: PartEntry;
  /** Where its segment (or plaintext) begins in the stored body, and how long it is. */
  readonly storedFromByte: number;
  readonly storedBytes: number;
  /** Where its first plaintext byte stands in the object. */
  readonly plainFromByte: number;
}

const FOOTER_END_BYTES = 8;
const FOOTER_MAGIC = 0x4f455346; // OESF
const WHAT = "the part list";
const IN_LISTS: readonly (keyof ReadFields)[] = ["sizeBytes", "etag", "checksums", "parts", "kept"];

/** A new part list, with a new salt, in memory of its own. Its bytes 0 … 31 are the `bodyHead` of the envelope. */
export function sealPartList(list: PartList, dataKey: Key, bodyId: Uint8Array): Uint8Array {
  checkList(list);
  const plain = new ByteWriter(1024);
  writeFields(plain, list);
  return sealSmall("part-list", dataKey, [bodyId], plain.written());
}

/**
 * The part list in `segment`. `head` is the envelope's `bodyHead`: `Tampered` if the segment begins otherwise; undefined
 * only for a footer, whose envelope names none.
 */
export function openPartList(
  segment: Uint8Array,
  head: Uint8Array | undefined,
  dataKey: Key,
  bodyId: Uint8Array,
): PartList {
  if (head !== undefined && !sameBytes(segment.subarray(0, HEAD_BYTES), head)) {
    throw new EnvelopeError("Tampered", "The part list does not begin with the head that its envelope names");
  }
  const fields = readFields(openSmall("part-list", dataKey, [bodyId], segment), WHAT);
  for (const name of Object.keys(fields) as (keyof ReadFields)[]) {
    if (!IN_LISTS.includes(name)) {
      throw malformed(`it holds ${name}`);
    }
  }
  checkList(fields);
  return fields;
}

/** The last bytes of an object whose envelope was sent before its body; the part list first, as it is. */
export function footer(partList: Uint8Array): Uint8Array[] {
  const end = Buffer.allocUnsafeSlow(FOOTER_END_BYTES);
  end.writeUInt32BE(partList.length, 0);
  end.writeUInt32BE(FOOTER_MAGIC, 4);
  return [partList, end];
}

/**
 * Finds the footer in the last bytes of an object. `partList` is undefined if `tail` is too short: then read the last
 * `footerBytes`. `Malformed` if the object ends otherwise, or is too short for its footer.
 */
export function splitFooter(
  tail: Uint8Array,
  storedBytes: number,
): { readonly footerBytes: number; readonly partList: Uint8Array | undefined } {
  const end = Buffer.from(tail.buffer, tail.byteOffset, tail.byteLength).subarray(-FOOTER_END_BYTES);
  if (end.length < FOOTER_END_BYTES || end.readUInt32BE(4) !== FOOTER_MAGIC) {
    throw new EnvelopeError("Malformed", "The object does not end with its part list");
  }
  const footerBytes = end.readUInt32BE(0) + FOOTER_END_BYTES;
  if (footerBytes > storedBytes) {
    throw new EnvelopeError("Malformed", "The object is shorter than its part list");
  }
  if (footerBytes > tail.length) {
    return { footerBytes, partList: undefined };
  }
  return { footerBytes, partList: tail.subarray(tail.length - footerBytes, tail.length - FOOTER_END_BYTES) };
}

/**
 * Where each part lies in the stored body. `Tampered` unless the stored length is exactly that of all parts and the
 * footer (`footerBytes`, 0 without one): to be asked before any read.
 */
export function placeParts(list: PartList, storedBytes: number, footerBytes: number): PlacedPart[] {
  let storedFromByte = 0;
  let plainFromByte = 0;
  const placed = list.parts.entries.map((entry, index) => {
    const part = { index, entry, storedFromByte, storedBytes: storedPartBytes(entry), plainFromByte };
    storedFromByte += part.storedBytes;
    plainFromByte += entry.plainBytes;
    return part;
  });
  if (storedFromByte + footerBytes !== storedBytes) {
    throw new EnvelopeError(
      "Tampered",
      `The body has ${storedBytes} stored bytes instead of ${storedFromByte + footerBytes}`,
    );
  }
  return placed;
}

/** The parts that hold plaintext bytes [fromByte, toByte) of the object; all of them for the whole, empty ones too. */
export function partsOfRange(placed: readonly PlacedPart[], fromByte: number, toByte: number): PlacedPart[] {
  return placed.filter(({ entry, plainFromByte }) => {
    const end = plainFromByte + entry.plainBytes;
    return entry.plainBytes === 0
      ? fromByte <= plainFromByte && plainFromByte <= toByte
      : plainFromByte < toByte && end > fromByte;
  });
}

function storedPartBytes(entry: PartEntry): number {
  return isPlaintextHead(entry.head)
    ? entry.plainBytes
    : sealedBytes(entry.plainBytes, parseHead(entry.head, "a part").chunkLog2);
}

/** FORMAT.md §8: what must hold of every part list, written or read. */
function checkList(list: Fields): asserts list is PartList {
  if (list.parts === undefined || list.sizeBytes === undefined) {
    throw malformed("it has no table, or no size");
  }
  const { entries } = list.parts;
  const plainBytes = entries.reduce((bytes, part) => bytes + part.plainBytes, 0);
  if (entries.length === 0 || entries.length > PART_NUMBER_MAX || plainBytes !== list.sizeBytes) {
    throw malformed("its parts do not give its size");
  }
  const plaintext = isPlaintextHead((entries[0] as PartEntry).head);
  let before = 0;
  for (const { head } of entries) {
    if (isPlaintextHead(head) !== plaintext) {
      throw malformed("some of its parts are plaintext, and some are not");
    }
    if (!plaintext) {
      const { use, partNumber } = parseHead(head, "a part");
      const inOnePiece = partNumber === 0 && entries.length === 1;
      if (use !== "body" || (partNumber <= before && !inOnePiece)) {
        throw malformed("its parts are not in ascending order, or are none");
      }
      before = partNumber;
    }
  }
}

function malformed(why: string): EnvelopeError {
  return new EnvelopeError("Malformed", `Cannot use ${WHAT}: ${why}`);
}
