/* Contract: uploads in parts. The last commit of a part wins with its own envelope; completing is one step. */

import { afterEach, beforeEach, expect, it } from "vitest";
import type { Part, Storage } from "../storage.ts";
import {
  BUCKET,
  bytesOf,
  get,
  type OpenEmpty,
  type Opened,
  put,
  putPart,
  query,
  readAll,
  ref,
  rejection,
  SIGNAL,
  sourceOf,
  upload,
} from "./bench.ts";

const MIB = 1024 * 1024;
const DAY_MS = 24 * 60 * 60 * 1000;

export function multipartContract(open: OpenEmpty): void {
  let opened: Opened;
  let storage: Storage;
  let nowMs: number;
  const of = upload("a");

  beforeEach(async () => {
    nowMs = 1_764_000_000_000;
    opened = await open(() => nowMs);
    storage = opened.storage;
    await storage.createBucket(BUCKET, SIGNAL);
    await storage.createUpload(of, Buffer.from("state"), sourceOf("e"), SIGNAL);
  });
  afterEach(() => opened.end());

  const complete = (parts: readonly Part[], envelope = "whole") =>
    storage.complete(of, parts, sourceOf(envelope, bytesOf("tail", 50)), undefined, SIGNAL);

  it("an upload has its state and start until it ends, and its id once", async () => {
    const found = await storage.uploadState(of, SIGNAL);
    expect(Buffer.from(found?.state ?? []).toString()).toBe("state");
    expect(found).toMatchObject({ startedMs: nowMs, completed: undefined });
    expect(await storage.uploadState(upload("a", "u2"), SIGNAL)).toBeUndefined();
    expect(await storage.uploadState(upload("b"), SIGNAL)).toBeUndefined();
    const again = storage.createUpload(of, Buffer.from("s"), sourceOf("e"), SIGNAL);
    await expect(again).rejects.toMatchObject(rejection("exists"));
  });

  it("an upload gets another state for exactly the one that was found, and keeps its start and its parts", async () => {
    const part = await putPart(storage, of, 1, bytesOf("p", MIB));
    const found = { ...of, state: Buffer.from("state") };
    nowMs += 5;
    await storage.updateUpload(found, Buffer.from("next"), SIGNAL);
    const after = await storage.uploadState(of, SIGNAL);
    expect(Buffer.from(after?.state ?? []).toString()).toBe("next");
    expect(after).toMatchObject({ startedMs: nowMs - 5, completed: undefined });
    const changed = rejection("changed");
    await expect(storage.updateUpload(found, Buffer.from("late"), SIGNAL)).rejects.toMatchObject(changed);
    await expect(storage.complete(found, [part], sourceOf("e"), undefined, SIGNAL)).rejects.toMatchObject(changed);
    expect(await storage.find(ref("a"), SIGNAL)).toBeUndefined();
    const next = { ...of, state: Buffer.from("next") };
    await storage.complete(next, [part], sourceOf("e"), undefined, SIGNAL);
    expect((await get(storage, "a"))?.bytes.equals(bytesOf("p", MIB))).toBe(true);
    const noUpload = rejection("no-upload");
    await expect(storage.updateUpload(next, Buffer.from("late"), SIGNAL)).rejects.toMatchObject(noUpload);
    await expect(storage.updateUpload({ ...found, name: "b" }, next.state, SIGNAL)).rejects.toMatchObject(noUpload);
  });

  it("the object is the listed parts in their order, with the tail and one envelope", async () => {
    const lengths = [3 * MIB, 70_000, 10, 0, 2 * MIB, 0];
    const bytes = lengths.map((length, at) => bytesOf(`part ${at}`, length));
    const parts: Part[] = [];
    for (const [at, part] of bytes.entries()) {
      parts.push(await putPart(storage, of, at * 100 + 1, part));
    }
    expect(await storage.find(ref("a"), SIGNAL)).toBeUndefined();
    const entry = await complete(parts);
    const all = Buffer.concat(bytes);
    expect(entry.storedBytes).toBe(all.length);
    expect(await get(storage, "a")).toEqual({ envelope: "whole", bytes: all });
    expect(Buffer.from(await storage.tail(entry, SIGNAL)).equals(bytesOf("tail", 50))).toBe(true);
    const edges = [0, 1, 3 * MIB - 1, 3 * MIB, 3 * MIB + 70_000, 3 * MIB + 70_005, 3 * MIB + 70_010, all.length];
    for (const from of edges) {
      for (const to of edges.filter((edge) => edge >= from)) {
        expect((await readAll(storage, entry, from, to)).equals(all.subarray(from, to))).toBe(true);
      }
    }
  });

  it("parts are listed ascending, in pages, each with its own envelope", async () => {
    for (const partNumber of [3, 1, 10_000, 2]) {
      await putPart(storage, of, partNumber, bytesOf("p", partNumber));
    }
    const first = await storage.parts(of, 0, 2, SIGNAL);
    expect(first.items.map((part) => part.partNumber)).toEqual([1, 2]);
    expect(first.next).toBe(2);
    const second = await storage.parts(of, 2, 2, SIGNAL);
    expect(second.items.map((part) => part.partNumber)).toEqual([3, 10_000]);
    expect(second.next).toBeUndefined();
    expect(second.items.map((part) => [part.storedBytes, Buffer.from(part.envelope).toString()])).toEqual([
      [3, "envelope of part 3"],
      [10_000, "envelope of part 10000"],
    ]);
  });

  it.each([10, MIB])("a part of %i bytes that is written again replaces the old one, in a race too", async (length) => {
    const old = await putPart(storage, of, 1, bytesOf("old", length), { envelope: "old" });
    const racing = await Promise.all(
      Array.from({ length: 6 }, (_, at) => putPart(storage, of, 1, bytesOf(`${at}`, length), { envelope: `${at}` })),
    );
    const { items } = await storage.parts(of, 0, 10, SIGNAL);
    expect(items).toHaveLength(1);
    const won = racing.find((part) => part.tag === items[0]?.tag);
    const envelope = Buffer.from(items[0]?.envelope ?? []).toString();
    expect(Buffer.from(won?.envelope ?? []).toString()).toBe(envelope);
    await expect(complete([old])).rejects.toMatchObject(rejection("changed"));
    await complete(items);
    expect((await get(storage, "a"))?.bytes.equals(bytesOf(envelope, length))).toBe(true);
  });

  it("completing replaces the old object, and takes no part that was not listed", async () => {
    await put(storage, "a", bytesOf("old", 2 * MIB));
    const kept = await putPart(storage, of, 1, bytesOf("kept", MIB));
    await putPart(storage, of, 2, bytesOf("left", MIB));
    await putPart(storage, of, 3, bytesOf("left", 10));
    await complete([kept]);
    expect((await get(storage, "a"))?.bytes.equals(bytesOf("kept", MIB))).toBe(true);
    expect((await storage.uploads(BUCKET, query(), SIGNAL)).items).toEqual([]);
  });

  it("completing again answers the same for a day, whatever came since, and then no longer", async () => {
    const part = await putPart(storage, of, 1, bytesOf("p", 10));
    const entry = await complete([part]);
    expect(await complete([part], "another")).toMatchObject({ tag: entry.tag, storedBytes: 10 });
    await storage.remove(ref("a"), undefined, SIGNAL);
    const again = await storage.complete(of, [part], sourceOf("another"), "absent", SIGNAL);
    expect(again.tag).toBe(entry.tag);
    expect(Buffer.from(again.envelope ?? []).toString()).toBe("whole");
    expect(await storage.find(ref("a"), SIGNAL)).toBeUndefined();
    nowMs += DAY_MS - 1;
    const kept = await storage.uploadState(of, SIGNAL);
    expect(kept?.completed).toMatchObject({ tag: entry.tag, storedBytes: 10, modifiedMs: entry.modifiedMs });
    expect(Buffer.from(kept?.completed?.envelope ?? []).toString()).toBe("whole");
    nowMs += 2;
    expect(await storage.uploadState(of, SIGNAL)).toBeUndefined();
  });

  it("an upload that has ended takes nothing more", async () => {
    const noUpload = rejection("no-upload");
    const draft = storage.part(of, 2, sourceOf("e"), SIGNAL);
    await draft.write([bytesOf("p", MIB)]);
    const part = await putPart(storage, of, 1, bytesOf("p", 10));
    await complete([part]);
    await expect(draft.commit()).rejects.toMatchObject(noUpload);
    await draft.discard();
    await expect(storage.abort(of, SIGNAL)).rejects.toMatchObject(noUpload);
    await expect(storage.parts(of, 0, 10, SIGNAL)).rejects.toMatchObject(noUpload);
    const again = storage.createUpload(of, Buffer.from("s"), sourceOf("e"), SIGNAL);
    await expect(again).rejects.toMatchObject(rejection("exists"));
  });

  it("an aborted upload is gone with its parts", async () => {
    const part = await putPart(storage, of, 1, bytesOf("p", MIB));
    await storage.abort(of, SIGNAL);
    expect(await storage.uploadState(of, SIGNAL)).toBeUndefined();
    await expect(storage.abort(of, SIGNAL)).rejects.toMatchObject(rejection("no-upload"));
    await expect(complete([part])).rejects.toMatchObject(rejection("no-upload"));
    expect(await storage.find(ref("a"), SIGNAL)).toBeUndefined();
  });

  it("a condition that does not hold, or a part that is missing, leaves the upload open", async () => {
    const part = await putPart(storage, of, 1, bytesOf("p", 10));
    await put(storage, "a", bytesOf("old", 10));
    const refused = storage.complete(of, [part], sourceOf("e"), "absent", SIGNAL);
    await expect(refused).rejects.toMatchObject(rejection("changed"));
    await expect(complete([part, { ...part, partNumber: 2 }])).rejects.toMatchObject(rejection("changed"));
    expect((await get(storage, "a"))?.bytes.equals(bytesOf("old", 10))).toBe(true);
    await complete([part]);
    expect((await get(storage, "a"))?.bytes.equals(bytesOf("p", 10))).toBe(true);
  });

  it("of many that complete the same upload all get the same object", async () => {
    const part = await putPart(storage, of, 1, bytesOf("p", MIB));
    const entries = await Promise.all([1, 2, 3, 4].map(() => complete([part])));
    expect(new Set(entries.map(({ tag }) => tag)).size).toBe(1);
  });

  it("an object of several parts is copied, replaced and removed like any other", async () => {
    const parts = [
      await putPart(storage, of, 1, bytesOf("1", MIB)),
      await putPart(storage, of, 2, bytesOf("2", MIB)),
      await putPart(storage, of, 3, bytesOf("3", 10)),
    ];
    const entry = await complete(parts);
    const all = Buffer.concat([bytesOf("1", MIB), bytesOf("2", MIB), bytesOf("3", 10)]);
    const reading = storage.read(entry, 0, all.length, SIGNAL)[Symbol.asyncIterator]();
    const first = await reading.next();
    const blocks = [Uint8Array.from(first.value ?? [])];
    const copied = await storage.copy(entry, ref("copy"), Buffer.from("copied"), "absent", SIGNAL);
    await storage.remove(ref("a"), undefined, SIGNAL);
    await new Promise((resolve) => setTimeout(resolve, 150));
    for (let step = await reading.next(); step.done !== true; step = await reading.next()) {
      blocks.push(Uint8Array.from(step.value));
    }
    expect(Buffer.concat(blocks).equals(all)).toBe(true);
    expect(await get(storage, "copy")).toEqual({ envelope: "copied", bytes: all });
    expect(Buffer.from(await storage.tail(copied, SIGNAL)).equals(bytesOf("tail", 50))).toBe(true);
    expect(await storage.check(SIGNAL)).toEqual([]);
  });
}
