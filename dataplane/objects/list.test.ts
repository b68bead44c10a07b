import { createSecretKey } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import { KmsError } from "../../kms/kms.ts";
import type { Call } from "../call.ts";
import { Failure } from "../failure.ts";
import { type Edits, flipped, tamperingWith } from "./contract/tampering.ts";
import {
  bodyOf,
  bucketEntry,
  callOf,
  createWorld,
  plainBytes,
  putWanted,
  type World,
  type WorldOptions,
} from "./contract/world.ts";
import { afterOf, lastOf } from "./list.ts";
import { createObjects, type Listing, type ListQuery, type ObjectStore, type PutWanted } from "./objects.ts";

const EVERY = { prefix: "", delimiter: "", after: "", limit: 1000 };
// U+FFFD sorts before U+1F600 by bytes, and after it by JavaScript's units.
const NAMES = ["a", "a/b", "a/b/c", "a/d", "b//", "b//x", "z", "\uFFFD", "\u{1f600}"];

async function fill(world: World, names: readonly string[] = NAMES): Promise<void> {
  for (const [index, name] of names.entries()) {
    await world.objects.put(callOf(world), { bucket: "photos", name }, bodyOf(plainBytes(index)), putWanted());
  }
}

describe("a listing", () => {
  test("gives names in the order of their bytes, each with what is sealed of it", async () => {
    const world = await createWorld(localKey());
    await fill(world, [...NAMES].reverse());
    const page = await world.objects.list(callOf(world), "photos", EVERY);
    expect(page.objects.map(({ ref }) => ref.name)).toEqual(NAMES);
    expect(page.objects.map(({ sizeBytes }) => sizeBytes)).toEqual(NAMES.map((_, index) => NAMES.length - 1 - index));
    expect(page.objects.every(({ etag }) => /^[0-9a-f]{32}-1$/.test(etag))).toBe(true);
    expect([page.truncated, page.last]).toEqual([false, "\u{1f600}"]);
  });

  test.each([1, 2, 3, 4])("page by page of %i gives each name and each common prefix once", async (limit) => {
    const world = await createWorld(localKey());
    await fill(world);
    const seen: string[] = [];
    let after = "";
    for (let more = true; more; ) {
      const page = await world.objects.list(callOf(world), "photos", { ...EVERY, delimiter: "/", after, limit });
      const found = [...page.objects.map(({ ref }) => ref.name), ...page.prefixes];
      expect(found.length).toBeLessThanOrEqual(limit);
      seen.push(...found);
      after = page.last ?? "";
      more = page.truncated;
    }
    expect(seen.sort()).toEqual(["a", "a/", "b/", "z", "\uFFFD", "\u{1f600}"].sort());
  });

  test("below a prefix, and none at all", async () => {
    const world = await createWorld(localKey());
    await fill(world);
    const below = await world.objects.list(callOf(world), "photos", { ...EVERY, prefix: "a/", delimiter: "/" });
    expect([below.objects.map(({ ref }) => ref.name), below.prefixes]).toEqual([["a/b", "a/d"], ["a/b/"]]);
    expect(below.last).toBe("a/d");
    const none = await world.objects.list(callOf(world), "photos", { ...EVERY, limit: 0 });
    expect(none).toEqual({ objects: [], prefixes: [], truncated: false, last: undefined });
  });

  test("of more names than are opened at once is whole", async () => {
    const world = await createWorld(localKey());
    const names = Array.from({ length: 300 }, (_, index) => `n${String(index).padStart(3, "0")}`);
    await fill(world, names);
    const page = await world.objects.list(callOf(world), "photos", EVERY);
    expect(page.objects.map(({ ref }) => ref.name)).toEqual(names);
  });
});

/** A store that remembers, and how many names of the last page it knew and how many it opened. */
interface Remembering {
  readonly world: World;
  readonly objects: ObjectStore;
  readonly edits: Edits;
  counts: { readonly remembered: number; readonly opened: number };
}

/** In one world, so that all of them share storage, clock and opened bucket keys. */
function storeIn(world: World, listed: (remembered: number, opened: number) => void): ObjectStore {
  const { storage, keys } = world;
  const needs = { storage, audit: () => undefined, nowMs: () => world.nowMs, shownByDefault: () => world.shown };
  // Read at each call: tests exchange what opens keys.
  return createObjects({
    ...needs,
    keys: { ...keys, byId: (...asked) => world.keys.byId(...asked) },
    metrics: { listed },
  });
}

async function createRemembering(names: readonly string[], options?: WorldOptions): Promise<Remembering> {
  const edits: Edits = {};
  const world = await createWorld(localKey(), { around: tamperingWith(() => edits), ...options });
  await fill(world, names);
  const remembering: Remembering = {
    world,
    edits,
    objects: storeIn(world, (remembered, opened) => {
      remembering.counts = { remembered, opened };
    }),
    counts: { remembered: 0, opened: 0 },
  };
  return remembering;
}

/** What a caller gets: a page, or a failure with all that it says. */
async function outcomeOf(objects: ObjectStore, call: Call, query: ListQuery): Promise<Listing | string> {
  try {
    return await objects.list(call, "photos", query);
  } catch (error) {
    if (error instanceof Failure) return `${error.code} ${error.tamper} ${error.message}`;
    throw error;
  }
}

/** The outcome, which must be that of a store that remembers nothing. */
async function same({ world, objects }: Remembering, call: Call, query: ListQuery = EVERY): Promise<Listing | string> {
  const outcome = await outcomeOf(objects, call, query);
  expect(outcome).toEqual(
    await outcomeOf(
      storeIn(world, () => undefined),
      call,
      query,
    ),
  );
  return outcome;
}

/** Longer than the keys of a world are kept. */
const KEYS_FORGOTTEN_MS = 61_000;

function isDown(world: World): Disposable {
  const { kms } = world.key;
  const { unwrap } = kms;
  kms.unwrap = () => Promise.reject(new KmsError("unreachable", "unwrap", "injected"));
  return { [Symbol.dispose]: () => Object.assign(kms, { unwrap }) };
}

/** Records of bucket keys, which come back. */
async function keysGone({ storage }: World): Promise<AsyncDisposable> {
  const { signal } = new AbortController();
  const { items } = await storage.documents("bucket/photos/key/", "", 100, signal);
  expect(items.length).toBeGreaterThan(0);
  for (const { path, tag } of items) await storage.removeDocument(path, tag, signal);
  return {
    async [Symbol.asyncDispose]() {
      for (const { path, bytes } of items) await storage.putDocument(path, bytes, "absent", signal);
    },
  };
}

const MANY = Array.from({ length: 300 }, (_, index) => `d${index % 3}/n${String(index).padStart(3, "0")}`).sort();

describe("a page that was listed before", () => {
  test("is not opened again, but for what was written since", async () => {
    const it = await createRemembering(MANY);
    const first = await same(it, callOf(it.world));
    expect(it.counts).toEqual({ remembered: 0, opened: 300 });
    expect(await same(it, callOf(it.world))).toEqual(first);
    expect(it.counts).toEqual({ remembered: 300, opened: 0 });
    await fill(it.world, ["d1/new"]);
    await same(it, callOf(it.world));
    expect(it.counts.remembered + it.counts.opened).toBe(301);
    expect(it.counts.opened).toBeGreaterThan(0);
  });

  test("is remembered beyond the time that its bucket key is, which is then asked for", async () => {
    const it = await createRemembering(MANY);
    await same(it, callOf(it.world));
    it.world.nowMs += KEYS_FORGOTTEN_MS;
    await it.objects.list(callOf(it.world), "photos", EVERY);
    expect(it.counts).toEqual({ remembered: 300, opened: 0 });
  });

  test("cannot be listed once its bucket key cannot be opened", async () => {
    const it = await createRemembering(MANY);
    const first = await same(it, callOf(it.world));
    using _down = isDown(it.world);
    expect(await same(it, callOf(it.world))).toEqual(first);
    it.world.nowMs += KEYS_FORGOTTEN_MS;
    expect(await same(it, callOf(it.world))).toMatch(/^ServiceUnavailable false/);
  });

  test("cannot be listed once the record of its bucket key is gone", async () => {
    const it = await createRemembering(MANY);
    await same(it, callOf(it.world));
    await using _gone = await keysGone(it.world);
    it.world.nowMs += KEYS_FORGOTTEN_MS;
    expect(await same(it, callOf(it.world))).toEqual(expect.any(String));
  });

  test("cannot be listed once the bucket may no longer use the key's provider", async () => {
    const it = await createRemembering(MANY);
    await same(it, callOf(it.world));
    const elsewhere = callOf(it.world, { buckets: [bucketEntry("photos", { keys: [] })] });
    expect(await same(it, elsewhere)).toEqual(expect.any(String));
  });

  test("is tampering once another key bears the id of its bucket key", async () => {
    const it = await createRemembering(MANY);
    await same(it, callOf(it.world));
    const byId = it.world.keys.byId.bind(it.world.keys);
    const other = createSecretKey(new Uint8Array(32).fill(1));
    it.world.keys.byId = async (...asked) => ({ ...(await byId(...asked)), key: other });
    expect(await same(it, callOf(it.world))).toContain("true");
  });

  test.each(Array.from({ length: 8 }, (_, at) => at))(
    "is tampering with one bit of an envelope turned, %i",
    async (at) => {
      const it = await createRemembering(MANY.slice(0, 20));
      const first = await same(it, callOf(it.world));
      let count = 0;
      it.edits.envelope = (envelope) => {
        count += 1;
        return count % 20 === 7 ? flipped(envelope, at * (envelope.length + 1)) : envelope;
      };
      expect(await outcomeOf(it.objects, callOf(it.world), EVERY)).toEqual(expect.any(String));
      delete it.edits.envelope;
      expect(await same(it, callOf(it.world))).toEqual(first);
    },
  );

  test("is tampering where two names have changed their envelopes", async () => {
    const it = await createRemembering(["a", "b"]);
    await same(it, callOf(it.world));
    const list = it.world.storage.list.bind(it.world.storage);
    it.world.storage.list = async (...asked) => {
      const page = await list(...asked);
      const [a, b] = page.items;
      return { ...page, items: page.items.map((item) => ({ ...item, envelope: (item === a ? b : a)?.envelope })) };
    };
    expect(await same(it, callOf(it.world))).toContain("true");
  });
});

const wantedArbitrary: fc.Arbitrary<Partial<PutWanted>> = fc.oneof(
  fc.constant({}),
  fc.constant({ tags: new Map([["a", "b"]]) }),
  fc.constant({ headers: new Map([["content-type", "text/plain"]]) }),
  // The data key is wrapped by the KMS then.
  fc.constant({
    encryption: {
      shown: "aws:kms",
      kmsKeyId: undefined,
      context: new Map([["team", "a"]]),
      bucketKeyEnabled: false,
    },
  } as const),
  fc.constantFrom("CRC32", "SHA256").map((algorithm) => ({ checksum: { algorithm, kind: "whole" } }) as const),
);

const someName = fc.integer({ min: 0, max: 330 }).map((index) => MANY[index] ?? `e/${index}`);
const write = fc.oneof(
  fc.record({ kind: fc.constant("put"), name: someName, bytes: fc.nat(20_000), wanted: wantedArbitrary }),
  fc.record({ kind: fc.constantFrom("remove", "tag", "rewrap", "epoch"), name: someName }),
);
const state = fc.constantFrom("well", "keys forgotten", "KMS down", "keys gone", "no provider", "bit turned");
const step = fc.record({
  write,
  state,
  query: fc.record({
    prefix: fc.constantFrom("", "d1/", "d1/n1"),
    delimiter: fc.constantFrom("", "/"),
    after: fc.oneof(fc.constant(""), someName),
    limit: fc.constantFrom(1000, 1000, 100, 7),
  }),
});
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

test("whatever is written and whatever is lost, a listing is that of a store that remembers nothing", async () => {
  const it = await createRemembering(MANY);
  let [epoch, remembered] = [1, 0];
  const call = (): Call =>
    callOf(it.world, { buckets: [bucketEntry("photos", { keys: [{ provider: "local", minEpoch: epoch }] })] });
  const change = async ({ write: wish }: Step): Promise<void> => {
    const ref = { bucket: "photos", name: wish.name };
    it.world.nowMs += 1000;
    if ("bytes" in wish) {
      await it.objects.put(call(), ref, bodyOf(plainBytes(wish.bytes)), putWanted(wish.wanted));
    } else if (wish.kind === "remove") {
      await it.objects.remove(call(), ref, { ifMatch: undefined });
    } else if (wish.kind === "tag") {
      const tags = new Map([["at", String(it.world.nowMs)]]);
      await it.objects.change(call(), ref, { kind: "tags", tags }).catch(() => undefined);
    } else if (wish.kind === "rewrap") {
      await it.objects.rewrap(call(), "photos", undefined);
    } else {
      epoch += 1;
    }
  };
  const compare = async ({ state: now, query }: Step): Promise<void> => {
    await using undone = new AsyncDisposableStack();
    if (now !== "well" && now !== "bit turned" && now !== "no provider") it.world.nowMs += KEYS_FORGOTTEN_MS;
    if (now === "KMS down") undone.use(isDown(it.world));
    if (now === "keys gone") undone.use(await keysGone(it.world));
    if (now === "bit turned") {
      it.edits.envelope = (envelope) => ((envelope[20] ?? 0) % 64 === 0 ? flipped(envelope, 8 * 40) : envelope);
      undone.defer(() => void delete it.edits.envelope);
    }
    const elsewhere = callOf(it.world, { buckets: [bucketEntry("photos", { keys: [] })] });
    await same(it, now === "no provider" ? elsewhere : call(), query);
    remembered += it.counts.remembered;
  };
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 5 }), async (steps) => {
      for (const one of steps) {
        await change(one);
        await compare(one);
      }
    }),
    { numRuns: 25, endOnFailure: true },
  );
  expect(remembered).toBeGreaterThan(0);
});

test.each([
  ["", "", "", undefined],
  ["a name", "x", "", { skip: "name", name: "x" }],
  ["a common prefix", "a/", "", { skip: "prefix", name: "a/" }],
  ["a common prefix below a prefix", "p/a/", "p/", { skip: "prefix", name: "p/a/" }],
  ["a name below a common prefix", "a/b", "", { skip: "name", name: "a/b" }],
  ["what is deeper than a common prefix", "a/b/", "", { skip: "name", name: "a/b/" }],
  ["the prefix itself", "p/", "p/", { skip: "name", name: "p/" }],
] as const)("a listing goes on behind %s", (_what, after, prefix, expected) => {
  expect(afterOf({ after, prefix, delimiter: "/" })).toEqual(expected);
});

test("the last of a page is the greater of name and common prefix, by bytes", () => {
  const named = (name: string) => [{ ref: { bucket: "photos", name } }] as unknown as Parameters<typeof lastOf>[0];
  expect(lastOf(named("\u{1f600}"), ["\uFFFD/"])).toBe("\u{1f600}");
  expect(lastOf(named("a"), ["b/"])).toBe("b/");
  expect(lastOf([], ["b/"])).toBe("b/");
});
