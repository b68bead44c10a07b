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
import { type Environment, gather, isObject, type SourceFile } from "./gather.ts";
import { readWish, secretPathsOf } from "./standalone.ts";
import { parseText, type Syntax, syntaxOf } from "./syntax.ts";
import type { Watched } from "./watching.ts";
import type { StandaloneWish } from "./wish.ts";

export { type Watched, watchChanges } from "./watching.ts";
export type { StandaloneWish, WishedCredential } from "./wish.ts";

/** What stands in the environment. */
export interface Whereabouts {
  /** A file or a folder; undefined: the environment has the settings too. */
  readonly configPath: string | undefined;
  readonly listenAddress: string;
  readonly s3Port: number;
  readonly restPort: number;
  readonly adminPort: number;
  readonly dataDir: string;
  /** For keys and credentials of a data plane that runs alone. */
  readonly secretsDir: string;
  /** How long all is served as before when the process is asked to end, and /readyz says that it is not ready. */
  readonly shutdownDelayMs: number;
}

/** `hash` is the fingerprint of what was read. */
export type ReadSource =
  | { readonly kind: "document"; readonly document: unknown; readonly hash: string }
  | { readonly kind: "wish"; readonly wish: StandaloneWish; readonly hash: string };

export interface ConfigSource extends Watched {
  /** Throws ConfigError with all problems and their places. No problem quotes what it found. */
  read(): Promise<ReadSource>;
}

const SHUTDOWN_DELAY_SECONDS_MAX = 60;

/** All problems at once; throws ConfigError. */
export function readEnvironment(environment: Environment): Whereabouts {
  const problems: string[] = [];
  const whole = (name: string, what: string, most: number, otherwise: number): number => {
    const text = environment[name];
    if (text === undefined || text === "") return otherwise;
    const value = Number(text);
    if (Number.isInteger(value) && value >= 0 && value <= most) return value;
    problems.push(`${name} must be ${what} from 0 to ${most}`);
    return otherwise;
  };
  const port = (name: string, otherwise: number) => whole(name, "a port", 65_535, otherwise);
  const whereabouts = {
    configPath: environment["COFFER_CONFIG"] || undefined,
    listenAddress: environment["COFFER_LISTEN"] || "127.0.0.1",
    s3Port: port("COFFER_S3_PORT", 9000),
    restPort: port("COFFER_REST_PORT", 8080),
    adminPort: port("COFFER_ADMIN_PORT", 9090),
    dataDir: environment["COFFER_DATA_DIR"] || "data",
    secretsDir: environment["COFFER_SECRETS_DIR"] || "secrets",
    shutdownDelayMs: whole("COFFER_SHUTDOWN_DELAY_SECONDS", "whole seconds", SHUTDOWN_DELAY_SECONDS_MAX, 0) * 1000,
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return whereabouts;
}

/** As `readEnvironment` and `openSource`, of this process. */
export function readOwnEnvironment(): { readonly where: Whereabouts; readonly source: ConfigSource } {
  const where = readEnvironment(process.env);
  return { where, source: openSource(where.configPath, process.env) };
}

const FOLDER_FILES = /^(kms|encryption|coffer)\.(toml|ya?ml|json)$/i;

export function openSource(path: string | undefined, environment: Environment): ConfigSource {
  let secretPaths: readonly string[] = [];
  const isFolder = path !== undefined && isDirectory(path);

  async function readHand(files: readonly SourceFile[], bytes: readonly Buffer[]): Promise<ReadSource> {
    const gathered = gather(files, environment);
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

  async function readFolder(folder: string): Promise<ReadSource> {
    const names = await configNames(folder);
    const strangers = names.filter((name) => !FOLDER_FILES.test(name));
    if (strangers.length > 0) {
      throw new ConfigError(
        strangers.map((name) => `${shown(join(folder, name))}: is not read: kms, encryption and coffer are`),
      );
    }
    const bytes = await Promise.all(names.map((name) => readBytes(join(folder, name))));
    const files = names.flatMap((name, index) => {
      const syntax = syntaxOf(name);
      const text = bytes[index]?.toString("utf8") ?? "";
      return syntax === undefined ? [] : [{ shown: shown(join(folder, name)), text, syntax }];
    });
    return readHand(files, bytes);
  }

  return {
    path,
    isFolder,
    async read() {
      if (path === undefined) return readHand([], []);
      return isFolder ? readFolder(path) : readOne(path);
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
