// One runtime for a folder of secrets and a folder of data. The lock is the operating system's, taken through SQLite,
// which does it on every platform: it goes with the process, however that ends.

import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

export interface Lock {
  release(): void;
}

/** undefined: another process has it. */
export function takeLock(folder: string): Lock | undefined {
  const database = new DatabaseSync(join(folder, "runtime.lock"), { timeout: 0 });
  try {
    database.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (error instanceof Error && /locked|busy/.test(error.message)) return undefined;
    throw error;
  }
  return { release: () => database.close() };
}
