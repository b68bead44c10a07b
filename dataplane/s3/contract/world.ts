/** For tests: the whole way from a socket to storage in memory, with real keys and real objects, and a plain client. */
import { request } from "node:http";
import type { AuditEvent } from "../../audit/audit.ts";
import { type Buckets, createBuckets } from "../../buckets/buckets.ts";
import type { Call } from "../../call.ts";
import {
  type BucketEntry,
  type ConfiguredCredential,
  type DataPlaneConfig,
  defaultSettings,
} from "../../config/config.ts";
import { createInFlight } from "../../http/inflight.ts";
import { createListener } from "../../http/listener.ts";
import { createBucketKeys, createSettingsSealer, openStoreId } from "../../keys/keys.ts";
import { createMetrics } from "../../metrics.ts";
import { createObjects, type ObjectStore } from "../../objects/objects.ts";
import { createLive, type MadeBucket, type OpenKms } from "../../snapshot.ts";
import { createMemoryStorage } from "../../storage/memory.ts";
import { createS3Protocol } from "../routes.ts";
import { ACCESS_KEY_ID, type HeaderList, SECRET } from "./requests.ts";
import { join, type Signing, sha256Hex, signRequest } from "./signer.ts";

const BUCKETS = ["music", "photos"] as const;

export interface World {
  readonly port: number;
  readonly endpoint: string;
  readonly audit: AuditEvent[];
  readonly lines: { readonly status: number; readonly code: string | undefined }[];
  /** What the log was told of failures. */
  readonly errors: unknown[];
  close(): Promise<void>;
}

/** A Local key ring and the Kms over it, which a test brings: this file is too far from them. */
export interface WorldKey {
  readonly kms: Awaited<ReturnType<OpenKms>>;
  readonly kmsKeyId: string;
  readonly ring: unknown;
}

export interface WorldOptions {
  readonly config?: Partial<DataPlaneConfig>;
  readonly bucket?: Partial<BucketEntry>;
  /** Of `photos`; more of them than the one with all rights. */
  readonly credentials?: readonly ConfiguredCredential[];
  readonly around?: (objects: ObjectStore) => ObjectStore;
  readonly slowAnswerMs?: number;
}

export const CREDENTIAL: ConfiguredCredential = {
  entry: "app",
  generation: 0,
  accessKeyId: ACCESS_KEY_ID,
  secret: SECRET,
  tokenSha256: "a".repeat(64),
  permissions: ["Read", "Write", "List", "Delete"],
};

/** Makes buckets, and may everything in those. */
export const MAKER: ConfiguredCredential = {
  ...CREDENTIAL,
  entry: "maker",
  accessKeyId: "MAKER",
  tokenSha256: "e".repeat(64),
  permissions: [],
};

export async function startWorld(key: WorldKey, options: WorldOptions = {}): Promise<World> {
  const signal = AbortSignal.timeout(60_000);
  const config = configOf(options, key);
  const made = new Map<string, MadeBucket>();
  const live = createLive(
    async () => key.kms,
    () => undefined,
    made,
  );
  await live.offer(config, signal);
  const world = { audit: [] as AuditEvent[], lines: [] as World["lines"], errors: [] as unknown[] };
  const audit = (_call: Call, event: AuditEvent) => void world.audit.push(event);
  const storage = createMemoryStorage();
  const storeId = await openStoreId(storage, [...BUCKETS], signal);
  const keys = createBucketKeys({ storage, storeId, audit, nowMs: Date.now });
  const buckets: Buckets = createBuckets({ storage, sealer: createSettingsSealer(keys), audit, nowMs: Date.now, made });
  await buckets.prepare(config.buckets, signal);
  const shownByDefault = buckets.shownByDefault.bind(buckets);
  const objects = createObjects({ storage, keys, audit, nowMs: Date.now, shownByDefault });
  const note = (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
    world.errors.push({ message, fields });
  };
  const listener = createListener({
    protocol: createS3Protocol({
      objects: options.around?.(objects) ?? objects,
      buckets,
      nowMs: Date.now,
      ...(options.slowAnswerMs === undefined ? {} : { slowAnswerMs: options.slowAnswerMs }),
    }),
    live,
    inFlight: createInFlight(),
    log: { error: note, warn: note, info: () => undefined, debug: () => undefined, setLevel: () => undefined },
    metrics: createMetrics(),
    requestLine: ({ status, code }) => void world.lines.push({ status, code }),
  });
  const { port } = await listener.listen(0, "127.0.0.1");
  const close = async () => {
    await listener.drain(1000);
    await live.close();
    await storage.close();
  };
  return { ...world, port, endpoint: `http://127.0.0.1:${port}`, close };
}

function configOf({ config, bucket, credentials = [] }: WorldOptions, { kmsKeyId, ring }: WorldKey) {
  const mark = { revision: 1, madeFrom: [] };
  const rules = {
    ...mark,
    keys: [{ provider: "local", minEpoch: 1 }],
    rewrapWish: "",
    algorithm: "AES-256-GCM" as const,
    keyMode: "bucket" as const,
    chunkBytes: 16_384 as const,
    context: {},
    allowCustomerKeys: false,
    allowPlaintext: false,
    state: "serve" as const,
  };
  const { state: _state, ...selfService } = rules;
  return {
    format: 1,
    revision: 1,
    ruledBy: "folder",
    region: "local",
    hostNames: [],
    settings: defaultSettings,
    providers: [
      {
        ...mark,
        resource: "KmsProvider local",
        name: "local",
        options: { type: "Local", ring },
        kmsKeyId,
        timeoutMs: 1000,
        cache: { ttlMs: 60_000, maxEntries: 100, negativeTtlMs: 0 },
      },
    ],
    buckets: BUCKETS.map((name) => ({
      ...rules,
      resource: `EncryptedBucket ${name}`,
      name,
      credentials: name === "photos" ? [CREDENTIAL, ...credentials] : [],
      ...(name === "photos" ? bucket : {}),
    })),
    selfService: { ...selfService, resource: "EncryptedStore default", credentials: [MAKER] },
    ...config,
  } as unknown as DataPlaneConfig;
}

export interface Answer {
  readonly status: number;
  /** Lower-case names; values as latin1. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
  readonly text: string;
  /** Of an error in XML. */
  readonly code: string | undefined;
}

export interface Asked extends Partial<Omit<Signing, "headers">> {
  readonly headers?: HeaderList;
  readonly body?: Uint8Array;
  /** Headers that are sent and not signed. */
  readonly unsigned?: HeaderList;
  /** What the hash of the payload is said to be, if not the body's. */
  readonly payload?: string;
}

/** Signs a request by its header and sends it. */
export function ask(world: World, asked: Asked): Promise<Answer> {
  const { method = "GET", target = "/", headers = [], body, unsigned = [], ...more } = asked;
  const payload = asked.payload ?? sha256Hex(body ?? "");
  const timestamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, "");
  const all: HeaderList = [
    ["Host", `127.0.0.1:${world.port}`],
    ["x-amz-date", timestamp],
    ["x-amz-content-sha256", payload],
    ...headers,
  ];
  const signing = {
    method,
    target,
    headers: all,
    timestamp,
    accessKeyId: ACCESS_KEY_ID,
    secret: SECRET,
    ...more,
    payload,
  };
  const { authorization } = signRequest(signing);
  return send(world, method, target, [...all, ...unsigned, ["Authorization", authorization]], body);
}

/** Sends a request as it is. */
export function send(
  world: World,
  method: string,
  target: string,
  headers: HeaderList,
  body?: Uint8Array,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length: HeaderList =
      body === undefined || headers.some(([name]) => name.toLowerCase() === "transfer-encoding")
        ? []
        : [["Content-Length", String(body.length)]];
    const flat = [...headers, ...length].flat();
    const options = { host: "127.0.0.1", port: world.port, method, path: target, headers: flat, agent: false as const };
    const sent = request(options, (answer) => {
      const blocks: Buffer[] = [];
      answer.on("data", (block: Buffer) => blocks.push(block));
      answer.on("error", reject);
      answer.on("end", () => {
        const bytes = join(blocks);
        const text = bytes.toString("utf8");
        const code = /<Error>.*<Code>([^<]*)<\/Code>/s.exec(text)?.[1];
        resolve({ status: answer.statusCode ?? 0, headers: answer.headers, body: bytes, text, code });
      });
    });
    sent.on("error", reject);
    sent.end(body);
  });
}
