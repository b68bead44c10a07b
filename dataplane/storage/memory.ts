/* A Storage in memory, for tests: the contract and nothing beside it. Knows no versions and keeps nothing. */

import { randomUUID } from "node:crypto";
import { MemoryDraft, slices } from "./memory-draft.ts";
import { type Listed, type Position, pageOf, type Scan } from "./paging.ts";
import {
  type Document,
  type Draft,
  type Entry,
  type EnvelopeSource,
  type Expect,
  type Finding,
  type FoundUpload,
  type Health,
  type ListQuery,
  type ObjectRef,
  type Page,
  type Part,
  type Storage,
  StorageError,
  type Traits,
  type Upload,
  type UploadRef,
  type UploadState,
} from "./storage.ts";

const COMPLETED_KEPT_MS = 24 * 60 * 60 * 1000;

interface Kept extends Entry {
  readonly envelope: Uint8Array;
  readonly pieces: readonly Uint8Array[];
  readonly tail: Uint8Array;
}

interface KeptPart extends Part {
  readonly pieces: readonly Uint8Array[];
}

interface KeptUpload extends Upload {
  state: Uint8Array;
  readonly parts: Map<number, KeptPart>;
  completed: Kept | undefined;
}

interface Bucket {
  readonly objects: Map<string, Kept>;
  readonly uploads: Map<string, KeptUpload>;
}

const OBJECTS: Listed<Entry> = {
  name: (entry) => entry.ref.name,
  after: (entry) => ({ skip: "name", name: entry.ref.name }),
};

const UPLOADS: Listed<Upload> = {
  name: (upload) => upload.name,
  after: (upload) => ({ skip: "upload", name: upload.name, uploadId: upload.uploadId }),
};

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}

/** A scan over what was sorted beforehand. */
function scanOf<Item>(
  sorted: readonly Item[],
  nameOf: (item: Item) => string,
  idOf: (item: Item) => string,
): Scan<Item> {
  return (from: Position, count: number) => {
    const at = sorted.findIndex((item) => {
      const order = Buffer.compare(Buffer.from(nameOf(item)), from.name);
      if (order !== 0 || from.inclusive) {
        return order >= 0;
      }
      return from.uploadId !== undefined && byBytes(idOf(item), from.uploadId) > 0;
    });
    return at < 0 ? [] : sorted.slice(at, at + count);
  };
}

function assertExpected(found: { readonly tag: string } | undefined, expect: Expect | undefined, what: string): void {
  if (expect === undefined) {
    return;
  }
  if (expect === "absent" ? found !== undefined : found?.tag !== expect) {
    throw new StorageError("changed", `${what} is no longer what was expected`);
  }
}

function assertFound(open: KeptUpload, found: FoundUpload): void {
  if (Buffer.compare(open.state, found.state) !== 0) {
    throw new StorageError("changed", `Upload "${found.uploadId}" is no longer what was found`);
  }
}

function sizeOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}

function uploadKey(upload: UploadRef): string {
  return `${upload.name}\0${upload.uploadId}`;
}

class MemoryStorage implements Storage {
  readonly traits: Traits = {
    partBytesMin: 0,
    listsEnvelopes: true,
    namesVersions: false,
    updateKeepsTime: true,
    exclusive: false,
  };
  readonly #buckets = new Map<string, Bucket>();
  readonly #documents = new Map<string, Document>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  #bucket(bucket: string): Bucket {
    const found = this.#buckets.get(bucket);
    if (found === undefined) {
      throw new StorageError("no-bucket", `There is no bucket "${bucket}"`);
    }
    return found;
  }

  #open(ref: UploadRef): KeptUpload {
    const upload = this.#bucket(ref.bucket).uploads.get(uploadKey(ref));
    if (upload === undefined || upload.completed !== undefined) {
      throw new StorageError("no-upload", `There is no open upload "${ref.uploadId}" of "${ref.name}"`);
    }
    return upload;
  }

  #exactly(entry: Entry): Kept {
    const found = this.#bucket(entry.ref.bucket).objects.get(entry.ref.name);
    if (found === undefined || found.tag !== entry.tag) {
      throw new StorageError("changed", `"${entry.ref.name}" is no longer what was found`);
    }
    return found;
  }

  #store(
    ref: ObjectRef,
    body: Pick<Kept, "pieces" | "tail">,
    envelope: Uint8Array,
    expect: Expect | undefined,
    modifiedMs: number = this.#nowMs(),
  ): Kept {
    const { objects } = this.#bucket(ref.bucket);
    assertExpected(objects.get(ref.name), expect, `"${ref.name}"`);
    const kept: Kept = {
      ref: { bucket: ref.bucket, name: ref.name },
      version: "",
      tag: randomUUID(),
      marker: false,
      storedBytes: sizeOf(body.pieces),
      modifiedMs,
      envelope: Uint8Array.from(envelope),
      pieces: body.pieces,
      tail: body.tail,
    };
    objects.set(ref.name, kept);
    return kept;
  }

  async createBucket(bucket: string, _signal: AbortSignal): Promise<void> {
    if (!this.#buckets.has(bucket)) {
      this.#buckets.set(bucket, { objects: new Map(), uploads: new Map() });
    }
  }

  async setVersioning(_bucket: string, _state: "enabled" | "suspended", _signal: AbortSignal): Promise<void> {
    throw new StorageError("unsupported", "This storage keeps no versions");
  }

  async removeBucket(bucket: string, _signal: AbortSignal): Promise<void> {
    if (this.#bucket(bucket).objects.size > 0) {
      throw new StorageError("not-empty", `Bucket "${bucket}" is not empty`);
    }
    this.#buckets.delete(bucket);
  }

  async find(ref: ObjectRef, _signal: AbortSignal): Promise<Entry | undefined> {
    const found = this.#bucket(ref.bucket).objects.get(ref.name);
    return ref.version ? undefined : found;
  }

  async list(bucket: string, query: ListQuery, _signal: AbortSignal): Promise<Page<Entry>> {
    const { objects } = this.#bucket(bucket);
    if (query.versions === true) {
      throw new StorageError("unsupported", "This storage keeps no versions");
    }
    const sorted = [...objects.values()].sort((one, other) => byBytes(one.ref.name, other.ref.name));
    return pageOf<Entry>(
      query,
      scanOf<Entry>(
        sorted,
        (entry) => entry.ref.name,
        () => "",
      ),
      OBJECTS,
    );
  }

  async *read(entry: Entry, fromByte: number, toByte: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    signal.throwIfAborted();
    yield* slices(this.#exactly(entry).pieces, fromByte, toByte, signal);
  }

  async tail(entry: Entry, _signal: AbortSignal): Promise<Uint8Array> {
    return this.#exactly(entry).tail;
  }

  draft(ref: ObjectRef, source: EnvelopeSource, signal: AbortSignal): Draft<Entry> {
    const begunIn = this.#buckets.get(ref.bucket);
    return new MemoryDraft(signal, (pieces, expect) => {
      if (begunIn !== this.#bucket(ref.bucket)) {
        throw new StorageError("no-bucket", `Bucket "${ref.bucket}" was removed meanwhile`);
      }
      const { envelope, tail } = source.whole();
      return this.#store(ref, { pieces, tail: Uint8Array.from(tail ?? []) }, envelope, expect);
    });
  }

  async copy(
    from: Entry,
    to: ObjectRef,
    envelope: Uint8Array,
    expect: Expect | undefined,
    _signal: AbortSignal,
  ): Promise<Entry> {
    return this.#store(to, this.#exactly(from), envelope, expect);
  }

  async update(entry: Entry, envelope: Uint8Array, _signal: AbortSignal): Promise<Entry> {
    const found = this.#exactly(entry);
    return this.#store(entry.ref, found, envelope, entry.tag, found.modifiedMs);
  }

  async mark(_ref: ObjectRef, _envelope: Uint8Array, _signal: AbortSignal): Promise<Entry> {
    throw new StorageError("unsupported", "This storage keeps no versions");
  }

  async remove(ref: ObjectRef, expect: Expect | undefined, _signal: AbortSignal): Promise<void> {
    const { objects } = this.#bucket(ref.bucket);
    assertExpected(objects.get(ref.name), expect, `"${ref.name}"`);
    objects.delete(ref.name);
  }

  async createUpload(
    upload: UploadRef,
    state: Uint8Array,
    _source: EnvelopeSource,
    _signal: AbortSignal,
  ): Promise<void> {
    const { uploads } = this.#bucket(upload.bucket);
    if (uploads.has(uploadKey(upload))) {
      throw new StorageError("exists", `Upload "${upload.uploadId}" exists`);
    }
    const { bucket, name, uploadId } = upload;
    const kept = { bucket, name, uploadId, startedMs: this.#nowMs(), state: Uint8Array.from(state) };
    uploads.set(uploadKey(upload), { ...kept, parts: new Map(), completed: undefined });
  }

  async uploadState(upload: UploadRef, _signal: AbortSignal): Promise<UploadState | undefined> {
    const { uploads } = this.#bucket(upload.bucket);
    const found = uploads.get(uploadKey(upload));
    if (found?.completed !== undefined && found.completed.modifiedMs + COMPLETED_KEPT_MS < this.#nowMs()) {
      uploads.delete(uploadKey(upload));
      return undefined;
    }
    return found && { ...found };
  }

  async updateUpload(upload: FoundUpload, state: Uint8Array, _signal: AbortSignal): Promise<void> {
    const open = this.#open(upload);
    assertFound(open, upload);
    open.state = Uint8Array.from(state);
  }

  part(upload: UploadRef, partNumber: number, source: EnvelopeSource, signal: AbortSignal): Draft<Part> {
    return new MemoryDraft<Part>(signal, (pieces, expect) => {
      const { parts } = this.#open(upload);
      assertExpected(parts.get(partNumber), expect, `Part ${partNumber}`);
      const part: KeptPart = {
        partNumber,
        tag: randomUUID(),
        storedBytes: sizeOf(pieces),
        modifiedMs: this.#nowMs(),
        envelope: Uint8Array.from(source.whole().envelope),
        pieces,
      };
      parts.set(partNumber, part);
      return part;
    });
  }

  async parts(upload: UploadRef, after: number, limit: number, _signal: AbortSignal): Promise<Page<Part, number>> {
    const open = this.#open(upload);
    const numbers = [...open.parts.keys()].filter((number) => number > after).sort((one, other) => one - other);
    const items = numbers.slice(0, limit).flatMap((number) => open.parts.get(number) ?? []);
    const next = numbers.length > items.length ? items.at(-1)?.partNumber : undefined;
    return { items, prefixes: [], next };
  }

  async uploads(bucket: string, query: ListQuery, _signal: AbortSignal): Promise<Page<Upload>> {
    const open = [...this.#bucket(bucket).uploads.values()].filter((upload) => upload.completed === undefined);
    open.sort((one, other) => byBytes(one.name, other.name) || byBytes(one.uploadId, other.uploadId));
    return pageOf<Upload>(
      query,
      scanOf<Upload>(
        open,
        (upload) => upload.name,
        (upload) => upload.uploadId,
      ),
      UPLOADS,
    );
  }

  async complete(
    upload: UploadRef | FoundUpload,
    parts: readonly Part[],
    source: EnvelopeSource,
    expect: Expect | undefined,
    _signal: AbortSignal,
  ): Promise<Entry> {
    const before = this.#bucket(upload.bucket).uploads.get(uploadKey(upload))?.completed;
    if (before !== undefined) {
      return before;
    }
    const open = this.#open(upload);
    if ("state" in upload) {
      assertFound(open, upload);
    }
    const listed = parts.map((part) => {
      const found = open.parts.get(part.partNumber);
      assertExpected(found, part.tag, `Part ${part.partNumber}`);
      return found?.pieces ?? [];
    });
    const { envelope, tail } = source.whole();
    const body = { pieces: listed.flat(), tail: Uint8Array.from(tail ?? []) };
    open.completed = this.#store(upload, body, envelope, expect);
    open.parts.clear();
    return open.completed;
  }

  async abort(upload: UploadRef, _signal: AbortSignal): Promise<void> {
    this.#open(upload);
    this.#bucket(upload.bucket).uploads.delete(uploadKey(upload));
  }

  async document(path: string, _signal: AbortSignal): Promise<Document | undefined> {
    return this.#documents.get(path);
  }

  async documents(prefix: string, after: string, limit: number, _signal: AbortSignal): Promise<Page<Document, string>> {
    const found = [...this.#documents.values()]
      .filter(({ path }) => path.startsWith(prefix) && byBytes(path, after) > 0)
      .sort((one, other) => byBytes(one.path, other.path));
    const items = found.slice(0, limit);
    return { items, prefixes: [], next: found.length > items.length ? items.at(-1)?.path : undefined };
  }

  async putDocument(path: string, bytes: Uint8Array, expect: Expect, _signal: AbortSignal): Promise<string> {
    assertExpected(this.#documents.get(path), expect, `Document "${path}"`);
    const document: Document = { path, bytes: Uint8Array.from(bytes), tag: randomUUID() };
    this.#documents.set(path, document);
    return document.tag;
  }

  async removeDocument(path: string, expect: string, _signal: AbortSignal): Promise<void> {
    assertExpected(this.#documents.get(path), expect, `Document "${path}"`);
    this.#documents.delete(path);
  }

  health(): Health {
    return { writable: true, reason: undefined };
  }

  async check(_signal: AbortSignal): Promise<readonly Finding[]> {
    return [];
  }

  async close(): Promise<void> {
    this.#buckets.clear();
    this.#documents.clear();
  }
}

/** An empty one. The clock sets `modifiedMs` and ends what completed uploads keep. */
export function createMemoryStorage(nowMs: () => number = Date.now): Storage {
  return new MemoryStorage(nowMs);
}
