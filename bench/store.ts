// A store of the bench's own: one data plane with a Local key and no operator, in a folder that goes with it. Its log and
// audit lines go to a file, as they do in use.

import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Credentials } from "./signature.ts";

const READY_LIMIT_MS = 20_000;
const POLL_MS = 50;
const REGION = "local";
/** As the image and `npm start` give them. */
const NODE_OPTIONS = [
  "--external-memory-accounted-in-global-limit",
  "--initial-old-space-size=48",
  "--max-old-space-size=256",
  "--max-semi-space-size=16",
  "--disable-warning=ExperimentalWarning",
];

export type Encryption = "on" | "off";

export interface Bucket {
  readonly name: string;
  readonly credentials: Credentials;
}

export interface Store {
  readonly url: URL;
  readonly admin: URL;
  /** Another one after each restart. */
  readonly pid: number;
  readonly buckets: Readonly<Record<Encryption, Bucket>>;
  /** Ends it and starts it again, where it was and with what it has stored. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export async function startStore(parent: string | undefined, node: readonly string[]): Promise<Store> {
  const folder = mkdtempSync(join(parent ?? tmpdir(), "coffer-bench-"));
  const buckets = { on: newBucket("encrypted"), off: newBucket("plain") };
  const configPath = join(folder, "config.json");
  writeFileSync(configPath, JSON.stringify(configuration(Object.values(buckets))));
  const [s3Port = 0, restPort = 0, adminPort = 0] = await freePorts(3);
  const admin = new URL(`http://127.0.0.1:${adminPort}`);
  const env = {
    MALLOC_ARENA_MAX: "1",
    COFFER_CONFIG: configPath,
    COFFER_DATA_DIR: join(folder, "data"),
    COFFER_S3_PORT: String(s3Port),
    COFFER_REST_PORT: String(restPort),
    COFFER_ADMIN_PORT: String(adminPort),
  };
  let child = launch(folder, node, env);
  const stop = async (): Promise<void> => {
    await end(child);
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    await ready(child, admin, folder);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    url: new URL(`http://127.0.0.1:${s3Port}`),
    admin,
    get pid() {
      return child.pid ?? 0;
    },
    buckets,
    async restart() {
      await end(child);
      child = launch(folder, node, env);
      await ready(child, admin, folder);
    },
    stop,
  };
}

/** Adds to the log that is in the folder. */
function launch(folder: string, node: readonly string[], env: Readonly<Record<string, string>>): ChildProcess {
  const log = openSync(logIn(folder), "a");
  const child = spawn(process.execPath, [...NODE_OPTIONS, ...node, "dataplane/main.ts"], {
    cwd: join(import.meta.dirname, ".."),
    stdio: ["ignore", log, log],
    env,
  });
  closeSync(log);
  return child;
}

function logIn(folder: string): string {
  return join(folder, "log");
}

function newBucket(name: string): Bucket {
  const accessKeyId = `AK${name.toUpperCase()}`;
  return { name, credentials: { accessKeyId, secret: randomBytes(20).toString("hex"), region: REGION } };
}

function configuration(buckets: readonly Bucket[]): object {
  const mark = { revision: 1, resource: "bench", madeFrom: [] };
  const key = {
    version: 1,
    key: randomBytes(32).toString("base64"),
    created: "2026-01-01T00:00:00Z",
    state: "enabled",
  };
  const ring = { format: "coffer-ring-1", id: randomBytes(16).toString("hex"), keys: [key] };
  const cache = { ttlMs: 300_000, maxEntries: 1000, negativeTtlMs: 10_000 };
  const credential = ({ accessKeyId, secret }: Credentials) => ({
    entry: "bench",
    generation: 1,
    accessKeyId,
    secret,
    tokenSha256: randomBytes(32).toString("hex"),
    permissions: ["Read", "Write", "List", "Delete"],
  });
  return {
    format: 1,
    revision: 1,
    ruledBy: "folder",
    region: REGION,
    hostNames: [],
    settings: {
      maxConcurrentRequests: 1000,
      logLevel: "Info",
      audit: { enabled: true, level: "All" },
    },
    providers: [
      { ...mark, name: "local", options: { type: "Local", ring }, kmsKeyId: ring.id, timeoutMs: 5000, cache },
    ],
    buckets: buckets.map(({ name, credentials }) => ({
      ...mark,
      name,
      keys: [{ provider: "local", minEpoch: 1 }],
      rewrapWish: "",
      algorithm: "AES-256-GCM",
      keyMode: "bucket",
      chunkBytes: 65_536,
      context: {},
      allowCustomerKeys: false,
      allowPlaintext: name === "plain",
      state: "serve",
      credentials: [credential(credentials)],
    })),
  };
}

/** Each is held until all are found, or two would be the same. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => {
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : 0;
  });
  for (const server of servers) server.close();
  return ports;
}

async function ready(child: ChildProcess, admin: URL, folder: string): Promise<void> {
  const limit = performance.now() + READY_LIMIT_MS;
  while (!(await isReady(admin))) {
    if (child.exitCode !== null || performance.now() > limit) {
      throw new Error(`The store does not start:\n${readFileSync(logIn(folder), "utf8").slice(-2000)}`);
    }
    await sleep(POLL_MS);
  }
}

function isReady(admin: URL): Promise<boolean> {
  return new Promise((resolve) => {
    get(new URL("/readyz", admin), { agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    }).once("error", () => resolve(false));
  });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  await exited;
}
