import { describe, expect, test } from "vitest";
import { bodyIdOf, bucketKeyIdOf, sealEnvelope } from "../../envelope/envelope.ts";
import { localKey } from "../../kms/contract/localkey.ts";
import type { Call } from "../call.ts";
import { Failure } from "../failure.ts";
import type { Entry } from "../storage/storage.ts";
import { type Edits, flipped, tamperingWith } from "./contract/tampering.ts";
import {
  bodyOf,
  bucketEntry,
  callOf,
  createWorld,
  getWanted,
  PHOTO,
  plainBytes,
  putWanted,
  restart,
  type World,
} from "./contract/world.ts";
import type { CompletedPart } from "./objects.ts";

const CHUNK = 16_384;
const SIGNAL = new AbortController().signal;
const EVERY = { prefix: "", delimiter: "", after: "", limit: 1000 };
const OTHER = { bucket: "photos", name: "other" };

interface Attacked {
  readonly world: World;
  edits: Edits;
}

async function createAttacked(): Promise<Attacked> {
  const attacked = { edits: {} as Edits };
  const world = await createWorld(localKey(), { around: tamperingWith(() => attacked.edits) });
  return Object.assign(attacked, { world });
}

/** What a caller got, or that a Failure came, and whether it was counted as tampering. */
async function outcomeOf<Result>(work: () => Promise<Result>): Promise<string | Result> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof Failure) return error.tamper ? "tamper" : error.code;
    throw error;
  }
}

async function readAll(world: World, first: number, last: number | undefined, call: Call = callOf(world)) {
  const range = first === 0 && last === undefined ? undefined : ({ kind: "bytes", first, last } as const);
  const reading = await world.objects.get(call, PHOTO, getWanted(range));
  const slices: Uint8Array[] = [];
  for await (const block of reading) slices.push(...block);
  return Buffer.concat(slices);
}

const get = (world: World) => outcomeOf(() => readAll(world, 0, undefined));
const range = (world: World, first: number, last: number) => outcomeOf(() => readAll(world, first, last));

/** The same of what answers no bytes. */
async function answerOf(work: () => Promise<unknown>): Promise<string> {
  const outcome = await outcomeOf(work);
  return typeof outcome === "string" ? outcome : "answered";
}

const head = (world: World) => answerOf(() => world.objects.head(callOf(world), PHOTO, getWanted()));

const list = (world: World) => answerOf(() => world.objects.list(callOf(world), "photos", EVERY));

async function entryOf(world: World, ref = PHOTO): Promise<Entry & { readonly envelope: Uint8Array }> {
  return (await world.storage.find(ref, SIGNAL)) as Entry & { readonly envelope: Uint8Array };
}

async function storedOf(world: World, ref = PHOTO): Promise<Uint8Array> {
  const entry = await entryOf(world, ref);
  const blocks: Uint8Array[] = [];
  for await (const block of world.storage.read(entry, 0, entry.storedBytes, SIGNAL)) blocks.push(block);
  return Buffer.concat(blocks);
}

describe("a small object", () => {
  test("with any bit of its body flipped is never read", async () => {
    const attacked = await createAttacked();
    const { world } = attacked;
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(21)), putWanted());
    const bits = 8 * (await storedOf(world)).length;
    for (let bit = 0; bit < bits; bit += 1) {
      attacked.edits = { body: (body) => flipped(body, bit) };
      expect(await get(world), `bit ${bit}`).toBe("tamper");
      expect(await range(world, 3, 5), `bit ${bit}, range`).toBe("tamper");
    }
  });

  test("with any bit of its record flipped is neither read, nor answered, nor listed, nor left out", async () => {
    const attacked = await createAttacked();
    const { world } = attacked;
    const headers = new Map([["content-type", "text/plain"]]);
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(21)), putWanted({ headers }));
    const bits = 8 * (await entryOf(world)).envelope.length;
    for (let bit = 0; bit < bits; bit += 1) {
      attacked.edits = { envelope: (envelope) => flipped(envelope, bit) };
      for (const outcome of [await get(world), await head(world), await list(world)]) {
        expect(["tamper", "InternalError"], `bit ${bit}`).toContain(outcome);
      }
    }
  });

  test("cut anywhere, body or record, is never read, whatever length the storage claims", async () => {
    const attacked = await createAttacked();
    const { world } = attacked;
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(21)), putWanted());
    const { envelope } = await entryOf(world);
    const stored = await storedOf(world);
    for (let length = 0; length < stored.length; length += 1) {
      for (const claimLength of [false, true]) {
        attacked.edits = { body: (body) => body.subarray(0, length), claimLength };
        expect(await get(world), `body of ${length}`).toBe("tamper");
        if (!claimLength) expect([await head(world), await list(world)]).toEqual(["tamper", "tamper"]);
      }
    }
    for (let length = 0; length < envelope.length; length += 1) {
      attacked.edits = { envelope: (whole) => whole.subarray(0, length) };
      expect([await get(world), await head(world), await list(world)], `record of ${length}`).toEqual(ALL_TAMPER);
    }
  });

  test("with bytes behind it is never read", async () => {
    const attacked = await createAttacked();
    const { world } = attacked;
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(21)), putWanted());
    attacked.edits = { body: (body) => Buffer.concat([body, new Uint8Array(1)]) };
    expect(await get(world)).toBe("tamper");
  });
});

const ALL_TAMPER = ["tamper", "tamper", "tamper"];

describe("a body of several chunks", () => {
  const plain = plainBytes(3 * CHUNK + 5);
  const sealedChunk = CHUNK + 16;
  const chunkAt = (index: number) => 64 + index * sealedChunk;
  const swapped = (body: Uint8Array): Uint8Array => {
    const changed = Uint8Array.from(body);
    changed.set(body.subarray(chunkAt(1), chunkAt(2)), chunkAt(0));
    changed.set(body.subarray(chunkAt(0), chunkAt(1)), chunkAt(1));
    return changed;
  };
  const rows: readonly (readonly [string, Edits])[] = [
    ["two chunks swapped", { body: swapped }],
    ["a chunk repeated", { body: repeat }],
    ["a chunk dropped", { body: dropped }],
    ["a chunk dropped and the length claimed", { body: dropped, claimLength: true }],
    ["its last chunk dropped", { body: (body) => body.subarray(0, chunkAt(3)) }],
    [
      "its last chunk dropped and the length claimed",
      { body: (body) => body.subarray(0, chunkAt(3)), claimLength: true },
    ],
  ];
  function repeat(body: Uint8Array): Uint8Array {
    const changed = Uint8Array.from(body);
    changed.set(body.subarray(chunkAt(0), chunkAt(1)), chunkAt(1));
    return changed;
  }
  function dropped(body: Uint8Array): Uint8Array {
    return Buffer.concat([body.subarray(0, chunkAt(1)), body.subarray(chunkAt(2))]);
  }

  test.each(rows)("with %s is never read to its end", async (_sentence, edits) => {
    const attacked = await createAttacked();
    const { world } = attacked;
    await world.objects.put(callOf(world), PHOTO, bodyOf(plain), putWanted());
    attacked.edits = edits;
    expect(await get(world)).toBe("tamper");
    for (const [first, last] of [
      [CHUNK, CHUNK + 3],
      [3 * CHUNK, 3 * CHUNK + 4],
    ] as const) {
      const got = await range(world, first, last);
      if (typeof got !== "string") expect(Buffer.compare(got, plain.subarray(first, last + 1))).toBe(0);
    }
  });

  test("gives away no byte of a chunk that does not hold, and fails after those that do", async () => {
    const attacked = await createAttacked();
    const { world } = attacked;
    await world.objects.put(callOf(world), PHOTO, bodyOf(plain), putWanted());
    attacked.edits = { body: (body) => flipped(body, 8 * (chunkAt(0) + 7)) };
    expect(await range(world, 0, 0)).toBe("tamper");
    expect(await range(world, CHUNK + 1, CHUNK + 9)).toEqual(Buffer.from(plain.subarray(CHUNK + 1, CHUNK + 10)));
    const before = world.audit.length;
    await get(world);
    expect(world.audit.slice(before).map(({ failure }) => failure?.tamper)).toEqual([true]);
  });
});

describe("what belongs to another object", () => {
  async function withOther(plain = plainBytes(50, 1), other = plainBytes(50, 2)): Promise<Attacked> {
    const attacked = await createAttacked();
    await attacked.world.objects.put(callOf(attacked.world), PHOTO, bodyOf(plain), putWanted());
    await attacked.world.objects.put(callOf(attacked.world), OTHER, bodyOf(other), putWanted());
    return attacked;
  }

  test("as its body is never read, also if it was moved with its record", async () => {
    const attacked = await withOther();
    const { world } = attacked;
    const { envelope } = await entryOf(world, OTHER);
    const body = await storedOf(world, OTHER);
    attacked.edits = { body: () => body };
    expect(await get(world)).toBe("tamper");
    attacked.edits = { envelope: () => envelope };
    expect([await get(world), await head(world)]).toEqual(["tamper", "tamper"]);
    attacked.edits = { envelope: () => envelope, body: () => body };
    expect([await get(world), await head(world), await list(world)]).toEqual(ALL_TAMPER);
  });

  test("in another bucket is never read, though the name is the same", async () => {
    const attacked = await createAttacked();
    const { world } = attacked;
    const there = { bucket: "music", name: PHOTO.name };
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(5)), putWanted());
    await world.objects.put(callOf(world), there, bodyOf(plainBytes(5)), putWanted());
    const { envelope } = await entryOf(world, there);
    const body = await storedOf(world, there);
    attacked.edits = { envelope: () => envelope, body: () => body };
    for (const outcome of [await get(world), await head(world), await list(world)]) {
      expect(["tamper", "InternalError"]).toContain(outcome);
    }
  });

  test("an older record with a newer body is never read; with its own body it is what it was", async () => {
    const attacked = await createAttacked();
    const { world } = attacked;
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(50, 1)), putWanted());
    const { envelope } = await entryOf(world);
    const body = await storedOf(world);
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(50, 2)), putWanted());
    attacked.edits = { envelope: () => envelope };
    expect([await get(world), await range(world, 1, 3)]).toEqual(["tamper", "tamper"]);
    attacked.edits = { body: () => body };
    expect([await get(world), await range(world, 1, 3)]).toEqual(["tamper", "tamper"]);
    attacked.edits = { envelope: () => envelope, body: () => body };
    expect(await get(world)).toEqual(Buffer.from(plainBytes(50, 1)));
  });

  test("a record that calls itself a delete marker is not believed, a marker that was written is", async () => {
    const attacked = await createAttacked();
    const { world } = attacked;
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(5)), putWanted());
    const { envelope } = await entryOf(world);
    const find = world.storage.find.bind(world.storage);
    world.storage.find = async (ref, signal) => {
      const entry = await find(ref, signal);
      return entry && { ...entry, marker: true };
    };
    const put = () =>
      answerOf(() =>
        world.objects.put(
          callOf(world),
          PHOTO,
          bodyOf(plainBytes(5)),
          putWanted({ conditions: { ifMatch: "*", ifNoneMatch: undefined } }),
        ),
      );
    expect([await get(world), await head(world), await put()]).toEqual(ALL_TAMPER);
    const bucketKey = await world.keys.byId(callOf(world), bucketEntry("photos"), bucketKeyIdOf(envelope));
    const place = { kind: "marker", objectName: PHOTO.name, versionId: "" } as const;
    const marker = sealEnvelope(place, { modifiedMs: 1 }, bucketKey.id, new Uint8Array(16), bucketKey.key);
    attacked.edits = { envelope: () => marker };
    expect([await get(world), await head(world), await put()]).toEqual(["NoSuchKey", "NoSuchKey", "NoSuchKey"]);
  });

  test("a record that calls the body plaintext is not believed", async () => {
    const attacked = await createAttacked();
    const { world } = attacked;
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(50, 1)), putWanted());
    const { envelope } = await entryOf(world);
    const forged = sealEnvelope(
      { kind: "object", objectName: PHOTO.name, versionId: "" },
      {
        key: { mode: "plaintext", dataKey: new Uint8Array(32) },
        bodyHead: new Uint8Array(32),
        sizeBytes: 6,
        etag: { bytes: new Uint8Array(16), parts: 1 },
        modifiedMs: 1,
        shown: "nothing",
      },
      bucketKeyIdOf(envelope),
      bodyIdOf(envelope),
      new Uint8Array(32),
    );
    const body = Buffer.from("forged");
    for (const record of [forged, new Uint8Array(0), body]) {
      attacked.edits = { envelope: () => record, body: () => body };
      expect([await get(world), await head(world), await list(world)]).toEqual(ALL_TAMPER);
    }
  });
});

describe("a body in parts", () => {
  async function uploaded(world: World, seeds: readonly number[]): Promise<void> {
    const { ref } = await world.objects.createUpload(callOf(world), PHOTO, putWanted());
    const parts: CompletedPart[] = [];
    for (const [index, seed] of seeds.entries()) {
      const partNumber = index + 1;
      const part = bodyOf(plainBytes(40, seed));
      const { etag } = await world.objects.putPart(callOf(world), { ...ref, partNumber }, part);
      parts.push({ partNumber, etag, checksums: new Map() });
    }
    const conditions = { ifMatch: undefined, ifNoneMatch: undefined };
    const wanted = { conditions, sizeBytes: undefined, checksums: new Map() };
    await world.objects.completeUpload(callOf(world), ref, parts, wanted);
  }
  const partBytes = 64 + 40 + 16;

  test("is never read with parts swapped, or a part of another upload", async () => {
    const attacked = await createAttacked();
    const { world } = attacked;
    await uploaded(world, [1, 2, 3]);
    const before = await storedOf(world);
    await uploaded(world, [1, 2, 3]);
    const swap = (body: Uint8Array) =>
      Buffer.concat([
        body.subarray(partBytes, 2 * partBytes),
        body.subarray(0, partBytes),
        body.subarray(2 * partBytes),
      ]);
    attacked.edits = { body: swap };
    expect([await get(world), await range(world, 0, 1), await range(world, 41, 42)]).toEqual(ALL_TAMPER);
    attacked.edits = {
      body: (body) =>
        Buffer.concat([
          body.subarray(0, partBytes),
          before.subarray(partBytes, 2 * partBytes),
          body.subarray(2 * partBytes),
        ]),
    };
    expect([await get(world), await range(world, 41, 42)]).toEqual(["tamper", "tamper"]);
    expect(await range(world, 0, 1)).toEqual(Buffer.from(plainBytes(40, 1).subarray(0, 2)));
    attacked.edits = { body: (body) => body.subarray(0, 2 * partBytes) };
    expect([await get(world), await range(world, 0, 1)]).toEqual(["tamper", "tamper"]);
    attacked.edits = { body: (body) => body.subarray(0, 2 * partBytes), claimLength: true };
    expect([await get(world), await range(world, 100, 101)]).toEqual(["tamper", "tamper"]);
  });

  test("is never read with an earlier attempt of a part put back", async () => {
    const attacked = await createAttacked();
    const { world } = attacked;
    const { ref } = await world.objects.createUpload(callOf(world), PHOTO, putWanted());
    const put = () => world.objects.putPart(callOf(world), { ...ref, partNumber: 1 }, bodyOf(plainBytes(40, 7)));
    const complete = (etag: string) =>
      world.objects.completeUpload(callOf(world), ref, [{ partNumber: 1, etag, checksums: new Map() }], {
        conditions: { ifMatch: undefined, ifNoneMatch: undefined },
        sizeBytes: undefined,
        checksums: new Map(),
      });
    const written: Uint8Array[] = [];
    const inner = world.storage.part.bind(world.storage);
    world.storage.part = (upload, partNumber, source, signal) => {
      const draft = inner(upload, partNumber, source, signal);
      const write = draft.write.bind(draft);
      draft.write = (buffers) => {
        written.push(...buffers.map((buffer) => Uint8Array.from(buffer)));
        return write(buffers);
      };
      return draft;
    };
    await put();
    const earlier = Buffer.concat(written);
    await complete((await put()).etag);
    expect(earlier).toHaveLength(partBytes);
    attacked.edits = { body: () => earlier };
    expect([await get(world), await range(world, 0, 3)]).toEqual(["tamper", "tamper"]);
  });

  test("is never read with any bit of its part list flipped, or the list cut", async () => {
    const attacked = await createAttacked();
    const { world } = attacked;
    await uploaded(world, [1, 2]);
    const tail = await world.storage.tail(await entryOf(world), SIGNAL);
    for (let bit = 0; bit < 8 * tail.length; bit += 1) {
      attacked.edits = { tail: (bytes) => flipped(bytes, bit) };
      expect(await get(world), `bit ${bit}`).toBe("tamper");
    }
    for (let length = 0; length < tail.length; length += 1) {
      attacked.edits = { tail: (bytes) => bytes.subarray(0, length) };
      expect([await get(world), await range(world, 50, 51)], `length ${length}`).toEqual(["tamper", "tamper"]);
    }
  });
});

describe("an upload that is not complete", () => {
  async function begun() {
    const world = await createWorld(localKey());
    const { ref } = await world.objects.createUpload(callOf(world), PHOTO, putWanted());
    const part = { ...ref, partNumber: 1 };
    const { etag } = await world.objects.putPart(callOf(world), part, bodyOf(plainBytes(40)));
    const complete = () =>
      world.objects.completeUpload(callOf(world), ref, [{ partNumber: 1, etag, checksums: new Map() }], {
        conditions: { ifMatch: undefined, ifNoneMatch: undefined },
        sizeBytes: undefined,
        checksums: new Map(),
      });
    return { world, ref, part, complete };
  }

  test("with any bit of its record flipped takes no part and is neither listed nor completed", async () => {
    const { world, ref, part, complete } = await begun();
    const inner = world.storage.uploadState.bind(world.storage);
    const state = await inner(ref, SIGNAL);
    for (let bit = 0; bit < 8 * (state?.state.length ?? 0); bit += 3) {
      world.storage.uploadState = async (upload, signal) => {
        const found = await inner(upload, signal);
        return found && { ...found, state: flipped(found.state, bit) };
      };
      const outcomes = [
        await answerOf(() => world.objects.putPart(callOf(world), part, bodyOf(plainBytes(4)))),
        await answerOf(() => world.objects.parts(callOf(world), ref, 0, 10)),
        await answerOf(() => world.objects.uploads(callOf(world), "photos", { ...EVERY, afterUploadId: "" })),
        await answerOf(complete),
      ];
      for (const outcome of outcomes) expect(["tamper", "InternalError"], `bit ${bit}`).toContain(outcome);
    }
  });

  test("with any bit of a part's record flipped, or a part of another length, is not completed", async () => {
    const { world, ref, complete } = await begun();
    const inner = world.storage.parts.bind(world.storage);
    const [stored] = (await inner(ref, 0, 1, SIGNAL)).items;
    for (let bit = 0; bit < 8 * (stored?.envelope.length ?? 0); bit += 1) {
      world.storage.parts = async (upload, after, limit, signal) => {
        const page = await inner(upload, after, limit, signal);
        return { ...page, items: page.items.map((one) => ({ ...one, envelope: flipped(one.envelope, bit) })) };
      };
      expect(["tamper", "InternalError"], `bit ${bit}`).toContain(await answerOf(complete));
    }
    world.storage.parts = async (upload, after, limit, signal) => {
      const page = await inner(upload, after, limit, signal);
      return { ...page, items: page.items.map((one) => ({ ...one, storedBytes: one.storedBytes + 1 })) };
    };
    expect(await answerOf(complete)).toBe("tamper");
    world.storage.parts = inner;
    expect(await answerOf(complete)).not.toBe("tamper");
  });
});

describe("a bucket key", () => {
  const path = async (bucket: string, world: World) =>
    (await world.storage.documents(`bucket/${bucket}/key/`, "", 10, SIGNAL)).items[0] as {
      path: string;
      bytes: Uint8Array;
    };

  async function withKeys(): Promise<World> {
    const world = await createWorld(localKey());
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(5)), putWanted());
    await world.objects.put(callOf(world), { bucket: "music", name: "m" }, bodyOf(plainBytes(5)), putWanted());
    return world;
  }

  async function outcomes(world: World, call: () => Call): Promise<string[]> {
    await restart(world);
    return [
      await answerOf(() => readAll(world, 0, undefined, call())),
      await answerOf(() => world.objects.head(call(), PHOTO, getWanted())),
      await answerOf(() => world.objects.list(call(), "photos", EVERY)),
    ];
  }

  test("whose record is that of another bucket opens nothing", async () => {
    const world = await withKeys();
    const [own, foreign] = [await path("photos", world), await path("music", world)];
    const { tag } = (await world.storage.document(own.path, SIGNAL)) as { tag: string };
    await world.storage.putDocument(own.path, foreign.bytes, tag, SIGNAL);
    expect(await outcomes(world, () => callOf(world))).toEqual(ALL_TAMPER);
  });

  test("whose record has any byte changed, its epoch with them, opens nothing", async () => {
    const world = await withKeys();
    const own = await path("photos", world);
    for (let at = 0; at < own.bytes.length; at += 5) {
      const { tag } = (await world.storage.document(own.path, SIGNAL)) as { tag: string };
      await world.storage.putDocument(own.path, flipped(own.bytes, 8 * at), tag, SIGNAL);
      for (const outcome of await outcomes(world, () => callOf(world))) {
        expect(["answered", "NoSuchKey", "NoSuchBucket", "AccessDenied"], `byte ${at}`).not.toContain(outcome);
      }
    }
  });

  test("whose record has gone is an error, not an absence, and no other is made in its place", async () => {
    const world = await withKeys();
    const own = await path("photos", world);
    const { tag } = (await world.storage.document(own.path, SIGNAL)) as { tag: string };
    await world.storage.removeDocument(own.path, tag, SIGNAL);
    for (const outcome of await outcomes(world, () => callOf(world))) {
      expect(["answered", "NoSuchKey", "NoSuchBucket", "AccessDenied"]).not.toContain(outcome);
    }
  });

  test("of a source that the configuration does not allow is not asked for", async () => {
    const world = await withKeys();
    const elsewhere = Object.assign(Object.create(world) as World, { key: localKey() });
    const call = () => callOf(elsewhere, { buckets: [bucketEntry("photos")] });
    for (const outcome of await outcomes(world, call)) {
      expect(["answered", "NoSuchKey", "NoSuchBucket"]).not.toContain(outcome);
    }
  });
});
