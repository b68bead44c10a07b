/* Contract: documents, small things with compare-and-set. */

import { afterEach, beforeEach, expect, it } from "vitest";
import type { Storage } from "../storage.ts";
import { bytesOf, type OpenEmpty, type Opened, rejection, SIGNAL } from "./bench.ts";

export function documentsContract(open: OpenEmpty): void {
  let opened: Opened;
  let storage: Storage;

  beforeEach(async () => {
    opened = await open(Date.now);
    storage = opened.storage;
  });
  afterEach(() => opened.end());

  const write = (path: string, text: string, expected: string) =>
    storage.putDocument(path, Buffer.from(text), expected, SIGNAL);
  const read = async (path: string) => {
    const found = await storage.document(path, SIGNAL);
    return found && { path: found.path, text: Buffer.from(found.bytes).toString(), tag: found.tag };
  };

  it("a document is what was written last, needs no bucket, and may be empty or large", async () => {
    const first = await write("a/b", "one", "absent");
    expect(await read("a/b")).toEqual({ path: "a/b", text: "one", tag: first });
    const second = await write("a/b", "", first);
    expect(await read("a/b")).toEqual({ path: "a/b", text: "", tag: second });
    const large = bytesOf("large", 5 * 1024 * 1024);
    await storage.putDocument("large", large, "absent", SIGNAL);
    expect(Buffer.from((await storage.document("large", SIGNAL))?.bytes ?? []).equals(large)).toBe(true);
    expect(await read("a")).toBeUndefined();
  });

  it("what is no longer as expected is not written and not removed", async () => {
    const changed = rejection("changed");
    const first = await write("a", "one", "absent");
    await expect(write("a", "two", "absent")).rejects.toMatchObject(changed);
    await expect(write("b", "two", first)).rejects.toMatchObject(changed);
    const second = await write("a", "two", first);
    await expect(write("a", "three", first)).rejects.toMatchObject(changed);
    await expect(storage.removeDocument("a", first, SIGNAL)).rejects.toMatchObject(changed);
    expect(await read("a")).toEqual({ path: "a", text: "two", tag: second });
    await storage.removeDocument("a", second, SIGNAL);
    expect(await read("a")).toBeUndefined();
    await expect(storage.removeDocument("a", second, SIGNAL)).rejects.toMatchObject(changed);
    expect(await write("a", "one", "absent")).not.toBe(first);
  });

  it("of many that race one wins", async () => {
    const outcomes = await Promise.allSettled(Array.from({ length: 10 }, (_, at) => write("a", `${at}`, "absent")));
    const won = outcomes.flatMap((outcome, at) => (outcome.status === "fulfilled" ? [`${at}`] : []));
    expect(won).toHaveLength(1);
    expect((await read("a"))?.text).toBe(won[0]);
  });

  it("are listed below a prefix, ordered by bytes, in pages", async () => {
    for (const path of ["b/2", "b/1", "b/￮", "b/😀", "a", "b", "c/1", "b/10"]) {
      await write(path, path, "absent");
    }
    const all = ["b/1", "b/10", "b/2", "b/￮", "b/😀"];
    const whole = await storage.documents("b/", "", 100, SIGNAL);
    expect(whole.items.map(({ path }) => path)).toEqual(all);
    expect(whole.items.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(all);
    expect(whole.next).toBeUndefined();
    const paged: string[] = [];
    for (let after: string | undefined = ""; after !== undefined; ) {
      const page = await storage.documents("b/", after, 2, SIGNAL);
      paged.push(...page.items.map(({ path }) => path));
      after = page.next;
    }
    expect(paged).toEqual(all);
    expect((await storage.documents("", "b/2", 100, SIGNAL)).items.map(({ path }) => path)).toEqual([
      "b/￮",
      "b/😀",
      "c/1",
    ]);
    expect((await storage.documents("x", "", 100, SIGNAL)).items).toEqual([]);
  });
}
