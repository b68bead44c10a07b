import { beforeEach, describe, expect, it } from "vitest";
import type { Principal } from "../access/access.ts";
import type { AuditEvent } from "../audit/audit.ts";
import type { Call } from "../call.ts";
import {
  type BucketEntry,
  type ConfiguredCredential,
  defaultSettings,
  type SelfServiceEntry,
} from "../config/config.ts";
import { Failure } from "../failure.ts";
import { createMadeEntries, type MadeBucket } from "../snapshot.ts";
import { createFaultyStorage, FaultPlan } from "../storage/faults.ts";
import { createMemoryStorage } from "../storage/memory.ts";
import type { Storage } from "../storage/storage.ts";
import { admit, type Buckets, createBuckets, type SettingsSealer } from "./buckets.ts";
import { parseBucketDocument } from "./documents.ts";

const forever = new AbortController().signal;
const NOW = 1_764_000_000_000;

const plain: SettingsSealer = {
  seal: async (_call, _bucket, settings) => Buffer.from(settings),
  open: async (_call, _bucket, sealed) => Buffer.from(sealed).toString("utf8"),
};

const rules: SelfServiceEntry = {
  revision: 1,
  resource: "EncryptedStore/default",
  madeFrom: [],
  keys: [{ provider: "local", minEpoch: 1 }],
  rewrapWish: "local/0/1",
  algorithm: "AES-256-GCM",
  keyMode: "bucket",
  chunkBytes: 65_536,
  context: {},
  allowCustomerKeys: false,
  allowPlaintext: false,
  credentials: [],
};

function credential(bucket: string | undefined, permissions: ConfiguredCredential["permissions"] = []): Principal {
  const configured: ConfiguredCredential = {
    entry: "app",
    generation: 1,
    accessKeyId: "AKAPP",
    secret: "secret-secret",
    tokenSha256: "0".repeat(64),
    permissions,
  };
  return { kind: "credential", credential: { configured, bucket, selfService: bucket === undefined } };
}

const MAKER = credential(undefined);
const APP = credential("photos", ["Read", "Write", "List", "Delete"]);

let storage: Storage;
let plan: FaultPlan;
let audit: AuditEvent[];
let made: Map<string, MadeBucket>;
let buckets: Buckets;

function entryOf(name: string): BucketEntry {
  const { credentials: _credentials, ...rest } = rules;
  return { ...rest, name, resource: `EncryptedBucket ${name}`, state: "serve", credentials: [] };
}

function callOf(
  principal: Principal,
  configured = ["photos"],
  selfService: SelfServiceEntry | undefined = rules,
): Call {
  const entries = new Map(configured.map((name) => [name, entryOf(name)]));
  return {
    id: "r1",
    operation: "Test",
    principal,
    snapshot: {
      config: { settings: defaultSettings, selfService },
      buckets: entries,
      made: createMadeEntries(selfService, entries, made),
      providers: new Map([["local", { name: "local", kmsKeyId: "ring-1" }]]),
    },
    signal: forever,
  } as unknown as Call;
}

/** As after a restart. */
async function restart(): Promise<void> {
  made = new Map();
  const needs = { storage, sealer: plain, nowMs: () => NOW, made };
  buckets = createBuckets({ ...needs, audit: (_call, event) => void audit.push(event) });
  await buckets.recall(forever);
}

beforeEach(async () => {
  plan = new FaultPlan();
  storage = createFaultyStorage(createMemoryStorage(), plan);
  audit = [];
  await restart();
  await buckets.prepare([entryOf("photos")], forever);
});

async function codeOf(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === "function" ? work() : work);
  } catch (error) {
    if (error instanceof Failure) return error.code;
    throw error;
  }
  return "ok";
}

const names = async (principal: Principal, configured?: string[]): Promise<string[]> =>
  (await buckets.list(callOf(principal, configured))).map(({ name }) => name);

describe("make()", () => {
  it("makes a bucket under the rules of self-service, which stays over a restart", async () => {
    await buckets.make(callOf(MAKER), "mine");
    for (const round of ["before", "after"]) {
      const entry = admit(callOf(MAKER), "mine", "WriteObject", NOW);
      expect([round, entry]).toEqual([round, { ...rules, name: "mine", state: "serve", credentials: [] }]);
      expect(await buckets.list(callOf(MAKER))).toEqual([{ name: "mine", createdMs: NOW }]);
      expect(await storage.find({ bucket: "mine", name: "x" }, forever)).toBeUndefined();
      await restart();
    }
    expect(audit).toContainEqual({ operation: "CreateBucket", kind: "write", bucket: "mine" });
  });

  it.each<[string, Principal, string, string]>([
    ["a name that is free", MAKER, "mine", "ok"],
    ["its own bucket again", MAKER, "taken", "BucketAlreadyOwnedByYou"],
    ["a bucket of the configuration", MAKER, "photos", "BucketAlreadyExists"],
    ["a bucket that a configuration had", MAKER, "retained", "BucketAlreadyExists"],
    ["an address for a name", MAKER, "192.168.0.1", "InvalidBucketName"],
    ["two dots in a row", MAKER, "a..b", "InvalidBucketName"],
    ["upper case", MAKER, "Mine", "InvalidBucketName"],
    ["two letters", MAKER, "ab", "InvalidBucketName"],
    ["64 letters", MAKER, "a".repeat(64), "InvalidBucketName"],
    ["a dash at the end", MAKER, "mine-", "InvalidBucketName"],
    ["the bucket that a credential may use already", APP, "photos", "BucketAlreadyOwnedByYou"],
    ["any other, by a credential of one bucket", APP, "mine", "AccessDenied"],
    ["one that self-service made, by a credential of one bucket", APP, "taken", "AccessDenied"],
    ["its own name, by a credential whose bucket has gone", credential("gone", ["Read"]), "gone", "AccessDenied"],
    ["anything, by nobody", { kind: "anonymous" }, "mine", "AccessDenied"],
  ])("of %s", async (_what, principal, name, code) => {
    await buckets.make(callOf(MAKER), "taken");
    await buckets.prepare([entryOf("retained")], forever);
    expect(await codeOf(buckets.make(callOf(principal), name))).toBe(code);
    expect(audit.at(-1)?.failure?.code ?? "ok").toBe(code);
    const found = await storage.document(`bucket/${name}`, forever);
    if (!["ok", "BucketAlreadyOwnedByYou", "BucketAlreadyExists"].includes(code) && name !== "taken") {
      expect(found).toBeUndefined();
    }
  });

  it("needs a store with self-service", async () => {
    const call = { ...callOf(MAKER), snapshot: { ...callOf(MAKER).snapshot } };
    Object.assign(call.snapshot, { config: { settings: defaultSettings } });
    expect(await codeOf(buckets.make(call, "mine"))).toBe("AccessDenied");
  });

  it("of one name by many at once is won by one", async () => {
    const codes = await Promise.all(Array.from({ length: 8 }, () => codeOf(buckets.make(callOf(MAKER), "mine"))));
    expect(codes.filter((code) => code === "ok")).toHaveLength(1);
    expect(codes.filter((code) => code === "BucketAlreadyOwnedByYou")).toHaveLength(7);
  });

  it.each(["putDocument", "createBucket"] as const)("that failed at %s can be repeated", async (step) => {
    for (const fault of ["failed", "failed but persisted"] as const) {
      const name = `at-${fault === "failed" ? "once" : "last"}`;
      plan.next(step, fault);
      expect(await codeOf(buckets.make(callOf(MAKER), name))).toBe("ServiceUnavailable");
      expect(await codeOf(buckets.make(callOf(MAKER), name))).toBe("ok");
      await restart();
      expect(await names(MAKER)).toContain(name);
    }
  });
});

describe("a self-service credential", () => {
  it("may everything in the buckets of self-service, and nothing in others", async () => {
    await buckets.make(callOf(MAKER), "mine");
    const other = credential(undefined);
    const actions = [
      "ReadObject",
      "WriteObject",
      "DeleteObject",
      "ListObjects",
      "ReadSettings",
      "WriteSettings",
    ] as const;
    for (const action of actions) {
      expect(await codeOf(() => admit(callOf(other), "mine", action, NOW))).toBe("ok");
      expect(await codeOf(() => admit(callOf(other), "photos", action, NOW))).toBe("AccessDenied");
      expect(await codeOf(() => admit(callOf(other), "nowhere", action, NOW))).toBe("NoSuchBucket");
      expect(await codeOf(() => admit(callOf(APP), "mine", action, NOW))).toBe("AccessDenied");
    }
    expect(await names(MAKER)).toEqual(["mine"]);
    expect(await names(APP)).toEqual(["photos"]);
  });

  it("sets how its buckets are encrypted, and nobody else does", async () => {
    await buckets.make(callOf(MAKER), "mine");
    const change = { shown: "AES256", kmsKeyId: undefined, bucketKeyEnabled: undefined, algorithm: undefined } as const;
    expect((await buckets.setEncryption(callOf(MAKER), "mine", change)).shown).toBe("AES256");
    expect(await codeOf(buckets.setEncryption(callOf(APP), "photos", change))).toBe("AccessDenied");
    expect(await codeOf(buckets.setEncryption(callOf(MAKER), "mine", { ...change, shown: "none" }))).toBe(
      "ConfigurationConflict",
    );
    await buckets.removeEncryption(callOf(MAKER), "mine");
    expect((await buckets.encryption(callOf(MAKER), "mine")).shown).toBe("aws:kms");
  });
});

describe("remove()", () => {
  const put = async (bucket: string): Promise<void> => {
    const envelope = Buffer.from("e");
    const source = {
      whole: () => ({ envelope, tail: undefined }),
      early: () => envelope,
      tail: () => envelope,
    };
    await storage.draft({ bucket, name: "a" }, source, forever).commit();
  };

  it("removes an empty bucket and what was set on it, and the name is free again", async () => {
    await buckets.make(callOf(MAKER), "mine");
    const before = admit(callOf(MAKER), "mine", "HeadBucket", NOW);
    const change = { shown: "AES256", kmsKeyId: undefined, bucketKeyEnabled: undefined, algorithm: undefined } as const;
    await buckets.setEncryption(callOf(MAKER), "mine", change);
    await buckets.remove(callOf(MAKER), "mine");
    expect(await codeOf(buckets.head(callOf(MAKER), "mine"))).toBe("NoSuchBucket");
    expect(await storage.document("bucket/mine", forever)).toBeUndefined();
    expect(await storage.document("bucket/mine/settings", forever)).toBeUndefined();
    await restart();
    expect(await names(MAKER)).toEqual([]);
    await buckets.make(callOf(MAKER), "mine");
    expect((await buckets.encryption(callOf(MAKER), "mine")).shown).toBe("aws:kms");
    // What was remembered of the old bucket by its entry is not taken for the new one.
    expect(admit(callOf(MAKER), "mine", "HeadBucket", NOW)).not.toBe(before);
  });

  it("keeps the bucket's keys, since a write may still be under way with one of them", async () => {
    await buckets.make(callOf(MAKER), "mine");
    await storage.putDocument("bucket/mine/key/00", Buffer.from("wrapped"), "absent", forever);
    await buckets.remove(callOf(MAKER), "mine");
    expect(await storage.document("bucket/mine/key/00", forever)).toBeDefined();
  });

  it("refuses a bucket that holds an object, and leaves it as it was", async () => {
    await buckets.make(callOf(MAKER), "mine");
    await put("mine");
    expect(await codeOf(buckets.remove(callOf(MAKER), "mine"))).toBe("BucketNotEmpty");
    expect(await names(MAKER)).toEqual(["mine"]);
    expect(await storage.find({ bucket: "mine", name: "a" }, forever)).toBeDefined();
  });

  it.each<[string, Principal, string, string]>([
    ["a bucket of the configuration, by its own credential", APP, "photos", "AccessDenied"],
    ["a bucket of the configuration, by self-service", MAKER, "photos", "AccessDenied"],
    ["a bucket of self-service, by another credential", APP, "mine", "AccessDenied"],
    ["a bucket that is not there", MAKER, "nowhere", "NoSuchBucket"],
  ])("refuses %s", async (_what, principal, name, code) => {
    await buckets.make(callOf(MAKER), "mine");
    expect(await codeOf(buckets.remove(callOf(principal), name))).toBe(code);
  });

  it.each(["removeBucket", "removeDocument"] as const)("that failed at %s leaves the bucket or none", async (step) => {
    for (const fault of ["failed", "failed but persisted"] as const) {
      const name = `by-${fault === "failed" ? "once" : "last"}`;
      await buckets.make(callOf(MAKER), name);
      plan.next(step, fault);
      expect(await codeOf(buckets.remove(callOf(MAKER), name))).toBe("ServiceUnavailable");
      await restart();
      const there = await codeOf(buckets.head(callOf(MAKER), name));
      expect(["ok", "NoSuchBucket"]).toContain(there);
      expect(await codeOf(buckets.make(callOf(MAKER), name))).toBe(there === "ok" ? "BucketAlreadyOwnedByYou" : "ok");
    }
  });
});

describe("a configuration that names what self-service made", () => {
  it("rules it from then on, also when it lets go of it again", async () => {
    await buckets.make(callOf(MAKER), "mine");
    await buckets.prepare([entryOf("mine")], forever);
    const found = await storage.document("bucket/mine", forever);
    expect(parseBucketDocument(found?.bytes ?? Buffer.alloc(0), "mine").madeBy).toBe("configuration");
    expect(await codeOf(buckets.head(callOf(MAKER, ["mine"]), "mine"))).toBe("AccessDenied");
    for (const round of [1, 2]) {
      expect([round, await codeOf(buckets.head(callOf(MAKER, []), "mine"))]).toEqual([round, "NoSuchBucket"]);
      expect(await codeOf(buckets.make(callOf(MAKER, []), "mine"))).toBe("BucketAlreadyExists");
      await restart();
    }
  });

  it("wins also against a making at the same time", async () => {
    await Promise.all([
      codeOf(buckets.make(callOf(MAKER), "mine")),
      buckets.prepare([entryOf("mine")], forever),
      codeOf(buckets.make(callOf(MAKER), "mine")),
    ]);
    expect(await codeOf(buckets.make(callOf(MAKER, []), "mine"))).toBe("BucketAlreadyExists");
    expect(made.has("mine")).toBe(false);
  });
});
