/**
 * The first 64 bytes of a segment (FORMAT.md §2, §3): its head, and from head, key and context the key of its chunks and
 * the commitment. The only place where keys are derived.
 */
import { createHmac, type KeyObject, timingSafeEqual } from "node:crypto";
import { EnvelopeError, insist } from "./failure.ts";
import { CHUNK_LOG2_MAX, CHUNK_LOG2_MIN, HEAD_BYTES, HEADER_BYTES } from "./sizes.ts";

/** A secret of 32 bytes. Both forms cost the same here; a `KeyObject` is what may be kept. */
export type Key = KeyObject | Uint8Array;

/** The cipher of a segment; both with 256-bit keys and 16-byte tags. */
export type Suite = "AES-256-GCM" | "ChaCha20-Poly1305";

/** What a segment holds. A body is also one attempt of one part of a body. */
export type Use = "body" | "part-list" | "envelope" | "data-key" | "local-wrap";

export interface Head {
  readonly suite: Suite;
  /** A chunk holds 2^chunkLog2 plaintext bytes: 14 … 20. */
  readonly chunkLog2: number;
  readonly use: Use;
  /** 1 … 10,000 for a part of an upload, else 0. */
  readonly partNumber: number;
  /** 16 bytes. */
  readonly salt: Uint8Array;
}

/** Suite, chunk size, use and part number of the small segments: those of every use but `body`. */
export const SMALL_SUITE: Suite = "AES-256-GCM";
export const SMALL_CHUNK_LOG2 = 16;

export const PART_NUMBER_MAX = 10_000;

const MAGIC = 0x4f455331; // OES1
const VERSION = 1;
const SUITES: readonly (Suite | undefined)[] = [undefined, "AES-256-GCM", "ChaCha20-Poly1305"];
const USES: readonly Use[] = ["body", "part-list", "envelope", "data-key", "local-wrap"];
const LABEL = Buffer.from("oes1/segment\0");
const FINGERPRINT_LABEL = Buffer.from("coffer/fingerprint\0");
const ONE = Buffer.from([1]);

/** The byte that stands for a suite. */
export function suiteByte(suite: Suite): number {
  return SUITES.indexOf(suite);
}

/** The suite that a byte stands for; `Unsupported` if none. */
export function suiteOf(byte: number): Suite {
  const suite = SUITES[byte];
  if (suite === undefined) {
    throw new EnvelopeError("Unsupported", `Suite ${byte} is unknown`);
  }
  return suite;
}

/** Writes the head into `target` at `offset`. */
export function writeHead(target: Buffer, offset: number, head: Head): void {
  insist(validChunkLog2(head.chunkLog2), "chunkLog2 is 14 to 20");
  insist(head.partNumber >= 0 && head.partNumber <= PART_NUMBER_MAX, "a part number is 0 to 10,000");
  insist(head.salt.length === 16, "a salt has 16 bytes");
  target.writeUInt32BE(MAGIC, offset);
  target[offset + 4] = VERSION;
  target[offset + 5] = suiteByte(head.suite);
  target[offset + 6] = head.chunkLog2;
  target[offset + 7] = USES.indexOf(head.use);
  target.writeUInt32BE(head.partNumber, offset + 8);
  target.writeUInt32BE(0, offset + 12);
  target.set(head.salt, offset + 16);
}

/** Reads bytes 0 … 31 of a segment, strictly. The salt is a view. `what` names the segment in messages. */
export function parseHead(bytes: Uint8Array, what: string): Head {
  if (bytes.length < HEAD_BYTES) {
    throw new EnvelopeError("Malformed", `The head of ${what} is cut off`);
  }
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, HEAD_BYTES);
  if (view.readUInt32BE(0) !== MAGIC) {
    throw new EnvelopeError("Malformed", `${what} does not begin with OES1`);
  }
  if (view[4] !== VERSION) {
    throw new EnvelopeError("Unsupported", `Version ${view[4]} of ${what} is unknown`);
  }
  const suite = suiteOf(view[5] as number);
  const use = USES[view[7] as number];
  if (use === undefined) {
    throw new EnvelopeError("Unsupported", `Use ${view[7]} of ${what} is unknown`);
  }
  const chunkLog2 = view[6] as number;
  const partNumber = view.readUInt32BE(8);
  if (!validChunkLog2(chunkLog2) || partNumber > PART_NUMBER_MAX || view.readUInt32BE(12) !== 0) {
    throw new EnvelopeError("Malformed", `The head of ${what} has a value that none may have`);
  }
  if (use !== "body" && (suite !== SMALL_SUITE || chunkLog2 !== SMALL_CHUNK_LOG2 || partNumber !== 0)) {
    throw new EnvelopeError("Malformed", `The head of ${what} does not fit its use`);
  }
  return { suite, chunkLog2, use, partNumber, salt: view.subarray(16, HEAD_BYTES) };
}

/** Where what is hashed is laid side by side: each call of an HMAC costs more than its bytes. No secrets come here. */
const hashed = Buffer.alloc(4096);

/** EXPAND(key, label ‖ parts) of FORMAT.md §2: 64 bytes, in memory of their own. */
export function expand(key: Key, label: Uint8Array, parts: readonly Uint8Array[]): Buffer {
  insist(keyBytes(key) === 32, "a key has 32 bytes");
  const hmac = createHmac("sha512", key);
  let length = 0;
  for (const part of [label, ...parts, ONE]) {
    if (length + part.length > hashed.length) {
      hmac.update(hashed.subarray(0, length));
      length = 0;
    }
    if (part.length > hashed.length) {
      hmac.update(part);
    } else {
      hashed.set(part, length);
      length += part.length;
    }
  }
  return hmac.update(hashed.subarray(0, length)).digest();
}

/** Key and commitment of the segment that begins with `head`; views of one buffer. */
export function segmentKeys(
  key: Key,
  head: Uint8Array,
  context: readonly Uint8Array[],
): { chunkKey: Buffer; commitment: Buffer } {
  const keys = expand(key, LABEL, [head, ...context]);
  return { chunkKey: keys.subarray(0, 32), commitment: keys.subarray(32, HEADER_BYTES) };
}

/** 16 bytes that tell one key from another and nothing about it; never stored, so no part of the format. */
export function fingerprintOf(key: Key): Uint8Array {
  return Uint8Array.from(expand(key, FINGERPRINT_LABEL, []).subarray(0, 16));
}

/** `WrongKey` unless the commitment that was read is the one that the key gives. Constant in time. */
export function checkCommitment(read: Uint8Array, expected: Uint8Array, what: string): void {
  if (read.length !== expected.length || !timingSafeEqual(read, expected)) {
    throw new EnvelopeError("WrongKey", `${what} was not sealed under this key and context`);
  }
}

function keyBytes(key: Key): number | undefined {
  return key instanceof Uint8Array ? key.length : key.symmetricKeySize;
}

function validChunkLog2(chunkLog2: number): boolean {
  return Number.isInteger(chunkLog2) && chunkLog2 >= CHUNK_LOG2_MIN && chunkLog2 <= CHUNK_LOG2_MAX;
}
