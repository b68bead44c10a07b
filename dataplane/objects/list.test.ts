import { describe, expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import { callOf, createWorld, EVERY, fill } from "./contract/world.ts";
import { afterOf, lastOf } from "./list.ts";

// U+FFFD sorts before U+1F600 by bytes, and after it by JavaScript's units.
const NAMES = ["a", "a/b", "a/b/c", "a/d", "b//", "b//x", "z", "\uFFFD", "\u{1f600}"];

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
    await fill(world, NAMES);
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
    await fill(world, NAMES);
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
