/* What the steps of a transaction share: prepared statements, tags, and an object's record with all that hangs on it.
 * Whatever loses its last reference is doomed here, in the same transaction, and reported. */

import { randomFillSync } from "node:crypto";
import type { DatabaseSync, SQLInputValue, StatementSync } from "node:sqlite";
import { type Expect, StorageError } from "../storage.ts";
import type { BodyOf, Ended } from "./operations.ts";
import { type Place, RECORD_COLUMNS, type RecordRow, recordCrc } from "./rows.ts";

/** Statements are prepared once, on first use, and give arrays. */
export class Statements {
  readonly #index: DatabaseSync;
  readonly #prepared = new Map<string, StatementSync>();

  constructor(index: DatabaseSync) {
    this.#index = index;
  }

  #of(sql: string): StatementSync {
    let statement = this.#prepared.get(sql);
    if (statement === undefined) {
      statement = this.#index.prepare(sql);
      statement.setReturnArrays(true);
      this.#prepared.set(sql, statement);
    }
    return statement;
  }

  one<Row>(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#of(sql).get(...values) as Row | undefined;
  }

  all<Row>(sql: string, ...values: SQLInputValue[]): readonly Row[] {
    return this.#of(sql).all(...values) as unknown as readonly Row[];
  }

  /** The id of the row that it inserted last. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#of(sql).run(...values).lastInsertRowid);
  }
}

const TAG_POOL = Buffer.alloc(12 * 1024);
let tagPoolAt = TAG_POOL.length;

export function newTag(): string {
  if (tagPoolAt === TAG_POOL.length) {
    randomFillSync(TAG_POOL);
    tagPoolAt = 0;
  }
  tagPoolAt += 12;
  return TAG_POOL.toString("base64url", tagPoolAt - 12, tagPoolAt);
}

export function assertExpected(tag: string | undefined, expect: Expect | undefined, what: string): void {
  if (expect === undefined) {
    return;
  }
  if (expect === "absent" ? tag !== undefined : tag !== expect) {
    throw new StorageError("changed", `${what} is no longer what was expected`);
  }
}

export type OldRecord = readonly [tag: string, modified: number, stored: number, ...place: PlaceValues];
type PlaceValues = readonly [inline: number | null, file: string | null, list: number | null];

/** The object's record as one transaction sees it, and what ends with it. */
export class Records {
  readonly sql: Statements;
  readonly #endedFiles: string[] = [];
  readonly #endedLists: number[] = [];

  constructor(sql: Statements) {
    this.sql = sql;
  }

  /** What ended since it was asked last. */
  ended(): Ended | undefined {
    if (this.#endedFiles.length === 0 && this.#endedLists.length === 0) {
      return undefined;
    }
    return { files: this.#endedFiles.splice(0), lists: this.#endedLists.splice(0) };
  }

  assertBucket(bucket: string): void {
    if (this.sql.one("SELECT 1 FROM buckets WHERE name = ?", bucket) === undefined) {
      throw new StorageError("no-bucket", `There is no bucket "${bucket}"`);
    }
  }

  find(bucket: string, name: Uint8Array): OldRecord | undefined {
    const sql = "SELECT tag, modified, stored, inline, file, list FROM records WHERE bucket = ? AND name = ?";
    return this.sql.one<OldRecord>(sql, bucket, name);
  }

  write(row: RecordRow): void {
    const { bucket, name, tag, modifiedMs, storedBytes, inline, file, list, envelope } = row;
    const sql = `INSERT OR REPLACE INTO records (${RECORD_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`;
    this.sql.run(sql, bucket, name, tag, modifiedMs, storedBytes, inline, file, list, envelope, recordCrc(row));
  }

  /** From here on a record refers to these files. */
  refer(file: string): void {
    this.sql.run("DELETE FROM doomed_files WHERE id = ?", file);
  }

  doomFile(file: string): void {
    this.sql.run("INSERT OR IGNORE INTO doomed_files (id) VALUES (?)", file);
    this.#endedFiles.push(file);
  }

  /** Nothing refers to it any more. Files and lists wait in the table of the doomed until their readers are done. */
  release(place: Place): void {
    if (place.inline !== null) {
      this.sql.run("DELETE FROM bodies WHERE id = ?", place.inline);
    }
    if (place.file !== null) {
      this.doomFile(place.file);
    }
    if (place.list !== null) {
      this.sql.run("INSERT INTO doomed_lists (id) VALUES (?)", place.list);
      this.#endedLists.push(place.list);
    }
  }

  /** Takes a body in. `reuse`: the row of an inline body that this one replaces. */
  keep(body: BodyOf, bytes: Uint8Array, reuse: number | null = null): Place {
    if (body !== "inline") {
      this.refer(body.file);
      return { inline: null, file: body.file, list: null };
    }
    if (bytes.length === 0) {
      return { inline: null, file: null, list: null };
    }
    const inline = this.sql.run("INSERT OR REPLACE INTO bodies (id, bytes) VALUES (?, ?)", reuse, bytes);
    return { inline: reuse ?? inline, file: null, list: null };
  }

  addPiece(list: number, start: number, storedBytes: number, place: Place): void {
    const sql = "INSERT INTO pieces (list, start, stored, inline, file) VALUES (?, ?, ?, ?, ?)";
    this.sql.run(sql, list, start, storedBytes, place.inline, place.file);
  }

  newList(tail: Uint8Array): number {
    return this.sql.run("INSERT INTO lists (tail) VALUES (?)", tail);
  }
}
