import { createSecretKey } from "node:crypto";
import { expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import type { BucketKey } from "../keys/keys.ts";
import type { Entry } from "../storage/storage.ts";
import { type Edits, flipped, tamperingWith } from "./contract/tampering.ts";
import { bodyOf, callOf, createWorld, getWanted, PHOTO, plainBytes, putWanted, read } from "./contract/world.ts";
import { createOpenedMemory, type OpenedObject } from "./opened.ts";

function bucketKey(): BucketKey {
  const key = createSecretKey(new Uint8Array(32));
  return { id: new Uint8Array(16), key, epoch: 1, provider: "local", kmsKeyId: "k" };
}

function opened(name: string, under: BucketKey): OpenedObject {
  const entry: Entry = {
    ref: { bucket: "photos", name },
    version: "",
    tag: "t",
    marker: false,
    storedBytes: 1,
    modifiedMs: 1,
    envelope: new Uint8Array(1),
  };
  const key = { mode: "bucket", dataKey: new Uint8Array(32) } as const;
  const contents = { key, modifiedMs: 1, shown: "nothing" } as const;
  return { entry, contents, bucketKey: under, bodyId: new Uint8Array(16), shared: {} };
}

test("an opened envelope is remembered only for equal bytes under the same key", () => {
  const memory = createOpenedMemory(10);
  const under = bucketKey();
  const one = opened("a", under);
  const bytes = new Uint8Array([1, 2, 3]);
  memory.put(one, bytes);
  bytes[0] = 9;
  expect(memory.get(one.entry, new Uint8Array([1, 2, 3]), under)?.contents).toBe(one.contents);
  expect(memory.get(one.entry, new Uint8Array([1, 2, 4]), under)).toBeUndefined();
  expect(memory.get(one.entry, new Uint8Array([1, 2, 3]), under)).toBeUndefined();
  memory.put(one, new Uint8Array([1]));
  expect(memory.get(one.entry, new Uint8Array([1]), bucketKey())).toBeUndefined();
  expect(memory.get(opened("b", under).entry, new Uint8Array([1]), under)).toBeUndefined();
});

test("nothing that hangs on an entry, such as a small body, is remembered with it", () => {
  const memory = createOpenedMemory(10);
  const under = bucketKey();
  const one = opened("a", under);
  const bytes = new Uint8Array(1);
  memory.put(one, bytes);
  const now = { ...one.entry, tag: "now" };
  expect(memory.get(now, bytes, under)?.entry).toBe(now);
  expect(JSON.stringify(memory.get(now, bytes, under))).not.toContain('"t"');
});

test("what was not asked for the longest is forgotten first", () => {
  const memory = createOpenedMemory(2);
  const under = bucketKey();
  const bytes = new Uint8Array(1);
  const [a, b, c] = [opened("a", under), opened("b", under), opened("c", under)];
  memory.put(a, bytes);
  memory.put(b, bytes);
  memory.get(a.entry, bytes, under);
  memory.put(c, bytes);
  expect([a, b, c].map(({ entry }) => memory.get(entry, bytes, under) !== undefined)).toEqual([true, false, true]);
});

test("the tag and the length of what is found now are never those of what was remembered", async () => {
  const world = await createWorld(localKey());
  await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(9)), putWanted());
  const first = await world.objects.head(callOf(world), PHOTO, getWanted());
  const find = world.storage.find.bind(world.storage);
  world.storage.find = async (ref, signal) => {
    const entry = await find(ref, signal);
    return entry && { ...entry, storedBytes: entry.storedBytes - 1 };
  };
  await expect(world.objects.head(callOf(world), PHOTO, getWanted())).rejects.toMatchObject({ tamper: true });
  expect(first.info.sizeBytes).toBe(9);
});

test("what was read before is opened and checked again, whatever is remembered of its envelope", async () => {
  const edits: Edits = {};
  const world = await createWorld(localKey(), { around: tamperingWith(() => edits) });
  const bytes = plainBytes(40_000);
  await world.objects.put(callOf(world), PHOTO, bodyOf(bytes), putWanted());
  for (const range of [undefined, { kind: "bytes", first: 20_000, last: 39_999 } as const, undefined]) {
    const from = range?.first ?? 0;
    expect(Buffer.compare(await read(world, PHOTO, range), bytes.subarray(from))).toBe(0);
  }
  edits.body = (stored) => flipped(stored, 8 * 30_000);
  await expect(read(world, PHOTO)).rejects.toMatchObject({ tamper: true });
  edits.body = (stored) => flipped(stored, 8 * 40);
  await expect(read(world, PHOTO)).rejects.toMatchObject({ tamper: true });
  delete edits.body;
  expect(Buffer.compare(await read(world, PHOTO), bytes)).toBe(0);
});

test("the newest body is read under a name, whatever is remembered of the one before", async () => {
  const world = await createWorld(localKey());
  for (const seed of [1, 2]) {
    const bytes = plainBytes(500, seed);
    await world.objects.put(callOf(world), PHOTO, bodyOf(bytes), putWanted());
    for (const _again of [1, 2]) expect(Buffer.compare(await read(world, PHOTO), bytes)).toBe(0);
  }
});
