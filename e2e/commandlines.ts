// The S3 clients that people type, each told where the store is and who asks, and nothing else: their settings are their
// defaults. Each has the words for what all of them can do.

import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { applicationEnvironment, sayAside } from "./clients.ts";
import { prepareDebian } from "./debian.ts";
import type { Credentials } from "./harness.ts";
import { preparePython } from "./python.ts";

const run = promisify(execFile);

const LIMIT_MS = 240_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

export type CommandLineName = "aws-cli" | "rclone" | "s3cmd";

/** Words are arguments; `at` names an object, or what begins so. */
interface Words {
  put(file: string, at: string): readonly string[];
  get(at: string, file: string): readonly string[];
  list(at: string): readonly string[];
  /** The name, below what was listed, of a line of the list. */
  listed(line: string, at: string): string;
  copy(from: string, to: string): readonly string[];
  remove(at: string): readonly string[];
  removeAll(at: string): readonly string[];
  /** What is gone here goes there too. */
  syncTo(folder: string, at: string): readonly string[];
  syncFrom(at: string, folder: string): readonly string[];
}

interface Definition {
  readonly words: Words;
  /** Asks for SSE-S3, which has MD5 ETags. */
  readonly sseFlags: readonly string[];
  /** From which size on it uploads in parts. */
  readonly partsFromBytes: number;
}

const MIB = 1024 * 1024;

const DEFINITIONS: Readonly<Record<CommandLineName, Definition>> = {
  "aws-cli": {
    sseFlags: ["--sse", "AES256"],
    partsFromBytes: 8 * MIB,
    words: {
      put: (file, at) => ["s3", "cp", file, `s3://${at}`],
      get: (at, file) => ["s3", "cp", `s3://${at}`, file],
      list: (at) => ["s3", "ls", "--recursive", `s3://${at}/`],
      listed: (line, at) => line.replace(/^\S+ +\S+ +\d+ /, "").slice(at.indexOf("/") === -1 ? 0 : insideOf(at)),
      copy: (from, to) => ["s3", "cp", `s3://${from}`, `s3://${to}`],
      remove: (at) => ["s3", "rm", `s3://${at}`],
      removeAll: (at) => ["s3", "rm", "--recursive", `s3://${at}/`],
      syncTo: (folder, at) => ["s3", "sync", "--delete", folder, `s3://${at}`],
      syncFrom: (at, folder) => ["s3", "sync", "--delete", `s3://${at}`, folder],
    },
  },
  rclone: {
    sseFlags: ["--s3-server-side-encryption", "AES256"],
    partsFromBytes: 200 * MIB,
    words: {
      put: (file, at) => ["copyto", file, `coffer:${at}`],
      get: (at, file) => ["copyto", `coffer:${at}`, file],
      list: (at) => ["lsf", "--recursive", "--files-only", `coffer:${at}`],
      listed: (line) => line,
      copy: (from, to) => ["copyto", `coffer:${from}`, `coffer:${to}`],
      remove: (at) => ["deletefile", `coffer:${at}`],
      removeAll: (at) => ["delete", `coffer:${at}`],
      syncTo: (folder, at) => ["sync", folder, `coffer:${at}`],
      syncFrom: (at, folder) => ["sync", `coffer:${at}`, folder],
    },
  },
  s3cmd: {
    sseFlags: ["--server-side-encryption"],
    partsFromBytes: 15 * MIB,
    words: {
      put: (file, at) => ["put", file, `s3://${at}`],
      get: (at, file) => ["get", "--force", `s3://${at}`, file],
      list: (at) => ["ls", "--recursive", `s3://${at}/`],
      listed: (line, at) => line.slice(line.indexOf(`s3://${at}/`) + `s3://${at}/`.length),
      copy: (from, to) => ["cp", `s3://${from}`, `s3://${to}`],
      remove: (at) => ["del", `s3://${at}`],
      removeAll: (at) => ["del", "--recursive", "--force", `s3://${at}/`],
      syncTo: (folder, at) => ["sync", "--delete-removed", `${folder}/`, `s3://${at}/`],
      syncFrom: (at, folder) => ["sync", "--delete-removed", `s3://${at}/`, `${folder}/`],
    },
  },
};

export const COMMAND_LINES = Object.keys(DEFINITIONS) as readonly CommandLineName[];

/** How many characters of a name are above what is listed. */
function insideOf(at: string): number {
  return at.length - at.indexOf("/");
}

/** Whoever asks for MD5 ETags says so with each request that stores something. */
export interface CommandLine {
  readonly partsFromBytes: number;
  put(file: string, at: string): Promise<void>;
  get(at: string, file: string): Promise<void>;
  list(at: string): Promise<readonly string[]>;
  copy(from: string, to: string): Promise<void>;
  remove(at: string): Promise<void>;
  removeAll(at: string): Promise<void>;
  syncTo(folder: string, at: string): Promise<void>;
  syncFrom(at: string, folder: string): Promise<void>;
  /** Anything else that it can do; resolves with all that it printed. */
  run(...words: readonly string[]): Promise<string>;
}

/** `home` is a folder for the client's own files; a bucket stands at the beginning of each name. */
export async function openCommandLine(
  name: CommandLineName,
  credentials: Credentials,
  home: string,
  wishes: { readonly asksForSse: boolean },
): Promise<CommandLine> {
  const { words, sseFlags, partsFromBytes } = DEFINITIONS[name];
  const [program = "", ...before] = await programOf(name);
  const files = await configure(name, credentials, home);
  const env = { ...applicationEnvironment(credentials), HOME: home, LC_ALL: "C.UTF-8", ...files };
  const plainly = async (args: readonly string[]): Promise<string> => {
    const settings = { env, timeout: LIMIT_MS, maxBuffer: OUTPUT_BYTES_MAX };
    const { stdout, stderr } = await run(program, [...before, ...args], settings).catch((error: unknown) => {
      throw new Error(`${name} ${args.join(" ")}: ${error instanceof Error ? told(error) : String(error)}`);
    });
    return stdout + stderr;
  };
  const quietly = async (args: readonly string[]): Promise<void> => void (await plainly(args));
  const storing = (args: readonly string[]) => quietly(wishes.asksForSse ? [...args, ...sseFlags] : args);
  return {
    partsFromBytes,
    put: (file, at) => storing(words.put(file, at)),
    get: (at, file) => quietly(words.get(at, file)),
    list: async (at) => {
      const printed = await plainly(words.list(at));
      const lines = printed.split("\n").filter((line) => line !== "");
      return lines.map((line) => words.listed(line, at)).sort();
    },
    copy: (from, to) => storing(words.copy(from, to)),
    remove: (at) => quietly(words.remove(at)),
    removeAll: (at) => quietly(words.removeAll(at)),
    syncTo: (folder, at) => storing(words.syncTo(folder, at)),
    syncFrom: (at, folder) => quietly(words.syncFrom(at, folder)),
    run: (...args) => plainly(args),
  };
}

/** All that a failed program said. */
function told(error: Error): string {
  const outputs = ["stdout", "stderr"].map((stream) =>
    String((error as Error & Record<string, unknown>)[stream] ?? ""),
  );
  return [error.message, ...outputs].join("\n").slice(0, 4000);
}

async function programOf(name: CommandLineName): Promise<readonly string[]> {
  if (name === "aws-cli") {
    const programs = await preparePython("aws-cli", sayAside);
    // By its Python: the first line of the script names the folder in which it was made.
    return [join(programs, "python"), join(programs, "aws")];
  }
  await prepareDebian(sayAside);
  return [name];
}

/** The file that its own questions would write, where the environment is not enough; and how it finds it. */
async function configure(name: CommandLineName, credentials: Credentials, home: string): Promise<NodeJS.ProcessEnv> {
  await mkdir(home, { recursive: true });
  const { endpoint, accessKeyId, secretAccessKey, region } = credentials;
  const { host } = new URL(endpoint);
  if (name === "s3cmd") {
    const lines = [
      "[default]",
      `access_key = ${accessKeyId}`,
      `secret_key = ${secretAccessKey}`,
      `host_base = ${host}`,
      `host_bucket = ${host}`,
      "use_https = False",
    ];
    await writeFile(join(home, ".s3cfg"), `${lines.join("\n")}\n`);
  }
  if (name === "rclone") {
    const lines = ["[coffer]", "type = s3", "provider = Other", "env_auth = true"];
    await writeFile(
      join(home, "rclone.conf"),
      [...lines, `endpoint = ${endpoint}`, `region = ${region}`, ""].join("\n"),
    );
    return { RCLONE_CONFIG: join(home, "rclone.conf") };
  }
  return {};
}
