import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Principal } from "../access/access.ts";
import type { AuditEvent } from "../audit/audit.ts";
import type { Call } from "../call.ts";
import { type BucketEntry, type ConfiguredCredential, defaultSettings, type Permission } from "../config/config.ts";
import { bucketEntry } from "../config/contract/entries.ts";
import { Failure } from "../failure.ts";
import type { MadeBucket } from "../snapshot.ts";
import { createMemoryStorage } from "../storage/memory.ts";
import type { Storage } from "../storage/storage.ts";
import { admit, type Buckets, createBuckets, type EncryptionChange, type SettingsSealer } from "./buckets.ts";
import { parseBucketDocument } from "./documents.ts";

const forever = new AbortController().signal;
const NOW = 1_764_000_000_000;

/** Only marks what it was given: what seals for real has its own tests. */
const marking: SettingsSealer = {
  seal: async (_call, bucket, settings) => Buffer.from(`sealed ${bucket.name} ${settings}`),
  open: async (_call, bucket, sealed) => {
    const text = Buffer.from(sealed).toString("utf8");
    if (!text.startsWith(`sealed ${bucket.name} `)) throw new Failure("InternalError", "foreign", { tamper: true });
    return text.slice(`sealed ${bucket.name} `.length);
  },
};

function member(permissions: Permission[], bucket = "photos"): Principal {
  const configured: ConfiguredCredential = {
    entry: "app",
    generation: 1,
    accessKeyId: "AKAPP",
    secret: "secret-secret",
    tokenSha256: "0".repeat(64),
    permissions,
  };
  return { kind: "credential", credential: { configured, bucket, selfService: false } };
}

function callOf(principal: Principal, entries: BucketEntry[] = [bucketEntry("photos"), bucketEntry("music")]): Call {
  return {
    id: "r1",
    operation: "Test",
    principal,
    snapshot: {
      config: { settings: defaultSettings },
      buckets: new Map(entries.map((entry) => [entry.name, entry])),
      made: { get: () => undefined, all: () => [] },
      providers: new Map([["local", { name: "local", kmsKeyId: "ring-1" }]]),
    },
    facts: { tls: false, address: "" },
    signal: forever,
    startedMs: NOW,
    bucket: undefined,
    name: undefined,
    doneBytes: 0,
    totalBytes: undefined,
  } as unknown as Call;
}

let storage: Storage;
let audit: AuditEvent[];
let buckets: Buckets;
const made = new Map<string, MadeBucket>();

beforeEach(async () => {
  storage = createMemoryStorage();
  audit = [];
  buckets = createBuckets({
    storage,
    sealer: marking,
    audit: (_call, event) => void audit.push(event),
    nowMs: () => NOW,
    made,
  });
  await buckets.prepare([bucketEntry("photos"), bucketEntry("music")], forever);
});

const nothing: EncryptionChange = {
  shown: undefined,
  kmsKeyId: undefined,
  bucketKeyEnabled: undefined,
  algorithm: undefined,
};

async function codeOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    if (error instanceof Failure) return error.code;
    throw error;
  }
  return "ok";
}

describe("a removal of a bucket that the configuration names", () => {
  const photos = bucketEntry("photos");

  it("begins no step once the bucket is to be served again", async () => {
    await buckets.prepare([], forever);
    expect(await buckets.removing("photos", async () => "ran")).toBe("ran");
    await buckets.prepare([photos], forever);
    expect(await buckets.removing("photos", async () => "ran")).toBeUndefined();
    expect(await buckets.removing("music", async () => "ran")).toBe("ran");
  });

  it("takes nothing along of what the bucket gets when it is to be served again", async () => {
    await buckets.prepare([], forever);
    const gate = Promise.withResolvers<void>();
    const step = buckets.removing("photos", async () => {
      await gate.promise;
      await storage.removeBucket("photos", forever);
    });
    let isPrepared = false;
    const prepared = buckets.prepare([photos, bucketEntry("videos")], forever).then(() => {
      isPrepared = true;
    });
    await vi.waitFor(async () => expect(await storage.document("bucket/videos", forever)).toBeDefined());
    expect(isPrepared).toBe(false);
    gate.resolve();
    await Promise.all([step, prepared]);
    const query = { prefix: "", delimiter: undefined, after: undefined, limit: 1 };
    expect((await storage.list("photos", query, forever)).items).toEqual([]);
  });

  it("keeps no bucket from being served by a step that fails", async () => {
    await buckets.prepare([], forever);
    const gate = Promise.withResolvers<void>();
    const step = buckets.removing("photos", () => gate.promise);
    const prepared = buckets.prepare([photos], forever);
    gate.reject(new Error("the disk is full"));
    await expect(step).rejects.toThrow("the disk is full");
    await prepared;
  });
});

describe("prepare()", () => {
  it("makes each bucket and its document, and changes nothing when repeated", async () => {
    const before = await storage.document("bucket/photos", forever);
    await buckets.prepare([bucketEntry("photos")], forever);
    const after = await storage.document("bucket/photos", forever);
    expect(after?.tag).toBe(before?.tag);
    expect(parseBucketDocument(after?.bytes ?? Buffer.alloc(0), "photos")).toEqual({
      madeBy: "configuration",
      createdMs: NOW,
    });
    expect(await storage.find({ bucket: "photos", name: "x" }, forever)).toBeUndefined();
  });
});

describe("every method", () => {
  const nobody: [string, Principal][] = [
    ["nobody", { kind: "anonymous" }],
    ["a credential of another bucket", member(["Read", "Write", "List", "Delete"], "music")],
    ["a credential without any permission", member([])],
  ];
  const methods: [string, (call: Call) => Promise<unknown>][] = [
    ["head", (call) => buckets.head(call, "photos")],
    ["encryption", (call) => buckets.encryption(call, "photos")],
    ["setEncryption", (call) => buckets.setEncryption(call, "photos", nothing)],
    ["removeEncryption", (call) => buckets.removeEncryption(call, "photos")],
    ["make", (call) => buckets.make(call, "photos")],
    ["remove", (call) => buckets.remove(call, "photos")],
  ];
  const rows = methods.flatMap(([method, run]) =>
    nobody.map(([who, principal]) => [method, who, run, principal] as const),
  );

  it.each(rows)("%s() is denied to %s, and the refusal is audited", async (_method, _who, run, principal) => {
    expect(await codeOf(run(callOf(principal)))).toBe("AccessDenied");
    expect(audit.at(-1)).toMatchObject({ bucket: "photos", failure: { code: "AccessDenied" } });
  });

  it("list() shows only what the caller may use", async () => {
    expect(await buckets.list(callOf(member(["Read"])))).toEqual([{ name: "photos", createdMs: NOW }]);
    expect(await buckets.list(callOf(member([])))).toEqual([]);
    expect(await buckets.list(callOf({ kind: "anonymous" }))).toEqual([]);
  });
});

describe("admit()", () => {
  it.each<[string, Principal, string, string]>([
    [
      "a name that does not exist is denied to a credential of another bucket",
      member(["Read"]),
      "absent",
      "AccessDenied",
    ],
    [
      "a name that does not exist is no bucket for its own credential",
      member(["Read"], "absent"),
      "absent",
      "NoSuchBucket",
    ],
    ["a bucket that is being emptied is gone", member(["Read"], "going"), "going", "NoSuchBucket"],
    ["a bucket that goes once it is empty still serves", member(["Read"], "waiting"), "waiting", "ok"],
    ["a job reaches a bucket that is being emptied", { kind: "job", job: "empty" }, "going", "ok"],
  ])("%s", async (_sentence, principal, bucket, expected) => {
    const entries = [
      bucketEntry("photos"),
      bucketEntry("going", { state: "empty-and-remove" }),
      bucketEntry("waiting", { state: "remove-if-empty" }),
    ];
    const call = callOf(principal, entries);
    expect(await codeOf((async () => admit(call, bucket, "ReadObject", NOW))())).toBe(expected);
  });
});

describe("encryption()", () => {
  it("answers what the resource says before anybody set anything", async () => {
    expect(await buckets.encryption(callOf(member(["Read"])), "photos")).toEqual({
      shown: "aws:kms",
      kmsKeyId: "ring-1",
      bucketKeyEnabled: true,
      algorithm: "AES-256-GCM",
    });
  });

  it.each<[string, EncryptionChange, string]>([
    ["nothing", nothing, "ok"],
    ["the KMS key by its id", { ...nothing, shown: "aws:kms", kmsKeyId: "ring-1" }, "ok"],
    ["the KMS key by its provider's name", { ...nothing, kmsKeyId: "local" }, "ok"],
    ["another KMS key", { ...nothing, kmsKeyId: "other" }, "ConfigurationConflict"],
    ["another key mode", { ...nothing, bucketKeyEnabled: false }, "ConfigurationConflict"],
    ["another algorithm", { ...nothing, algorithm: "ChaCha20-Poly1305" }, "ConfigurationConflict"],
    ["another face, without the right to change settings", { ...nothing, shown: "AES256" }, "AccessDenied"],
  ])("may be set to %s with the outcome it deserves", async (_sentence, change, expected) => {
    expect(await codeOf(buckets.setEncryption(callOf(member(["Read"])), "photos", change))).toBe(expected);
  });

  it("names the resource that rules where a change contradicts it", async () => {
    const change = { ...nothing, kmsKeyId: "other" };
    await expect(buckets.setEncryption(callOf(member(["Read"])), "photos", change)).rejects.toThrow(
      /ruled by EncryptedBucket photos/,
    );
  });

  it("keeps what was set sealed, answers it, and returns to the default", async () => {
    const job = callOf({ kind: "job", job: "test" });
    await buckets.setEncryption(job, "photos", { ...nothing, shown: "AES256" });
    expect((await buckets.encryption(job, "photos")).shown).toBe("AES256");
    expect(await buckets.shownByDefault(job, bucketEntry("photos"))).toBe("AES256");
    const document = await storage.document("bucket/photos/settings", forever);
    expect(Buffer.from(document?.bytes ?? []).toString()).toMatch(/^sealed photos /);
    await buckets.removeEncryption(job, "photos");
    expect((await buckets.encryption(job, "photos")).shown).toBe("aws:kms");
  });

  it("fails where another bucket's settings were put in place of these", async () => {
    const job = callOf({ kind: "job", job: "test" });
    await buckets.setEncryption(job, "photos", { ...nothing, shown: "AES256" });
    const document = await storage.document("bucket/photos/settings", forever);
    await storage.putDocument("bucket/music/settings", document?.bytes ?? Buffer.alloc(0), "absent", forever);
    expect(await codeOf(buckets.encryption(job, "music"))).toBe("InternalError");
  });
});
