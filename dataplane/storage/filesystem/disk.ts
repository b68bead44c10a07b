/* The few calls of the file system that bodies need, as one small port, so that a test can fail each of them.
 * Every read and write names its position. */

import fs from "node:fs";
import { promisify } from "node:util";
import { openFilesLimit } from "../../openfiles.ts";

export interface Space {
  readonly freeBytes: number;
  readonly totalBytes: number;
}

export interface Disk {
  /** A new file, for writing; fails if it exists. */
  create(path: string): Promise<number>;
  /** An existing file, for reading. */
  open(path: string): Promise<number>;
  close(file: number): Promise<void>;
  /** May write less than it was given. */
  write(file: number, buffers: readonly Uint8Array[], position: number): Promise<number>;
  /** May read less than the buffer holds; 0 at the end of the file. */
  read(file: number, buffer: Uint8Array, position: number): Promise<number>;
  datasync(file: number): Promise<void>;
  syncFolder(path: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  space(path: string): Space;
}

const open = promisify(fs.open);
const close = promisify(fs.close);
const fsync = promisify(fs.fsync);

/** The real one. */
export function createDisk(): Disk {
  return {
    create: (path) => open(path, "wx", 0o600),
    open: (path) => open(path, "r"),
    close,
    write: (file, buffers, position) =>
      new Promise((resolve, reject) => {
        fs.writev(file, buffers, position, (error, bytes) => (error ? reject(error) : resolve(bytes)));
      }),
    read: (file, buffer, position) =>
      new Promise((resolve, reject) => {
        fs.read(file, buffer, 0, buffer.length, position, (error, bytes) => (error ? reject(error) : resolve(bytes)));
      }),
    datasync: promisify(fs.fdatasync),
    async syncFolder(path) {
      const folder = await open(path, "r");
      try {
        await fsync(folder);
      } finally {
        await close(folder);
      }
    },
    link: promisify(fs.link),
    unlink: promisify(fs.unlink),
    space(path) {
      const found = fs.statfsSync(path);
      return { freeBytes: found.bavail * found.bsize, totalBytes: found.blocks * found.bsize };
    },
  };
}

/** The code of a system error, "" for any other. */
export function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** How many body files may be open: a quarter of what the process may open, since connections need theirs. */
export function openFilesMax(): number {
  return Math.max(64, Math.min(4096, Math.floor(openFilesLimit() / 4)));
}
