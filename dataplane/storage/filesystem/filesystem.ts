/* A Storage on one volume: envelopes, documents and small bodies in an index (SQLite), larger bodies in files.
 * Here the parts are put together; each says for itself what it does. No versions. */

import { mkdirSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
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
} from "../storage.ts";
import { BodyFiles } from "./bodies.ts";
import { Check } from "./check.ts";
import type { CommitFaults } from "./commit-faults.ts";
import { Contents } from "./contents.ts";
import { Crowd } from "./crowd.ts";
import { createDisk, type Disk, openFilesMax } from "./disk.ts";
import { Doomed, FilePool, type Report } from "./doomed.ts";
import { assertEnvelope, type DraftTools, FileDraft, type Keep } from "./draft.ts";
import { Links } from "./links.ts";
import { BucketLives } from "./lives.ts";
import { holdLock, type Lock } from "./lock.ts";
import type { Made } from "./operations.ts";
import { WriterQueue } from "./queue.ts";
import { IndexReader } from "./reader.ts";
import { migrateIndex } from "./schema.ts";
import { DEFAULT_RESERVE, type Reserve, Room } from "./space.ts";

const COMPLETED_KEPT_MS = 24 * 60 * 60 * 1000;
const EXPIRE_EVERY_MS = 60 * 60 * 1000;

export interface FilesystemOptions {
  /** The data folder; made if it is not there. One process at a time. */
  readonly folder: string;
  /** Told what goes wrong behind the scenes, and when writes stop and go on. */
  readonly report?: Report;
  readonly nowMs?: () => number;
  readonly reserve?: Reserve;
  readonly openFilesMax?: number;
  /** How often a broken index is tried again. */
  readonly probeEveryMs?: number;
  /** For tests. */
  readonly disk?: Disk;
  readonly commitFaults?: CommitFaults;
}

interface Rooms {
  readonly lock: Lock;
  readonly queue: WriterQueue;
  readonly reader: IndexReader;
  readonly files: BodyFiles;
  readonly pool: FilePool;
  readonly doomed: Doomed;
  readonly room: Room;
  readonly nowMs: () => number;
  readonly report: Report;
}

function unsupportedVersions(): StorageError {
  return new StorageError("unsupported", "This storage keeps no versions");
}

class FilesystemStorage implements Storage {
  readonly traits: Traits = {
    partBytesMin: 0,
    listsEnvelopes: true,
    namesVersions: false,
    updateKeepsTime: true,
    exclusive: true,
  };
  readonly #rooms: Rooms;
  readonly #contents: Contents;
  readonly #links: Links;
  readonly #tools: DraftTools;
  readonly #expiry: NodeJS.Timeout;
  readonly #lives = new BucketLives();

  constructor(rooms: Rooms) {
    this.#rooms = rooms;
    const { files, pool, doomed, room, queue, reader } = rooms;
    this.#contents = new Contents(reader, doomed, files);
    this.#links = new Links(reader, doomed, files, pool);
    this.#tools = {
      crowd: new Crowd(),
      files,
      pool,
      doomed,
      assertRoom: () => {
        queue.assertWritable();
        room.assertRoom();
      },
      distrust: (reason) => queue.distrust("broken", reason),
    };
    this.#expiry = setInterval(() => this.#expire(), EXPIRE_EVERY_MS);
    this.#expiry.unref();
  }

  #expire(): void {
    const expired = this.#rooms.queue.run({ does: "expire", beforeMs: this.#rooms.nowMs() - COMPLETED_KEPT_MS }, []);
    expired.catch((cause: unknown) => this.#rooms.report("Completed uploads are kept for longer", cause));
  }

  #entry(ref: ObjectRef, made: Made | undefined, envelope: Uint8Array): Entry {
    if (made === undefined) {
      throw new Error("A commit has answered nothing");
    }
    const { tag, storedBytes, modifiedMs } = made;
    const { bucket, name } = ref;
    return {
      ref: { bucket, name },
      version: "",
      tag,
      marker: false,
      storedBytes,
      modifiedMs,
      envelope: made.envelope ?? envelope,
    };
  }

  async createBucket(bucket: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await this.#rooms.queue.run({ does: "createBucket", bucket }, []);
  }

  async setVersioning(_bucket: string, _state: "enabled" | "suspended", _signal: AbortSignal): Promise<void> {
    throw unsupportedVersions();
  }

  async removeBucket(bucket: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await this.#lives.ending(bucket, this.#rooms.queue.run({ does: "removeBucket", bucket }, []));
  }

  async find(ref: ObjectRef, signal: AbortSignal): Promise<Entry | undefined> {
    signal.throwIfAborted();
    const found = this.#rooms.reader.find(ref.bucket, ref.name);
    return ref.version ? undefined : found;
  }

  async list(bucket: string, query: ListQuery, signal: AbortSignal): Promise<Page<Entry>> {
    signal.throwIfAborted();
    if (query.versions === true) {
      throw unsupportedVersions();
    }
    return this.#rooms.reader.list(bucket, query);
  }

  read(entry: Entry, fromByte: number, toByte: number, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#contents.read(entry, fromByte, toByte, signal);
  }

  async tail(entry: Entry, signal: AbortSignal): Promise<Uint8Array> {
    signal.throwIfAborted();
    const { list } = this.#rooms.reader.exactly(entry);
    return list === null ? new Uint8Array() : this.#rooms.reader.tail(list);
  }

  draft(ref: ObjectRef, source: EnvelopeSource, signal: AbortSignal): Draft<Entry> {
    signal.throwIfAborted();
    this.#tools.assertRoom();
    const { bucket, name } = ref;
    const assertSameBucket = this.#lives.assertSame(bucket);
    const keep: Keep<Entry> = async (body, blobs, expect) => {
      assertSameBucket();
      const made = await this.#rooms.queue.run({ does: "put", bucket, name, expect, body }, blobs);
      return this.#entry(ref, made, blobs[0]?.[0] ?? new Uint8Array());
    };
    return new FileDraft(this.#tools, source, keep, signal);
  }

  async copy(
    from: Entry,
    to: ObjectRef,
    envelope: Uint8Array,
    expect: Expect | undefined,
    signal: AbortSignal,
  ): Promise<Entry> {
    signal.throwIfAborted();
    assertEnvelope(envelope);
    this.#rooms.queue.assertWritable();
    const { bucket, name } = to;
    const source = { ...from.ref, tag: from.tag };
    const made = await this.#links.withLinks(from, signal, (files) => {
      return this.#rooms.queue.run({ does: "copy", from: source, bucket, name, files, expect }, [[envelope]]);
    });
    return this.#entry(to, made, envelope);
  }

  async update(entry: Entry, envelope: Uint8Array, signal: AbortSignal): Promise<Entry> {
    signal.throwIfAborted();
    assertEnvelope(envelope);
    const { bucket, name } = entry.ref;
    const made = await this.#rooms.queue.run({ does: "update", bucket, name, tag: entry.tag }, [[envelope]]);
    return this.#entry(entry.ref, made, envelope);
  }

  async mark(_ref: ObjectRef, _envelope: Uint8Array, _signal: AbortSignal): Promise<Entry> {
    throw unsupportedVersions();
  }

  async remove(ref: ObjectRef, expect: Expect | undefined, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { bucket, name } = ref;
    await this.#rooms.queue.run({ does: "remove", bucket, name, expect }, []);
  }

  async createUpload(
    upload: UploadRef,
    state: Uint8Array,
    _source: EnvelopeSource,
    signal: AbortSignal,
  ): Promise<void> {
    signal.throwIfAborted();
    const { bucket, name, uploadId } = upload;
    await this.#rooms.queue.run({ does: "createUpload", bucket, name, uploadId }, [[state]]);
  }

  async uploadState(upload: UploadRef, signal: AbortSignal): Promise<UploadState | undefined> {
    signal.throwIfAborted();
    return this.#rooms.reader.uploadState(upload, this.#rooms.nowMs() - COMPLETED_KEPT_MS);
  }

  async updateUpload(upload: FoundUpload, state: Uint8Array, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { bucket, name, uploadId, state: before } = upload;
    await this.#rooms.queue.run({ does: "updateUpload", bucket, name, uploadId }, [[before], [state]]);
  }

  part(upload: UploadRef, partNumber: number, source: EnvelopeSource, signal: AbortSignal): Draft<Part> {
    signal.throwIfAborted();
    this.#tools.assertRoom();
    const { bucket, name, uploadId } = upload;
    const keep: Keep<Part> = async (body, blobs, expect) => {
      const operation = { does: "part", bucket, name, uploadId, partNumber, expect, body } as const;
      const made = await this.#rooms.queue.run(operation, blobs);
      const { tag, storedBytes, modifiedMs, envelope } = this.#entry(upload, made, blobs[0]?.[0] ?? new Uint8Array());
      return { partNumber, tag, storedBytes, modifiedMs, envelope: envelope ?? new Uint8Array() };
    };
    return new FileDraft(this.#tools, source, keep, signal);
  }

  async parts(upload: UploadRef, after: number, limit: number, signal: AbortSignal): Promise<Page<Part, number>> {
    signal.throwIfAborted();
    return this.#rooms.reader.parts(upload, after, limit);
  }

  async uploads(bucket: string, query: ListQuery, signal: AbortSignal): Promise<Page<Upload>> {
    signal.throwIfAborted();
    return this.#rooms.reader.uploads(bucket, query);
  }

  async complete(
    upload: UploadRef | FoundUpload,
    parts: readonly Part[],
    source: EnvelopeSource,
    expect: Expect | undefined,
    signal: AbortSignal,
  ): Promise<Entry> {
    signal.throwIfAborted();
    const { bucket, name, uploadId } = upload;
    const { envelope, tail = new Uint8Array() } = source.whole();
    assertEnvelope(envelope);
    const listed = parts.map(({ partNumber, tag }) => ({ partNumber, tag }));
    const held = "state" in upload;
    const operation = { does: "complete", bucket, name, uploadId, parts: listed, expect, held } as const;
    const made = await this.#rooms.queue.run(operation, [[envelope], [tail], held ? [upload.state] : []]);
    return this.#entry(upload, made, envelope);
  }

  async abort(upload: UploadRef, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const { bucket, name, uploadId } = upload;
    await this.#rooms.queue.run({ does: "abort", bucket, name, uploadId }, []);
  }

  async document(path: string, signal: AbortSignal): Promise<Document | undefined> {
    signal.throwIfAborted();
    return this.#rooms.reader.document(path);
  }

  async documents(prefix: string, after: string, limit: number, signal: AbortSignal): Promise<Page<Document, string>> {
    signal.throwIfAborted();
    return this.#rooms.reader.documents(prefix, after, limit);
  }

  async putDocument(path: string, bytes: Uint8Array, expect: Expect, signal: AbortSignal): Promise<string> {
    signal.throwIfAborted();
    const made = await this.#rooms.queue.run({ does: "putDocument", path, expect }, [[bytes]]);
    return made?.tag ?? "";
  }

  async removeDocument(path: string, expect: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    await this.#rooms.queue.run({ does: "removeDocument", path, expect }, []);
  }

  health(): Health {
    const health = this.#rooms.queue.health();
    return health.writable ? { writable: true, reason: this.#rooms.room.full() } : health;
  }

  check(signal: AbortSignal): Promise<readonly Finding[]> {
    return new Check(this.#rooms.reader, this.#rooms.files, signal).run();
  }

  async close(): Promise<void> {
    clearInterval(this.#expiry);
    const { doomed, queue, reader, lock } = this.#rooms;
    await doomed.finish();
    // The writer goes last, so that it can empty the log into the index.
    reader.close();
    await queue.close();
    lock.release();
  }
}

async function prepareFolder(folder: string, disk: Disk): Promise<string> {
  const bodies = join(folder, "bodies");
  mkdirSync(bodies, { recursive: true, mode: 0o700 });
  for (let at = 0; at < 256; at += 1) {
    mkdirSync(join(bodies, at.toString(16).padStart(2, "0")), { recursive: true, mode: 0o700 });
  }
  await disk.syncFolder(bodies);
  return bodies;
}

/** Opens the data folder, brings its index forward and removes what a crash has left; "unreachable" if it is in use. */
export async function openFilesystem(options: FilesystemOptions): Promise<Storage> {
  const { nowMs = Date.now, report = () => undefined, disk = createDisk() } = options;
  const folder = resolve(options.folder);
  const bodies = await prepareFolder(folder, disk);
  const lock = holdLock(join(folder, "lock"));
  let queue: WriterQueue | undefined;
  let reader: IndexReader | undefined;
  try {
    const path = join(folder, "index.sqlite");
    migrateIndex(path);
    await disk.syncFolder(folder);
    await disk.syncFolder(dirname(folder));
    const files = new BodyFiles(disk, bodies, options.openFilesMax ?? openFilesMax());
    queue = new WriterQueue({
      path,
      nowMs,
      probeEveryMs: options.probeEveryMs ?? 1_000,
      faults: options.commitFaults,
      onEnded: (ended) => doomed.ended(ended),
      onBroken: (reason) => report("The index takes no writes until it has proven itself again", reason),
      onMended: () => {
        report("The index takes writes again", undefined);
        doomed.settle((file) => reader?.isDoomed(file) ?? false);
      },
    });
    const doomed: Doomed = new Doomed(files, queue, report);
    await queue.run({ does: "expire", beforeMs: nowMs() - COMPLETED_KEPT_MS }, []);
    reader = new IndexReader(path);
    doomed.ended(reader.doomed());
    const pool = new FilePool(queue);
    await Promise.all([doomed.finish(), pool.fill()]);
    const room = new Room(disk, folder, options.reserve ?? DEFAULT_RESERVE);
    return new FilesystemStorage({ lock, queue, reader, files, pool, doomed, room, nowMs, report });
  } catch (error) {
    await queue?.close();
    reader?.close();
    lock.release();
    throw error;
  }
}
