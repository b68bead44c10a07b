// Starts a store as a user does, in folders and on ports of its own, and gives a test what it needs of it: where it
// listens, its credentials, what it printed, its processes, and ways to end it.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseEnv } from "node:util";
import { ACCESS_KEYS } from "../crds/names.ts";
import { leash } from "./cluster/leash.ts";
import { freePorts } from "./ports.ts";
import { childrenOf } from "./processes.ts";

export const ROOT = join(import.meta.dirname, "..");

/** What stands in a credentials file. */
export interface Credentials {
  readonly endpoint: string;
  readonly region: string;
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly bucket: string;
  readonly restUrl: string;
  readonly token: string;
}

export interface Urls {
  readonly s3: string;
  readonly rest: string;
  readonly admin: string;
}

export interface StoreFolders {
  /** Holds the three others. */
  readonly home: string;
  readonly configDir: string;
  readonly dataDir: string;
  readonly secretsDir: string;
}

export interface Store extends StoreFolders {
  readonly urls: Urls;
  /** How long it took from the start of the command until it said that it was ready. */
  readonly readyMs: number;
  /** All that it printed so far, both streams. */
  printed(): string;
  credentials(entry?: string): Promise<Credentials>;
  /** A path and, optionally, a query of the admin listener. */
  admin<Answer>(path: string): Promise<Answer>;
  /** The process that was started. */
  readonly pid: number;
  dataPlanePid(): Promise<number>;
  /** As Ctrl-C; resolves with the exit code once all has ended. */
  stop(): Promise<number | null>;
  /** kill -9 of the runtime and of the data plane. Resolves when both are gone. The folders stay: `startStore` may take them up. */
  kill(): Promise<void>;
}

export interface StoreWishes {
  /** Folders of a store before; missing: new ones, with the quickstart's configuration. */
  readonly folders?: StoreFolders;
  /** `npm start` itself, as a user types it; else the program that it runs. */
  readonly byNpm?: boolean;
  readonly readyWithinMs?: number;
  readonly environment?: Readonly<Record<string, string>>;
  /** The same ports as before, for clients that wait for it to come back. */
  readonly urls?: Urls;
}

/** A busy machine takes many times as long as a quiet one. */
const READY_WITHIN_MS = 180_000;
const LOOK_EVERY_MS = 20;

export async function createFolders(): Promise<StoreFolders> {
  const home = await mkdtemp(join(tmpdir(), "coffer-e2e-"));
  const folders = {
    home,
    configDir: join(home, "config"),
    dataDir: join(home, "data"),
    secretsDir: join(home, "secrets"),
  };
  await mkdir(folders.configDir);
  await cp(join(ROOT, "examples", "quickstart"), folders.configDir, { recursive: true });
  return folders;
}

export async function removeFolders({ home }: StoreFolders): Promise<void> {
  await rm(home, { recursive: true, force: true, maxRetries: 3 });
}

/** Resolves when the store is ready. If it does not become so, fails with all that it printed. */
export async function startStore(wishes: StoreWishes = {}): Promise<Store> {
  const folders = wishes.folders ?? (await createFolders());
  const urls = wishes.urls ?? (await freeUrls());
  const startedMs = performance.now();
  const [program, ...args] = wishes.byNpm
    ? ["npm", "start", "--", folders.configDir]
    : [process.execPath, "--disable-warning=ExperimentalWarning", "operator/local/main.ts", folders.configDir];
  const child = spawn(program, args, {
    cwd: ROOT,
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own: a terminal's Ctrl-C reaches all of it, and so does `stop`.
    detached: true,
    env: {
      ...process.env,
      COFFER_S3_PORT: new URL(urls.s3).port,
      COFFER_REST_PORT: new URL(urls.rest).port,
      COFFER_ADMIN_PORT: new URL(urls.admin).port,
      COFFER_DATA_DIR: folders.dataDir,
      COFFER_SECRETS_DIR: folders.secretsDir,
      ...wishes.environment,
    },
  });
  leash(child, true);
  const ended = once(child, "close");
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
  }
  const store = { ...folders, urls, printed: () => printed, ...endings(child, ended), pid: child.pid ?? 0 };
  const access = join(folders.dataDir, "access");
  try {
    await waitFor("the store to be ready", wishes.readyWithinMs ?? READY_WITHIN_MS, async () => {
      if (child.exitCode !== null) throw new Error(`it ended with code ${child.exitCode}`);
      return (await isReady(urls)) && printed.includes(urls.rest);
    });
  } catch (error) {
    await store.kill();
    if (wishes.folders === undefined) await removeFolders(folders);
    throw new Error(`${error instanceof Error ? error.message : String(error)}\nIt printed:\n${printed}`);
  }
  return {
    ...store,
    readyMs: performance.now() - startedMs,
    credentials: (entry = "photos-app") => readCredentials(join(access, `${entry}.env`)),
    admin: async <Answer>(path: string) => (await (await fetch(urls.admin + path)).json()) as Answer,
    dataPlanePid: () => dataPlanePid(child.pid ?? 0),
  };
}

function endings(child: ChildProcess, ended: Promise<unknown>): Pick<Store, "stop" | "kill"> {
  return {
    async stop() {
      if (child.exitCode === null && child.signalCode === null && child.pid !== undefined) {
        process.kill(-child.pid, "SIGINT");
      }
      await ended;
      return child.exitCode;
    },
    async kill() {
      const pids = child.pid === undefined ? [] : [child.pid, ...(await descendantsOf(child.pid))];
      for (const pid of pids) killNow(pid);
      await ended;
    },
  };
}

function killNow(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    // It ended by itself meanwhile.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

async function descendantsOf(pid: number): Promise<readonly number[]> {
  const children = await childrenOf(pid);
  const below = await Promise.all(children.map((found) => descendantsOf(found.pid)));
  return [...children.map((found) => found.pid), ...below.flat()];
}

async function dataPlanePid(pid: number): Promise<number> {
  const found = await findDataPlane(pid);
  if (found === undefined) throw new Error("there is no data plane among the processes of the store");
  return found;
}

async function findDataPlane(pid: number): Promise<number | undefined> {
  for (const child of await childrenOf(pid)) {
    if (/dataplane\/main\.ts/.test(child.command)) return child.pid;
    const below = await findDataPlane(child.pid);
    if (below !== undefined) return below;
  }
  return undefined;
}

/** The credentials of a file as `npm start` writes it. */
export async function readCredentials(path: string): Promise<Credentials> {
  const values = parseEnv(await readFile(path, "utf8"));
  const read = (name: string) => {
    const value = values[name];
    if (value === undefined || value === "") throw new Error(`${path} has no ${name}`);
    return value;
  };
  return {
    endpoint: read(ACCESS_KEYS.s3Endpoint),
    region: read(ACCESS_KEYS.region),
    accessKeyId: read(ACCESS_KEYS.accessKeyId),
    secretAccessKey: read(ACCESS_KEYS.secretAccessKey),
    // Those that make buckets have none of their own.
    bucket: values[ACCESS_KEYS.bucketName] ?? "",
    restUrl: read(ACCESS_KEYS.restUrl),
    token: read(ACCESS_KEYS.token),
  };
}

/** Looks until it is so. An error of the look itself ends the wait. */
export async function waitFor(what: string, withinMs: number, isSo: () => Promise<boolean> | boolean): Promise<void> {
  const endMs = performance.now() + withinMs;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`Waited ${withinMs} ms for ${what}, in vain`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

async function isReady(urls: Urls): Promise<boolean> {
  return fetch(`${urls.admin}/readyz`).then(
    async (answer) => {
      await answer.arrayBuffer();
      return answer.ok;
    },
    () => false,
  );
}

async function freeUrls(): Promise<Urls> {
  const ports = await freePorts(3);
  const url = (at: number) => `http://127.0.0.1:${ports[at]}`;
  return { s3: url(0), rest: url(1), admin: url(2) };
}
