/** What the tests of this room share: a store over memory with real keys of a Local ring, callers, bodies and questions. */
import type { Principal } from "../../access/access.ts";
import type { AuditEvent } from "../../audit/audit.ts";
import type { Body, Call, ChecksumAlgorithm, Digests } from "../../call.ts";
import type { BucketEntry, Permission, ProviderEntry } from "../../config/config.ts";
import { bucketEntry as configuredBucket, providerEntry, storeConfig } from "../../config/contract/entries.ts";
import { Failure } from "../../failure.ts";
import { type BucketKeys, createBucketKeys, openStoreId } from "../../keys/keys.ts";
import type { Snapshot } from "../../snapshot.ts";
import { createMemoryStorage } from "../../storage/memory.ts";
import type { ObjectRef, Storage } from "../../storage/storage.ts";
import {
  type CopyWanted,
  createObjects,
  type DefaultShown,
  type GetWanted,
  type ListQuery,
  type ObjectStore,
  type PutWanted,
} from "../objects.ts";

const START_MS = 1_764_000_000_000;
const NO_SIGNAL = new AbortController().signal;

export interface World {
  readonly storage: Storage;
  readonly audit: AuditEvent[];
  readonly key: KeyOfBuckets;
  readonly partBytesMin: number;
  keys: BucketKeys;
  objects: ObjectStore;
  nowMs: number;
  shown: DefaultShown;
}

/** What all buckets write with. */
export interface KeyOfBuckets {
  readonly kms: Kms;
  readonly kmsKeyId: string;
  readonly options: ProviderEntry["options"];
}

type Kms = Snapshot["kms"] extends ReadonlyMap<string, infer Client> ? Client : never;

export interface WorldOptions {
  /** Around the storage in memory, or in its place. */
  readonly around?: (storage: Storage) => Storage;
  readonly partBytesMin?: number;
}

export async function createWorld(key: KeyOfBuckets, { around, partBytesMin = 0 }: WorldOptions = {}): Promise<World> {
  const clock = { nowMs: START_MS };
  const memory = createMemoryStorage(() => clock.nowMs);
  for (const bucket of ["photos", "music"]) await memory.createBucket(bucket, NO_SIGNAL);
  const storage = around?.(memory) ?? memory;
  const world: World = Object.assign(clock, {
    storage,
    key,
    partBytesMin,
    audit: [],
    shown: "aws:kms" as const,
    ...NONE,
  });
  await restart(world);
  return world;
}

const NONE = { keys: undefined as unknown as BucketKeys, objects: undefined as unknown as ObjectStore };

/** As after a restart: nothing is cached. */
export async function restart(world: World): Promise<void> {
  const { storage, partBytesMin } = world;
  const audit = (_call: Call, event: AuditEvent) => void world.audit.push(event);
  const nowMs = () => world.nowMs;
  const storeId = await openStoreId(storage, ["photos", "music"], NO_SIGNAL);
  world.keys = createBucketKeys({ storage, storeId, audit, nowMs });
  const shownByDefault = () => world.shown;
  world.objects = createObjects({ storage, keys: world.keys, audit, nowMs, shownByDefault, partBytesMin });
}

/** With small chunks, so that small bodies have many. */
export function bucketEntry(name: string, more: Partial<BucketEntry> = {}): BucketEntry {
  return configuredBucket(name, { chunkBytes: 16_384, ...more });
}

export interface CallOptions {
  readonly buckets?: readonly BucketEntry[];
  readonly principal?: Principal;
  readonly signal?: AbortSignal;
}

const snapshots = new WeakMap<World, Snapshot>();

/** By a job, who may everything, unless told otherwise. Calls of one world share a snapshot unless they bring buckets. */
export function callOf(world: World, options: CallOptions = {}): Call {
  const shared = options.buckets === undefined ? snapshots.get(world) : undefined;
  const snapshot = shared ?? snapshotOf(world, options.buckets ?? [bucketEntry("photos"), bucketEntry("music")]);
  if (options.buckets === undefined) snapshots.set(world, snapshot);
  return {
    id: "call-1",
    operation: "Test",
    principal: options.principal ?? { kind: "job", job: "test" },
    snapshot,
    facts: { tls: false, address: "" },
    signal: options.signal ?? NO_SIGNAL,
    startedMs: START_MS,
    bucket: undefined,
    name: undefined,
    doneBytes: 0,
    totalBytes: undefined,
  };
}

function snapshotOf({ key }: World, buckets: readonly BucketEntry[]): Snapshot {
  const { options, kmsKeyId } = key;
  const cache = { ttlMs: 60_000, maxEntries: 100, negativeTtlMs: 0 };
  const provider = providerEntry("local", { options, kmsKeyId, cache });
  return {
    config: storeConfig({ providers: [provider], buckets: [...buckets] }),
    hash: "",
    credentials: new Map(),
    buckets: new Map(buckets.map((bucket) => [bucket.name, bucket])),
    made: { get: () => undefined, all: () => [] },
    providers: new Map([["local", provider]]),
    kms: new Map([["local", key.kms]]),
    openFailures: new Map(),
  };
}

/** A credential of `photos`. */
export function credentialWith(...permissions: Permission[]): Principal {
  const configured = {
    entry: "app",
    generation: 0,
    accessKeyId: "APPKEY",
    secret: "not-a-secret",
    tokenSha256: "0".repeat(64),
    permissions,
  };
  return { kind: "credential", credential: { configured, bucket: "photos", selfService: false } };
}

export const PHOTO: ObjectRef = { bucket: "photos", name: "a/ü.txt" };

export interface BodyOptions {
  readonly announced?: Digests;
  readonly plainBytes?: number | undefined;
  /** How many bytes come at once. */
  readonly stepBytes?: number;
}

export function bodyOf(bytes: Uint8Array, options: BodyOptions = {}): Body {
  const announced: ReadonlyMap<ChecksumAlgorithm, Uint8Array> = options.announced ?? new Map();
  const step = options.stepBytes ?? 50_000;
  return {
    plainBytes: "plainBytes" in options ? options.plainBytes : bytes.length,
    announced: [...announced.keys()],
    promised: () => announced,
    async *[Symbol.asyncIterator]() {
      for (let at = 0; at < bytes.length; at += step) yield bytes.subarray(at, at + step);
    },
  };
}

/** Bytes that repeat late, so that swapped chunks show. */
export function plainBytes(count: number, seed = 0): Uint8Array {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at += 1) bytes[at] = (at * 31 + (at >> 8) * 17 + seed) % 251;
  return bytes;
}

export function putWanted(more: Partial<PutWanted> = {}): PutWanted {
  return {
    headers: new Map(),
    tags: new Map(),
    encryption: { shown: undefined, kmsKeyId: undefined, context: undefined, bucketKeyEnabled: undefined },
    conditions: { ifMatch: undefined, ifNoneMatch: undefined },
    checksum: undefined,
    ...more,
  };
}

export function getWanted(range?: GetWanted["range"], conditions: Partial<GetWanted["conditions"]> = {}): GetWanted {
  return {
    range,
    conditions: {
      ifMatch: undefined,
      ifNoneMatch: undefined,
      ifModifiedSinceMs: undefined,
      ifUnmodifiedSinceMs: undefined,
      ...conditions,
    },
  };
}

export function copyWanted(more: Partial<CopyWanted> = {}): CopyWanted {
  return {
    source: getWanted().conditions,
    headers: undefined,
    tags: undefined,
    encryption: putWanted().encryption,
    conditions: putWanted().conditions,
    checksum: undefined,
    ...more,
  };
}

/** What a listing of all names asks for. */
export const EVERY: ListQuery = { prefix: "", delimiter: "", after: "", limit: 1000 };

/** Bodies of 0, 1, 2 … bytes in `photos`. */
export async function fill(world: World, names: readonly string[]): Promise<void> {
  for (const [index, name] of names.entries()) {
    await world.objects.put(callOf(world), { bucket: "photos", name }, bodyOf(plainBytes(index)), putWanted());
  }
}

/** All that a reading gives, joined. */
export async function read(world: World, ref: ObjectRef, range?: GetWanted["range"], call = callOf(world)) {
  const reading = await world.objects.get(call, ref, getWanted(range));
  const slices: Uint8Array[] = [];
  for await (const block of reading) slices.push(...block);
  return Buffer.concat(slices);
}

/** The code of the Failure that comes, or "done". Anything but a Failure is thrown again. */
export async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return "done";
  } catch (error) {
    if (error instanceof Failure) return error.code;
    throw error;
  }
}
