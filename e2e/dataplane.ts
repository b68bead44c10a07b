// A data plane by itself, with a configuration document of the test's own, so that a fault can be put where it belongs:
// it can be killed, started again in the same place, and given another document while it runs.

import { type ChildProcess, spawn } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { leash } from "./cluster/leash.ts";
import { freePorts } from "./ports.ts";

const ROOT = join(import.meta.dirname, "..");
const START_LIMIT_MS = 180_000;
const STOP_LIMIT_MS = 40_000;
const POLL_MS = 5;

export const BUCKET = "photos";
const REGION = "local";

export interface RingKey {
  readonly version: number;
  readonly key: string;
  readonly created: string;
  readonly state: "enabled" | "disabled";
}

export interface Ring {
  readonly format: "coffer-ring-1";
  readonly id: string;
  readonly keys: readonly RingKey[];
}

export interface Pair {
  readonly accessKeyId: string;
  readonly secret: string;
  readonly token: string;
}

/** Of all that a configuration says, what the tests vary. */
export interface Wish {
  readonly revision: number;
  readonly rings: Readonly<Record<string, Ring>>;
  readonly buckets: Readonly<Record<string, BucketWish>>;
  /** Of opened bucket keys; 0: each use asks for the record, and the KMS. */
  readonly cacheTtlMs: number;
}

export interface BucketWish {
  readonly provider: string;
  readonly rewrapWish: string;
  readonly minEpoch: number;
  readonly pair: Pair;
}

export function newPair(): Pair {
  const part = (bytes: number) => randomBytes(bytes).toString("hex");
  return { accessKeyId: `AK${part(8).toUpperCase()}`, secret: part(20), token: part(20) };
}

export function newRing(): Ring {
  return withNewVersion({ format: "coffer-ring-1", id: randomBytes(16).toString("hex"), keys: [] });
}

export function withNewVersion(ring: Ring): Ring {
  const version = (ring.keys.at(-1)?.version ?? 0) + 1;
  const key = randomBytes(32).toString("base64");
  const created = new Date().toISOString().replace(/\.\d+/, "");
  return { ...ring, keys: [...ring.keys, { version, key, created, state: "enabled" }] };
}

/** One provider `local`, and the bucket that all tests use. */
function firstWish(): Wish {
  const bucket = { provider: "local", rewrapWish: "", minEpoch: 1, pair: newPair() };
  return { revision: 1, rings: { local: newRing() }, buckets: { [BUCKET]: bucket }, cacheTtlMs: 300_000 };
}

function documentOf({ revision, rings, buckets, cacheTtlMs }: Wish): object {
  const mark = { revision, resource: "test", madeFrom: [] };
  return {
    format: 1,
    revision,
    ruledBy: "folder",
    region: REGION,
    hostNames: [],
    settings: {
      maxConcurrentRequests: 1000,
      logLevel: "Info",
      audit: { enabled: true, level: "All" },
    },
    providers: Object.entries(rings).map(([name, ring]) => ({
      ...mark,
      name,
      options: { type: "Local", ring },
      kmsKeyId: ring.id,
      timeoutMs: 5000,
      cache: { ttlMs: cacheTtlMs, maxEntries: 1000, negativeTtlMs: 10_000 },
    })),
    buckets: Object.entries(buckets).map(([name, { provider, rewrapWish, minEpoch, pair }]) => ({
      ...mark,
      name,
      keys: [{ provider, minEpoch }],
      rewrapWish,
      algorithm: "AES-256-GCM",
      keyMode: "bucket",
      chunkBytes: 65_536,
      context: {},
      allowCustomerKeys: false,
      allowPlaintext: false,
      state: "serve",
      credentials: [
        {
          entry: "app",
          generation: 1,
          accessKeyId: pair.accessKeyId,
          secret: pair.secret,
          tokenSha256: createHash("sha256").update(pair.token).digest("hex"),
          permissions: ["Read", "Write", "List", "Delete"],
        },
      ],
    })),
  };
}

function isTaken(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect(port, "127.0.0.1");
  socket.once("connect", () => resolve(true));
  socket.once("error", () => resolve(false));
  void promise.then(() => socket.destroy());
  return promise;
}

export interface DataPlaneOptions {
  /** Holds the data; by default below the test's folder. */
  readonly dataDir?: string;
  /** What runs it instead of Node itself, such as `prlimit`: the program and its arguments, before Node's own. */
  readonly through?: readonly string[];
}

/** Starts nothing yet. The folder goes with `remove`. */
export class DataPlane {
  readonly folder: string;
  readonly dataDir: string;
  readonly s3Port: number;
  readonly restPort: number;
  readonly adminPort: number;
  readonly #through: readonly string[];
  #wish: Wish;
  #child: ChildProcess | undefined;
  #runs = false;
  #ended: Promise<unknown> = Promise.resolve();

  private constructor(folder: string, ports: readonly [number, number, number], options: DataPlaneOptions) {
    this.folder = folder;
    this.dataDir = options.dataDir ?? join(folder, "data");
    [this.s3Port, this.restPort, this.adminPort] = ports;
    this.#through = options.through ?? [];
    this.#wish = firstWish();
    this.configure(this.#wish);
  }

  static async create(options: DataPlaneOptions = {}): Promise<DataPlane> {
    const [s3 = 0, rest = 0, admin = 0] = await freePorts(3);
    return new DataPlane(mkdtempSync(join(tmpdir(), "coffer-e2e-")), [s3, rest, admin], options);
  }

  get wish(): Wish {
    return this.#wish;
  }

  get pair(): Pair {
    return this.wish.buckets[BUCKET]?.pair ?? newPair();
  }

  /** From its launch to its end, or until it is asked to end. */
  get isRunning(): boolean {
    return this.#runs && this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Puts another document in the place of the last, as a whole. */
  configure(wish: Wish): void {
    this.#wish = wish;
    const path = join(this.folder, "config.json");
    writeFileSync(`${path}.new`, JSON.stringify(documentOf(wish)), { mode: 0o600 });
    renameSync(`${path}.new`, path);
  }

  /** Begins to start; `start` waits until it serves. */
  launch(): void {
    const output = openSync(join(this.folder, "output.log"), "a");
    const [program = process.execPath, ...before] = [...this.#through, process.execPath];
    const main = join(ROOT, "dataplane", "main.ts");
    const child = spawn(program, [...before, "--disable-warning=ExperimentalWarning", main], {
      cwd: this.folder,
      stdio: ["ignore", output, output],
      env: {
        PATH: process.env["PATH"],
        // Written when it ends well: from then on it starts in half the time.
        NODE_COMPILE_CACHE: join(this.folder, "compiled"),
        COFFER_CONFIG: join(this.folder, "config.json"),
        COFFER_DATA_DIR: this.dataDir,
        COFFER_S3_PORT: String(this.s3Port),
        COFFER_REST_PORT: String(this.restPort),
        COFFER_ADMIN_PORT: String(this.adminPort),
      },
    });
    closeSync(output);
    leash(child);
    this.#child = child;
    this.#runs = true;
    this.#ended = once(child, "exit");
  }

  /** Resolves with the milliseconds that it took until the last of its listeners took connections. */
  async start(): Promise<number> {
    const begunMs = performance.now();
    if (!this.isRunning) this.launch();
    for (const port of [this.s3Port, this.restPort, this.adminPort]) {
      while (!(await isTaken(port))) {
        const tookMs = performance.now() - begunMs;
        if (!this.isRunning || tookMs > START_LIMIT_MS) {
          const what = this.isRunning ? "does not start" : `ended with ${this.#child?.exitCode}`;
          throw new Error(`The data plane ${what}:\n${this.output().slice(-4000)}`);
        }
        await sleep(POLL_MS);
      }
    }
    return performance.now() - begunMs;
  }

  async kill(): Promise<void> {
    this.#runs = false;
    this.#child?.kill("SIGKILL");
    await this.#ended;
  }

  /** Asks it to end, as a cluster does; fails unless it ends well. */
  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.isRunning) return;
    this.#runs = false;
    child.kill("SIGTERM");
    const timer = setTimeout(() => child.kill("SIGKILL"), STOP_LIMIT_MS);
    await this.#ended;
    clearTimeout(timer);
    if (child.exitCode !== 0) throw new Error(`The data plane ended with ${child.exitCode ?? child.signalCode}`);
  }

  output(): string {
    return readFileSync(join(this.folder, "output.log"), "utf8");
  }

  async remove(): Promise<void> {
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
