/* Compares records with bodies in both directions. What may only have been caught between two looks is looked at again,
 * since the store goes on working meanwhile. Reads all records, page by page; some folders of files, or some range of
 * ids, at a time, so that memory stays bounded. */

import { readdir, stat } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Finding } from "../storage.ts";
import type { BodyFiles } from "./bodies.ts";
import { codeOf } from "./disk.ts";
import type { IndexReader } from "./reader.ts";

const PAGE_ROWS = 1_000;
const FILES_AT_ONCE = 200_000;
const FOLDERS = 256;
/** A bit each: 8 MiB. */
const IDS_AT_ONCE = 64 * 1024 * 1024;

type Cell = string | number | Uint8Array;

/** What refers to a body. `isWhole`: what it refers to within the index is there. */
interface Referring {
  readonly key: readonly Cell[];
  readonly where: string;
  readonly storedBytes: number;
  readonly file: string | null;
  readonly inline: number | null;
  readonly isWhole: boolean;
}

type NextPage = (reader: IndexReader, after: readonly Cell[]) => readonly Referring[];
type BodyValues = readonly [stored: number, file: string | null, inline: number | null, isWhole: number];

const HAS_INLINE = "(inline IS NULL OR EXISTS (SELECT 1 FROM bodies WHERE id = inline))";
const HAS_LIST = "(list IS NULL OR EXISTS (SELECT 1 FROM lists WHERE id = list))";

function referring(key: readonly Cell[], where: string, values: BodyValues): Referring {
  const [storedBytes, file, inline, isWhole] = values;
  return { key, where, storedBytes, file, inline, isWhole: isWhole === 1 };
}

const records: NextPage = (reader, after) => {
  const sql = `SELECT bucket, name, stored, file, inline, ${HAS_INLINE} AND ${HAS_LIST} FROM records
    WHERE (bucket, name) > (?, ?) ORDER BY bucket, name LIMIT ${PAGE_ROWS}`;
  const [bucket = "", name = new Uint8Array()] = after;
  const rows = reader.all<readonly [string, Uint8Array, ...BodyValues]>(sql, bucket, name);
  return rows.map(([inBucket, bytes, ...values]) => {
    const where = `object "${Buffer.from(bytes).toString()}" of bucket "${inBucket}"`;
    return referring([inBucket, bytes], where, values);
  });
};

const parts: NextPage = (reader, after) => {
  const sql = `SELECT owner, number, stored, file, inline, ${HAS_INLINE} FROM parts
    WHERE (owner, number) > (?, ?) ORDER BY owner, number LIMIT ${PAGE_ROWS}`;
  const [lastOwner = -1, lastNumber = -1] = after;
  const rows = reader.all<readonly [number, number, ...BodyValues]>(sql, lastOwner, lastNumber);
  return rows.map(([owner, number, ...values]) => {
    return referring([owner, number], `part ${number} of upload ${owner}`, values);
  });
};

const pieces: NextPage = (reader, after) => {
  const sql = `SELECT list, start, stored, file, inline, ${HAS_INLINE} FROM pieces
    WHERE (list, start) > (?, ?) ORDER BY list, start LIMIT ${PAGE_ROWS}`;
  const [lastList = -1, lastStart = -1] = after;
  const rows = reader.all<readonly [number, number, ...BodyValues]>(sql, lastList, lastStart);
  return rows.map(([list, start, ...values]) => {
    return referring([list, start], `byte ${start} of list ${list}`, values);
  });
};

function folderName(folder: number): string {
  return folder.toString(16).padStart(2, "0");
}

export class Check {
  readonly #reader: IndexReader;
  readonly #files: BodyFiles;
  readonly #signal: AbortSignal;

  constructor(reader: IndexReader, files: BodyFiles, signal: AbortSignal) {
    this.#reader = reader;
    this.#files = files;
    this.#signal = signal;
  }

  async run(): Promise<readonly Finding[]> {
    const findings: Finding[] = [];
    let files = 0;
    await this.#visit((row) => {
      files += row.file === null ? 0 : 1;
      if (!row.isWhole) {
        findings.push({ kind: "record-without-body", where: `${row.where}: within the index` });
      }
    });
    const [highest] = this.#reader.one<[number | null]>("SELECT max(id) FROM bodies") ?? [null];
    for (let id = 0; id <= (highest ?? -1); id += IDS_AT_ONCE) {
      findings.push(...(await this.#inlineOrphans(id, Math.min(id + IDS_AT_ONCE, (highest ?? 0) + 1))));
    }
    const step = Math.ceil(FOLDERS / Math.min(FOLDERS, Math.ceil((files + 1) / FILES_AT_ONCE)));
    for (let folder = 0; folder < FOLDERS; folder += step) {
      findings.push(...(await this.#folders(folder, Math.min(FOLDERS, folder + step))));
    }
    return findings;
  }

  async #visit(see: (row: Referring) => void): Promise<void> {
    for (const next of [records, parts, pieces]) {
      for (let page = next(this.#reader, []); page.length > 0; page = next(this.#reader, page.at(-1)?.key ?? [])) {
        page.forEach(see);
        await nextTurn();
        this.#signal.throwIfAborted();
      }
    }
  }

  /** Rows of bodies with an id in [from, to) to which nothing refers. */
  async #inlineOrphans(from: number, to: number): Promise<Finding[]> {
    const suspected = await this.#unmarked(from, to, await this.#marked(from, to));
    if (suspected.length === 0) {
      return [];
    }
    const marked = await this.#marked(from, to);
    const orphans = suspected.filter((id) => !isMarked(marked, id - from) && this.#reader.inline(id) !== undefined);
    return orphans.map((id) => ({ kind: "body-without-record", where: `body ${id} within the index` }));
  }

  async #marked(from: number, to: number): Promise<Uint8Array> {
    const marks = new Uint8Array(((to - from) >> 3) + 1);
    await this.#visit(({ inline }) => {
      if (inline !== null && inline >= from && inline < to) {
        const at = (inline - from) >> 3;
        marks[at] = (marks[at] ?? 0) | (1 << ((inline - from) & 7));
      }
    });
    return marks;
  }

  async #unmarked(from: number, to: number, marks: Uint8Array): Promise<number[]> {
    const sql = `SELECT id FROM bodies WHERE id > ? AND id < ? ORDER BY id LIMIT ${PAGE_ROWS}`;
    const found: number[] = [];
    let last = from - 1;
    for (;;) {
      const page = this.#reader.all<[number]>(sql, last, to);
      found.push(...page.flatMap(([id]) => (isMarked(marks, id - from) ? [] : [id])));
      if (page.length < PAGE_ROWS) {
        return found;
      }
      last = page.at(-1)?.[0] ?? to;
      await nextTurn();
      this.#signal.throwIfAborted();
    }
  }

  async #folders(from: number, to: number): Promise<Finding[]> {
    const referred = await this.#referred(from, to);
    const onDisk = await this.#onDisk(from, to);
    const missing = new Set<string>();
    for (const [file, { storedBytes }] of referred) {
      if (!onDisk.has(file) || (await this.#sizeOf(file)) < storedBytes) {
        missing.add(file);
      }
    }
    const orphans = new Set([...onDisk].filter((file) => !referred.has(file) && !this.#reader.isDoomed(file)));
    if (missing.size === 0 && orphans.size === 0) {
      return [];
    }
    return this.#confirmed(missing, orphans, await this.#referred(from, to));
  }

  async #confirmed(missing: Set<string>, orphans: Set<string>, now: Map<string, Referring>): Promise<Finding[]> {
    const findings: Finding[] = [];
    for (const file of missing) {
      const still = now.get(file);
      if (still !== undefined && (await this.#sizeOf(file)) < still.storedBytes) {
        findings.push({ kind: "record-without-body", where: `${still.where}: file "${file}"` });
      }
    }
    for (const file of orphans) {
      if (!now.has(file) && !this.#reader.isDoomed(file) && (await this.#sizeOf(file)) >= 0) {
        findings.push({ kind: "body-without-record", where: `file "${file}"` });
      }
    }
    return findings;
  }

  async #referred(from: number, to: number): Promise<Map<string, Referring>> {
    const [first, end] = [folderName(from), folderName(to)];
    const found = new Map<string, Referring>();
    await this.#visit((row) => {
      if (row.file !== null && row.file >= first && (to === FOLDERS || row.file < end)) {
        found.set(row.file, row);
      }
    });
    return found;
  }

  async #onDisk(from: number, to: number): Promise<Set<string>> {
    const found = new Set<string>();
    for (let folder = from; folder < to; folder += 1) {
      this.#signal.throwIfAborted();
      for (const file of await readdir(this.#files.folderOf(folderName(folder)))) {
        found.add(file);
      }
    }
    return found;
  }

  /** -1 if it is not there. */
  async #sizeOf(file: string): Promise<number> {
    try {
      return (await stat(this.#files.path(file))).size;
    } catch (error) {
      if (codeOf(error) === "ENOENT") {
        return -1;
      }
      throw error;
    }
  }
}

function isMarked(marks: Uint8Array, at: number): boolean {
  return ((marks[at >> 3] ?? 0) & (1 << (at & 7))) !== 0;
}
