/**
 * What listings say of objects, remembered from when an envelope was sealed or opened here: found by a digest of all that
 * opening depends on but the keys, and only good while the key that it was read with is still to be had. Kept beside the
 * heap in some fifty bytes a name, at most so many names, and never on disk.
 */
import { hash, randomBytes } from "node:crypto";
import { sameBytes } from "../../envelope/bytes.ts";
import { fingerprintOf } from "../../envelope/head.ts";
import type { BucketKey } from "../keys/keys.ts";
import type { Entry, ObjectRef } from "../storage/storage.ts";
import type { ListedObject } from "./store.ts";

/** The bucket key that an envelope was sealed under: 16 bytes each. */
export interface KeyMark {
  readonly id: Uint8Array;
  readonly fingerprint: Uint8Array;
}

/** What a listing says but for the name; the ETag as its 16 bytes and the number of parts. */
export interface Listable extends Pick<ListedObject, "sizeBytes" | "modifiedMs" | "checksums"> {
  readonly etag: { readonly bytes: Uint8Array; readonly parts: number };
}

export interface Recalled {
  readonly key: KeyMark;
  readonly object: ListedObject;
}

/** By digest: equal ones say the same. What was put first is forgotten first. */
export interface ListedMemory {
  readonly bytes: number;
  get(digest: string, ref: ObjectRef): Recalled | undefined;
  put(digest: string, key: KeyMark, listable: Listable): void;
}

/** Made once for each key that is opened. */
const marks = new WeakMap<BucketKey, KeyMark>();

export function markOf(bucketKey: BucketKey): KeyMark {
  let mark = marks.get(bucketKey);
  if (mark === undefined) {
    mark = { id: bucketKey.id, fingerprint: fingerprintOf(bucketKey.key) };
    marks.set(bucketKey, mark);
  }
  return mark;
}

const HASHED_BYTES_MAX = 16 * 1024;
const SECRET_BYTES = 32;

/** Where a digest's bytes are laid side by side, behind what only this process knows: so none can be made elsewhere to fit. */
const hashed = Buffer.allocUnsafeSlow(HASHED_BYTES_MAX);
hashed.set(randomBytes(SECRET_BYTES));

/** The same for equal names, versions, stored lengths and envelopes; undefined: not to be remembered. */
export function digestOf({
  ref,
  version,
  marker,
  storedBytes,
  envelope,
}: Pick<Entry, "ref" | "version" | "marker" | "storedBytes" | "envelope">): string | undefined {
  if (marker || envelope === undefined) return undefined;
  const { bucket, name } = ref;
  // The lengths first, so that no two are laid alike.
  const text = `${bucket.length} ${name.length} ${version.length} ${storedBytes}\n${bucket}${name}${version}`;
  const end = SECRET_BYTES + 2 * text.length + envelope.length;
  if (end > HASHED_BYTES_MAX) return undefined;
  // In units of 16 bits: no two strings are written alike, whatever they hold.
  hashed.set(envelope, SECRET_BYTES + hashed.write(text, SECRET_BYTES, "utf16le"));
  return hash("sha256", hashed.subarray(0, end), "latin1");
}

/** Of a generation, so that a number of 16 bits names one of them, and zero none. */
const SLOTS = 65_535;

/** Remembers at most so many generations of so many names each. */
export function createListedMemory(generationsMax: number, slots = SLOTS): ListedMemory {
  const kinds = new ChecksumKinds();
  /** The newest first. */
  let generations: Generation[] = [];
  /** Neighbours were mostly put one after the other. */
  let hitBefore: Generation | undefined;
  const find = (digest: string, ref: ObjectRef): Recalled | undefined => {
    const near = hitBefore?.get(digest, ref);
    if (near !== undefined) return near;
    for (const generation of generations) {
      const found = generation === hitBefore ? undefined : generation.get(digest, ref);
      if (found === undefined) continue;
      hitBefore = generation;
      return found;
    }
    return undefined;
  };
  return {
    get bytes() {
      return generations.length * generationBytes(slots);
    },
    get: find,
    put(digest, key, listable) {
      const kind = kinds.numberOf(listable.checksums);
      if (kind === undefined || !fits(listable)) return;
      let young = generations[0];
      if (young === undefined || young.isFull) {
        young = new Generation(slots, kinds);
        generations = [young, ...generations].slice(0, generationsMax);
        if (hitBefore !== undefined && !generations.includes(hitBefore)) hitBefore = undefined;
      }
      young.put(digest, key, listable, kind);
    },
  };
}

/**
 * A slot: which key, which kinds of checksums, parts of the ETag, size and time of the last change, the ETag's 16 bytes,
 * and eight bytes of the digest; two more of them say in which chain it is.
 */
const KEY_AT = 0;
const KIND_AT = 2;
const PARTS_AT = 4;
const SIZE_AT = 6;
const MODIFIED_AT = 12;
const ETAG_AT = 18;
const DIGEST_AT = 34;
const SLOT_BYTES = 42;
const ETAG_BYTES = 16;
const NUMBER_BYTES = 6;
const CHAINS = 65_536;

function generationBytes(slots: number): number {
  return (SLOT_BYTES + 2) * slots + 2 * CHAINS;
}

function fits({ sizeBytes, modifiedMs, etag }: Listable): boolean {
  return sizeBytes < 2 ** 48 && modifiedMs >= 0 && modifiedMs < 2 ** 48 && etag.bytes.length === ETAG_BYTES;
}

/** So many names, never changed or removed one by one. */
class Generation {
  readonly #slotsMax: number;
  readonly #kinds: ChecksumKinds;
  readonly #slots: Buffer;
  readonly #keys: KeyMark[] = [];
  readonly #keyNumbers = new WeakMap<KeyMark, number>();
  /** By two bytes of the digest: the number from 1 of the slot that was put last, 0 for none. */
  readonly #chains = new Uint16Array(CHAINS);
  /** By slot: the one of its chain that was put before it. */
  readonly #before: Uint16Array;
  #count = 0;

  constructor(slotsMax: number, kinds: ChecksumKinds) {
    this.#slotsMax = slotsMax;
    this.#kinds = kinds;
    this.#slots = Buffer.allocUnsafeSlow(slotsMax * SLOT_BYTES);
    this.#before = new Uint16Array(slotsMax);
  }

  get isFull(): boolean {
    return this.#count === this.#slotsMax;
  }

  put(digest: string, key: KeyMark, { sizeBytes, modifiedMs, etag }: Listable, kind: number): void {
    const at = this.#count * SLOT_BYTES;
    const slots = this.#slots;
    slots.writeUInt16LE(this.#numberOf(key), at + KEY_AT);
    slots.writeUInt16LE(kind, at + KIND_AT);
    slots.writeUInt16LE(etag.parts, at + PARTS_AT);
    slots.writeUIntLE(sizeBytes, at + SIZE_AT, NUMBER_BYTES);
    slots.writeUIntLE(modifiedMs, at + MODIFIED_AT, NUMBER_BYTES);
    slots.set(etag.bytes, at + ETAG_AT);
    slots.writeUInt32LE(wordOf(digest, 0), at + DIGEST_AT);
    slots.writeUInt32LE(wordOf(digest, 4), at + DIGEST_AT + 4);
    const chain = chainOf(digest);
    this.#before[this.#count] = this.#chains[chain] as number;
    this.#count += 1;
    this.#chains[chain] = this.#count;
  }

  get(digest: string, ref: ObjectRef): Recalled | undefined {
    const slots = this.#slots;
    const low = wordOf(digest, 0);
    for (let slot = this.#chains[chainOf(digest)] as number; slot > 0; slot = this.#before[slot - 1] as number) {
      const at = (slot - 1) * SLOT_BYTES;
      if (slots.readUInt32LE(at + DIGEST_AT) !== low) continue;
      if (slots.readUInt32LE(at + DIGEST_AT + 4) !== wordOf(digest, 4)) continue;
      return { key: this.#keys[slots.readUInt16LE(at + KEY_AT)] as KeyMark, object: this.#objectAt(at, ref) };
    }
    return undefined;
  }

  #objectAt(at: number, ref: ObjectRef): ListedObject {
    const slots = this.#slots;
    const parts = slots.readUInt16LE(at + PARTS_AT);
    const digits = slots.toString("hex", at + ETAG_AT, at + ETAG_AT + ETAG_BYTES);
    return {
      ref,
      sizeBytes: slots.readUIntLE(at + SIZE_AT, NUMBER_BYTES),
      etag: parts === 0 ? digits : `${digits}-${parts}`,
      modifiedMs: slots.readUIntLE(at + MODIFIED_AT, NUMBER_BYTES),
      checksums: this.#kinds.of(slots.readUInt16LE(at + KIND_AT)),
    };
  }

  /** A key that is opened again has another mark, which says the same: a cache that keeps nothing opens it each time. */
  #numberOf(key: KeyMark): number {
    let number = this.#keyNumbers.get(key);
    if (number === undefined) {
      number = this.#keys.findIndex((one) => isSame(one, key));
      if (number < 0) number = this.#keys.push(key) - 1;
      this.#keyNumbers.set(key, number);
    }
    return number;
  }
}

function isSame(one: KeyMark, other: KeyMark): boolean {
  return sameBytes(one.id, other.id) && sameBytes(one.fingerprint, other.fingerprint);
}

/** Four bytes of a digest, which is text of one byte a unit. */
function wordOf(digest: string, at: number): number {
  const high = (digest.charCodeAt(at + 3) << 8) | digest.charCodeAt(at + 2);
  return ((high << 16) | (digest.charCodeAt(at + 1) << 8) | digest.charCodeAt(at)) >>> 0;
}

function chainOf(digest: string): number {
  return (digest.charCodeAt(8) << 8) | digest.charCodeAt(9);
}

const KINDS_MAX = 65_536;

/** Which checksums objects have: few lists, again and again. */
class ChecksumKinds {
  readonly #lists: ListedObject["checksums"][] = [];
  readonly #numbers = new Map<string, number>();

  of(number: number): ListedObject["checksums"] {
    return this.#lists[number] as ListedObject["checksums"];
  }

  /** undefined: there are more of them than can be told apart. */
  numberOf(checksums: ListedObject["checksums"]): number | undefined {
    const text = checksums.map(({ algorithm, kind }) => `${algorithm} ${kind}`).join();
    let number = this.#numbers.get(text);
    if (number === undefined && this.#lists.length < KINDS_MAX) {
      number = this.#lists.length;
      this.#lists.push(checksums.map(({ algorithm, kind }) => ({ algorithm, kind })));
      this.#numbers.set(text, number);
    }
    return number;
  }
}
