// A look at what the store has on its volume, past the store: which bodies nothing refers to, which records have none.

import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

export interface Volume {
  readonly index: DatabaseSync;
  readonly indexPath: string;
  fileOf(id: string): string;
}

/** A second connection to the index of a store that may be running. To be closed. */
export function openVolume(dataDir: string): Volume {
  const indexPath = join(dataDir, "index.sqlite");
  const index = new DatabaseSync(indexPath, { timeout: 10_000 });
  index.exec("PRAGMA wal_autocheckpoint = 0");
  return { index, indexPath, fileOf: (id) => join(dataDir, "bodies", id.slice(0, 2), id) };
}

interface Reference {
  readonly file: string | null;
  readonly inline: number | null;
  readonly stored: number;
}

const REFERENCES = `SELECT file, inline, stored FROM records UNION ALL SELECT file, inline, stored FROM parts
  UNION ALL SELECT file, inline, stored FROM pieces`;

/**
 * What does not fit, in both directions: files and rows of bodies that nothing refers to, references to what is missing
 * or shorter than it says. Doomed files count only with `ended`: when the store is closed none may be left.
 */
export function misfits(dataDir: string, ended: boolean): readonly string[] {
  const { index, fileOf } = openVolume(dataDir);
  try {
    // One moment for all that the index says.
    index.exec("BEGIN");
    const rows = index.prepare(REFERENCES).all() as unknown as readonly Reference[];
    const inline = index.prepare("SELECT id, length(bytes) AS bytes FROM bodies").all();
    const doomed = new Set(
      index
        .prepare("SELECT id FROM doomed_files")
        .all()
        .map(({ id }) => String(id)),
    );
    const doomedLists = index.prepare("SELECT id FROM doomed_lists").all().length;
    const found = [
      ...ofLists(index),
      ...ofInline(rows, new Map(inline.map(({ id, bytes }) => [Number(id), Number(bytes)]))),
    ];
    index.exec("COMMIT");
    if (ended && doomedLists > 0) found.push(`${doomedLists} lists are doomed and still there`);
    const files = filesOf(dataDir);
    const referred = new Set<string>();
    for (const { file, stored } of rows) {
      if (file === null) continue;
      if (referred.has(file)) found.push(`file ${file} is referred to twice`);
      referred.add(file);
      if (doomed.has(file)) found.push(`file ${file} is doomed and referred to`);
      const bytes = files.get(file) ?? -1;
      if (bytes < stored) found.push(`file ${fileOf(file)} has ${bytes} of ${stored} bytes`);
    }
    for (const file of files.keys()) {
      if (!referred.has(file) && (ended || !doomed.has(file))) found.push(`nothing refers to the file ${file}`);
    }
    return found;
  } finally {
    index.close();
  }
}

function ofLists(index: DatabaseSync): string[] {
  const count = (what: string, sql: string): string[] => {
    const { n } = index.prepare(`SELECT count(*) AS n ${sql}`).get() as { n: number };
    return n === 0 ? [] : [`${n} ${what}`];
  };
  const ended = "SELECT id FROM doomed_lists";
  return [
    ...count(
      "records without their list",
      "FROM records WHERE list IS NOT NULL AND list NOT IN (SELECT id FROM lists)",
    ),
    ...count(
      "lists without a record",
      `FROM lists WHERE id NOT IN (SELECT list FROM records WHERE list IS NOT NULL UNION ${ended})`,
    ),
    ...count("pieces without their list", "FROM pieces WHERE list NOT IN (SELECT id FROM lists)"),
    ...count("parts without their upload", "FROM parts WHERE owner NOT IN (SELECT id FROM uploads)"),
  ];
}

function ofInline(rows: readonly Reference[], bodies: Map<number, number>): string[] {
  const found: string[] = [];
  for (const { inline, stored } of rows) {
    if (inline === null) continue;
    const bytes = bodies.get(inline);
    if (bytes !== stored) found.push(`inline body ${inline} has ${bytes} of ${stored} bytes`);
    bodies.delete(inline);
  }
  for (const id of bodies.keys()) found.push(`nothing refers to the inline body ${id}`);
  return found;
}

function filesOf(dataDir: string): ReadonlyMap<string, number> {
  const files = new Map<string, number>();
  const bodies = join(dataDir, "bodies");
  for (const folder of readdirSync(bodies)) {
    for (const file of readdirSync(join(bodies, folder))) files.set(file, sizeOf(join(bodies, folder, file)));
  }
  return files;
}

/** -1 for what has gone meanwhile. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? -1;
}
