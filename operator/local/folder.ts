// Reads the folder that a person edits: which documents stand in which file and line, and which files are broken. What a
// document means is records.ts's.

import { readdir, readFile, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { errorCode } from "./durable.ts";
import { parseYaml, type YamlDocument } from "./yaml.ts";

export interface FolderReading {
  /** In the order of file names and lines. */
  readonly documents: readonly PlacedDocument[];
  /** Files that cannot be read or are no YAML: what stood in them stays. */
  readonly broken: ReadonlyMap<string, Complaint>;
}

export interface PlacedDocument {
  readonly file: string;
  readonly document: YamlDocument;
}

export interface Complaint {
  readonly line: number | undefined;
  readonly reason: string;
}

const FILE_BYTES_MAX = 4 * 1024 * 1024;

/** What `kubectl apply -f FOLDER` would read: files of these endings, in no folder below. */
const IS_CONFIGURATION = /^[^.].*\.(ya?ml|json)$/;

/** `folder` may also be one file. Rejects if it cannot be listed. */
export async function readFolder(folder: string): Promise<FolderReading> {
  const documents: PlacedDocument[] = [];
  const broken = new Map<string, Complaint>();
  for (const file of await configurationFiles(folder)) {
    const read = await readConfiguration(file.path);
    if ("gone" in read) continue;
    if ("reason" in read) {
      broken.set(file.name, read);
      continue;
    }
    const parsed = parseYaml(read.text);
    if ("problem" in parsed) {
      broken.set(file.name, parsed.problem);
      continue;
    }
    documents.push(...parsed.documents.map((document) => ({ file: file.name, document })));
  }
  return { documents, broken };
}

/** Changes whenever one of the files does. */
export async function folderFingerprint(folder: string): Promise<string> {
  const marks: string[] = [];
  for (const { path } of await configurationFiles(folder)) marks.push(await fileMark(path));
  return marks.join("\n");
}

/** Names the state of a file by what the file system says of it. */
export async function fileMark(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
    return `${path} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    return `${path} ${errorCode(error)}`;
  }
}

async function configurationFiles(folder: string): Promise<{ readonly name: string; readonly path: string }[]> {
  if ((await stat(folder)).isFile()) return [{ name: basename(folder), path: folder }];
  const names = (await readdir(folder)).filter((name) => IS_CONFIGURATION.test(name)).sort();
  return names.map((name) => ({ name, path: join(folder, name) }));
}

/** The folder to watch. */
export async function folderOf(path: string): Promise<string> {
  return (await stat(path)).isFile() ? dirname(path) : path;
}

async function readConfiguration(path: string): Promise<{ text: string } | { gone: true } | Complaint> {
  try {
    const { size } = await stat(path);
    if (size > FILE_BYTES_MAX) return { line: undefined, reason: "is larger than 4 MiB" };
    return { text: await readFile(path, "utf8") };
  } catch (error) {
    if (errorCode(error) === "ENOENT") return { gone: true };
    return { line: undefined, reason: `cannot be read: ${errorCode(error)}` };
  }
}
