// Changes of what lies on a store's volume, made behind its back and taken back again. Whoever can write there knows the
// checksums of the rows too, so each change of a row comes with them set right, unless they are what is changed.

import { closeSync, fsyncSync, ftruncateSync, openSync, readFileSync, readSync, writeSync } from "node:fs";
import type { SQLInputValue } from "node:sqlite";
import { crc32 } from "node:zlib";
import { BUCKET } from "./dataplane.ts";
import { openVolume, type Volume } from "./volume.ts";

export type Row = Readonly<Record<string, SQLInputValue>>;

const KEYS = {
  records: ["bucket", "name"],
  bodies: ["id"],
  pieces: ["list", "start"],
  lists: ["id"],
  documents: ["path"],
  uploads: ["id"],
  parts: ["owner", "number"],
  completed: ["bucket", "name", "upload"],
} as const;

export type Table = keyof typeof KEYS;

/** Takes a change back. */
export type Undo = () => void;

export function bytesOf(value: SQLInputValue | undefined): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new Error("A column holds no bytes");
}

function crcOf(table: Table, row: Row): number | undefined {
  if (table === "records") {
    const { bucket, tag, modified, stored, inline, file, list } = row;
    const name = bytesOf(row["name"]);
    const text = `${bucket}\0${tag}\0${modified}\0${stored}\0${inline}\0${file}\0${list}\0${name.length}`;
    return crc32(bytesOf(row["envelope"]), crc32(name, crc32(text)));
  }
  if (table === "documents") {
    const path = bytesOf(row["path"]);
    return crc32(bytesOf(row["bytes"]), crc32(path, crc32(`${row["tag"]}\0${path.length}`)));
  }
  return undefined;
}

export class Tampering {
  readonly #volume: Volume;

  constructor(dataDir: string) {
    this.#volume = openVolume(dataDir);
    // What is changed here need not survive a loss of power.
    this.#volume.index.exec("PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 1000");
  }

  close(): void {
    this.#volume.index.close();
  }

  rows(table: Table, where: string, ...values: SQLInputValue[]): readonly Row[] {
    const rows = this.#volume.index.prepare(`SELECT * FROM ${table} WHERE ${where}`).all(...values);
    return rows as unknown as readonly Row[];
  }

  row(table: Table, where: string, ...values: SQLInputValue[]): Row {
    const [row] = this.rows(table, where, ...values);
    if (row === undefined) throw new Error(`No row of ${table} has ${where}`);
    return row;
  }

  record(name: string, bucket: string = BUCKET): Row {
    return this.row("records", "bucket = ? AND name = ?", bucket, Buffer.from(name));
  }

  /** Whether the checksums are understood here as the store understands them. */
  knows(table: Table, row: Row): boolean {
    return crcOf(table, row) === row["crc"];
  }

  #delete(table: Table, row: Row): void {
    const keys = KEYS[table];
    const where = keys.map((key) => `${key} = ?`).join(" AND ");
    const statement = this.#volume.index.prepare(`DELETE FROM ${table} WHERE ${where}`);
    statement.run(...keys.map((key) => row[key] ?? null));
  }

  #insert(table: Table, row: Row): void {
    const columns = Object.keys(row);
    const places = columns.map(() => "?").join(", ");
    const sql = `INSERT INTO ${table} (${columns.join(", ")}) VALUES (${places})`;
    this.#volume.index.prepare(sql).run(...Object.values(row));
  }

  #inOneStep(steps: () => void): void {
    const { index } = this.#volume;
    index.exec("BEGIN IMMEDIATE");
    steps();
    index.exec("COMMIT");
  }

  #replace(table: Table, before: readonly Row[], after: readonly Row[]): Undo {
    const put = (old: readonly Row[], wanted: readonly Row[]): void => {
      this.#inOneStep(() => {
        for (const row of old) this.#delete(table, row);
        for (const row of wanted) this.#insert(table, row);
      });
    };
    put(before, after);
    return () => put(after, before);
  }

  /** Puts rows in the place of others, with checksums that fit. */
  exchange(table: Table, before: readonly Row[], after: readonly Row[]): Undo {
    const fitting = after.map((row) => {
      const crc = crcOf(table, row);
      return crc === undefined ? row : { ...row, crc };
    });
    return this.#replace(table, before, fitting);
  }

  /** Changes columns of a row, its checksum with them. */
  change(table: Table, row: Row, columns: Row): Undo {
    return this.exchange(table, [row], [{ ...row, ...columns }]);
  }

  /** Changes columns of a row, and nothing else of it. */
  damage(table: Table, row: Row, columns: Row): Undo {
    return this.#replace(table, [row], [{ ...row, ...columns }]);
  }

  /** Where these bytes stand in the index's own file: each place, once the log is empty. */
  placesInIndex(bytes: Uint8Array): readonly number[] {
    this.#volume.index.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    const whole = readFileSync(this.#volume.indexPath);
    const places: number[] = [];
    for (let at = whole.indexOf(bytes); at >= 0; at = whole.indexOf(bytes, at + 1)) places.push(at);
    return places;
  }

  /** Past the index's own ways; what the store has kept of it in memory is made void by a change elsewhere. */
  flipInIndex(at: number, mask: number): Undo {
    const forget = this.#volume.index.prepare("INSERT OR REPLACE INTO probe (id, value) VALUES (1, random())");
    const turn = this.flip(this.#volume.indexPath, at, mask);
    forget.run();
    return () => {
      turn();
      forget.run();
    };
  }

  fileOf(row: Row): string {
    const id = row["file"];
    if (typeof id !== "string") throw new Error("The body is in no file");
    return this.#volume.fileOf(id);
  }

  /** Flips bits of one byte of a file, in its place. */
  flip(path: string, at: number, mask: number): Undo {
    const turn = (): void => {
      const file = openSync(path, "r+");
      const byte = Buffer.alloc(1);
      readSync(file, byte, 0, 1, at);
      byte.writeUInt8(byte.readUInt8() ^ mask);
      writeSync(file, byte, 0, 1, at);
      closeSync(file);
    };
    turn();
    return turn;
  }

  truncate(path: string, bytes: number): Undo {
    const whole = readFileSync(path);
    const file = openSync(path, "r+");
    ftruncateSync(file, bytes);
    closeSync(file);
    return () => overwrite(path, whole);
  }

  /** Other bytes in a file. */
  replace(path: string, bytes: Uint8Array): Undo {
    const whole = readFileSync(path);
    overwrite(path, bytes);
    return () => overwrite(path, whole);
  }
}

/** In its place, so that whoever has the file open sees it too. */
function overwrite(path: string, bytes: Uint8Array): void {
  const file = openSync(path, "r+");
  ftruncateSync(file, bytes.length);
  writeSync(file, bytes, 0, bytes.length, 0);
  fsyncSync(file);
  closeSync(file);
}

/** The same bytes but for one. */
export function flipped(value: SQLInputValue | undefined, at: number, mask: number): Uint8Array {
  const bytes = Uint8Array.from(bytesOf(value));
  bytes[at] = (bytes[at] ?? 0) ^ mask;
  return bytes;
}
