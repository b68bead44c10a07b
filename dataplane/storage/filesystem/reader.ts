/* What the index says, asked on the main thread over a connection that can only read. Each question is one statement
 * or a few in one tick: nothing stays open across an await, or the log could never be reset.
 * Absence is reported only if both neighbours of the place that was looked at are whole. */

import type { SQLInputValue, StatementSync } from "node:sqlite";
import { type Listed, type Position, pageOf } from "../paging.ts";
import {
  type Document,
  type Entry,
  type ListQuery,
  type Page,
  type Part,
  StorageError,
  type Upload,
  type UploadRef,
  type UploadState,
} from "../storage.ts";
import {
  DOCUMENT_COLUMNS,
  type DocumentValues,
  isWholeDocument,
  isWholeListed,
  LISTED_COLUMNS,
  type ListedValues,
  NAMED_COLUMNS,
  type NamedRow,
  type NamedValues,
  namedOf,
  RECORD_COLUMNS,
  type RecordValues,
  recordOf,
} from "./rows.ts";
import { openForReading } from "./schema.ts";

const SQLITE_CORRUPT = 11;
const SQLITE_NOTADB = 26;
const FIND = `SELECT ${NAMED_COLUMNS}, bytes FROM records LEFT JOIN bodies ON bodies.id = records.inline
  WHERE bucket = ? AND name = ?`;
const EXACTLY = `SELECT ${NAMED_COLUMNS} FROM records WHERE bucket = ? AND name = ?`;

/** An Entry, with the body where that lies in the index and was read with it. */
export interface IndexEntry extends Entry {
  readonly inline: Uint8Array | undefined;
}

export interface Piece {
  readonly start: number;
  readonly storedBytes: number;
  readonly inline: number | null;
  readonly file: string | null;
}

const OBJECTS: Listed<ListedValues> = {
  name: ([name]) => name,
  after: ([name]) => ({ skip: "name", name }),
};

type UploadValues = readonly [name: string, upload: string, started: number];

const UPLOADS: Listed<UploadValues> = {
  name: ([name]) => name,
  after: ([name, uploadId]) => ({ skip: "upload", name, uploadId }),
};

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}

function damaged(what: string): StorageError {
  return new StorageError("damaged", `The index is damaged near ${what}`);
}

function readFailure(cause: unknown): unknown {
  if (cause instanceof StorageError || !(cause instanceof Error) || !("errcode" in cause)) {
    return cause;
  }
  // The low byte is the class, the rest says more about it.
  const code = Number(cause.errcode) & 0xff;
  const isDamage = code === SQLITE_CORRUPT || code === SQLITE_NOTADB;
  const message = `Cannot read the index: ${cause.message}`;
  return new StorageError(isDamage ? "damaged" : "unreachable", message, { cause });
}

function entryOf(bucket: string, name: string, row: NamedRow): Entry {
  return {
    ref: { bucket, name },
    version: "",
    tag: row.tag,
    marker: false,
    storedBytes: row.storedBytes,
    modifiedMs: row.modifiedMs,
    envelope: row.envelope,
  };
}

function listedEntry(bucket: string, values: ListedValues): Entry {
  const [name, tag, modifiedMs, storedBytes, , , , envelope] = values;
  return { ref: { bucket, name }, version: "", tag, marker: false, storedBytes, modifiedMs, envelope };
}

export class IndexReader {
  readonly #index: ReturnType<typeof openForReading>;
  readonly #statements = new Map<string, StatementSync>();

  constructor(path: string) {
    this.#index = openForReading(path);
  }

  #statement(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#index.prepare(sql);
      statement.setReturnArrays(true);
      this.#statements.set(sql, statement);
    }
    return statement;
  }

  one<Row>(sql: string, ...values: SQLInputValue[]): Row | undefined {
    try {
      return this.#statement(sql).get(...values) as Row | undefined;
    } catch (cause) {
      throw readFailure(cause);
    }
  }

  all<Row>(sql: string, ...values: SQLInputValue[]): readonly Row[] {
    try {
      return this.#statement(sql).all(...values) as unknown as readonly Row[];
    } catch (cause) {
      throw readFailure(cause);
    }
  }

  assertBucket(bucket: string): void {
    if (this.one("SELECT 1 FROM buckets WHERE name = ?", bucket) === undefined) {
      throw new StorageError("no-bucket", `There is no bucket "${bucket}"`);
    }
  }

  /** The record and, where it lies in the index, the body, by one statement. */
  find(bucket: string, name: string): IndexEntry | undefined {
    const found = this.one<readonly [...NamedValues, bytes: Uint8Array | null]>(FIND, bucket, Buffer.from(name));
    if (found === undefined) {
      this.assertBucket(bucket);
      this.#assertAbsent(bucket, Buffer.from(name));
      return undefined;
    }
    const [tag, modified, stored, inline, file, list, envelope, crc, bytes] = found;
    const row = this.#named(bucket, name, [tag, modified, stored, inline, file, list, envelope, crc]);
    return { ...entryOf(bucket, name, row), inline: bytes ?? undefined };
  }

  /** The record of exactly that entry, else "changed". */
  exactly(entry: Entry): NamedRow {
    const { bucket, name } = entry.ref;
    const found = this.one<NamedValues>(EXACTLY, bucket, Buffer.from(name));
    if (found === undefined) {
      this.#assertAbsent(bucket, Buffer.from(name));
    }
    const row = found && this.#named(bucket, name, found);
    if (row?.tag !== entry.tag) {
      throw new StorageError("changed", `"${name}" is no longer what was found`);
    }
    return row;
  }

  #named(bucket: string, name: string, values: NamedValues): NamedRow {
    const row = namedOf(bucket, name, values);
    if (row === undefined) {
      throw damaged(`"${name}"`);
    }
    return row;
  }

  #assertAbsent(bucket: string, name: Buffer): void {
    this.#assertWhole("before", bucket, name);
    this.#assertWhole("behind", bucket, name);
  }

  /** A record whose bucket or name is not what was written is out of order, and lies where it would be missed. */
  #assertWhole(side: "before" | "behind", bucket: string, name: Uint8Array): void {
    const order = side === "before" ? "< (?, ?) ORDER BY bucket DESC, name DESC" : "> (?, ?) ORDER BY bucket, name";
    const sql = `SELECT ${RECORD_COLUMNS} FROM records WHERE (bucket, name) ${order} LIMIT 1`;
    const neighbour = this.one<RecordValues>(sql, bucket, name);
    if (neighbour !== undefined && recordOf(neighbour) === undefined) {
      throw damaged(`"${textOf(name)}"`);
    }
  }

  list(bucket: string, query: ListQuery): Page<Entry> {
    this.assertBucket(bucket);
    const where = `SELECT ${LISTED_COLUMNS} FROM records WHERE bucket = ? AND name`;
    let isFirst = true;
    const scan = (from: Position, count: number): readonly ListedValues[] => {
      const sql = `${where} ${from.inclusive ? ">=" : ">"} ? ORDER BY name LIMIT ?`;
      const found = this.all<ListedValues>(sql, bucket, from.name, count);
      if (!found.every((values) => isWholeListed(bucket, values))) {
        throw damaged(`"${textOf(from.name)}"`);
      }
      if (isFirst) {
        this.#assertWhole("before", bucket, from.name);
        isFirst = false;
      }
      if (found.length < count) {
        const last = found.at(-1);
        this.#assertWhole("behind", bucket, last === undefined ? from.name : Buffer.from(last[0]));
      }
      return found;
    };
    const page = pageOf(query, scan, OBJECTS);
    return { ...page, items: page.items.map((values) => listedEntry(bucket, values)) };
  }

  inline(id: number): Uint8Array | undefined {
    return this.one<[Uint8Array]>("SELECT bytes FROM bodies WHERE id = ?", id)?.[0];
  }

  tail(list: number): Uint8Array {
    const found = this.one<[Uint8Array]>("SELECT tail FROM lists WHERE id = ?", list);
    if (found === undefined) {
      throw damaged(`list ${list}`);
    }
    return found[0];
  }

  /** The pieces of a list that hold bytes of [from, to), without a gap, else "damaged". */
  pieces(list: number, from: number, to: number): readonly Piece[] {
    const sql = `SELECT start, stored, inline, file FROM pieces WHERE list = ?1 AND start < ?3
      AND start >= (SELECT coalesce(max(start), 0) FROM pieces WHERE list = ?1 AND start <= ?2) ORDER BY start`;
    const found = this.all<[number, number, number | null, string | null]>(sql, list, from, to);
    const pieces = found.map(([start, storedBytes, inline, file]): Piece => ({ start, storedBytes, inline, file }));
    let at = from;
    for (const piece of pieces) {
      if (piece.start > at || (piece !== pieces[0] && piece.start !== at)) {
        throw damaged(`list ${list}`);
      }
      at = piece.start + piece.storedBytes;
    }
    if (at < to) {
      throw damaged(`list ${list}`);
    }
    return pieces;
  }

  #uploadId(upload: UploadRef): number | undefined {
    const sql = "SELECT id FROM uploads WHERE bucket = ? AND name = ? AND upload = ?";
    return this.one<[number]>(sql, upload.bucket, Buffer.from(upload.name), upload.uploadId)?.[0];
  }

  uploadState(upload: UploadRef, completedAfterMs: number): UploadState | undefined {
    this.assertBucket(upload.bucket);
    const key = [upload.bucket, Buffer.from(upload.name), upload.uploadId] as const;
    const where = "WHERE bucket = ? AND name = ? AND upload = ?";
    const open = this.one<[Uint8Array, number]>(`SELECT state, started FROM uploads ${where}`, ...key);
    if (open !== undefined) {
      return { state: open[0], startedMs: open[1], completed: undefined };
    }
    const sql = `SELECT state, started, tag, modified, stored, envelope FROM completed ${where} AND ended >= ?`;
    type Values = readonly [Uint8Array, number, string, number, number, Uint8Array];
    const ended = this.one<Values>(sql, ...key, completedAfterMs);
    if (ended === undefined) {
      return undefined;
    }
    const [state, startedMs, tag, modifiedMs, storedBytes, envelope] = ended;
    const ref = { bucket: upload.bucket, name: upload.name };
    const completed = { ref, version: "", tag, marker: false, storedBytes, modifiedMs, envelope };
    return { state, startedMs, completed };
  }

  parts(upload: UploadRef, after: number, limit: number): Page<Part, number> {
    this.assertBucket(upload.bucket);
    const owner = this.#uploadId(upload);
    if (owner === undefined) {
      throw new StorageError("no-upload", `There is no open upload "${upload.uploadId}" of "${upload.name}"`);
    }
    const sql = `SELECT number, tag, stored, modified, envelope FROM parts
      WHERE owner = ? AND number > ? ORDER BY number LIMIT ?`;
    const found = this.all<[number, string, number, number, Uint8Array]>(sql, owner, after, limit + 1);
    const items = found.slice(0, limit).map(([partNumber, tag, storedBytes, modifiedMs, envelope]): Part => {
      return { partNumber, tag, storedBytes, modifiedMs, envelope };
    });
    return { items, prefixes: [], next: found.length > limit ? items.at(-1)?.partNumber : undefined };
  }

  uploads(bucket: string, query: ListQuery): Page<Upload> {
    this.assertBucket(bucket);
    const columns = "SELECT CAST(name AS TEXT), upload, started FROM uploads WHERE bucket = ?";
    const order = "ORDER BY name, upload LIMIT ?";
    const page = pageOf<UploadValues>(
      query,
      (from, count) => {
        if (from.uploadId !== undefined) {
          const sql = `${columns} AND (name, upload) > (?, ?) ${order}`;
          return this.all(sql, bucket, from.name, from.uploadId, count);
        }
        return this.all(`${columns} AND name ${from.inclusive ? ">=" : ">"} ? ${order}`, bucket, from.name, count);
      },
      UPLOADS,
    );
    return { ...page, items: page.items.map(([name, uploadId, startedMs]) => ({ bucket, name, uploadId, startedMs })) };
  }

  document(path: string): Document | undefined {
    const key = Buffer.from(path);
    const select = `SELECT ${DOCUMENT_COLUMNS} FROM documents WHERE path`;
    const found = this.one<DocumentValues>(`${select} = ?`, key);
    if (found === undefined) {
      this.#wholeDocuments(this.all<DocumentValues>(`${select} < ? ORDER BY path DESC LIMIT 1`, key), path);
      this.#wholeDocuments(this.all<DocumentValues>(`${select} > ? ORDER BY path LIMIT 1`, key), path);
      return undefined;
    }
    return this.#wholeDocuments([found], path)[0];
  }

  #wholeDocuments(rows: readonly DocumentValues[], what: string): Document[] {
    return rows.map((values) => {
      if (!isWholeDocument(values)) {
        throw damaged(`document "${what}"`);
      }
      return { path: textOf(values[0]), tag: values[1], bytes: values[2] };
    });
  }

  documents(prefix: string, after: string, limit: number): Page<Document, string> {
    const [start, end] = [Buffer.from(prefix), Buffer.from(after)];
    const isAfter = end.compare(start) >= 0;
    const select = `SELECT ${DOCUMENT_COLUMNS} FROM documents WHERE path`;
    const from = isAfter ? end : start;
    this.#wholeDocuments(this.all<DocumentValues>(`${select} < ? ORDER BY path DESC LIMIT 1`, from), prefix);
    const sql = `${select} ${isAfter && after !== "" ? ">" : ">="} ? ORDER BY path LIMIT ?`;
    const found = this.#wholeDocuments(this.all<DocumentValues>(sql, from, limit + 1), prefix);
    const within = found.filter(({ path }) => path.startsWith(prefix));
    const items = within.slice(0, limit);
    return { items, prefixes: [], next: within.length > limit ? items.at(-1)?.path : undefined };
  }

  doomed(): { readonly files: readonly string[]; readonly lists: readonly number[] } {
    return {
      files: this.all<[string]>("SELECT id FROM doomed_files").map(([id]) => id),
      lists: this.all<[number]>("SELECT id FROM doomed_lists").map(([id]) => id),
    };
  }

  isDoomed(file: string): boolean {
    return this.one("SELECT 1 FROM doomed_files WHERE id = ?", file) !== undefined;
  }

  close(): void {
    this.#index.close();
  }
}
