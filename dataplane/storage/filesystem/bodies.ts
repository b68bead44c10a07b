/* Body files: where they are, how many may be open, and folder syncs that all share who wait. A file has a random id
 * that is never used again; 256 folders hold them. Errors of the file system become StorageErrors here. */

import { join } from "node:path";
import { type StorageCode, StorageError } from "../storage.ts";
import { codeOf, type Disk } from "./disk.ts";

const WRITE_CODES: Readonly<Record<string, StorageCode>> = {
  ENOSPC: "full",
  EDQUOT: "full",
  EFBIG: "too-large",
  EROFS: "broken",
};

const READ_CODES: Readonly<Record<string, StorageCode>> = { ENOENT: "damaged", EISDIR: "damaged" };

/** The error of a body that is being stored. */
export function writeError(cause: unknown, file: string): StorageError {
  const code = WRITE_CODES[codeOf(cause)] ?? "unreachable";
  return cause instanceof StorageError
    ? cause
    : new StorageError(code, `Cannot store the body "${file}": ${String(cause)}`, { cause });
}

/** The error of a body to which a record refers. */
export function readError(cause: unknown, file: string): StorageError {
  const code = READ_CODES[codeOf(cause)] ?? "unreachable";
  return cause instanceof StorageError
    ? cause
    : new StorageError(code, `Cannot read the body "${file}": ${String(cause)}`, { cause });
}

/** One sync of a folder at a time; who comes while it runs waits for the next one, which begins after he came.
 *  What a failed sync would have written may be lost though the next one succeeds, so it fails all who were there. */
class FolderSync {
  readonly #sync: () => Promise<void>;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  failures = 0;

  constructor(sync: () => Promise<void>) {
    this.#sync = sync;
  }

  done(): Promise<void> {
    if (this.#running === undefined) {
      return this.#start();
    }
    this.#next ??= this.#running.then(() => this.#start());
    return this.#next;
  }

  #start(): Promise<void> {
    this.#next = undefined;
    const running = this.#sync();
    this.#running = running;
    running.then(
      () => this.#end(running),
      () => {
        this.failures += 1;
        this.#next = undefined;
        this.#end(running);
      },
    );
    return running;
  }

  #end(running: Promise<void>): void {
    if (this.#running === running) {
      this.#running = undefined;
    }
  }
}

export class BodyFiles {
  readonly disk: Disk;
  readonly #folder: string;
  readonly #openMax: number;
  readonly #syncs = new Map<string, FolderSync>();
  #open = 0;

  constructor(disk: Disk, folder: string, openMax: number) {
    this.disk = disk;
    this.#folder = folder;
    this.#openMax = openMax;
  }

  path(file: string): string {
    return join(this.folderOf(file), file);
  }

  folderOf(file: string): string {
    return join(this.#folder, file.slice(0, 2));
  }

  async #counted(open: () => Promise<number>): Promise<number> {
    if (this.#open >= this.#openMax) {
      throw new StorageError("unreachable", `Too many files are open (${this.#openMax})`);
    }
    this.#open += 1;
    try {
      return await open();
    } catch (error) {
      this.#open -= 1;
      throw error;
    }
  }

  create(file: string): Promise<number> {
    return this.#counted(() => this.disk.create(this.path(file)));
  }

  open(file: string): Promise<number> {
    return this.#counted(() => this.disk.open(this.path(file)));
  }

  async close(descriptor: number): Promise<void> {
    this.#open -= 1;
    await this.disk.close(descriptor);
  }

  #syncOf(file: string): FolderSync {
    const folder = this.folderOf(file);
    let sync = this.#syncs.get(folder);
    if (sync === undefined) {
      sync = new FolderSync(() => this.disk.syncFolder(folder));
      this.#syncs.set(folder, sync);
    }
    return sync;
  }

  /** How often syncs of the file's folder have failed: to be asked before something is done to the folder. */
  failedSyncs(file: string): number {
    return this.#syncOf(file).failures;
  }

  /** Resolves once what was done to the file's folder, since `failedSyncs` was asked, is durable. */
  async syncFolderOf(file: string, failedSyncs: number): Promise<void> {
    const sync = this.#syncOf(file);
    if (sync.failures === failedSyncs) {
      await sync.done();
    }
    if (sync.failures !== failedSyncs) {
      throw new StorageError("unreachable", `A sync of the folder of "${file}" has failed`);
    }
  }

  /** A second name of the same body. */
  link(from: string, to: string): Promise<void> {
    return this.disk.link(this.path(from), this.path(to));
  }

  /** It may be gone already. */
  async unlink(file: string): Promise<void> {
    try {
      await this.disk.unlink(this.path(file));
    } catch (error) {
      if (codeOf(error) !== "ENOENT") {
        throw error;
      }
    }
  }
}
