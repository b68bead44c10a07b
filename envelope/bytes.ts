/**
 * How the format writes numbers, text and pairs (FORMAT.md §1): a writer that grows, a reader that refuses everything
 * which the writer would not have written. What the fields mean is left to the files that own them.
 */
import { EnvelopeError, insist } from "./failure.ts";

/** Pairs of text, each name once. A `Map` is one, and `Object.entries()` of a record. */
export type Pairs = Iterable<readonly [string, string]>;

const strictText = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Writes into one buffer that grows. Numbers out of range are mistakes of the caller; ill-formed text is `Malformed`. */
export class ByteWriter {
  #bytes: Buffer;
  #length = 0;

  constructor(capacityBytes = 512) {
    this.#bytes = Buffer.allocUnsafe(capacityBytes);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    const at = this.#grow(1);
    this.#bytes.writeUInt8(value, at);
  }

  be16(value: number): void {
    const at = this.#grow(2);
    this.#bytes.writeUInt16BE(value, at);
  }

  be32(value: number): void {
    const at = this.#grow(4);
    this.#bytes.writeUInt32BE(value, at);
  }

  be48(value: number): void {
    const at = this.#grow(6);
    this.#bytes.writeUIntBE(value, at, 6);
  }

  be64(value: number): void {
    insist(Number.isSafeInteger(value) && value >= 0, "a number of 64 bits must be a safe integer");
    const at = this.#grow(8);
    this.#bytes.writeUInt32BE(Math.floor(value / 2 ** 32), at);
    this.#bytes.writeUInt32BE(value % 2 ** 32, at + 4);
  }

  raw(bytes: Uint8Array): void {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** Bytes whose length the format fixes. */
  fixed(bytes: Uint8Array, byteCount: number): void {
    insist(bytes.length === byteCount, `a field of ${byteCount} bytes was given ${bytes.length}`);
    this.raw(bytes);
  }

  /** LP(bytes). */
  lp(bytes: Uint8Array): void {
    this.be32(bytes.length);
    this.raw(bytes);
  }

  /** LP(UTF-8 of the text), as it is: never normalised, and refused where it is not well-formed. */
  text(text: string): void {
    const begun = this.beginLp();
    this.textBare(text);
    this.endLp(begun);
  }

  /** The text without its length. */
  textBare(text: string): void {
    if (!text.isWellFormed()) {
      throw new EnvelopeError("Malformed", "Text is not well-formed Unicode");
    }
    const at = this.#grow(Buffer.byteLength(text));
    this.#bytes.write(text, at, "utf8");
  }

  /** PAIRS(pairs): sorted by the bytes of the names. A name that comes twice is `Malformed`. */
  pairs(pairs: Pairs): void {
    for (const [name, value] of sortedPairs(pairs)) {
      this.lp(name);
      this.text(value);
    }
  }

  /** Begins an LP whose length is known at `endLp()`, which takes what this returns. */
  beginLp(): number {
    this.be32(0);
    return this.#length;
  }

  endLp(begun: number): void {
    this.#bytes.writeUInt32BE(this.#length - begun, begun - 4);
  }

  /** A view of all that was written; valid until the next write or `erase()`. */
  written(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy of all that was written, in memory of its own. */
  copy(): Uint8Array {
    const copy = Buffer.allocUnsafeSlow(this.#length);
    this.#bytes.copy(copy, 0, 0, this.#length);
    return copy;
  }

  /** Zeroes what was written: for plaintexts that hold keys. */
  erase(): void {
    this.#bytes.fill(0, 0, this.#length);
    this.#length = 0;
  }

  #grow(byteCount: number): number {
    const at = this.#length;
    const needed = at + byteCount;
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes.fill(0, 0, at);
      this.#bytes = larger;
    }
    this.#length = needed;
    return at;
  }
}

/** Reads a buffer from its start; views, no copies. Everything unexpected is `Malformed` and names `what` was read. */
export class ByteReader {
  readonly #bytes: Buffer;
  readonly #what: string;
  #at = 0;
  #end: number;
  /** The field that is being read. */
  #field: number | undefined;

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#what = what;
    this.#end = this.#bytes.length;
  }

  get atEnd(): boolean {
    return this.#at === this.#end;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#step(1));
  }

  be16(): number {
    return this.#bytes.readUInt16BE(this.#step(2));
  }

  be32(): number {
    return this.#bytes.readUInt32BE(this.#step(4));
  }

  be48(): number {
    return this.#bytes.readUIntBE(this.#step(6), 6);
  }

  /** A number of 64 bits, up to 2^53 − 1. */
  be64(): number {
    const at = this.#step(8);
    const value = this.#bytes.readUInt32BE(at) * 2 ** 32 + this.#bytes.readUInt32BE(at + 4);
    if (!Number.isSafeInteger(value)) {
      this.#refuse("a number is too large");
    }
    return value;
  }

  take(byteCount: number): Uint8Array {
    const at = this.#step(byteCount);
    return this.#bytes.subarray(at, at + byteCount);
  }

  /** The bytes of an LP. */
  lp(): Uint8Array {
    return this.take(this.be32());
  }

  /** What `read` makes of an LP, which it must read whole: it sees nothing else. Messages name it by its number. */
  field<Value>(number: number, read: (reader: ByteReader) => Value): Value {
    const byteCount = this.be32();
    const outerEnd = this.#end;
    const end = this.#step(byteCount) + byteCount;
    this.#at = end - byteCount;
    this.#end = end;
    this.#field = number;
    const value = read(this);
    this.end();
    this.#end = outerEnd;
    this.#field = undefined;
    return value;
  }

  /** The text of an LP; what is not UTF-8 is refused. */
  text(): string {
    const byteCount = this.be32();
    const at = this.#step(byteCount);
    return this.#decode(at, at + byteCount);
  }

  /** All that is left. */
  rest(): Uint8Array {
    return this.take(this.#end - this.#at);
  }

  restText(): string {
    const at = this.#at;
    this.#at = this.#end;
    return this.#decode(at, this.#at);
  }

  /** PAIRS to the end: names ascend by their bytes, none comes twice. */
  restPairs(): Map<string, string> {
    const pairs = new Map<string, string>();
    let before: Uint8Array | undefined;
    while (!this.atEnd) {
      const byteCount = this.be32();
      const at = this.#step(byteCount);
      const name = this.#bytes.subarray(at, at + byteCount);
      if (before !== undefined && Buffer.compare(before, name) >= 0) {
        this.#refuse("pairs are not in ascending order");
      }
      before = name;
      pairs.set(this.#decode(at, at + byteCount), this.text());
    }
    return pairs;
  }

  end(): void {
    if (!this.atEnd) {
      this.#refuse("bytes follow its end");
    }
  }

  #step(byteCount: number): number {
    const at = this.#at;
    if (byteCount > this.#end - at) {
      this.#refuse("it ends too early");
    }
    this.#at = at + byteCount;
    return at;
  }

  #decode(from: number, to: number): string {
    const text = this.#bytes.toString("utf8", from, to);
    // The fast way puts U+FFFD where bytes are not UTF-8; only then it matters whether it stood there.
    if (text.includes("\ufffd")) {
      try {
        return strictText.decode(this.#bytes.subarray(from, to));
      } catch {
        this.#refuse("text is not UTF-8");
      }
    }
    return text;
  }

  #refuse(why: string): never {
    const what = this.#field === undefined ? this.#what : `field ${this.#field} of ${this.#what}`;
    throw new EnvelopeError("Malformed", `Cannot read ${what}: ${why}`);
  }
}

/** PAIRS(pairs) of FORMAT.md §1, in memory of its own. */
export function encodePairs(pairs: Pairs): Uint8Array {
  const writer = new ByteWriter(256);
  writer.pairs(pairs);
  return writer.copy();
}

/** The pairs of PAIRS(…), in its order; strict. */
export function decodePairs(bytes: Uint8Array, what: string): Map<string, string> {
  return new ByteReader(bytes, what).restPairs();
}

/** Whether both hold the same bytes. Not constant in time: for what is no secret. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

function sortedPairs(pairs: Pairs): (readonly [Buffer, string])[] {
  const sorted: (readonly [Buffer, string])[] = [];
  for (const [name, value] of pairs) {
    if (!name.isWellFormed()) {
      throw new EnvelopeError("Malformed", "A name is not well-formed Unicode");
    }
    sorted.push([Buffer.from(name), value]);
  }
  // By bytes: the order of JavaScript's strings differs above U+FFFF.
  sorted.sort(([a], [b]) => Buffer.compare(a, b));
  for (let index = 1; index < sorted.length; index += 1) {
    const [before, [name]] = [sorted[index - 1], sorted[index] as readonly [Buffer, string]];
    if (before !== undefined && Buffer.compare(before[0], name) === 0) {
      throw new EnvelopeError("Malformed", `The name ${JSON.stringify(name.toString())} comes twice`);
    }
  }
  return sorted;
}
