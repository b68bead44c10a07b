/* One process owns a data folder. The lock is one that the kernel frees with the process, also on kill -9: SQLite's
 * own on a file that stays empty. A socket's name, in contrast, outlives its process, and two that find it dead race. */

import { DatabaseSync } from "node:sqlite";
import { StorageError } from "../storage.ts";

export interface Lock {
  release(): void;
}

/** Refused ("unreachable") while another holder lives, in this process or any other that sees the folder. */
export function holdLock(path: string): Lock {
  const lock = new DatabaseSync(path);
  try {
    lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  } catch (cause) {
    lock.close();
    throw new StorageError("unreachable", `Cannot lock "${path}": another process uses this data folder`, { cause });
  }
  return { release: () => lock.close() };
}
