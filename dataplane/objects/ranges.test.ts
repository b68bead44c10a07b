import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Failure } from "../failure.ts";
import { selectBytes } from "./ranges.ts";
import type { RangeWanted } from "./store.ts";

const PARTS = new Map([
  [1, 5],
  [3, 4],
]);

function selected(wanted: RangeWanted | undefined, sizeBytes: number, parts?: ReadonlyMap<number, number>): unknown {
  try {
    const { fromByte, toByte, partial } = selectBytes(wanted, sizeBytes, parts);
    return `${fromByte}-${toByte}${partial ? " of it" : ""}`;
  } catch (error) {
    if (error instanceof Failure) return error.code;
    throw error;
  }
}

describe("selectBytes()", () => {
  const bytes = (first: number, last?: number): RangeWanted => ({ kind: "bytes", first, last });
  const suffix = (count: number): RangeWanted => ({ kind: "suffix", bytes: count });
  const part = (partNumber: number): RangeWanted => ({ kind: "part", partNumber });
  const rows: readonly (readonly [string, RangeWanted | undefined, number, string])[] = [
    ["everything", undefined, 9, "0-9"],
    ["everything of nothing", undefined, 0, "0-0"],
    ["the first byte", bytes(0, 0), 9, "0-1 of it"],
    ["the last byte", bytes(8, 8), 9, "8-9 of it"],
    ["an end beyond the object is cut", bytes(3, 100), 9, "3-9 of it"],
    ["no end", bytes(3), 9, "3-9 of it"],
    ["a beginning at the end", bytes(9), 9, "InvalidRange"],
    ["a beginning beyond the end", bytes(10, 20), 9, "InvalidRange"],
    ["any range of an empty object", bytes(0), 0, "InvalidRange"],
    ["the last three", suffix(3), 9, "6-9 of it"],
    ["a suffix longer than the object is cut", suffix(10), 9, "0-9 of it"],
    ["the last zero", suffix(0), 9, "InvalidRange"],
    ["a suffix of an empty object", suffix(3), 0, "InvalidRange"],
    ["part 1 of a body in one piece", part(1), 9, "0-9 of it"],
    ["part 1 of an empty body", part(1), 0, "0-0 of it"],
    ["part 2 of a body in one piece", part(2), 9, "InvalidPartNumber"],
  ];
  test.each(rows)("%s", (_sentence, wanted, sizeBytes, expected) => {
    expect(selected(wanted, sizeBytes)).toBe(expected);
  });

  test.each([
    [1, "0-5 of it"],
    [3, "5-9 of it"],
    [2, "InvalidPartNumber"],
    [4, "InvalidPartNumber"],
  ])("part %i of a body in parts 1 and 3", (partNumber, expected) => {
    expect(selected(part(partNumber), 9, PARTS)).toBe(expected);
  });

  test("a 416 names the size", () => {
    expect(() => selectBytes(bytes(9), 9, undefined)).toThrow(
      expect.objectContaining({ headers: { "Content-Range": "bytes */9" } }),
    );
  });

  test("what is selected always lies within the object and is never empty where bytes were asked for", () => {
    fc.assert(
      fc.property(fc.nat(50), fc.nat(60), fc.option(fc.nat(60), { nil: undefined }), (sizeBytes, first, length) => {
        const wanted = bytes(first, length === undefined ? undefined : first + length);
        if (first >= sizeBytes) {
          expect(selected(wanted, sizeBytes)).toBe("InvalidRange");
          return;
        }
        const { fromByte, toByte } = selectBytes(wanted, sizeBytes, undefined);
        expect(fromByte).toBe(first);
        expect(toByte).toBe(Math.min(sizeBytes, length === undefined ? sizeBytes : first + length + 1));
      }),
    );
  });
});
