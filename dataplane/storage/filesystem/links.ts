/* A copy leaves the body where it is: each of its files gets a second name, which is a body of its own from then on. */

import { type Entry, StorageError } from "../storage.ts";
import { type BodyFiles, writeError } from "./bodies.ts";
import { leaseOf } from "./contents.ts";
import { codeOf } from "./disk.ts";
import type { Doomed, FilePool } from "./doomed.ts";
import type { IndexReader } from "./reader.ts";
import type { NamedRow } from "./rows.ts";

const LINKS_AT_ONCE = 8;

export class Links {
  readonly #reader: IndexReader;
  readonly #doomed: Doomed;
  readonly #files: BodyFiles;
  readonly #pool: FilePool;

  constructor(reader: IndexReader, doomed: Doomed, files: BodyFiles, pool: FilePool) {
    this.#reader = reader;
    this.#doomed = doomed;
    this.#files = files;
    this.#pool = pool;
  }

  /** Hands durable links of all files of the entry to `use`, which makes a record refer to them, or else they go. */
  async withLinks<Result>(
    entry: Entry,
    signal: AbortSignal,
    use: (files: readonly string[]) => Promise<Result>,
  ): Promise<Result> {
    const row = this.#reader.exactly(entry);
    const release = leaseOf(this.#doomed, row);
    const linked: string[] = [];
    try {
      return await use(await this.#link(row, linked, signal));
    } catch (error) {
      this.#unlink(linked, error);
      throw error;
    } finally {
      release();
    }
  }

  /** A second name for each file of a body, durable; `linked` has all that were begun. */
  async #link(row: NamedRow, linked: string[], signal: AbortSignal): Promise<string[]> {
    const pieces = row.list === null ? [] : this.#reader.pieces(row.list, 0, row.storedBytes);
    const sources = row.file === null ? pieces.flatMap(({ file }) => file ?? []) : [row.file];
    const targets: string[] = [];
    const failed = new Map<string, number>();
    let next = 0;
    const one = async (): Promise<void> => {
      for (let at = next++; at < sources.length; at = next++) {
        signal.throwIfAborted();
        const target = await this.#pool.take();
        targets[at] = target;
        linked.push(target);
        const folder = this.#files.folderOf(target);
        failed.set(folder, failed.get(folder) ?? this.#files.failedSyncs(target));
        await this.#linkOne(sources[at] ?? "", target);
      }
    };
    const settled = await Promise.allSettled(Array.from({ length: Math.min(LINKS_AT_ONCE, sources.length) }, one));
    for (const result of settled) {
      if (result.status === "rejected") {
        throw result.reason;
      }
    }
    const folders = new Map(targets.map((target) => [this.#files.folderOf(target), target]));
    for (const [folder, target] of folders) {
      await this.#files.syncFolderOf(target, failed.get(folder) ?? 0).catch((cause: unknown) => {
        throw writeError(cause, target);
      });
    }
    return targets;
  }

  async #linkOne(source: string, target: string): Promise<void> {
    try {
      await this.#files.link(source, target);
    } catch (cause) {
      const code = codeOf(cause);
      if (code === "ENOENT") {
        throw new StorageError("damaged", `The body "${source}" is missing`, { cause });
      }
      if (code === "EMLINK" || code === "EPERM" || code === "ENOTSUP") {
        throw new StorageError("unsupported", `The body "${source}" can have no further name`, { cause });
      }
      throw writeError(cause, target);
    }
  }

  #unlink(linked: readonly string[], error: unknown): void {
    const isUncertain = error instanceof StorageError && (error.code === "broken" || error.code === "full");
    for (const file of linked) {
      if (isUncertain) {
        this.#doomed.keepUncertain(file);
      } else {
        this.#doomed.discard(file);
      }
    }
  }
}
