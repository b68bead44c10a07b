// Where the data plane's output goes: files that are cut at a size, of which the newest few are kept.

import { closeSync, fstatSync, openSync, renameSync, rmSync, writeSync } from "node:fs";

export interface LogFile {
  /** Takes output as it comes; a file always ends with a whole line. */
  write(chunk: Buffer): void;
  close(): void;
}

const FILE_BYTES_MAX = 16 * 1024 * 1024;
const OLDER_FILES = 3;
const NEWLINE = 0x0a;

/** What cannot be written is dropped and told once: a full disk must not stop the data plane, which waits for its output
 *  to be taken. */
export function openLogFile(
  path: string,
  onFailure: (error: unknown) => void,
  fileBytesMax: number = FILE_BYTES_MAX,
): LogFile {
  let descriptor = openSync(path, "a", 0o600);
  let bytes = fstatSync(descriptor).size;
  let isFailing = false;

  function put(chunk: Buffer): void {
    try {
      for (let from = 0; from < chunk.length; ) from += writeSync(descriptor, chunk, from);
      bytes += chunk.length;
      isFailing = false;
    } catch (error) {
      if (!isFailing) onFailure(error);
      isFailing = true;
    }
  }

  function turn(): void {
    closeSync(descriptor);
    rmSync(`${path}.${OLDER_FILES}`, { force: true });
    for (let age = OLDER_FILES; age > 0; age -= 1) {
      renameIfThere(age === 1 ? path : `${path}.${age - 1}`, `${path}.${age}`);
    }
    descriptor = openSync(path, "a", 0o600);
    bytes = fstatSync(descriptor).size;
  }

  return {
    write(chunk) {
      const cut = bytes >= fileBytesMax ? chunk.indexOf(NEWLINE) : -1;
      if (cut === -1) {
        put(chunk);
        return;
      }
      put(chunk.subarray(0, cut + 1));
      turn();
      put(chunk.subarray(cut + 1));
    },
    close: () => closeSync(descriptor),
  };
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error;
  }
}
