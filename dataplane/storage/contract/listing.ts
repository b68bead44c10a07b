/* Contract: listings are ordered by bytes, page without loss or repetition, and fold common prefixes. */

import fc from "fast-check";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { After, ListQuery, Storage } from "../storage.ts";
import { BUCKET, bytesOf, type OpenEmpty, type Opened, put, query, ref, SIGNAL, sourceOf, upload } from "./bench.ts";

interface Shown {
  readonly names: readonly string[];
  readonly prefixes: readonly string[];
}

function byBytes(one: string, other: string): number {
  return Buffer.compare(Buffer.from(one), Buffer.from(other));
}

/** What a listing without pages shows, said in the plainest way. */
function shownOf(all: readonly string[], prefix: string, delimiter: string | undefined): Shown {
  const names: string[] = [];
  const prefixes = new Set<string>();
  for (const name of [...all].sort(byBytes).filter((candidate) => candidate.startsWith(prefix))) {
    const at = delimiter ? name.indexOf(delimiter, prefix.length) : -1;
    if (at < 0) {
      names.push(name);
    } else {
      prefixes.add(name.slice(0, at + (delimiter ?? "").length));
    }
  }
  return { names, prefixes: [...prefixes] };
}

export function listingContract(open: OpenEmpty): void {
  let opened: Opened;
  let storage: Storage;

  beforeEach(async () => {
    opened = await open(Date.now);
    storage = opened.storage;
    await storage.createBucket(BUCKET, SIGNAL);
  });
  afterEach(() => opened.end());

  async function putAll(names: readonly string[]): Promise<void> {
    await Promise.all(names.map((name) => put(storage, name, bytesOf(name, 5))));
  }

  async function pages(wanted: Partial<ListQuery>): Promise<Shown & { readonly count: number }> {
    const names: string[] = [];
    const prefixes: string[] = [];
    let after: After | undefined;
    for (let count = 1; ; count += 1) {
      const page = await storage.list(BUCKET, query({ ...wanted, after }), SIGNAL);
      names.push(...page.items.map((entry) => entry.ref.name));
      prefixes.push(...page.prefixes);
      expect(page.items.length + page.prefixes.length).toBeLessThanOrEqual(wanted.limit ?? 1_000);
      if (page.next === undefined) {
        return { names, prefixes, count };
      }
      after = page.next;
    }
  }

  it("names come in the order of their bytes, also beyond U+FFFF", async () => {
    await putAll(["b", "a", "ａ", "😀", "￮", "é", "a\u0000", "aa", "Z", "~", "a/b", "\ufeffb", "\ufffd"]);
    const { names } = await pages({});
    expect(names).toEqual(["Z", "a", "a\u0000", "a/b", "aa", "b", "~", "é", "\ufeffb", "ａ", "￮", "\ufffd", "😀"]);
  });

  it("an entry of a listing is the entry", async () => {
    const entry = await put(storage, "a", bytesOf("a", 5));
    const { items } = await storage.list(BUCKET, query(), SIGNAL);
    expect(items).toHaveLength(1);
    expect(items[0]).toMatchObject({ ref: ref("a"), tag: entry.tag, storedBytes: 5, modifiedMs: entry.modifiedMs });
    const envelope = items[0]?.envelope;
    expect(envelope === undefined).toBe(!storage.traits.listsEnvelopes);
    expect(envelope === undefined || Buffer.from(envelope).toString() === "envelope of a").toBe(true);
  });

  it("a page is truncated exactly when something would follow", async () => {
    await putAll(["a", "b", "c"]);
    for (const [limit, more] of [
      [0, false],
      [1, true],
      [2, true],
      [3, false],
      [4, false],
    ] as const) {
      const page = await storage.list(BUCKET, query({ limit }), SIGNAL);
      expect(page.items).toHaveLength(Math.min(limit, 3));
      expect(page.next !== undefined).toBe(more);
    }
  });

  it("a common prefix counts once, is reported once across pages, and truncates only what follows it", async () => {
    await putAll(["a", "b/1", "b/2", "b/3", "c"]);
    const first = await storage.list(BUCKET, query({ delimiter: "/", limit: 2 }), SIGNAL);
    expect([first.items.map(({ ref: { name } }) => name), first.prefixes]).toEqual([["a"], ["b/"]]);
    const second = await storage.list(BUCKET, query({ delimiter: "/", limit: 2, after: first.next }), SIGNAL);
    expect([second.items.map(({ ref: { name } }) => name), second.prefixes]).toEqual([["c"], []]);
    const last = await storage.list(BUCKET, query({ delimiter: "/", limit: 1, prefix: "b" }), SIGNAL);
    expect([last.items, last.prefixes, last.next]).toEqual([[], ["b/"], undefined]);
  });

  it("goes on behind a name or behind all that a prefix holds, whether these exist or not", async () => {
    await putAll(["a", "b/1", "b/2", "b0", "c"]);
    const names = async (after: After) =>
      (await storage.list(BUCKET, query({ after }), SIGNAL)).items.map((entry) => entry.ref.name);
    expect(await names({ skip: "name", name: "b/1" })).toEqual(["b/2", "b0", "c"]);
    expect(await names({ skip: "name", name: "b/" })).toEqual(["b/1", "b/2", "b0", "c"]);
    expect(await names({ skip: "prefix", name: "b/" })).toEqual(["b0", "c"]);
    expect(await names({ skip: "prefix", name: "b" })).toEqual(["c"]);
    expect(await names({ skip: "name", name: "zz" })).toEqual([]);
  });

  it("what was removed between two pages is not missed by the second", async () => {
    await putAll(["a", "b", "c", "d"]);
    const first = await storage.list(BUCKET, query({ limit: 2 }), SIGNAL);
    await storage.remove(ref("b"), undefined, SIGNAL);
    const second = await storage.list(BUCKET, query({ after: first.next }), SIGNAL);
    expect(second.items.map((entry) => entry.ref.name)).toEqual(["c", "d"]);
  });

  it("any names, prefix, delimiter and page size show what the plainest listing shows", async () => {
    const letter = fc.constantFrom("a", "b", "/", "//", "-", "￮", "😀", "\u0000");
    const text = (maxLength: number) => fc.array(letter, { maxLength }).map((letters) => letters.join(""));
    const names = fc.uniqueArray(text(6), { minLength: 30, maxLength: 60 });
    const queries = fc.array(
      fc.record({
        prefix: text(2),
        delimiter: fc.constantFrom(undefined, "", "/", "//", "a", "😀"),
        limit: fc.integer({ min: 1, max: 12 }),
      }),
      { minLength: 25, maxLength: 25 },
    );
    await fc.assert(
      fc.asyncProperty(names, queries, async (some, wanted) => {
        await putAll(some);
        for (const { prefix, delimiter, limit } of wanted) {
          const { count: _, ...shown } = await pages({ prefix, delimiter, limit });
          expect(shown).toEqual(shownOf(some, prefix, delimiter));
        }
        await Promise.all(some.map((name) => storage.remove(ref(name), undefined, SIGNAL)));
      }),
      { numRuns: 6 },
    );
  });

  it("uploads are listed by name and id, with prefix, delimiter and pages", async () => {
    const begun = [upload("b/1", "y"), upload("b/1", "x"), upload("a", "z"), upload("b/2", "x"), upload("c", "x")];
    for (const one of begun) {
      await storage.createUpload(one, Buffer.from("s"), sourceOf("e"), SIGNAL);
    }
    const shown = async (wanted: Partial<ListQuery>) => {
      const page = await storage.uploads(BUCKET, query(wanted), SIGNAL);
      return { uploads: page.items.map(({ name, uploadId }) => `${name} ${uploadId}`), page };
    };
    const all = ["a z", "b/1 x", "b/1 y", "b/2 x", "c x"];
    expect((await shown({})).uploads).toEqual(all);
    const paged: string[] = [];
    let after: After | undefined;
    do {
      const { uploads, page } = await shown({ limit: 1, after });
      paged.push(...uploads);
      after = page.next;
    } while (after !== undefined);
    expect(paged).toEqual(all);
    expect((await shown({ after: { skip: "name", name: "b/1" } })).uploads).toEqual(["b/2 x", "c x"]);
    const folded = await shown({ delimiter: "/" });
    expect([folded.uploads, folded.page.prefixes]).toEqual([["a z", "c x"], ["b/"]]);
  });
}
