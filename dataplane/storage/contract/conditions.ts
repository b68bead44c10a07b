/* Contract: the one condition is judged in the same step as the commit, so of two that race one wins; and buckets. */

import { afterEach, beforeEach, expect, it } from "vitest";
import type { Storage } from "../storage.ts";
import {
  BUCKET,
  bytesOf,
  get,
  type OpenEmpty,
  type Opened,
  put,
  query,
  ref,
  rejection,
  SIGNAL,
  sourceOf,
  upload,
} from "./bench.ts";

const MIB = 1024 * 1024;

export function conditionsContract(open: OpenEmpty): void {
  let opened: Opened;
  let storage: Storage;

  beforeEach(async () => {
    opened = await open(Date.now);
    storage = opened.storage;
    await storage.createBucket(BUCKET, SIGNAL);
  });
  afterEach(() => opened.end());

  it.each([10, MIB])("of many that create the same name with %i bytes one wins", async (length) => {
    const racing = Array.from({ length: 8 }, (_, at) =>
      put(storage, "a", bytesOf(`${at}`, length), { expect: "absent", envelope: `${at}` }),
    );
    const outcomes = await Promise.allSettled(racing);
    const won = outcomes.flatMap((outcome, at) => (outcome.status === "fulfilled" ? [at] : []));
    expect(won).toHaveLength(1);
    for (const outcome of outcomes) {
      if (outcome.status === "rejected") {
        expect(outcome.reason).toMatchObject(rejection("changed"));
      }
    }
    expect(await get(storage, "a")).toEqual({
      envelope: `${won[0]}`,
      bytes: Buffer.from(bytesOf(`${won[0]}`, length)),
    });
  });

  it("of many that replace the same state one wins", async () => {
    const old = await put(storage, "a", bytesOf("old", 10));
    const racing = Array.from({ length: 8 }, () => put(storage, "a", bytesOf("new", 10), { expect: old.tag }));
    const outcomes = await Promise.allSettled(racing);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("a tag never names another state, not even of the same bytes", async () => {
    const tags = new Set<string>();
    for (let round = 0; round < 5; round += 1) {
      const entry = await put(storage, "a", bytesOf("same", 10));
      const updated = await storage.update(entry, Buffer.from("envelope of a"), SIGNAL);
      tags.add(entry.tag).add(updated.tag);
      await storage.remove(ref("a"), updated.tag, SIGNAL);
    }
    expect(tags.size).toBe(10);
  });

  it.each([10, MIB])(
    "a draft of %i bytes that was refused can be committed under another condition",
    async (length) => {
      const old = await put(storage, "a", bytesOf("old", 10));
      const draft = storage.draft(ref("a"), sourceOf("new"), SIGNAL);
      await draft.write([bytesOf("new", length)]);
      await expect(draft.commit("absent")).rejects.toMatchObject(rejection("changed"));
      expect((await get(storage, "a"))?.bytes.equals(bytesOf("old", 10))).toBe(true);
      await draft.commit(old.tag);
      expect(await get(storage, "a")).toEqual({ envelope: "new", bytes: Buffer.from(bytesOf("new", length)) });
    },
  );

  it("each condition that does not hold refuses, and changes nothing", async () => {
    const old = await put(storage, "a", bytesOf("old", 10));
    const changed = rejection("changed");
    const bytes = bytesOf("new", 10);
    await expect(put(storage, "a", bytes, { expect: "absent" })).rejects.toMatchObject(changed);
    await expect(put(storage, "a", bytes, { expect: "another" })).rejects.toMatchObject(changed);
    await expect(put(storage, "b", bytes, { expect: old.tag })).rejects.toMatchObject(changed);
    await expect(storage.remove(ref("a"), "another", SIGNAL)).rejects.toMatchObject(changed);
    await expect(storage.remove(ref("b"), old.tag, SIGNAL)).rejects.toMatchObject(changed);
    await expect(storage.copy(old, ref("a"), Buffer.from("e"), "absent", SIGNAL)).rejects.toMatchObject(changed);
    await expect(storage.copy(old, ref("b"), Buffer.from("e"), "another", SIGNAL)).rejects.toMatchObject(changed);
    const gone = { ...old, tag: "another" };
    await expect(storage.update(gone, Buffer.from("e"), SIGNAL)).rejects.toMatchObject(changed);
    await expect(storage.update({ ...old, ref: ref("b") }, Buffer.from("e"), SIGNAL)).rejects.toMatchObject(changed);
    expect((await storage.find(ref("a"), SIGNAL))?.tag).toBe(old.tag);
    expect(await storage.find(ref("b"), SIGNAL)).toBeUndefined();
  });

  it("removing what is absent is no error, and removing twice neither", async () => {
    await storage.remove(ref("a"), undefined, SIGNAL);
    await put(storage, "a", bytesOf("a", 1));
    await storage.remove(ref("a"), undefined, SIGNAL);
    await storage.remove(ref("a"), undefined, SIGNAL);
    await storage.remove(ref("a"), "absent", SIGNAL);
  });

  it("a bucket can be made twice, keeps what it holds, and goes only when it is empty", async () => {
    await put(storage, "a", bytesOf("a", 1));
    await storage.createBucket(BUCKET, SIGNAL);
    expect(await get(storage, "a")).toBeDefined();
    await expect(storage.removeBucket(BUCKET, SIGNAL)).rejects.toMatchObject(rejection("not-empty"));
    await storage.remove(ref("a"), undefined, SIGNAL);
    await storage.createUpload(upload("u"), Buffer.from("s"), sourceOf("e"), SIGNAL);
    await storage.removeBucket(BUCKET, SIGNAL);
    await storage.createBucket(BUCKET, SIGNAL);
    expect(await storage.uploadState(upload("u"), SIGNAL)).toBeUndefined();
  });

  it.each([10, MIB])("a body of %i bytes ends in no later bucket of the same name", async (length) => {
    const draft = storage.draft(ref("a"), sourceOf("e"), SIGNAL);
    await draft.write([bytesOf("a", length)]);
    await storage.removeBucket(BUCKET, SIGNAL);
    await storage.createBucket(BUCKET, SIGNAL);
    await expect(draft.commit()).rejects.toMatchObject(rejection("no-bucket"));
    await draft.discard();
    expect(await storage.find(ref("a"), SIGNAL)).toBeUndefined();
    await put(storage, "a", bytesOf("b", length));
    expect((await get(storage, "a"))?.bytes.equals(bytesOf("b", length))).toBe(true);
    expect(await storage.check(SIGNAL)).toEqual([]);
  });

  it("a refused removal of a bucket is none to a body that is on its way", async () => {
    await put(storage, "a", bytesOf("a", 1));
    const draft = storage.draft(ref("b"), sourceOf("e"), SIGNAL);
    await draft.write([bytesOf("b", 10)]);
    await expect(storage.removeBucket(BUCKET, SIGNAL)).rejects.toMatchObject(rejection("not-empty"));
    await draft.commit();
    expect((await get(storage, "b"))?.bytes.equals(bytesOf("b", 10))).toBe(true);
  });

  it("of a removal of the bucket and a write into it one wins", async () => {
    const outcomes = await Promise.allSettled([
      storage.removeBucket(BUCKET, SIGNAL),
      put(storage, "a", bytesOf("a", 1)),
    ]);
    expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("two buckets hold the same name apart", async () => {
    await storage.createBucket("other", SIGNAL);
    await put(storage, "a", bytesOf("a", 1));
    expect(await storage.find({ bucket: "other", name: "a" }, SIGNAL)).toBeUndefined();
    expect((await storage.list("other", query(), SIGNAL)).items).toEqual([]);
  });

  it("everything in a bucket that does not exist is refused, never found absent", async () => {
    const none = { bucket: "none", name: "a" };
    const noBucket = rejection("no-bucket");
    const draft = storage.draft(none, sourceOf("e"), SIGNAL);
    await expect(draft.commit()).rejects.toMatchObject(noBucket);
    await draft.discard();
    await expect(storage.find(none, SIGNAL)).rejects.toMatchObject(noBucket);
    await expect(storage.list("none", query(), SIGNAL)).rejects.toMatchObject(noBucket);
    await expect(storage.uploads("none", query(), SIGNAL)).rejects.toMatchObject(noBucket);
    await expect(storage.remove(none, undefined, SIGNAL)).rejects.toMatchObject(noBucket);
    await expect(storage.removeBucket("none", SIGNAL)).rejects.toMatchObject(noBucket);
    const begun = { ...none, uploadId: "u" };
    await expect(storage.createUpload(begun, Buffer.from("s"), sourceOf("e"), SIGNAL)).rejects.toMatchObject(noBucket);
    await expect(storage.uploadState(begun, SIGNAL)).rejects.toMatchObject(noBucket);
    const entry = await put(storage, "a", bytesOf("a", 1));
    await expect(storage.copy(entry, none, Buffer.from("e"), undefined, SIGNAL)).rejects.toMatchObject(noBucket);
  });

  it("versions are kept or refused, never pretended", async () => {
    const attempt = storage.setVersioning(BUCKET, "enabled", SIGNAL);
    const outcome = await attempt.then(() => "kept").catch((error: unknown) => error);
    if (outcome !== "kept") {
      expect(outcome).toMatchObject(rejection("unsupported"));
      await expect(storage.mark(ref("a"), Buffer.from("e"), SIGNAL)).rejects.toMatchObject(rejection("unsupported"));
      const versions = storage.list(BUCKET, query({ versions: true }), SIGNAL);
      await expect(versions).rejects.toMatchObject(rejection("unsupported"));
    }
  });
}
