/**
 * Where the configuration comes from: the environment says where this process runs and names the rest. That is the whole
 * document, which a program wrote, or what a person wrote: a file, a folder of files, or the environment alone.
 */
import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { isAbsolute, join, relative, resolve } from "node:path";
import { ConfigError } from "./config.ts";
import { errorCode, parseJson, unzip } from "./document.ts";
import { type Environment, gather, isObject, refuseProblems, type SourceFile } from "./gather.ts";
import { readWish, secretPathsOf } from "./standalone.ts";
import { parseText, type Syntax, syntaxOf } from "./syntax.ts";
import type { Watched } from "./watching.ts";
import { readWhereabouts, type Whereabouts } from "./whereabouts.ts";
import type { StandaloneWish } from "./wish.ts";

export { type Watched, watchChanges } from "./watching.ts";
export type { Whereabouts } from "./whereabouts.ts";
export type { StandaloneWish, WishedCredential } from "./wish.ts";

/** `hash` is the fingerprint of what was read. */
export type ReadSource =
  | { readonly kind: "document"; readonly document: unknown; readonly hash: string }
  | { readonly kind: "wish"; readonly wish: StandaloneWish; readonly hash: string };

export interface ConfigSource extends Watched {
  /** Throws ConfigError with all problems and their places. No problem quotes what it found. */
  read(): Promise<ReadSource>;
}

/** Of this process. What is wrong with where it runs is told together with all else, when the source is read. */
export function readOwnEnvironment(): { readonly where: Whereabouts; readonly source: ConfigSource } {
  const { where } = readWhereabouts(process.env);
  return { where, source: openSource(where.configPath, process.env) };
}

const FOLDER_FILES = /^(kms|encryption|coffer)\.(toml|ya?ml|json)$/i;

export function openSource(path: string | undefined, environment: Environment): ConfigSource {
  let secretPaths: readonly string[] = [];
  const isFolder = path !== undefined && isDirectory(path);

  async function readHand(
    files: readonly SourceFile[],
    bytes: readonly Buffer[],
    unread: readonly string[] = [],
  ): Promise<ReadSource> {
    const gathered = gather(files, environment, unread);
    secretPaths = secretPathsOf(gathered);
    const hash = hashOf([...bytes, ...(await readSecrets(secretPaths))]);
    return { kind: "wish", wish: await readWish(path === undefined ? "the environment" : shown(path), gathered), hash };
  }

  async function readOne(file: string): Promise<ReadSource> {
    const bytes = await readBytes(file);
    const plain = await unzip(bytes, shown(file));
    const syntax = syntaxOf(file);
    if (syntax === undefined) {
      return { kind: "document", document: parseJson(plain, shown(file)), hash: hashOf([bytes]) };
    }
    const text = plain.toString("utf8");
    const document = valueIn(text, syntax);
    if (isObject(document) && "format" in document) return { kind: "document", document, hash: hashOf([bytes]) };
    return readHand([{ shown: shown(file), text, syntax }], [bytes]);
  }

  async function readAny(): Promise<ReadSource> {
    if (path === undefined) return readHand([], []);
    if (!isFolder) return readOne(path);
    const { files, bytes, unread } = await readFolder(path);
    return readHand(files, bytes, unread);
  }

  return {
    path,
    isFolder,
    async read() {
      const { problems } = readWhereabouts(environment);
      const read = await readAny().catch((error: unknown) => {
        if (error instanceof ConfigError) throw new ConfigError([...problems, ...error.problems]);
        throw error;
      });
      refuseProblems(problems);
      return read;
    },
    async fingerprint() {
      try {
        const paths = path === undefined ? [] : isFolder ? await configPaths(path) : [path];
        const bytes = await Promise.all(paths.map((one) => readFile(one)));
        return hashOf([...bytes, ...(await readSecrets(secretPaths))]);
      } catch (error) {
        return errorCode(error);
      }
    },
  };
}

/** undefined where it cannot be read. Where a program writes JSON it may be large, and nobody asks for its lines. */
function valueIn(text: string, syntax: Syntax): unknown {
  if (syntax !== "json") {
    const read = parseText(text, syntax);
    return "value" in read ? read.value : undefined;
  }
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Files that look like configuration; what a mounted volume keeps for itself begins with a dot. */
async function configNames(folder: string): Promise<readonly string[]> {
  try {
    const names = await readdir(folder);
    return names.filter((name) => !name.startsWith(".") && syntaxOf(name) !== undefined).sort();
  } catch (cause) {
    throw new ConfigError([`${shown(folder)}: the folder cannot be read: ${errorCode(cause)}`]);
  }
}

interface ReadFolder {
  readonly files: readonly SourceFile[];
  readonly bytes: readonly Buffer[];
  /** What is wrong with files that are not among them. */
  readonly unread: readonly string[];
}

async function readFolder(folder: string): Promise<ReadFolder> {
  const files: SourceFile[] = [];
  const bytes: Buffer[] = [];
  const unread: string[] = [];
  for (const name of await configNames(folder)) {
    const syntax = syntaxOf(name);
    const place = shown(join(folder, name));
    if (syntax === undefined || !FOLDER_FILES.test(name)) {
      unread.push(`${place}: is not read: kms, encryption and coffer are`);
      continue;
    }
    try {
      const read = await readBytes(join(folder, name));
      bytes.push(read);
      files.push({ shown: place, text: read.toString("utf8"), syntax });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      unread.push(...error.problems);
    }
  }
  return { files, bytes, unread };
}

async function configPaths(folder: string): Promise<readonly string[]> {
  return (await configNames(folder)).map((name) => join(folder, name));
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new ConfigError([`${shown(path)}: the file cannot be read: ${errorCode(cause)}`]);
  }
}

/** What cannot be read counts by its reason: why is somebody else's to tell. */
function readSecrets(paths: readonly string[]): Promise<readonly (Buffer | string)[]> {
  return Promise.all(paths.map((path) => readFile(path).catch((error: unknown) => errorCode(error))));
}

/** Lengths keep the end of one from being taken for the beginning of the next. */
function hashOf(parts: readonly (Buffer | string)[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest("hex");
}

/** As a person would type it from here. */
function shown(path: string): string {
  const short = relative("", resolve(path));
  return short === "" || short.startsWith("..") || isAbsolute(short) ? resolve(path) : short;
}
