// Folders of files that are sent and brought back: made, and compared by what is in them.

import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, utimes, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { MIB } from "./bodies.ts";

/** Names that clients have to encode, and sizes on both sides of what lies in the index, in a file, and in parts. */
const FILES: Readonly<Record<string, number>> = {
  "readme.txt": 1000,
  "empty.txt": 0,
  "with space/ä + 100%.bin": 70_000,
  "with space/a&b=c #1.txt": 65_536,
  "deep/er/😀.bin": 65_537,
  "large.bin": 17 * MIB + 7,
};

const LONG_AGO = new Date("2020-02-29T12:34:56.789Z");

/** The names of its files. */
export async function writeTree(folder: string): Promise<readonly string[]> {
  for (const [name, bytes] of Object.entries(FILES)) {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), randomBytes(bytes));
    // Times of objects are whole seconds: what is as young as its copy could seem to be younger.
    await utimes(join(folder, name), LONG_AGO, LONG_AGO);
  }
  return Object.keys(FILES).sort();
}

export interface FileFacts {
  readonly bytes: number;
  readonly md5: string;
}

/** Each file below a folder, by its name there. */
export async function readTree(folder: string): Promise<Readonly<Record<string, FileFacts>>> {
  const facts: Record<string, FileFacts> = {};
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const content = await readFile(path);
    const md5 = createHash("md5").update(content).digest("hex");
    facts[relative(folder, path)] = { bytes: content.length, md5 };
  }
  return facts;
}
