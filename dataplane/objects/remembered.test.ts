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
  codeOf,
  copyWanted,
  createWorld,
  EVERY,
  fill,
  plainBytes,
  putWanted,
  type World,
  type WorldOptions,
} from "./contract/world.ts";
import { createObjects, type Listing, type ListQuery, type ObjectStore, type PutWanted } from "./objects.ts";

/** A store that remembers, and how many names of the last page it knew and how many it opened. */
interface Remembering {
  readonly world: World;
  readonly objects: ObjectStore;
  readonly edits: Edits;
  counts: { readonly remembered: number; readonly opened: number };
}

/** In one world, so that all of them share storage, clock and opened bucket keys. */
function storeIn(world: World, listed: (remembered: number, opened: number) => void): ObjectStore {
  const { storage, keys, partBytesMin } = world;
  const audit = () => undefined;
  const needs = { storage, partBytesMin, audit, nowMs: () => world.nowMs, shownByDefault: () => world.shown };
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

const at = (name: string) => ({ bucket: "photos", name });
const plaintext = (world: World): Call =>
  callOf(world, { buckets: [bucketEntry("photos", { allowPlaintext: true }), bucketEntry("music")] });

type Written = (it: Remembering) => Promise<unknown>;

const put = ({ world, objects }: Remembering, name: string, wanted?: Partial<PutWanted>, call = callOf(world)) =>
  objects.put(call, at(name), bodyOf(plainBytes(40_000)), putWanted(wanted));

async function upload({ world, objects }: Remembering): Promise<void> {
  const call = callOf(world);
  const { ref: begun } = await objects.createUpload(call, at("a"), putWanted());
  const parts = [];
  for (const partNumber of [1, 3]) {
    const { etag } = await objects.putPart(call, { ...begun, partNumber }, bodyOf(plainBytes(20_000)));
    parts.push({ partNumber, etag, checksums: new Map() });
  }
  const { conditions } = putWanted();
  await objects.completeUpload(call, begun, parts, { conditions, sizeBytes: undefined, checksums: new Map() });
}

const KMS_WRAPPED = {
  encryption: { shown: "aws:kms", kmsKeyId: undefined, context: new Map([["team", "a"]]), bucketKeyEnabled: false },
} as const;

describe("what was written here is not opened to be listed", () => {
  const ways: Readonly<Record<string, Written>> = {
    "an object": (it) => put(it, "a"),
    "an object with headers, tags and a checksum": (it) =>
      put(it, "a", {
        headers: new Map([["content-type", "text/plain"]]),
        tags: new Map([["a", "b"]]),
        checksum: { algorithm: "SHA256", kind: "whole" },
      }),
    "an object whose data key the KMS has wrapped": (it) => put(it, "a", KMS_WRAPPED),
    "an object whose data key the KMS has wrapped anew": async (it) => {
      await put(it, "a", KMS_WRAPPED);
      // Of two sources it is not known which of them wrapped it, so it is wrapped again whatever the version is.
      const source = { provider: "local", minEpoch: 1 };
      const call = callOf(it.world, { buckets: [bucketEntry("photos", { keys: [source, source] })] });
      expect((await it.objects.rewrap(call, "photos", undefined)).counts.rewrapped).toBe(1);
    },
    "an upload in parts": upload,
    "an object with other tags": async (it) => {
      await put(it, "a");
      await it.objects.change(callOf(it.world), at("a"), { kind: "tags", tags: new Map([["a", "b"]]) });
    },
    "a copy": async (it) => {
      await put(it, "a");
      await it.objects.copy(callOf(it.world), at("a"), at("b"), copyWanted());
    },
    "a copy whose body was sealed again": async (it) => {
      const { world, objects } = it;
      await put(it, "a");
      const suites = [bucketEntry("photos", { algorithm: "ChaCha20-Poly1305" }), bucketEntry("music")];
      await objects.copy(callOf(world, { buckets: suites }), at("a"), at("b"), copyWanted());
    },
    "an object that is stored as it is": async (it) => {
      it.world.shown = "none";
      await put(it, "a", {}, plaintext(it.world));
    },
  };
  test.each(Object.entries(ways))("%s", async (_what, written) => {
    const it = await createRemembering([]);
    await written(it);
    const page = await same(it, plaintext(it.world));
    expect(page).toMatchObject({ truncated: false });
    expect(it.counts).toEqual({ remembered: (page as Listing).objects.length, opened: 0 });
    expect(it.counts.remembered).toBeGreaterThan(0);
  });
});

const wantedArbitrary: fc.Arbitrary<Partial<PutWanted>> = fc.oneof(
  fc.constant({}),
  fc.constant({ tags: new Map([["a", "b"]]) }),
  fc.constant({ headers: new Map([["content-type", "text/plain"]]) }),
  fc.constant(KMS_WRAPPED),
  fc.constantFrom("CRC32", "SHA256").map((algorithm) => ({ checksum: { algorithm, kind: "whole" } }) as const),
);

const someName = fc.integer({ min: 0, max: 330 }).map((index) => MANY[index] ?? `e/${index}`);
const write = fc.oneof(
  fc.record({
    kind: fc.constant("put"),
    name: someName,
    bytes: fc.nat(20_000),
    wanted: wantedArbitrary,
    shown: fc.constantFrom("aws:kms", "AES256", "none"),
  }),
  fc.record({ kind: fc.constantFrom("remove", "tag", "copy", "rewrap", "epoch"), name: someName }),
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
    callOf(it.world, {
      buckets: [bucketEntry("photos", { keys: [{ provider: "local", minEpoch: epoch }], allowPlaintext: true })],
    });
  const change = async ({ write: wish }: Step): Promise<void> => {
    const ref = { bucket: "photos", name: wish.name };
    it.world.nowMs += 1000;
    if ("bytes" in wish) {
      it.world.shown = wish.shown;
      await it.objects.put(call(), ref, bodyOf(plainBytes(wish.bytes)), putWanted(wish.wanted));
    } else if (wish.kind === "remove") {
      await it.objects.remove(call(), ref, { ifMatch: undefined });
    } else if (wish.kind === "tag") {
      const tags = new Map([["at", String(it.world.nowMs)]]);
      await codeOf(it.objects.change(call(), ref, { kind: "tags", tags }));
    } else if (wish.kind === "copy") {
      const to = { ...ref, name: `c/${wish.name}` };
      await codeOf(it.objects.copy(call(), ref, to, copyWanted()));
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
