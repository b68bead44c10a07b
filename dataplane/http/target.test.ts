import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Failure } from "../failure.ts";
import { cutTarget, decodeName, decodeOnce, decodeQuery } from "./target.ts";

/** The code of the Failure that comes. */
function codeOf(work: () => unknown): string | undefined {
  try {
    work();
  } catch (error) {
    if (error instanceof Failure) return error.code;
    throw error;
  }
  return undefined;
}

/** As Node hands over the UTF-8 bytes of a target: one unit a byte. */
function raw(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

function encoded(text: string): string {
  return [...Buffer.from(text, "utf8")].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}

describe("cutTarget()", () => {
  test.each([
    ["/", "/", ""],
    ["/a?", "/a", ""],
    ["/a?b?c=d", "/a", "b?c=d"],
    ["//b//k", "//b//k", ""],
    ["/a#b", "/a#b", ""],
    ["http://host:1/a?b", "/a", "b"],
    ["HTTPS://host", "/", ""],
    ["http://host?b", "/", "b"],
  ])("cuts %s", (url, path, query) => {
    expect(cutTarget(url)).toEqual({ path, query });
  });

  test.each(["", "*", "host:443", "ftp://host/a"])("refuses %j", (url) => {
    expect(codeOf(() => cutTarget(url))).toBe("InvalidURI");
  });
});

describe("decodeOnce()", () => {
  test.each([
    ["a+b", "a+b"],
    ["%2e%2E", ".."],
    ["%252F", "%2F"],
    ["%E2%9C%93", "✓"],
    [raw("✓"), "✓"],
    [`%E2${raw("✓").slice(1)}`, "✓"],
    ["%F0%9F%98%80", "😀"],
    ["%01%7f", "\u0001\u007f"],
  ])("makes of %j %j", (text, decoded) => {
    expect(decodeOnce(text)).toBe(decoded);
  });

  test.each([
    "%",
    "%1",
    "a%",
    "%gg",
    "%0x",
    "%00",
    "\u0000",
    "%ff",
    "%C3",
    "%ED%A0%80",
    "%C0%80",
    "%F4%90%80%80",
    "\u0100",
  ])("refuses %j", (text) => {
    expect(codeOf(() => decodeOnce(text))).toBe("InvalidURI");
  });

  test("gives back every text without NUL, encoded or raw", () => {
    const texts = fc.string({ unit: "binary" }).filter((text) => !text.includes("\u0000"));
    fc.assert(
      fc.property(texts, (text) => {
        expect(decodeOnce(encoded(text))).toBe(text);
        expect(decodeOnce(raw(text.replaceAll("%", "%25")))).toBe(text);
      }),
    );
  });

  test("takes any input without throwing anything but InvalidURI", () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(..."%0aFg\u0000\u00e9\u20ac/+") }), (text) => {
        expect([undefined, "InvalidURI"]).toContain(codeOf(() => decodeOnce(text)));
      }),
    );
  });
});

describe("decodeName()", () => {
  test.each([
    ["", "InvalidURI"],
    ["a".repeat(1024), undefined],
    ["a".repeat(1025), "KeyTooLongError"],
    ["%61".repeat(1024), undefined],
    ["%61".repeat(1025), "KeyTooLongError"],
    ["%C3%A4".repeat(512), undefined],
    ["%C3%A4".repeat(512).concat("a"), "KeyTooLongError"],
  ])("counts the bytes of UTF-8", (name, code) => {
    expect(codeOf(() => decodeName(name))).toBe(code);
  });
});

describe("decodeQuery()", () => {
  test.each([
    ["", []],
    ["a", [["a", ""]]],
    ["a=", [["a", ""]]],
    ["a=b=c", [["a", "b=c"]]],
    [
      "b=2&&a=1&b=3",
      [
        ["b", "2"],
        ["a", "1"],
        ["b", "3"],
      ],
    ],
    ["a%26=%3D", [["a&", "="]]],
    ["a=x+y%2B", [["a", "x y+"]]],
  ])("cuts %j", (query, pairs) => {
    expect(decodeQuery(query)).toEqual(pairs);
  });

  test("refuses what cannot be decoded", () => {
    expect(codeOf(() => decodeQuery("a=%"))).toBe("InvalidURI");
  });
});
