/* The end of bodies. A file's id stands in the table of the doomed before the file is made and again when its last
 * reference has gone; in between a record refers to it. Doomed files go once nobody reads them, and after a crash the
 * table is all that has to be looked at. */

import { randomBytes } from "node:crypto";
import type { BodyFiles } from "./bodies.ts";
import type { Ended } from "./operations.ts";
import type { WriterQueue } from "./queue.ts";

const POOL_FILES = 64;
const POOL_LOW = 24;
const BATCH_FILES = 256;
const AT_ONCE = 16;
const GATHER_MS = 100;

export type Report = (message: string, cause: unknown) => void;

/** Ids that are doomed durably already, so that files can be made under them. */
export class FilePool {
  readonly #queue: Pick<WriterQueue, "run">;
  #ids: string[] = [];
  #refill: Promise<void> | undefined;

  constructor(queue: Pick<WriterQueue, "run">) {
    this.#queue = queue;
  }

  /** So that the first body need not wait. */
  fill(): Promise<void> {
    this.#refill ??= this.#fill();
    return this.#refill;
  }

  async take(): Promise<string> {
    for (;;) {
      const id = this.#ids.pop();
      const filled = this.#ids.length < POOL_LOW ? this.fill() : undefined;
      if (id !== undefined) {
        return id;
      }
      await filled;
    }
  }

  /** All ids of one filling share a folder, and so do the syncs of those who use them at the same time. */
  #fill(): Promise<void> {
    const folder = randomBytes(1).toString("hex");
    const ids = Array.from({ length: POOL_FILES }, () => folder + randomBytes(15).toString("hex"));
    const filled = this.#queue.run({ does: "doom", files: ids }, []).then(
      () => {
        this.#ids.unshift(...ids);
        this.#refill = undefined;
      },
      (error: unknown) => {
        this.#refill = undefined;
        throw error;
      },
    );
    // Who finds an id takes it without waiting for this. Who finds none begins again, and hears of the failure.
    filled.catch(() => undefined);
    return filled;
  }
}

export class Doomed {
  readonly #files: BodyFiles;
  readonly #queue: WriterQueue;
  readonly #report: Report;
  readonly #leases = new Map<string | number, number>();
  readonly #leased = new Set<string | number>();
  readonly #uncertain = new Set<string>();
  #waitingFiles: string[] = [];
  #waitingLists: number[] = [];
  #unforgotten: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #working: Promise<void> = Promise.resolve();

  constructor(files: BodyFiles, queue: WriterQueue, report: Report) {
    this.#files = files;
    this.#queue = queue;
    this.#report = report;
  }

  /** Keeps a file or the pieces of a list from going. To be taken in the tick in which the record was read. */
  lease(id: string | number): () => void {
    this.#leases.set(id, (this.#leases.get(id) ?? 0) + 1);
    let held = true;
    return () => {
      if (!held) {
        return;
      }
      held = false;
      const left = (this.#leases.get(id) ?? 1) - 1;
      if (left > 0) {
        this.#leases.set(id, left);
        return;
      }
      this.#leases.delete(id);
      if (this.#leased.delete(id)) {
        this.#end(id);
      }
    };
  }

  /** What lost its last reference in a commit. */
  ended(ended: Ended): void {
    for (const id of [...ended.files, ...ended.lists]) {
      if (this.#leases.has(id)) {
        this.#leased.add(id);
      } else {
        this.#end(id);
      }
    }
  }

  /** A file to which nothing has ever referred. */
  discard(file: string): void {
    this.#end(file);
  }

  /** A file that a commit of unknown outcome would refer to: it stays until the index can tell. */
  keepUncertain(file: string): void {
    this.#uncertain.add(file);
  }

  /** Commits work again, so what the index says is so: what it still lists as doomed, nothing refers to. */
  settle(isDoomed: (file: string) => boolean): void {
    const files = [...this.#uncertain];
    this.#uncertain.clear();
    for (const file of files) {
      if (isDoomed(file)) {
        this.#end(file);
      }
    }
    this.#gather();
  }

  #end(id: string | number): void {
    if (typeof id === "string") {
      this.#waitingFiles.push(id);
    } else {
      this.#waitingLists.push(id);
    }
    this.#gather();
  }

  #gather(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#work();
    }, GATHER_MS);
    this.#timer.unref();
  }

  #work(): void {
    this.#working = this.#working.then(() => this.#removeAll());
  }

  /** Never rejects: what cannot be removed now stays doomed, and is tried again or left to the next start. */
  async #removeAll(): Promise<void> {
    try {
      for (const list of this.#waitingLists.splice(0)) {
        await this.#shred(list);
      }
      while (this.#waitingFiles.length > 0) {
        this.#unforgotten.push(...(await this.#remove(this.#waitingFiles.splice(0, BATCH_FILES))));
        await this.#forget();
      }
      await this.#forget();
    } catch (cause) {
      this.#report("Doomed bodies are left for later", cause);
    }
  }

  async #shred(list: number): Promise<void> {
    try {
      await this.#queue.run({ does: "shred", list }, []);
    } catch (error) {
      this.#waitingLists.push(list);
      throw error;
    }
  }

  async #forget(): Promise<void> {
    const files = this.#unforgotten.splice(0);
    if (files.length === 0) {
      return;
    }
    try {
      await this.#queue.run({ does: "forget", files }, []);
    } catch (error) {
      this.#unforgotten.push(...files);
      throw error;
    }
  }

  /** Those that are gone, durably. */
  async #remove(files: readonly string[]): Promise<string[]> {
    const gone: string[] = [];
    const left = [...files];
    const failed = new Map(files.map((file) => [this.#files.folderOf(file), this.#files.failedSyncs(file)]));
    const one = async (): Promise<void> => {
      for (let file = left.pop(); file !== undefined; file = left.pop()) {
        try {
          await this.#files.unlink(file);
          gone.push(file);
        } catch (cause) {
          this.#report(`Cannot remove the body "${file}"`, cause);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, files.length) }, one));
    const folders = new Map(gone.map((file) => [this.#files.folderOf(file), file]));
    for (const [folder, file] of folders) {
      await this.#files.syncFolderOf(file, failed.get(folder) ?? 0);
    }
    return gone;
  }

  /** Removes all that waits and is not being read. */
  async finish(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#work();
    await this.#working;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
