/* What the themes of the contract share: a storage under test, and short ways to write to it and read from it. Runs
 * without a test runner too, for programs that a test starts. */

import { createHash } from "node:crypto";
import type { Entry, EnvelopeSource, Expect, ListQuery, ObjectRef, Part, Storage, UploadRef } from "../storage.ts";

export interface Opened {
  readonly storage: Storage;
  end(): Promise<void>;
}

/** A new and empty storage, whose clock the test may set. */
export type OpenEmpty = (nowMs: () => number) => Promise<Opened>;

export const SIGNAL = new AbortController().signal;
export const BUCKET = "photos";

export function ref(name: string): ObjectRef {
  return { bucket: BUCKET, name };
}

export function upload(name: string, uploadId = "u1"): UploadRef {
  return { bucket: BUCKET, name, uploadId };
}

/** Bytes that differ at every offset and for every seed. */
export function bytesOf(seed: string, length: number): Uint8Array {
  const block = createHash("sha512").update(seed).digest();
  const bytes = Buffer.alloc(length, block);
  for (let at = 0; at + 4 <= length; at += 4096) {
    bytes.writeUInt32BE(at, at);
  }
  return bytes;
}

export function sourceOf(envelope: string, tail?: Uint8Array): EnvelopeSource {
  return {
    whole: () => ({ envelope: Buffer.from(envelope), tail }),
    early: () => Buffer.from(envelope),
    tail: () => tail ?? new Uint8Array(),
  };
}

export interface Written {
  readonly expect?: Expect;
  readonly envelope?: string;
  readonly tail?: Uint8Array;
  readonly blockBytes?: number;
}

async function writeTo(
  draft: { write(b: readonly Uint8Array[]): Promise<void> | undefined },
  bytes: Uint8Array,
  step: number,
) {
  for (let at = 0; at < bytes.length; at += step) {
    const full = draft.write([Uint8Array.from(bytes.subarray(at, at + step))]);
    if (full !== undefined) {
      await full;
    }
  }
}

/** Like a caller: discards when the commit fails. */
export async function put(storage: Storage, name: string, bytes: Uint8Array, written: Written = {}): Promise<Entry> {
  const source = sourceOf(written.envelope ?? `envelope of ${name}`, written.tail);
  const draft = storage.draft(ref(name), source, SIGNAL);
  try {
    await writeTo(draft, bytes, written.blockBytes ?? 100_000);
    return await draft.commit(written.expect);
  } finally {
    await draft.discard();
  }
}

export async function putPart(
  storage: Storage,
  of: UploadRef,
  partNumber: number,
  bytes: Uint8Array,
  written: Written = {},
): Promise<Part> {
  const source = sourceOf(written.envelope ?? `envelope of part ${partNumber}`);
  const draft = storage.part(of, partNumber, source, SIGNAL);
  try {
    await writeTo(draft, bytes, written.blockBytes ?? 100_000);
    return await draft.commit(written.expect);
  } finally {
    await draft.discard();
  }
}

export async function readAll(storage: Storage, entry: Entry, from = 0, to = entry.storedBytes): Promise<Buffer> {
  const blocks: Uint8Array[] = [];
  for await (const block of storage.read(entry, from, to, SIGNAL)) {
    blocks.push(Uint8Array.from(block));
  }
  return Buffer.concat(blocks);
}

/** Finds, and reads with the envelope that was found; undefined if it is not there. */
export async function get(storage: Storage, name: string): Promise<{ envelope: string; bytes: Buffer } | undefined> {
  const entry = await storage.find(ref(name), SIGNAL);
  if (entry === undefined) {
    return undefined;
  }
  return { envelope: Buffer.from(entry.envelope ?? []).toString(), bytes: await readAll(storage, entry) };
}

export function query(wanted: Partial<ListQuery> = {}): ListQuery {
  return { prefix: "", delimiter: undefined, after: undefined, limit: 1_000, ...wanted };
}

export function rejection(code: string): object {
  return { name: "StorageError", code };
}

/** Removes all that the tests may have left, by the storage's own means. */
export async function empty(storage: Storage): Promise<void> {
  for (const bucket of [BUCKET, "other"]) {
    await storage.createBucket(bucket, SIGNAL);
    const { items } = await storage.list(bucket, query({ limit: 100_000 }), SIGNAL);
    await Promise.all(items.map((entry) => storage.remove(entry.ref, undefined, SIGNAL)));
    await storage.removeBucket(bucket, SIGNAL);
  }
  const { items } = await storage.documents("", "", 100_000, SIGNAL);
  await Promise.all(items.map(({ path, tag }) => storage.removeDocument(path, tag, SIGNAL)));
}
