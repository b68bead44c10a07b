// Rings when files change. Told by the file system where it tells; looked at once a second besides, because not every file
// system does.

import { type FSWatcher, watch } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { errorCode } from "./durable.ts";
import { fileMark, folderFingerprint, folderOf } from "./folder.ts";

export interface Watched {
  /** What a person edits. */
  readonly folder: string;
  readonly accessDir: string;
  readonly secretsDir: string;
}

const LOOK_MS = 1000;

/** Rings until the signal aborts. */
export async function watchFiles(watched: Watched, ring: () => void, signal: AbortSignal): Promise<void> {
  const watchers: FSWatcher[] = [];
  for (const folder of [await folderOf(watched.folder), watched.accessDir]) {
    const watcher = watchFolder(folder, ring);
    if (watcher !== undefined) watchers.push(watcher);
  }
  let seen = await fingerprint(watched);
  const timer = setInterval(() => {
    void fingerprint(watched).then((mark) => {
      if (mark !== seen) ring();
      seen = mark;
    });
  }, LOOK_MS);
  signal.addEventListener(
    "abort",
    () => {
      clearInterval(timer);
      for (const watcher of watchers) watcher.close();
    },
    { once: true },
  );
}

/** undefined where folders cannot be watched: then looking has to do. */
function watchFolder(folder: string, ring: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(folder, { persistent: false }, ring);
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    // A limit of the system, or a file system that does not tell.
    return undefined;
  }
}

/** Never rejects: a folder that cannot be read is a state like any other. */
async function fingerprint({ folder, accessDir, secretsDir }: Watched): Promise<string> {
  const marks = [await folderFingerprint(folder).catch(errorCode), await folderMark(accessDir)];
  for (const name of await readdir(secretsDir).catch(() => [])) {
    marks.push(await folderMark(join(secretsDir, name)));
  }
  return marks.join("\n");
}

/** Of the files in a folder; "" for what is no folder. */
async function folderMark(folder: string): Promise<string> {
  const names = await readdir(folder).catch(() => []);
  const marks: string[] = [];
  for (const name of names.sort()) marks.push(await fileMark(join(folder, name)));
  return marks.join("\n");
}
