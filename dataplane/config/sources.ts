/** Where the configuration comes from: the environment says where this process runs, a file holds all else. */
import { createHash } from "node:crypto";
import { type FSWatcher, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { ConfigError } from "./config.ts";

/** What stands in the environment. */
export interface Whereabouts {
  readonly configPath: string;
  readonly listenAddress: string;
  readonly s3Port: number;
  readonly restPort: number;
  readonly adminPort: number;
  readonly dataDir: string;
}

/** All problems at once; throws ConfigError. */
export function readEnvironment(environment: NodeJS.ProcessEnv): Whereabouts {
  const problems: string[] = [];
  const port = (name: string, otherwise: number): number => {
    const text = environment[name];
    if (text === undefined || text === "") return otherwise;
    const value = Number(text);
    if (Number.isInteger(value) && value >= 0 && value <= 65_535) return value;
    problems.push(`${name} must be a port from 0 to 65535`);
    return otherwise;
  };
  const configPath = environment["COFFER_CONFIG"] ?? "";
  if (configPath === "") problems.push("COFFER_CONFIG must name the configuration file");
  const whereabouts = {
    configPath,
    listenAddress: environment["COFFER_LISTEN"] || "127.0.0.1",
    s3Port: port("COFFER_S3_PORT", 9000),
    restPort: port("COFFER_REST_PORT", 8080),
    adminPort: port("COFFER_ADMIN_PORT", 9090),
    dataDir: environment["COFFER_DATA_DIR"] || "data",
  };
  if (problems.length > 0) throw new ConfigError(problems);
  return whereabouts;
}

/** As `readEnvironment`, of this process. */
export function readOwnEnvironment(): Whereabouts {
  return readEnvironment(process.env);
}

const DOCUMENT_BYTES_MAX = 64 * 1024 * 1024;
const gunzipAsync = promisify(gunzip);

/** A document and the SHA-256 of its file. */
export interface ReadDocument {
  readonly document: unknown;
  readonly fileHash: string;
}

/** JSON, plain or gzip. Throws ConfigError with a reason that quotes nothing of the file. */
export async function readDocument(path: string): Promise<ReadDocument> {
  const bytes = await readFile(path).catch((cause: unknown) => {
    throw new ConfigError([`the file cannot be read: ${errorCode(cause)}`]);
  });
  const fileHash = createHash("sha256").update(bytes).digest("hex");
  return { document: parseBytes(await unzip(bytes)), fileHash };
}

async function unzip(bytes: Buffer): Promise<Buffer> {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  try {
    return await gunzipAsync(bytes, { maxOutputLength: DOCUMENT_BYTES_MAX });
  } catch (cause) {
    throw new ConfigError([`the file is not whole gzip: ${errorCode(cause)}`]);
  }
}

function parseBytes(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch {
    // The parser's own message quotes the text around the fault, which may be a secret.
    throw new ConfigError(["the file is not JSON"]);
  }
}

function errorCode(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "unknown error";
}

const POLL_MS = 1000;
const SETTLE_MS = 50;

/**
 * Calls `onChange` after each change of the file, one call at a time, until the signal aborts. The folder is watched,
 * because a mounted Secret changes by a swapped link, and the file is read once a second besides, because not every
 * file system tells.
 */
export async function watchDocument(
  path: string,
  lastHash: string,
  onChange: (read: () => Promise<ReadDocument>) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let seen = lastHash;
  const bell = createBell();
  const watcher = watchFolder(path, bell.ring);
  signal.addEventListener("abort", bell.ring, { once: true });
  try {
    while (!signal.aborted) {
      await bell.wait(POLL_MS);
      if (signal.aborted) return;
      const hash = await hashFile(path);
      if (hash === seen) continue;
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      seen = await hashFile(path);
      await onChange(() => readDocument(path));
    }
  } finally {
    watcher?.close();
  }
}

async function hashFile(path: string): Promise<string> {
  try {
    return createHash("sha256")
      .update(await readFile(path))
      .digest("hex");
  } catch (error) {
    return errorCode(error);
  }
}

function watchFolder(path: string, onEvent: () => void): FSWatcher | undefined {
  try {
    const name = basename(path);
    const watcher = watch(dirname(path), { persistent: false }, (_event, file) => {
      if (file === null || file === name || file.startsWith("..")) onEvent();
    });
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    // The poll goes on without it.
    return undefined;
  }
}

function createBell(): { ring: () => void; wait(ms: number): Promise<void> } {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      rung = true;
      wake?.();
    },
    async wait(ms) {
      if (!rung) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, ms);
          wake = () => {
            clearTimeout(timer);
            resolve();
          };
        });
      }
      rung = false;
      wake = undefined;
    },
  };
}
