/**
 * Runs of a listing: neighbours in order, cut where their own bytes say so, so that a page which begins elsewhere, or a
 * name more, moves no cut behind it. A run is named by all that opening it depends on but for the keys, and kept as a few
 * bytes a name: which keys it was opened with, and what a listing says of it.
 */
import { hash } from "node:crypto";
import { checksumAlgorithmOf, checksumByte } from "../../envelope/checksums.ts";
import type { Entry } from "../storage/storage.ts";
import type { ListedObject } from "./store.ts";

export interface Run {
  /** Index behind its last entry. */
  readonly end: number;
  /** The same for equal bucket, names, versions, stored lengths and envelopes; undefined: not to be remembered. */
  readonly digest: string | undefined;
}

/** A bucket key that a run was opened with: 16 bytes each. */
export interface KeyMark {
  readonly id: Uint8Array;
  readonly fingerprint: Uint8Array;
}

const NAMES_MAX = 256;
const HASHED_BYTES_MAX = 256 * 1024;
/** On average a cut comes behind so many names. */
const CUT_EVERY = 128;

/** Where a run is laid side by side to be hashed: names and envelopes as they are stored. */
const hashed = Buffer.allocUnsafeSlow(HASHED_BYTES_MAX);

/** The run that begins at that entry: 256 names at most. */
export function runAt(bucket: string, entries: readonly Entry[], start: number): Run {
  let at = writeText(bucket, 0);
  let end = start;
  for (; end < entries.length && end - start < NAMES_MAX; end += 1) {
    const { ref, version, marker, storedBytes, envelope } = entries[end] as Entry;
    if (marker || envelope === undefined) break;
    const bytes = 2 * (ref.name.length + version.length) + 8 + envelope.length + 3 * LENGTH_BYTES;
    if (at + bytes > HASHED_BYTES_MAX) break;
    at = writeText(version, writeText(ref.name, at));
    at = hashed.writeDoubleLE(storedBytes, at);
    at = hashed.writeUInt32LE(envelope.length, at);
    hashed.set(envelope, at);
    at += envelope.length;
    if (endsRun(envelope)) {
      end += 1;
      break;
    }
  }
  if (end === start) return { end: start + 1, digest: undefined };
  return { end, digest: hash("sha256", hashed.subarray(0, at), "latin1") };
}

const LENGTH_BYTES = 4;

/** In units of 16 bits: no two strings are written alike, whatever they hold. */
function writeText(text: string, at: number): number {
  const begun = hashed.writeUInt32LE(text.length, at);
  return begun + hashed.write(text, begun, "utf16le");
}

/** The last byte is one of a tag: as good as random, and another once the envelope is another. */
function endsRun(envelope: Uint8Array): boolean {
  return (envelope.at(-1) ?? 0) % CUT_EVERY === 0;
}

/**
 * How a run is kept: the number of keys, their marks, all ETags' 16 bytes, then for each object as numbers of seven bits a
 * byte: parts of the ETag, size, how much later than the one before it was modified, and its checksums up to a zero.
 */
const KEYS_MAX = 8;
const CHECKSUMS_MAX = 8;
const MARK_BYTES = 16;
const ETAG_BYTES = 16;
const ETAG_DIGITS = 2 * ETAG_BYTES;
const OBJECT_BYTES_MAX = ETAG_BYTES + 3 + 2 * 8 + CHECKSUMS_MAX + 1;
const encoded = Buffer.allocUnsafeSlow(1 + KEYS_MAX * 2 * MARK_BYTES + NAMES_MAX * OBJECT_BYTES_MAX);
/** Twice a difference of times has to be a safe integer. */
const MODIFIED_MS_MAX = 2 ** 50;

/** In memory of its own; undefined where that does not fit, which is never so for what is written here. */
export function encodeRun(keys: readonly KeyMark[], objects: readonly ListedObject[]): Buffer | undefined {
  if (keys.length > KEYS_MAX || objects.length > NAMES_MAX) return undefined;
  let at = encoded.writeUInt8(keys.length, 0);
  for (const { id, fingerprint } of keys) {
    encoded.set(id, at);
    encoded.set(fingerprint, at + MARK_BYTES);
    at += 2 * MARK_BYTES;
  }
  for (const { etag } of objects) at += encoded.write(etag.slice(0, ETAG_DIGITS), at, "hex");
  let beforeMs = 0;
  for (const { etag, sizeBytes, modifiedMs, checksums } of objects) {
    if (modifiedMs > MODIFIED_MS_MAX || checksums.length > CHECKSUMS_MAX) return undefined;
    at = writeNumber(Number(etag.slice(ETAG_DIGITS + 1)), at);
    at = writeNumber(sizeBytes, at);
    at = writeNumber(folded(modifiedMs - beforeMs), at);
    for (const checksum of checksums) at = encoded.writeUInt8(byteOf(checksum), at);
    at = encoded.writeUInt8(0, at);
    beforeMs = modifiedMs;
  }
  const run = Buffer.allocUnsafeSlow(at);
  encoded.copy(run, 0, 0, at);
  return run;
}

export function keysOfRun(run: Buffer): KeyMark[] {
  const keys: KeyMark[] = [];
  for (let at = 1; keys.length < (run[0] as number); at += 2 * MARK_BYTES) {
    const middle = at + MARK_BYTES;
    keys.push({ id: run.subarray(at, middle), fingerprint: run.subarray(middle, middle + MARK_BYTES) });
  }
  return keys;
}

/** Appends what was encoded of these very entries, from `start` to before `end`. */
export function decodeRun(
  run: Buffer,
  entries: readonly Entry[],
  start: number,
  end: number,
  objects: ListedObject[],
): void {
  const etagsAt = 1 + (run[0] as number) * 2 * MARK_BYTES;
  const numbersAt = etagsAt + (end - start) * ETAG_BYTES;
  const digits = run.toString("hex", etagsAt, numbersAt);
  const reader = new NumberReader(run, numbersAt);
  let modifiedMs = 0;
  for (let index = start; index < end; index += 1) {
    const digitsAt = (index - start) * ETAG_DIGITS;
    const etagDigits = digits.slice(digitsAt, digitsAt + ETAG_DIGITS);
    const parts = reader.next();
    const sizeBytes = reader.next();
    modifiedMs += unfolded(reader.next());
    const { ref } = entries[index] as Entry;
    const etag = parts === 0 ? etagDigits : `${etagDigits}-${parts}`;
    objects.push({ ref, sizeBytes, etag, modifiedMs, checksums: reader.checksums() });
  }
}

class NumberReader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  next(): number {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = this.#bytes[this.#at] as number;
      this.#at += 1;
      if (byte < 128) return value + byte * factor;
      value += (byte - 128) * factor;
    }
  }

  checksums(): ListedObject["checksums"] {
    let byte = this.next();
    if (byte === 0) return NO_CHECKSUMS;
    const checksums: ListedObject["checksums"][number][] = [];
    for (; byte !== 0; byte = this.next()) checksums.push(checksumOf(byte));
    return checksums;
  }
}

const NO_CHECKSUMS: ListedObject["checksums"] = [];

/** 2 … 15. */
function byteOf({ algorithm, kind }: ListedObject["checksums"][number]): number {
  return 2 * checksumByte(algorithm) + (kind === "composite" ? 1 : 0);
}

function checksumOf(byte: number): ListedObject["checksums"][number] {
  return { algorithm: checksumAlgorithmOf(byte >> 1), kind: byte % 2 === 1 ? "composite" : "whole" };
}

/** Small numbers stay small, whichever their sign. */
function folded(difference: number): number {
  return difference < 0 ? -2 * difference - 1 : 2 * difference;
}

function unfolded(number: number): number {
  return number % 2 === 1 ? -(number + 1) / 2 : number / 2;
}

function writeNumber(number: number, begun: number): number {
  let at = begun;
  let left = number;
  for (; left >= 128; left = Math.floor(left / 128)) {
    encoded[at] = (left % 128) + 128;
    at += 1;
  }
  encoded[at] = left;
  return at + 1;
}
