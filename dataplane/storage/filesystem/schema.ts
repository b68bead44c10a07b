/* The index: its tables, how a connection to it is set up, and the migrations that bring an older one forward.
 * Names and paths are BLOBs, so that they sort by their bytes. */

import { DatabaseSync } from "node:sqlite";
import { StorageError } from "../storage.ts";

/** "CFRi" */
const APPLICATION_ID = 0x43465269;

/* records.crc and documents.crc cover their rows: see rows.ts. A record's body is in bodies (`inline`), in a file, or in
 * the pieces of a list; none of the three: it is empty. lists and uploads never use an id again. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE buckets (name TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
  CREATE TABLE records (
    bucket TEXT NOT NULL, name BLOB NOT NULL, tag TEXT NOT NULL, modified INTEGER NOT NULL, stored INTEGER NOT NULL,
    inline INTEGER, file TEXT, list INTEGER, envelope BLOB NOT NULL, crc INTEGER NOT NULL,
    PRIMARY KEY (bucket, name)
  ) WITHOUT ROWID;
  CREATE TABLE bodies (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
  CREATE TABLE lists (id INTEGER PRIMARY KEY AUTOINCREMENT, tail BLOB NOT NULL);
  CREATE TABLE pieces (
    list INTEGER NOT NULL, start INTEGER NOT NULL, stored INTEGER NOT NULL, inline INTEGER, file TEXT,
    PRIMARY KEY (list, start)
  ) WITHOUT ROWID;
  CREATE TABLE uploads (
    id INTEGER PRIMARY KEY AUTOINCREMENT, bucket TEXT NOT NULL, name BLOB NOT NULL, upload TEXT NOT NULL,
    started INTEGER NOT NULL, state BLOB NOT NULL, UNIQUE (bucket, name, upload)
  );
  CREATE TABLE parts (
    owner INTEGER NOT NULL, number INTEGER NOT NULL, tag TEXT NOT NULL, modified INTEGER NOT NULL,
    stored INTEGER NOT NULL, inline INTEGER, file TEXT, envelope BLOB NOT NULL,
    PRIMARY KEY (owner, number)
  ) WITHOUT ROWID;
  CREATE TABLE completed (
    bucket TEXT NOT NULL, name BLOB NOT NULL, upload TEXT NOT NULL, started INTEGER NOT NULL, state BLOB NOT NULL,
    ended INTEGER NOT NULL, tag TEXT NOT NULL, modified INTEGER NOT NULL, stored INTEGER NOT NULL,
    envelope BLOB NOT NULL, PRIMARY KEY (bucket, name, upload)
  ) WITHOUT ROWID;
  CREATE INDEX completed_by_end ON completed (ended);
  CREATE TABLE documents (
    path BLOB NOT NULL PRIMARY KEY, tag TEXT NOT NULL, bytes BLOB NOT NULL, crc INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE doomed_files (id TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID;
  CREATE TABLE doomed_lists (id INTEGER PRIMARY KEY);
  CREATE TABLE probe (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL);
  `,
];

function numberOf(index: DatabaseSync, pragma: string): number {
  const row = index.prepare(`PRAGMA ${pragma}`).get();
  return Number(Object.values(row ?? {})[0]);
}

function assertOurs(index: DatabaseSync, path: string): void {
  const application = numberOf(index, "application_id");
  const version = numberOf(index, "user_version");
  if (application !== APPLICATION_ID && (application !== 0 || version !== 0)) {
    throw new StorageError("damaged", `"${path}" is not an index of this program`);
  }
  if (version > MIGRATIONS.length) {
    throw new StorageError("unsupported", `"${path}" was written by a newer version of this program (${version})`);
  }
}

/** Makes the index if there is none, and brings it to the newest version. */
export function migrateIndex(path: string): void {
  try {
    migrate(path);
  } catch (cause) {
    throw cause instanceof StorageError
      ? cause
      : new StorageError("damaged", `Cannot open the index "${path}": ${String(cause)}`, { cause });
  }
}

function migrate(path: string): void {
  const index = new DatabaseSync(path);
  try {
    assertOurs(index, path);
    index.exec("PRAGMA page_size = 16384; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
    for (let version = numberOf(index, "user_version"); version < MIGRATIONS.length; version += 1) {
      index.exec(`BEGIN IMMEDIATE; ${MIGRATIONS[version] ?? ""}`);
      index.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${version + 1}; COMMIT`);
    }
  } finally {
    index.close();
  }
}

const EVERY_CONNECTION = "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;";

/** For the writer alone: it decides itself when to checkpoint. */
export function openForWriting(path: string): DatabaseSync {
  const index = new DatabaseSync(path, { timeout: 5_000, enableForeignKeyConstraints: false });
  index.exec(`${EVERY_CONNECTION} PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0;
    PRAGMA journal_size_limit = 67108864; PRAGMA cache_size = -8192; PRAGMA temp_store = MEMORY`);
  return index;
}

/** Not mapped into memory: that gains nothing measurable here, counts as RSS, and a file that is cut would end the
 *  process instead of an answer. */
export function openForReading(path: string): DatabaseSync {
  const index = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
  index.exec(`${EVERY_CONNECTION} PRAGMA cache_size = -4096`);
  return index;
}
