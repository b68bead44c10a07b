// One run after the other, where two would disturb each other. The lock is the operating system's, taken through SQLite:
// it goes with the process, however that ends.

import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { waitFor } from "../harness.ts";

export async function withLock<Result>(path: string, limitMs: number, work: () => Promise<Result>): Promise<Result> {
  await mkdir(dirname(path), { recursive: true });
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    await waitFor(`the lock ${path}`, limitMs, () => isTaken(database));
    return await work();
  } finally {
    database.close();
  }
}

function isTaken(database: DatabaseSync): boolean {
  try {
    database.exec("BEGIN EXCLUSIVE");
    return true;
  } catch (error) {
    if (error instanceof Error && /locked|busy/.test(error.message)) return false;
    throw error;
  }
}
