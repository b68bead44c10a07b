import { afterEach, describe, expect, it, vi } from "vitest";
import { encodeBucketKeyRecord, parseBucketKeyRecord } from "../../envelope/record.ts";
import type { Kms } from "../../kms/kms.ts";
import { KmsError } from "../../kms/kms.ts";
import { createLocalKms } from "../../kms/local.ts";
import { createRing, printRing, type Ring, withDisabledVersion, withNewVersion } from "../../kms/ring.ts";
import type { AuditEvent } from "../audit/audit.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { bucketEntry as configuredBucket, providerEntry, storeConfig } from "../config/contract/entries.ts";
import { Failure } from "../failure.ts";
import type { Snapshot } from "../snapshot.ts";
import { createMemoryStorage } from "../storage/memory.ts";
import type { Storage } from "../storage/storage.ts";
import { type BucketKey, type BucketKeys, createBucketKeys, openStoreId } from "./keys.ts";
import { recordsPrefix } from "./records.ts";

const signal = new AbortController().signal;
const START_MS = 1_764_000_000_000;
const TTL_MS = 60_000;
const at = new Date(START_MS);

interface World {
  readonly storage: Storage;
  readonly audit: AuditEvent[];
  nowMs: number;
  keys: BucketKeys;
}

async function createWorld(): Promise<World> {
  const storage = createMemoryStorage();
  await storage.createBucket("photos", signal);
  await storage.createBucket("music", signal);
  const world: World = { storage, audit: [], nowMs: START_MS, keys: undefined as unknown as BucketKeys };
  await restart(world);
  return world;
}

/** Forgets all that was cached. */
async function restart(world: World): Promise<void> {
  world.keys = createBucketKeys({
    storage: world.storage,
    storeId: await openStoreId(world.storage, ["photos", "music"], signal),
    audit: (_call, event) => void world.audit.push(event),
    nowMs: () => world.nowMs,
  });
}

/** A client that counts, over a real one. */
function counting(kms: Kms): Kms & { readonly asked: string[] } {
  const asked: string[] = [];
  function counted<Given extends unknown[], Result>(name: string, ask: (...given: Given) => Result) {
    return (...given: Given): Result => {
      asked.push(name);
      return ask(...given);
    };
  }
  return {
    asked,
    generate: counted("generate", kms.generate),
    wrap: counted("wrap", kms.wrap),
    unwrap: counted("unwrap", kms.unwrap),
    rewrap: counted("rewrap", kms.rewrap),
    close: () => kms.close(),
  };
}

interface Provided {
  readonly name: string;
  readonly ring: Ring;
  readonly kms: Kms;
}

function provide(name: string, ring: Ring = createRing(at)): Provided & { readonly kms: ReturnType<typeof counting> } {
  return { name, ring, kms: counting(createLocalKms(ring)) };
}

function bucketEntry(name: string, keys: BucketEntry["keys"], more: Partial<BucketEntry> = {}): BucketEntry {
  return configuredBucket(name, { keys, ...more });
}

function callWith(provided: readonly Provided[], ttlMs = TTL_MS): Call {
  const cache = { ttlMs, maxEntries: 10, negativeTtlMs: 0 };
  const providers = provided.map(({ name, ring }) =>
    providerEntry(name, { options: { type: "Local", ring: printRing(ring) }, kmsKeyId: ring.id, cache }),
  );
  const config = storeConfig({ providers });
  const snapshot: Snapshot = {
    config,
    hash: "",
    credentials: new Map(),
    buckets: new Map(),
    made: { get: () => undefined, all: () => [] },
    providers: new Map(providers.map((entry) => [entry.name, entry])),
    kms: new Map(provided.map((one) => [one.name, one.kms])),
    openFailures: new Map(),
  };
  return {
    id: "1",
    operation: "Test",
    principal: { kind: "job", job: "test" },
    snapshot,
    facts: { tls: false, address: "" },
    signal,
    startedMs: START_MS,
    bucket: undefined,
    name: undefined,
    doneBytes: 0,
    totalBytes: undefined,
  };
}

const byLocal = [{ provider: "local", minEpoch: 1 }];

function bytesOf(key: BucketKey): string {
  return key.key.export().toString("hex");
}

async function records(world: World, bucket = "photos") {
  return (await world.storage.documents(recordsPrefix(bucket), "", 100, signal)).items;
}

async function failureOf(work: Promise<unknown> | unknown): Promise<Failure> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

afterEach(() => vi.restoreAllMocks());

describe("openStoreId()", () => {
  it("makes the id once and reads it from then on", async () => {
    const storage = createMemoryStorage();
    const first = await openStoreId(storage, [], signal);
    expect(first).toHaveLength(16);
    expect(Buffer.compare(await openStoreId(storage, [], signal), first)).toBe(0);
  });

  it("gives one id to many who open an empty store at once", async () => {
    const storage = createMemoryStorage();
    const ids = await Promise.all(Array.from({ length: 5 }, () => openStoreId(storage, [], signal)));
    expect(new Set(ids.map((id) => Buffer.from(id).toString("hex"))).size).toBe(1);
  });

  it("refuses a store whose id has gone while documents are there", async () => {
    const storage = createMemoryStorage();
    await storage.putDocument("bucket/photos", Buffer.from("x"), "absent", signal);
    expect((await failureOf(openStoreId(storage, [], signal))).message).toMatch(/not empty; restore/);
  });

  it("refuses a store whose id has gone while only objects are there", async () => {
    const storage = createMemoryStorage();
    await storage.createBucket("photos", signal);
    const source = { whole: () => ({ envelope: Buffer.from("e"), tail: undefined }), early: fail, tail: fail };
    await storage.draft({ bucket: "photos", name: "a" }, source, signal).commit();
    expect((await failureOf(openStoreId(storage, ["photos"], signal))).tamper).toBe(true);
  });

  it("refuses a damaged document", async () => {
    const storage = createMemoryStorage();
    await storage.putDocument("store", Buffer.from('{"format":1,"storeId":"00"}'), "absent", signal);
    expect((await failureOf(openStoreId(storage, [], signal))).code).toBe("InternalError");
  });
});

function fail(): never {
  throw new Error("not asked for");
}

describe("current()", () => {
  it("makes one key for an empty bucket, whoever asks at once, and keeps it wrapped", async () => {
    const world = await createWorld();
    const local = provide("local");
    const call = callWith([local]);
    const bucket = bucketEntry("photos", byLocal);
    const keys = await Promise.all(Array.from({ length: 8 }, async () => world.keys.current(call, bucket)));
    expect(new Set(keys.map(bytesOf)).size).toBe(1);
    expect(local.kms.asked).toEqual(["generate"]);
    const [document] = await records(world);
    expect(await records(world)).toHaveLength(1);
    expect(Buffer.from(document?.bytes ?? []).includes(Buffer.from(bytesOf(keys[0] as BucketKey), "hex"))).toBe(false);
    expect(world.audit.map((event) => event.operation)).toEqual(["GenerateBucketKey"]);
  });

  it("answers without a promise while the key is cached, and asks the KMS again after its time", async () => {
    const world = await createWorld();
    const local = provide("local");
    const call = callWith([local]);
    const bucket = bucketEntry("photos", byLocal);
    const made = await world.keys.current(call, bucket);
    world.nowMs += TTL_MS - 1;
    expect(world.keys.current(call, bucket)).toBe(made);
    world.nowMs += 1;
    const again = world.keys.current(call, bucket);
    expect(again).toBeInstanceOf(Promise);
    expect(bytesOf(await again)).toBe(bytesOf(made));
    expect(local.kms.asked).toEqual(["generate", "unwrap"]);
  });

  it("gives a cached key no more time because another configuration chooses it again", async () => {
    const world = await createWorld();
    const local = provide("local");
    const call = callWith([local]);
    await world.keys.current(call, bucketEntry("photos", byLocal));
    world.nowMs += TTL_MS - 1;
    await world.keys.current(call, bucketEntry("photos", byLocal));
    world.nowMs += 1;
    await world.keys.current(call, bucketEntry("photos", byLocal));
    expect(local.kms.asked).toEqual(["generate", "unwrap"]);
  });

  it("opens the same key after a restart, also by its id", async () => {
    const world = await createWorld();
    const local = provide("local");
    const bucket = bucketEntry("photos", byLocal);
    const made = await world.keys.current(callWith([local]), bucket);
    await restart(world);
    expect(bytesOf(await world.keys.current(callWith([local]), bucket))).toBe(bytesOf(made));
    await restart(world);
    expect(bytesOf(await world.keys.byId(callWith([local]), bucket, made.id))).toBe(bytesOf(made));
  });

  it("caches nothing with a time of 0", async () => {
    const world = await createWorld();
    const local = provide("local");
    const bucket = bucketEntry("photos", byLocal);
    await world.keys.current(callWith([local], 0), bucket);
    await world.keys.current(callWith([local], 0), bucket);
    expect(local.kms.asked).toEqual(["generate", "unwrap"]);
  });

  it("makes a key of a new epoch when the configuration asks for one, and the old one still opens", async () => {
    const world = await createWorld();
    const local = provide("local");
    const old = await world.keys.current(callWith([local]), bucketEntry("photos", byLocal));
    const raised = bucketEntry("photos", [{ provider: "local", minEpoch: 3 }]);
    const next = await world.keys.current(callWith([local]), raised);
    expect(next.epoch).toBe(3);
    expect(bytesOf(next)).not.toBe(bytesOf(old));
    expect(bytesOf(await world.keys.byId(callWith([local]), raised, old.id))).toBe(bytesOf(old));
  });

  it("makes no new epoch while the key before it does not open", async () => {
    const world = await createWorld();
    const ring = createRing(at);
    await world.keys.current(callWith([provide("local", ring)]), bucketEntry("photos", byLocal));
    await restart(world);
    const moved = provide("local", withDisabledVersion(withNewVersion(ring, at), 1));
    const raised = bucketEntry("photos", [{ provider: "local", minEpoch: 2 }]);
    expect((await failureOf(world.keys.current(callWith([moved]), raised))).code).toBe("KMS.DisabledException");
    expect(await records(world)).toHaveLength(1);
  });

  it("refuses a bucket with objects whose keys have gone, instead of making another", async () => {
    const world = await createWorld();
    const source = { whole: () => ({ envelope: Buffer.from("e"), tail: undefined }), early: fail, tail: fail };
    await world.storage.draft({ bucket: "photos", name: "a" }, source, signal).commit();
    const failure = await failureOf(world.keys.current(callWith([provide("local")]), bucketEntry("photos", byLocal)));
    expect(failure.message).toMatch(/bucket keys are missing/);
    expect(await records(world)).toHaveLength(0);
  });

  it("does not let a client that goes away fail another that waits for the same key", async () => {
    const world = await createWorld();
    const local = provide("local");
    const bucket = bucketEntry("photos", byLocal);
    const gone = new AbortController();
    const call = callWith([local]);
    const first = failureOf(world.keys.current({ ...call, signal: gone.signal }, bucket));
    const second = world.keys.current(call, bucket);
    gone.abort();
    expect((await first).code).toBe("ClientClosedRequest");
    expect((await second).epoch).toBe(1);
  });
});

describe("byId()", () => {
  it("refuses a KMS key that the configuration does not name, before any KMS is asked", async () => {
    const world = await createWorld();
    const local = provide("local");
    const made = await world.keys.current(callWith([local]), bucketEntry("photos", byLocal));
    await restart(world);
    const other = provide("other");
    const moved = bucketEntry("photos", [{ provider: "other", minEpoch: 1 }]);
    const failure = await failureOf(world.keys.byId(callWith([local, other]), moved, made.id));
    expect(failure.message).toMatch(/configuration does not allow/);
    expect([...other.kms.asked, ...local.kms.asked]).toEqual(["generate"]);
  });

  it("refuses a cached key from the moment that the configuration no longer names its KMS key", async () => {
    const world = await createWorld();
    const local = provide("local");
    const made = await world.keys.current(callWith([local]), bucketEntry("photos", byLocal));
    const moved = bucketEntry("photos", [{ provider: "other", minEpoch: 1 }]);
    const failure = await failureOf(world.keys.byId(callWith([local, provide("other")]), moved, made.id));
    expect(failure.code).toBe("InternalError");
  });

  it.each<[string, (bytes: Uint8Array) => Uint8Array]>([
    ["with any bit flipped in its check", (bytes) => flip(bytes, bytes.length - 1)],
    ["with another epoch", (bytes) => flip(bytes, 39)],
    ["with another creation time", (bytes) => flip(bytes, 47)],
    ["that was cut", (bytes) => bytes.subarray(0, bytes.length - 1)],
    ["with another id", (bytes) => flip(bytes, 4)],
    ["of another store", (bytes) => flip(bytes, 20)],
    ["with another wrapped key", (bytes) => flip(bytes, bytes.length - 40)],
  ])("refuses a record %s", async (_sentence, change) => {
    const world = await createWorld();
    const local = provide("local");
    const bucket = bucketEntry("photos", byLocal);
    const made = await world.keys.current(callWith([local]), bucket);
    const [document] = await records(world);
    if (document === undefined) throw new Error("no record");
    await world.storage.putDocument(document.path, change(document.bytes), document.tag, signal);
    await restart(world);
    const failure = await failureOf(world.keys.byId(callWith([local]), bucket, made.id));
    expect(failure.status).toBe(500);
    expect(world.audit.at(-1)?.failure?.tamper ?? failure.tamper).toBe(true);
  });

  it("refuses a record of another bucket at this bucket's place", async () => {
    const world = await createWorld();
    const local = provide("local");
    const made = await world.keys.current(callWith([local]), bucketEntry("photos", byLocal));
    const [document] = await records(world);
    const path = document?.path.replace("photos", "music") ?? "";
    await world.storage.putDocument(path, document?.bytes ?? Buffer.alloc(0), "absent", signal);
    const failure = await failureOf(world.keys.byId(callWith([local]), bucketEntry("music", byLocal), made.id));
    expect(failure.tamper).toBe(true);
  });

  it("refuses a record of another spec context", async () => {
    const world = await createWorld();
    const local = provide("local");
    const made = await world.keys.current(callWith([local]), bucketEntry("photos", byLocal));
    await restart(world);
    const bound = bucketEntry("photos", byLocal, { context: { team: "a" } });
    expect((await failureOf(world.keys.byId(callWith([local]), bound, made.id))).tamper).toBe(true);
  });

  it("answers a record that is not there with an error, never with an absence", async () => {
    const world = await createWorld();
    const failure = await failureOf(
      world.keys.byId(callWith([provide("local")]), bucketEntry("photos", byLocal), new Uint8Array(16)),
    );
    expect([failure.code, failure.tamper]).toEqual(["InternalError", true]);
  });

  it("asks the wanted provider first, and the one that is left when it rejects, where both have one KMS key id", async () => {
    const world = await createWorld();
    const ring = createRing(at);
    const left = provide("left", ring);
    const made = await world.keys.current(callWith([left]), bucketEntry("photos", [{ provider: "left", minEpoch: 1 }]));
    await restart(world);
    const wanted: Provided = {
      name: "wanted",
      ring,
      kms: counting({
        ...createLocalKms(ring),
        unwrap: () => Promise.reject(new KmsError("rejected", "unwrap", "another key")),
      }),
    };
    const both = bucketEntry("photos", [
      { provider: "wanted", minEpoch: 1 },
      { provider: "left", minEpoch: 1 },
    ]);
    const opened = await world.keys.byId(callWith([wanted, left]), both, made.id);
    expect([opened.provider, bytesOf(opened)]).toEqual(["left", bytesOf(made)]);
  });

  it("says Service Unavailable, with a time to come back, where the KMS cannot be reached", async () => {
    const world = await createWorld();
    const local = provide("local");
    const made = await world.keys.current(callWith([local]), bucketEntry("photos", byLocal));
    await restart(world);
    const down: Provided = {
      ...local,
      kms: { ...local.kms, unwrap: () => Promise.reject(new KmsError("unreachable", "unwrap", "no answer")) },
    };
    const failure = await failureOf(world.keys.byId(callWith([down]), bucketEntry("photos", byLocal), made.id));
    expect([failure.code, failure.retryAfterSeconds]).toEqual(["ServiceUnavailable", 5]);
  });
});

describe("rewrap()", () => {
  it("brings every record to the newest version with the same id, epoch and key, and changes nothing when repeated", async () => {
    const world = await createWorld();
    const ring = createRing(at);
    const bucket = bucketEntry("photos", byLocal);
    const made = await world.keys.current(callWith([provide("local", ring)]), bucket);
    const rotated = provide("local", withNewVersion(ring, at));
    const first = await world.keys.rewrap(callWith([rotated]), bucket, undefined);
    expect(first).toEqual({
      cursor: undefined,
      counts: { scanned: 1, rewrapped: 1, current: 0, excluded: 0, conflict: 0, failed: 0 },
      keyVersions: ["2"],
    });
    const again = await world.keys.rewrap(callWith([rotated]), bucket, undefined);
    expect(again.counts).toMatchObject({ scanned: 1, rewrapped: 0, current: 1 });
    await restart(world);
    const withoutOld = provide("local", withDisabledVersion(rotated.ring, 1));
    expect(bytesOf(await world.keys.byId(callWith([withoutOld]), bucket, made.id))).toBe(bytesOf(made));
  });

  it("moves records to another provider's KMS key", async () => {
    const world = await createWorld();
    const local = provide("local");
    const made = await world.keys.current(callWith([local]), bucketEntry("photos", byLocal));
    const next = provide("next");
    const moving = bucketEntry("photos", [
      { provider: "next", minEpoch: 1 },
      { provider: "local", minEpoch: 1 },
    ]);
    expect((await world.keys.rewrap(callWith([local, next]), moving, undefined)).counts.rewrapped).toBe(1);
    await restart(world);
    const moved = bucketEntry("photos", [{ provider: "next", minEpoch: 1 }]);
    expect(bytesOf(await world.keys.byId(callWith([next]), moved, made.id))).toBe(bytesOf(made));
    expect(bytesOf(await world.keys.current(callWith([next]), moved))).toBe(bytesOf(made));
  });

  it("counts what the configuration does not allow as excluded, and what does not open as failed", async () => {
    const world = await createWorld();
    const ring = createRing(at);
    const local = provide("local", ring);
    await world.keys.current(callWith([local]), bucketEntry("photos", byLocal));
    const other = bucketEntry("photos", [{ provider: "other", minEpoch: 1 }]);
    expect((await world.keys.rewrap(callWith([local, provide("other")]), other, undefined)).counts.excluded).toBe(1);
    const closed = provide("local", withDisabledVersion(withNewVersion(ring, at), 1));
    expect((await world.keys.rewrap(callWith([closed]), bucketEntry("photos", byLocal), undefined)).counts.failed).toBe(
      1,
    );
  });

  it("goes in bounded steps through all records", async () => {
    const world = await createWorld();
    const ring = createRing(at);
    const local = provide("local", ring);
    for (let epoch = 1; epoch <= 20; epoch += 1) {
      await world.keys.current(callWith([local]), bucketEntry("photos", [{ provider: "local", minEpoch: epoch }]));
    }
    const call = callWith([provide("local", withNewVersion(ring, at))]);
    const bucket = bucketEntry("photos", byLocal);
    const first = await world.keys.rewrap(call, bucket, undefined);
    const second = await world.keys.rewrap(call, bucket, first.cursor);
    expect([first.counts.rewrapped, second.counts.rewrapped, second.cursor]).toEqual([16, 4, undefined]);
    const versions = (await records(world)).map(({ bytes }) => parseBucketKeyRecord(bytes).wrapped.version);
    expect(versions).toEqual(Array.from({ length: 20 }, () => "2"));
  });
});

describe("wrapDataKey()", () => {
  it("binds a data key to its body and to the request's context", async () => {
    const world = await createWorld();
    const local = provide("local");
    const call = callWith([local]);
    const bucket = bucketEntry("photos", byLocal, { context: { team: "a" } });
    const dataKey = new Uint8Array(32).fill(9);
    const bodyId = new Uint8Array(16).fill(7);
    const wrapped = await world.keys.wrapDataKey(call, bucket, dataKey, bodyId, { purpose: "x" });
    const unwrapped = await world.keys.unwrapDataKey(call, bucket, wrapped, bodyId, { purpose: "x" });
    expect(Buffer.compare(unwrapped, dataKey)).toBe(0);
    const others: [Uint8Array, Record<string, string>][] = [
      [bodyId, {}],
      [bodyId, { purpose: "y" }],
      [new Uint8Array(16).fill(8), { purpose: "x" }],
    ];
    for (const [body, request] of others) {
      const failure = await failureOf(world.keys.unwrapDataKey(call, bucket, wrapped, body, request));
      expect(failure.tamper).toBe(true);
    }
  });
});

function flip(bytes: Uint8Array, index: number): Uint8Array {
  const flipped = Uint8Array.from(bytes);
  flipped[index] = (flipped[index] ?? 0) ^ 1;
  return flipped;
}

describe("encodeBucketKeyRecord()", () => {
  it("stands at the offsets that the tampering above assumes", () => {
    const wrapped = { provider: "Local", kmsKeyId: "k", version: "1", bytes: new Uint8Array(132) } as const;
    const record = { id: new Uint8Array(16), storeId: new Uint8Array(16), createdMs: 1, bucket: "photos", context: [] };
    const bytes = encodeBucketKeyRecord({ ...record, epoch: 258, wrapped }, new Uint8Array(32));
    expect([bytes[38], bytes[39], bytes[47]]).toEqual([1, 2, 1]);
  });
});
