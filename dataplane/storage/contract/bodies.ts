/* Contract: bodies go in and come out as they were, whole or in ranges, whatever their size, and outlive what replaces
 * them for as long as somebody reads. */

import { afterEach, beforeEach, expect, it } from "vitest";
import type { Storage } from "../storage.ts";
import {
  BUCKET,
  bytesOf,
  get,
  type OpenEmpty,
  type Opened,
  put,
  readAll,
  ref,
  rejection,
  SIGNAL,
  sourceOf,
} from "./bench.ts";

const MIB = 1024 * 1024;

/** Around every size at which a storage may do something else. */
const SIZES: readonly number[] = [
  0,
  1,
  80,
  65_535,
  65_536,
  65_680,
  65_681,
  65_700,
  65_701,
  69_632,
  262_144,
  MIB - 1,
  MIB,
  MIB + 1,
  5 * MIB + 7,
];

export function bodiesContract(open: OpenEmpty): void {
  let opened: Opened;
  let storage: Storage;

  beforeEach(async () => {
    opened = await open(Date.now);
    storage = opened.storage;
    await storage.createBucket(BUCKET, SIGNAL);
  });
  afterEach(() => opened.end());

  it.each(SIZES)("a body of %i bytes comes out as it went in, with its envelope and size", async (length) => {
    const bytes = bytesOf("body", length);
    const entry = await put(storage, "a", bytes);
    const found = await storage.find(ref("a"), SIGNAL);
    expect(found).toMatchObject({ ref: ref("a"), storedBytes: length, marker: false, tag: entry.tag });
    expect(await get(storage, "a")).toEqual({ envelope: "envelope of a", bytes: Buffer.from(bytes) });
    expect((await readAll(storage, entry)).equals(bytes)).toBe(true);
  });

  it.each(SIZES)("every kind of range of a body of %i bytes equals the slice", async (length) => {
    const bytes = bytesOf("body", length);
    const entry = await put(storage, "a", bytes);
    const edges = [0, 1, 65_536, MIB - 1, MIB, MIB + 1, 2 * MIB, length - 1, length].filter(
      (edge) => edge >= 0 && edge <= length,
    );
    for (const from of edges) {
      for (const to of edges.filter((edge) => edge >= from)) {
        expect((await readAll(storage, entry, from, to)).equals(bytes.subarray(from, to))).toBe(true);
      }
    }
  });

  it.each([1, 7, 1_000, 65_536, 3 * MIB])("a body may come in pieces of %i bytes", async (blockBytes) => {
    const bytes = bytesOf("pieces", blockBytes < 1_000 ? 70_000 : 4 * MIB + 3);
    await put(storage, "a", bytes, { blockBytes });
    expect((await get(storage, "a"))?.bytes.equals(bytes)).toBe(true);
  });

  it("one write may bring thousands of buffers", async () => {
    const bytes = bytesOf("many", 200_000);
    const draft = storage.draft(ref("a"), sourceOf("e"), SIGNAL);
    await draft.write(Array.from({ length: 5_000 }, (_, at) => bytes.subarray(at * 40, (at + 1) * 40)));
    await draft.commit();
    expect((await get(storage, "a"))?.bytes.equals(bytes)).toBe(true);
  });

  it("what was never written is absent, and a version that is not kept is too", async () => {
    await put(storage, "a", bytesOf("a", 3));
    expect(await storage.find(ref("b"), SIGNAL)).toBeUndefined();
    expect(await storage.find(ref("A"), SIGNAL)).toBeUndefined();
    expect(await storage.find({ ...ref("a"), version: "v1" }, SIGNAL)).toBeUndefined();
  });

  it.each(["", "\u0000", "a\u0000b", "../../etc/passwd", "/", "//", ".", "a".repeat(1_024), "é", "é", "😀"])(
    "the name %j is a name like any other",
    async (name) => {
      await put(storage, name, bytesOf(name, 10));
      await put(storage, `${name}x`, bytesOf("other", 10));
      expect((await get(storage, name))?.bytes.equals(bytesOf(name, 10))).toBe(true);
      await storage.remove(ref(name), undefined, SIGNAL);
      expect(await storage.find(ref(name), SIGNAL)).toBeUndefined();
      expect(await storage.find(ref(`${name}x`), SIGNAL)).toBeDefined();
    },
  );

  it("a discarded draft leaves nothing, small or large, and discarding twice is safe", async () => {
    for (const length of [10, 3 * MIB]) {
      const draft = storage.draft(ref("a"), sourceOf("e"), SIGNAL);
      await draft.write([bytesOf("a", length)]);
      await draft.discard();
      await draft.discard();
      expect(await storage.find(ref("a"), SIGNAL)).toBeUndefined();
    }
  });

  it("discarding after the commit changes nothing", async () => {
    await put(storage, "a", bytesOf("a", 2 * MIB));
    expect((await get(storage, "a"))?.bytes.length).toBe(2 * MIB);
  });

  it.each([10, 3 * MIB])("an aborted draft of %i bytes takes nothing more and leaves nothing", async (length) => {
    const controller = new AbortController();
    const draft = storage.draft(ref("a"), sourceOf("e"), controller.signal);
    await draft.write([bytesOf("a", length)]);
    controller.abort(new Error("gone"));
    await expect((async () => draft.write([bytesOf("b", 1)]))()).rejects.toThrow("gone");
    await expect(draft.commit()).rejects.toThrow("gone");
    await draft.discard();
    expect(await storage.find(ref("a"), SIGNAL)).toBeUndefined();
  });

  it.each([100, 5 * MIB])(
    "who has begun to read %i bytes reads on when they are replaced or removed",
    async (length) => {
      const bytes = bytesOf("old", length);
      for (const ending of ["replace", "remove"] as const) {
        const entry = await put(storage, "a", bytes);
        const reading = storage.read(entry, 0, length, SIGNAL)[Symbol.asyncIterator]();
        const first = await reading.next();
        const blocks = [Uint8Array.from(first.value ?? [])];
        await (ending === "replace"
          ? put(storage, "a", bytesOf("new", length))
          : storage.remove(ref("a"), undefined, SIGNAL));
        await new Promise((resolve) => setTimeout(resolve, 150));
        for (let step = await reading.next(); step.done !== true; step = await reading.next()) {
          blocks.push(Uint8Array.from(step.value));
        }
        expect(Buffer.concat(blocks).equals(bytes)).toBe(true);
      }
    },
  );

  it.each([100, 3 * MIB])("an entry of %i bytes that was replaced reads as it was, or not at all", async (length) => {
    const bytes = bytesOf("old", length);
    await put(storage, "a", bytes);
    const entry = await storage.find(ref("a"), SIGNAL);
    await put(storage, "a", bytesOf("new", length));
    const outcome = await readAll(storage, entry ?? expect.fail()).catch((error: unknown) => error);
    if (Buffer.isBuffer(outcome)) {
      expect(outcome.equals(bytes)).toBe(true);
    } else {
      expect(outcome).toMatchObject(rejection("changed"));
    }
  });

  it("reading ends when it is aborted", async () => {
    const entry = await put(storage, "a", bytesOf("a", 5 * MIB));
    const controller = new AbortController();
    const reading = async () => {
      for await (const block of storage.read(entry, 0, entry.storedBytes, controller.signal)) {
        expect(block.length).toBeGreaterThan(0);
        controller.abort(new Error("gone"));
      }
    };
    await expect(reading()).rejects.toThrow("gone");
  });

  it.each([0, 10, 2 * MIB])("a tail is kept beside a body of %i bytes", async (length) => {
    const tail = bytesOf("tail", 5_000);
    const entry = await put(storage, "a", bytesOf("a", length), { tail });
    expect(Buffer.from(await storage.tail(entry, SIGNAL)).equals(tail)).toBe(true);
    expect((await readAll(storage, entry)).equals(bytesOf("a", length))).toBe(true);
    const without = await put(storage, "b", bytesOf("b", length));
    expect(await storage.tail(without, SIGNAL)).toHaveLength(0);
  });

  it.each([0, 10, 2 * MIB])("a copy of %i bytes has the body and tail and its own envelope", async (length) => {
    const tail = bytesOf("tail", 10);
    const from = await put(storage, "from", bytesOf("a", length), { tail });
    await put(storage, "to", bytesOf("old", 3 * MIB));
    const to = await storage.copy(from, ref("to"), Buffer.from("copied"), undefined, SIGNAL);
    await storage.remove(ref("from"), undefined, SIGNAL);
    expect(await get(storage, "to")).toEqual({ envelope: "copied", bytes: Buffer.from(bytesOf("a", length)) });
    expect(Buffer.from(await storage.tail(to, SIGNAL)).equals(tail)).toBe(true);
    await expect(storage.copy(from, ref("x"), Buffer.from("e"), undefined, SIGNAL)).rejects.toMatchObject(
      rejection("changed"),
    );
  });

  it("a copy onto itself changes the envelope alone", async () => {
    for (const length of [10, 2 * MIB]) {
      const from = await put(storage, "a", bytesOf("a", length));
      const to = await storage.copy(from, ref("a"), Buffer.from("new"), from.tag, SIGNAL);
      expect(to.tag).not.toBe(from.tag);
      expect(await get(storage, "a")).toEqual({ envelope: "new", bytes: Buffer.from(bytesOf("a", length)) });
    }
  });

  it("an update changes the envelope and the tag, and leaves body, tail and time", async () => {
    const entry = await put(storage, "a", bytesOf("a", 2 * MIB), { tail: bytesOf("tail", 9) });
    const updated = await storage.update(entry, Buffer.from("updated"), SIGNAL);
    expect(updated.tag).not.toBe(entry.tag);
    expect(updated).toMatchObject({ storedBytes: 2 * MIB, version: entry.version });
    expect(updated.modifiedMs === entry.modifiedMs || !storage.traits.updateKeepsTime).toBe(true);
    expect(await get(storage, "a")).toEqual({ envelope: "updated", bytes: Buffer.from(bytesOf("a", 2 * MIB)) });
    expect(await storage.tail(updated, SIGNAL)).toHaveLength(9);
  });

  it("an envelope may be some kilobytes long, and one beyond measure is refused or kept, never cut", async () => {
    const long = "x".repeat(20_000);
    await put(storage, "a", bytesOf("a", 1), { envelope: long });
    expect((await get(storage, "a"))?.envelope).toBe(long);
  });

  it("whatever was begun and given up leaves no body without a record", async () => {
    await put(storage, "a", bytesOf("a", 2 * MIB));
    await put(storage, "a", bytesOf("b", 10));
    await storage.remove(ref("a"), undefined, SIGNAL);
    expect(await storage.check(SIGNAL)).toEqual([]);
  });
}
