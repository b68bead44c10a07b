/* A body on its way in. While it is small it is only held, and the commit is one write of the index. Above that it
 * streams into a file of its own, in blocks, every write at its position, with a bound on what is in flight. What has
 * been written gives back its memory. */

import { release } from "../../memory.ts";
import { type Draft, type EnvelopeSource, type Expect, StorageError } from "../storage.ts";
import { type BodyFiles, writeError } from "./bodies.ts";
import type { Crowd } from "./crowd.ts";
import type { Doomed, FilePool } from "./doomed.ts";
import type { BodyOf } from "./operations.ts";

/** 64 KiB of plaintext, sealed: header and at most five tags. */
const INLINE_BYTES_MAX = 64 * 1024 + 64 + 5 * 16;
const BLOCK_BUFFERS = 512;
const ENVELOPE_BYTES_MAX = 1024 * 1024;

export interface DraftTools {
  readonly files: BodyFiles;
  readonly pool: FilePool;
  readonly doomed: Doomed;
  /** Of all bodies that are being written to files. */
  readonly crowd: Crowd;
  /** Throws when no body is to be taken. */
  readonly assertRoom: () => void;
  /** The file system has turned read-only, or the like. */
  readonly distrust: (reason: string) => void;
}

/** `blobs`: envelope, tail, inline body. */
export type Keep<Result> = (
  body: BodyOf,
  blobs: readonly (readonly Uint8Array[])[],
  expect: Expect | undefined,
) => Promise<Result>;

export function assertEnvelope(envelope: Uint8Array): void {
  if (envelope.length > ENVELOPE_BYTES_MAX) {
    throw new StorageError("too-large", `An envelope has at most ${ENVELOPE_BYTES_MAX} bytes`);
  }
}

function sizeOf(buffers: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const buffer of buffers) {
    bytes += buffer.length;
  }
  return bytes;
}

export class FileDraft<Result> implements Draft<Result> {
  readonly #tools: DraftTools;
  readonly #source: EnvelopeSource;
  readonly #keep: Keep<Result>;
  readonly #signal: AbortSignal;
  /** Written, and not yet on its way to the file. */
  #pending: Uint8Array[] = [];
  #pendingBytes = 0;
  #totalBytes = 0;
  #isWriting = false;
  #isEnding = false;
  #inCrowd = false;
  #file: string | undefined;
  #descriptor: number | undefined;
  #position = 0;
  #failedSyncs = 0;
  #pump: Promise<void> | undefined;
  #failure: StorageError | undefined;
  #synced = false;
  #state: "open" | "kept" | "uncertain" | "discarded" = "open";
  #room: (() => void)[] = [];

  constructor(tools: DraftTools, source: EnvelopeSource, keep: Keep<Result>, signal: AbortSignal) {
    this.#tools = tools;
    this.#source = source;
    this.#keep = keep;
    this.#signal = signal;
  }

  write(buffers: readonly Uint8Array[]): Promise<void> | undefined {
    this.#signal.throwIfAborted();
    this.#assertOpen();
    const bytes = sizeOf(buffers);
    this.#pending.push(...buffers);
    this.#pendingBytes += bytes;
    this.#totalBytes += bytes;
    if (this.#totalBytes <= INLINE_BYTES_MAX) {
      return undefined;
    }
    this.#tools.assertRoom();
    if (!this.#inCrowd) {
      this.#inCrowd = true;
      this.#tools.crowd.enter();
    }
    if (this.#descriptor === undefined || this.#pendingBytes >= this.#tools.crowd.blockBytes()) {
      this.#pump ??= this.#run();
    }
    return this.#isFull() ? this.#waitForRoom() : undefined;
  }

  /** One block may gather while another is being written. */
  #isFull(): boolean {
    return this.#pendingBytes >= this.#tools.crowd.blockBytes() && (this.#isWriting || this.#descriptor === undefined);
  }

  #assertOpen(): void {
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
    if (this.#state !== "open") {
      throw new Error(`A draft that is ${this.#state} takes nothing more`);
    }
  }

  async #waitForRoom(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#room.push(resolve);
    });
    this.#signal.throwIfAborted();
    this.#assertOpen();
  }

  #tellRoom(): void {
    for (const resolve of this.#room.splice(0)) {
      resolve();
    }
  }

  /** Writes whole blocks, one after the other, in the end the rest. Its failure is kept for the caller's next step. */
  async #run(): Promise<void> {
    try {
      this.#descriptor ??= await this.#create();
      while (this.#state === "open" && this.#pendingBytes >= (this.#isEnding ? 1 : this.#tools.crowd.blockBytes())) {
        const block = this.#nextBlock();
        this.#isWriting = true;
        this.#tellRoom();
        await this.#writeBlock(this.#descriptor, block);
        release(block.filter(isWhole));
        this.#isWriting = false;
      }
    } catch (error) {
      this.#isWriting = false;
      this.#fail(error);
    }
    this.#pump = undefined;
    this.#tellRoom();
  }

  #fail(cause: unknown): StorageError {
    const failure = writeError(cause, this.#file ?? "new");
    this.#failure ??= failure;
    if (failure.code === "broken" && failure.cause !== undefined) {
      this.#tools.distrust(failure.message);
    }
    return failure;
  }

  async #create(): Promise<number> {
    this.#file = await this.#tools.pool.take();
    this.#failedSyncs = this.#tools.files.failedSyncs(this.#file);
    return this.#tools.files.create(this.#file);
  }

  #nextBlock(): Uint8Array[] {
    const blockBytes = this.#tools.crowd.blockBytes();
    let count = 0;
    let bytes = 0;
    for (; count < this.#pending.length && count < BLOCK_BUFFERS && bytes < blockBytes; count += 1) {
      bytes += this.#pending[count]?.length ?? 0;
    }
    this.#pendingBytes -= bytes;
    return count === this.#pending.length ? this.#pending.splice(0) : this.#pending.splice(0, count);
  }

  async #writeBlock(descriptor: number, block: readonly Uint8Array[]): Promise<void> {
    let buffers = block;
    while (buffers.length > 0) {
      const bytes = await this.#tools.files.disk.write(descriptor, buffers, this.#position);
      if (bytes === 0 && sizeOf(buffers) > 0) {
        throw new StorageError("unreachable", "The file system takes no further byte");
      }
      this.#position += bytes;
      buffers = remainder(buffers, bytes);
    }
  }

  async commit(expect?: Expect): Promise<Result> {
    this.#signal.throwIfAborted();
    this.#assertOpen();
    if (this.#totalBytes > INLINE_BYTES_MAX) {
      await this.#finishFile();
      this.#signal.throwIfAborted();
    }
    const { envelope, tail } = this.#source.whole();
    assertEnvelope(envelope);
    const file = this.#file;
    const body: BodyOf = file === undefined ? "inline" : { file, storedBytes: this.#totalBytes };
    const inline = file === undefined ? this.#pending : [];
    try {
      const result = await this.#keep(body, [[envelope], tail === undefined ? [] : [tail], inline], expect);
      this.#state = "kept";
      release(inline.filter(isWhole));
      this.#pending = [];
      return result;
    } catch (error) {
      this.#afterRefusal(error);
      throw error;
    }
  }

  /** A refusal leaves the draft as it was. Anything else leaves it open whether a record refers to the file. */
  #afterRefusal(error: unknown): void {
    if (error instanceof StorageError && error.code !== "broken" && error.code !== "full") {
      return;
    }
    this.#state = "uncertain";
    if (this.#file !== undefined) {
      this.#tools.doomed.keepUncertain(this.#file);
    }
  }

  /** A sync that failed is never repeated: what it would have written may be lost though a second one succeeds. */
  async #finishFile(): Promise<void> {
    this.#isEnding = true;
    await this.#pump;
    this.#assertOpen();
    if (this.#synced) {
      return;
    }
    this.#pump = this.#run();
    await this.#pump;
    this.#assertOpen();
    if (this.#descriptor === undefined || this.#file === undefined) {
      return;
    }
    try {
      const { files } = this.#tools;
      await Promise.all([files.disk.datasync(this.#descriptor), files.syncFolderOf(this.#file, this.#failedSyncs)]);
      this.#synced = true;
      await this.#close();
    } catch (error) {
      throw this.#fail(error);
    }
  }

  async #close(): Promise<void> {
    const descriptor = this.#descriptor;
    this.#descriptor = undefined;
    if (descriptor !== undefined) {
      await this.#tools.files.close(descriptor);
    }
    if (this.#inCrowd) {
      this.#inCrowd = false;
      this.#tools.crowd.leave();
    }
  }

  async discard(): Promise<void> {
    if (this.#state !== "open") {
      return;
    }
    this.#state = "discarded";
    await this.#pump;
    this.#pending = [];
    await this.#close().catch((cause: unknown) => this.#fail(cause));
    if (this.#file !== undefined) {
      this.#tools.doomed.discard(this.#file);
    }
  }
}

/** Alone in its memory. */
function isWhole(bytes: Uint8Array): boolean {
  return bytes.length === bytes.buffer.byteLength;
}

function remainder(buffers: readonly Uint8Array[], written: number): Uint8Array[] {
  let left = written;
  const rest: Uint8Array[] = [];
  for (const buffer of buffers) {
    if (left >= buffer.length) {
      left -= buffer.length;
    } else {
      rest.push(left === 0 ? buffer : buffer.subarray(left));
      left = 0;
    }
  }
  return rest;
}
