import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { EncryptedBucket } from "../../crds/encryptedbucket.ts";
import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { API_VERSION } from "../../crds/names.ts";
import { validate } from "../../crds/validate.ts";
import {
  type BucketEntry,
  type ProviderEntry,
  parseConfig,
  type SelfServiceEntry,
} from "../../dataplane/config/config.ts";
import { createRing } from "../../kms/ring.ts";
import {
  type BucketInputs,
  compileBucket,
  compileProvider,
  compileSelfService,
  compileSettings,
  holdersOf,
  isFinding,
  joinStore,
  nextRevision,
  type StoreInputs,
} from "./compile.ts";

const ring = createRing(new Date(0));
const REVISION = 1000;

function resource<Kind>(kind: string, name: string, spec: object, status: object = {}): Kind {
  const made = validate({ apiVersion: API_VERSION, kind, metadata: { name }, spec });
  if ("problems" in made) throw new Error(JSON.stringify(made.problems));
  return { ...made.object, status: { ...made.object.status, ...status } } as Kind;
}

function bucket(name: string, spec: object = {}, status: object = {}): EncryptedBucket {
  const encryption = { kmsProviderRef: { name: "one" } };
  return resource("EncryptedBucket", name, { encryption, ...spec }, status);
}

function provider(name: string, spec: object = {}): KmsProvider {
  return resource("KmsProvider", name, { type: "Local", ...spec });
}

function providerEntry(name: string, revision = REVISION): ProviderEntry {
  const key = { options: { type: "Local" as const, ring }, kmsKeyId: ring.id };
  const entry = compileProvider({ provider: provider(name), key, madeFrom: [], previous: undefined, revision });
  if (isFinding(entry)) throw new Error(entry.message);
  return entry;
}

function inputs(of: EncryptedBucket, changes: Partial<BucketInputs> = {}): BucketInputs {
  return {
    bucket: of,
    provider: { name: of.spec.encryption.kmsProviderRef.name, keyVersion: "1" },
    providersWithEntry: new Set(["one", "two", "three"]),
    sweptWish: undefined,
    credentials: [],
    madeFrom: ["EncryptedBucket/photos@1"],
    previous: undefined,
    revision: REVISION,
    ...changes,
  };
}

function compiled(of: EncryptedBucket, changes: Partial<BucketInputs> = {}): BucketEntry {
  const entry = compileBucket(inputs(of, changes));
  if (isFinding(entry)) throw new Error(entry.message);
  return entry;
}

function store(changes: Partial<StoreInputs> = {}): StoreInputs {
  const spec = { backend: { type: "Filesystem" } };
  return {
    revision: REVISION,
    ruledBy: "folder",
    region: "local",
    hostNames: [],
    settings: compileSettings(resource<EncryptedStore>("EncryptedStore", "default", spec)),
    providers: [providerEntry("one"), providerEntry("two")],
    selfService: undefined,
    held: new Set(),
    ...changes,
  };
}

const providersOf = (entry: BucketEntry) => entry.keys.map(({ provider: name }) => name);
const movedTo = (name: string) => ({ encryption: { kmsProviderRef: { name } } });

describe("compileBucket()", () => {
  test("takes every field of the spec over", () => {
    const entry = compiled(
      bucket("photos", {
        bucketName: "my-photos",
        encryption: {
          kmsProviderRef: { name: "one" },
          algorithm: "Auto",
          keyMode: "Object",
          chunkSize: "1Mi",
          context: { b: "2", a: "1" },
        },
      }),
    );
    expect(entry).toMatchObject({
      name: "my-photos",
      resource: "EncryptedBucket/photos",
      revision: REVISION,
      state: "serve",
      keys: [{ provider: "one", minEpoch: 1 }],
      rewrapWish: "one/0/1",
      algorithm: "Auto",
      keyMode: "object",
      chunkBytes: 1_048_576,
      allowCustomerKeys: false,
      allowPlaintext: false,
    });
    expect(JSON.stringify(entry.context)).toBe('{"a":"1","b":"2"}');
  });

  test("keeps its revision while nothing but what it was made from changes", () => {
    const previous = compiled(bucket("photos"));
    const next = compiled(bucket("photos"), { previous, revision: 2000, madeFrom: ["EncryptedBucket/photos@2"] });
    expect(next).toEqual({ ...previous, madeFrom: ["EncryptedBucket/photos@2"] });
    expect(
      compiled(bucket("photos", { encryption: { kmsProviderRef: { name: "one" }, chunkSize: "16Ki" } }), {
        previous,
        revision: 2000,
      }).revision,
    ).toBe(2000);
  });

  const wishes: Record<string, { policy: string; generation: number; version: string; before: string; wish: string }> =
    {
      "a new version is a wish": {
        policy: "OnKeyRotation",
        generation: 0,
        version: "2",
        before: "one/0/1",
        wish: "one/0/2",
      },
      "a new version is none with policy Manual": {
        policy: "Manual",
        generation: 0,
        version: "2",
        before: "one/0/1",
        wish: "one/0/1",
      },
      "a raised generation is a wish with policy Manual": {
        policy: "Manual",
        generation: 1,
        version: "2",
        before: "one/0/1",
        wish: "one/1/2",
      },
      "a move is a wish with policy Manual": {
        policy: "Manual",
        generation: 0,
        version: "7",
        before: "other/0/1",
        wish: "one/0/7",
      },
      "a version may hold a slash": {
        policy: "OnKeyRotation",
        generation: 3,
        version: "a/b",
        before: "one/3/a",
        wish: "one/3/a/b",
      },
    };
  test.each(Object.entries(wishes))("%s", (_sentence, { policy, generation, version, before, wish }) => {
    const previous = { ...compiled(bucket("photos")), rewrapWish: before };
    const of = bucket("photos", { rewrap: { policy, generation } });
    expect(compiled(of, { previous, provider: { name: "one", keyVersion: version } }).rewrapWish).toBe(wish);
  });

  test("keeps the wish before while the key's version is not known", () => {
    const unknown = { provider: { name: "one", keyVersion: undefined } };
    expect(compileBucket(inputs(bucket("photos"), unknown))).toMatchObject({ finding: "ProviderNotReady" });
    expect(compiled(bucket("photos"), { ...unknown, previous: compiled(bucket("photos")) }).rewrapWish).toBe("one/0/1");
  });

  test("keeps every provider that a moving bucket leaves, until a sweep for the move is complete", () => {
    const atOne = compiled(bucket("photos"));
    const toTwo = compiled(bucket("photos", movedTo("two")), { previous: atOne });
    expect(providersOf(toTwo)).toEqual(["two", "one"]);
    const status = { encryption: { provider: "one", keyId: "k", keyVersion: "1" } };
    const toThree = compiled(bucket("photos", movedTo("three"), status), { previous: toTwo, sweptWish: "two/0/1" });
    expect(providersOf(toThree)).toEqual(["three", "two", "one"]);
    const swept = { previous: toThree, sweptWish: toThree.rewrapWish };
    expect(providersOf(compiled(bucket("photos", movedTo("three"), status), swept))).toEqual(["three"]);
  });

  test("finds in the status the provider that a bucket leaves when its configuration is lost", () => {
    const status = { encryption: { provider: "one", keyId: "k", keyVersion: "1" } };
    expect(providersOf(compiled(bucket("photos", movedTo("two"), status)))).toEqual(["two", "one"]);
  });

  test("names no provider that has no entry", () => {
    const status = { encryption: { provider: "lost", keyId: "k", keyVersion: "1" } };
    expect(providersOf(compiled(bucket("photos", {}, status)))).toEqual(["one"]);
  });

  test("leaves a suspended bucket as it was", () => {
    const previous = compiled(bucket("photos"));
    const suspended = bucket("photos", { suspend: true, ...movedTo("two") });
    expect(compileBucket(inputs(suspended, { previous }))).toBe(previous);
    expect(compileBucket(inputs(suspended))).toMatchObject({ finding: "Suspended" });
  });

  test("says what is missing", () => {
    expect(compileBucket(inputs(bucket("photos"), { provider: undefined }))).toEqual({
      finding: "ProviderNotFound",
      message: 'KmsProvider "one" does not exist',
    });
    const none = { providersWithEntry: new Set<string>() };
    expect(compileBucket(inputs(bucket("photos"), none))).toMatchObject({ finding: "ProviderNotReady" });
  });

  const states: Record<string, [policy: string, isGoing: boolean, state: string]> = {
    "a bucket that stays is served": ["DeleteWithObjects", false, "serve"],
    "Retain goes on being served while it goes": ["Retain", true, "serve"],
    "DeleteIfEmpty goes when it is empty": ["DeleteIfEmpty", true, "remove-if-empty"],
    "DeleteWithObjects is emptied": ["DeleteWithObjects", true, "empty-and-remove"],
  };
  test.each(Object.entries(states))("%s", (_sentence, [deletionPolicy, isGoing, state]) => {
    const of = bucket("photos", { deletionPolicy });
    if (isGoing) of.metadata.deletionTimestamp = "2026-01-01T00:00:00Z";
    expect(compiled(of).state).toBe(state);
  });
});

describe("joinStore()", () => {
  test("gives a document that a data plane takes, sorted by name, with no provider that nobody names", () => {
    const config = joinStore(store(), [compiled(bucket("zebras")), compiled(bucket("apples"))], undefined);
    expect(parseConfig(config)).toBe(config);
    expect(config.buckets.map(({ name }) => name)).toEqual(["apples", "zebras"]);
    expect(config.providers.map(({ name }) => name)).toEqual(["one"]);
  });

  test("gives equal bytes for equal inputs in any order, and the document before when nothing has changed", () => {
    const names = ["apples", "berries", "cherries", "dates"];
    const entries = names.map((name, index) => compiled(bucket(name, index % 2 === 0 ? {} : movedTo("two"))));
    const expected = JSON.stringify(joinStore(store(), entries, undefined));
    const anyOrder = fc.shuffledSubarray(entries, { minLength: entries.length });
    fc.assert(
      fc.property(anyOrder, fc.nat(), (shuffled, later) => {
        const config = joinStore(store(), shuffled, undefined);
        expect(JSON.stringify(config)).toBe(expected);
        expect(joinStore(store({ revision: REVISION + later }), shuffled, config)).toBe(config);
      }),
    );
  });

  test("takes what is held from the document before, and lets what is gone go", () => {
    const before = joinStore(store(), [compiled(bucket("held")), compiled(bucket("gone"))], undefined);
    const held = new Set(["EncryptedBucket/held"]);
    const next = joinStore(store({ revision: 2000, providers: [], held }), [], before);
    expect(next.buckets.map(({ name }) => name)).toEqual(["held"]);
    expect(next.providers).toEqual(before.providers);
    expect(next.revision).toBe(2000);
  });

  test("gives a name that a held entry has to the resource that was compiled", () => {
    const before = joinStore(store(), [compiled(bucket("old", { bucketName: "photos" }))], undefined);
    const held = new Set(["EncryptedBucket/old"]);
    const next = joinStore(store({ held }), [compiled(bucket("photos"))], before);
    expect(next.buckets.map(({ resource: of }) => of)).toEqual(["EncryptedBucket/photos"]);
  });

  test("gives every bucket's entry the revision in which it changed, and no other's", () => {
    const apples = compiled(bucket("apples"));
    const before = joinStore(store(), [apples, compiled(bucket("berries"))], undefined);
    const changed = compiled(bucket("berries", movedTo("two")), { previous: before.buckets[1], revision: 2000 });
    const next = joinStore(store({ revision: 2000 }), [apples, changed], before);
    expect(next.buckets.map(({ revision }) => revision)).toEqual([REVISION, 2000]);
  });
});

test("compileProvider() reads durations, and keeps its revision until something changes", () => {
  const of = provider("one", {
    healthCheck: { timeout: "1s500ms" },
    cache: { ttl: "1h", maxEntries: 7, negativeTtl: "0s" },
  });
  const key = { options: { type: "Local" as const, ring }, kmsKeyId: ring.id };
  const entry = compileProvider({ provider: of, key, madeFrom: [], previous: undefined, revision: 1 });
  expect(entry).toMatchObject({
    name: "one",
    resource: "KmsProvider/one",
    kmsKeyId: ring.id,
    timeoutMs: 1500,
    cache: { ttlMs: 3_600_000, maxEntries: 7, negativeTtlMs: 0 },
  });
  const again = compileProvider({ provider: of, key, madeFrom: ["x"], previous: entry as ProviderEntry, revision: 2 });
  expect(again).toMatchObject({ revision: 1, madeFrom: ["x"] });
});

test("compileSelfService() gives the rules of buckets that clients make", () => {
  const of = (spec: object) =>
    resource<EncryptedStore>("EncryptedStore", "default", { backend: { type: "Filesystem" }, ...spec });
  const common = {
    provider: { name: "one", keyVersion: "4" },
    providersWithEntry: new Set(["one"]),
    credentials: [],
    madeFrom: [],
    previous: undefined,
    revision: REVISION,
  };
  expect(compileSelfService({ ...common, store: of({}) })).toBeUndefined();
  const selfService = { kmsProviderRef: { name: "one" }, access: [] };
  const entry = compileSelfService({ ...common, store: of({ selfService }) });
  expect(entry).toMatchObject({ resource: "EncryptedStore/default", rewrapWish: "one/0/4", keyMode: "bucket" });
  expect(compileSelfService({ ...common, provider: undefined, store: of({ selfService }) })).toMatchObject({
    finding: "ProviderNotFound",
  });
});

test("compileSelfService() goes on in an outage of the KMS, and needs its key to begin", () => {
  const selfService = { kmsProviderRef: { name: "one" }, access: [] };
  const common = {
    store: resource<EncryptedStore>("EncryptedStore", "default", { backend: { type: "Filesystem" }, selfService }),
    providersWithEntry: new Set(["one"]),
    credentials: [],
    madeFrom: [],
    revision: REVISION,
  };
  const previous = compileSelfService({
    ...common,
    provider: { name: "one", keyVersion: "4" },
    previous: undefined,
  }) as SelfServiceEntry;
  const out = { ...common, provider: { name: "one", keyVersion: undefined }, revision: REVISION + 1 };
  expect(compileSelfService({ ...out, previous })).toEqual(previous);
  const another = { ...previous, rewrapWish: "another/0/4" };
  for (const before of [undefined, another]) {
    expect(compileSelfService({ ...out, previous: before })).toMatchObject({ finding: "ProviderNotReady" });
  }
  const admin = { entry: "admin", generation: 0, accessKeyId: "a", secret: "b", tokenSha256: "c", permissions: [] };
  const changed = compileSelfService({ ...out, previous, credentials: [admin] });
  expect(changed).toEqual({ ...previous, revision: REVISION + 1, credentials: [admin] });
});

describe("holdersOf()", () => {
  const made = (name: string, created: string, status: object = {}) => {
    const one = bucket(name, { bucketName: "photos" }, status);
    one.metadata.creationTimestamp = created;
    return one;
  };
  const cases: Record<string, [EncryptedBucket[], Record<string, string>]> = {
    "one alone has its name": [[made("a", "2026-01-01T00:00:00Z")], {}],
    "the older has it": [[made("a", "2026-01-02T00:00:00Z"), made("b", "2026-01-01T00:00:00Z")], { a: "b" }],
    "of the same age, the smaller name has it": [
      [made("b", "2026-01-01T00:00:00Z"), made("a", "2026-01-01T00:00:00Z")],
      { b: "a" },
    ],
    "who holds it keeps it": [
      [made("a", "2026-01-01T00:00:00Z"), made("b", "2026-01-02T00:00:00Z", { bucketName: "photos" })],
      { a: "b" },
    ],
    "in two stores, both have it": [
      [bucket("photos"), bucket("other", { bucketName: "photos", storeRef: { name: "second" } })],
      {},
    ],
  };
  test.each(Object.entries(cases))("%s", (_sentence, [buckets, holders]) => {
    expect(Object.fromEntries(holdersOf(buckets))).toEqual(holders);
  });
});

test("nextRevision() is the time, and always above the last", () => {
  expect(nextRevision(undefined, 500)).toBe(500);
  const before = joinStore(store(), [], undefined);
  expect(nextRevision(before, 500)).toBe(REVISION + 1);
  expect(nextRevision(before, REVISION + 7)).toBe(REVISION + 7);
});
