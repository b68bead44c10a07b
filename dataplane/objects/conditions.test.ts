import { describe, expect, test } from "vitest";
import { Failure } from "../failure.ts";
import { isConditional, judgeRead, judgeWrite } from "./conditions.ts";
import type { ReadConditions, WriteConditions } from "./store.ts";

const NONE: ReadConditions = {
  ifMatch: undefined,
  ifNoneMatch: undefined,
  ifModifiedSinceMs: undefined,
  ifUnmodifiedSinceMs: undefined,
};
const AT_MS = 1_764_000_000_500;
const FOUND = { etag: "e1", modifiedMs: AT_MS };

function verdict(judge: () => unknown): unknown {
  try {
    return judge() ?? "holds";
  } catch (error) {
    if (error instanceof Failure) return error.code;
    throw error;
  }
}

describe("judgeRead()", () => {
  const rows: readonly (readonly [string, Partial<ReadConditions>, string])[] = [
    ["nothing is asked", {}, "holds"],
    ["If-Match names it", { ifMatch: ["e0", "e1"] }, "holds"],
    ["If-Match is *", { ifMatch: ["*"] }, "holds"],
    ["If-Match names another", { ifMatch: ["e0"] }, "PreconditionFailed"],
    ["If-Match holds, so If-Unmodified-Since is not looked at", { ifMatch: ["e1"], ifUnmodifiedSinceMs: 0 }, "holds"],
    ["it was modified since", { ifUnmodifiedSinceMs: AT_MS - 1000 }, "PreconditionFailed"],
    ["it was modified within that second", { ifUnmodifiedSinceMs: AT_MS - 500 }, "holds"],
    ["If-None-Match names it", { ifNoneMatch: ["e1"] }, "NotModified"],
    ["If-None-Match is *", { ifNoneMatch: ["*"] }, "NotModified"],
    ["If-None-Match names another", { ifNoneMatch: ["e0"] }, "holds"],
    [
      "If-None-Match holds, so If-Modified-Since is not looked at",
      { ifNoneMatch: ["e0"], ifModifiedSinceMs: AT_MS },
      "holds",
    ],
    ["it was not modified since", { ifModifiedSinceMs: AT_MS + 1000 }, "NotModified"],
    ["it was modified within that second, so not since", { ifModifiedSinceMs: AT_MS - 500 }, "NotModified"],
    ["it was modified a second later", { ifModifiedSinceMs: AT_MS - 1000 }, "holds"],
    ["If-Match fails before If-None-Match is asked", { ifMatch: ["e0"], ifNoneMatch: ["e1"] }, "PreconditionFailed"],
  ];
  test.each(rows)("%s", (_sentence, asked, expected) => {
    expect(verdict(() => judgeRead({ ...NONE, ...asked }, FOUND))).toBe(expected);
  });

  test("a 304 carries ETag and Last-Modified", () => {
    expect(() => judgeRead({ ...NONE, ifNoneMatch: ["e1"] }, FOUND)).toThrow(
      expect.objectContaining({ headers: { ETag: '"e1"', "Last-Modified": "Mon, 24 Nov 2025 16:00:00 GMT" } }),
    );
  });
});

describe("judgeWrite()", () => {
  const found = { tag: "t1", etag: "e1" };
  const rows: readonly (readonly [string, Partial<WriteConditions>, typeof found | undefined, string])[] = [
    ["nothing is asked of nothing", {}, undefined, "holds"],
    ["nothing is asked of something", {}, found, "holds"],
    ["a creation finds nothing", { ifNoneMatch: "*" }, undefined, "absent"],
    ["a creation finds something", { ifNoneMatch: "*" }, found, "PreconditionFailed"],
    ["a replacement finds what it names", { ifMatch: "e1" }, found, "t1"],
    ["a replacement of whatever there is", { ifMatch: "*" }, found, "t1"],
    ["a replacement finds another", { ifMatch: "e0" }, found, "PreconditionFailed"],
    ["a replacement finds nothing", { ifMatch: "e1" }, undefined, "NoSuchKey"],
    ["both at once", { ifMatch: "e1", ifNoneMatch: "*" }, found, "NotImplemented"],
  ];
  test.each(rows)("%s", (_sentence, asked, there, expected) => {
    const conditions: WriteConditions = { ifMatch: undefined, ifNoneMatch: undefined, ...asked };
    expect(verdict(() => judgeWrite(conditions, there))).toBe(expected);
    expect(isConditional(conditions)).toBe(Object.keys(asked).length > 0);
  });
});
