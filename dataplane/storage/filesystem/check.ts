/* Compares records with body files in both directions. What is found is looked at twice, since the store goes on
 * working meanwhile. Reads all records, page by page, some folders of files at a time, so that memory stays bounded. */

import { readdir, stat } from "node:fs/promises";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Finding } from "../storage.ts";
import type { BodyFiles } from "./bodies.ts";
import { codeOf } from "./disk.ts";
import type { IndexReader } from "./reader.ts";

const PAGE_ROWS = 1_000;
const FILES_AT_ONCE = 200_000;
const FOLDERS = 256;

interface Referred {
  readonly where: string;
  readonly storedBytes: number;
}

interface FileRow {
  readonly file: string | null;
  readonly storedBytes: number;
  readonly where: string;
  readonly key: readonly (string | number | Uint8Array)[];
}

type Turn = (reader: IndexReader, after: readonly (string | number | Uint8Array)[]) => readonly FileRow[];

const records: Turn = (reader, after) => {
  const sql = `SELECT bucket, name, stored, file FROM records WHERE (bucket, name) > (?, ?)
    ORDER BY bucket, name LIMIT ${PAGE_ROWS}`;
  const [bucket = "", name = new Uint8Array()] = after;
  return reader.all<[string, Uint8Array, number, string | null]>(sql, bucket, name).map((row) => {
    const [inBucket, bytes, storedBytes, file] = row;
    const where = `object "${Buffer.from(bytes).toString()}" of bucket "${inBucket}"`;
    return { file, storedBytes, where, key: [inBucket, bytes] };
  });
};

const parts: Turn = (reader, after) => {
  const sql = `SELECT owner, number, stored, file FROM parts WHERE (owner, number) > (?, ?)
    ORDER BY owner, number LIMIT ${PAGE_ROWS}`;
  const [upload = -1, partNumber = -1] = after;
  return reader.all<[number, number, number, string | null]>(sql, upload, partNumber).map((row) => {
    const [owner, number, storedBytes, file] = row;
    return { file, storedBytes, where: `part ${number} of upload ${owner}`, key: [owner, number] };
  });
};

const pieces: Turn = (reader, after) => {
  const sql = `SELECT list, start, stored, file FROM pieces WHERE (list, start) > (?, ?)
    ORDER BY list, start LIMIT ${PAGE_ROWS}`;
  const [last = -1, at = -1] = after;
  return reader.all<[number, number, number, string | null]>(sql, last, at).map((row) => {
    const [list, start, storedBytes, file] = row;
    return { file, storedBytes, where: `byte ${start} of list ${list}`, key: [list, start] };
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
    const findings: Finding[] = [...this.#withoutRow()];
    const count = this.#reader.one<[number]>(
      "SELECT (SELECT count(file) FROM records) + (SELECT count(file) FROM parts) + (SELECT count(file) FROM pieces)",
    );
    const turns = Math.min(FOLDERS, Math.ceil(((count?.[0] ?? 0) + 1) / FILES_AT_ONCE));
    const step = Math.ceil(FOLDERS / turns);
    for (let folder = 0; folder < FOLDERS; folder += step) {
      findings.push(...(await this.#folders(folder, Math.min(FOLDERS, folder + step))));
    }
    return findings;
  }

  /** Bodies in the index itself, in both directions. */
  #withoutRow(): Finding[] {
    const referred = `SELECT inline FROM records UNION ALL SELECT inline FROM parts UNION ALL SELECT inline FROM pieces`;
    const missing = this.#reader.all<[number]>(
      `SELECT inline FROM (${referred}) WHERE inline IS NOT NULL AND inline NOT IN (SELECT id FROM bodies) LIMIT 1000`,
    );
    const orphans = this.#reader.all<[number]>(
      `SELECT id FROM bodies WHERE id NOT IN (SELECT inline FROM (${referred}) WHERE inline IS NOT NULL) LIMIT 1000`,
    );
    const lists = this.#reader.all<[number]>(
      "SELECT list FROM records WHERE list IS NOT NULL AND list NOT IN (SELECT id FROM lists) LIMIT 1000",
    );
    return [
      ...missing.map(([id]): Finding => ({ kind: "record-without-body", where: `inline body ${id}` })),
      ...lists.map(([id]): Finding => ({ kind: "record-without-body", where: `list ${id}` })),
      ...orphans.map(([id]): Finding => ({ kind: "body-without-record", where: `inline body ${id}` })),
    ];
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

  async #confirmed(missing: Set<string>, orphans: Set<string>, now: Map<string, Referred>): Promise<Finding[]> {
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

  async #referred(from: number, to: number): Promise<Map<string, Referred>> {
    const [first, end] = [folderName(from), folderName(to)];
    const found = new Map<string, Referred>();
    for (const turn of [records, parts, pieces]) {
      let after: FileRow["key"] = [];
      for (;;) {
        this.#signal.throwIfAborted();
        const page = turn(this.#reader, after);
        for (const { file, storedBytes, where } of page) {
          if (file !== null && file >= first && (to === FOLDERS || file < end)) {
            found.set(file, { where, storedBytes });
          }
        }
        after = page.at(-1)?.key ?? [];
        if (page.length < PAGE_ROWS) {
          break;
        }
        await nextTurn();
      }
    }
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
