import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ByteReader, ByteWriter, decodePairs, encodePairs } from "./bytes.ts";
import { EnvelopeError } from "./failure.ts";

const malformed = expect.objectContaining({ code: "Malformed" });

describe("pairs", () => {
  test("are sorted by the bytes of their names, not by UTF-16 units", () => {
    const names = ["\u{10000}", "\uff5e", "b", "", "a", "aa", "Z"];
    const decoded = decodePairs(encodePairs(names.map((name) => [name, `value of ${name}`])), "pairs");
    expect([...decoded.keys()]).toEqual(["", "Z", "a", "aa", "b", "\uff5e", "\u{10000}"]);
    expect(names.toSorted().at(-1)).toBe("\uff5e");
  });

  test("come out as they went in, never normalised, whatever their order", () => {
    const text = fc.string({ unit: "binary", maxLength: 8 }).filter((value) => value.isWellFormed());
    fc.assert(
      fc.property(fc.dictionary(text, text), fc.boolean(), (record, reversed) => {
        const pairs = Object.entries(record);
        const encoded = encodePairs(reversed ? pairs.toReversed() : pairs);
        const decoded = decodePairs(encoded, "pairs");
        expect(new Map(pairs)).toEqual(decoded);
        expect(encodePairs(decoded)).toEqual(encoded);
      }),
      { seed: 1 },
    );
  });

  test("that nobody gave are no bytes", () => {
    expect(encodePairs([])).toHaveLength(0);
    expect(decodePairs(new Uint8Array(0), "pairs").size).toBe(0);
  });

  test.each<[string, [string, string][]]>([
    [
      "a name twice",
      [
        ["a", "1"],
        ["b", ""],
        ["a", "2"],
      ],
    ],
    ["half a surrogate in a name", [["\ud800", "1"]]],
    ["half a surrogate in a value", [["a", "x\udfff"]]],
  ])("%s is refused", (_, pairs) => {
    expect(() => encodePairs(pairs)).toThrow(malformed);
  });

  test("every truncation is refused, but those between two pairs", () => {
    const encoded = encodePairs([
      ["a", "1"],
      ["b", "22"],
    ]);
    const between = encodePairs([["a", "1"]]).length;
    for (let length = 1; length < encoded.length; length += 1) {
      const decode = () => decodePairs(encoded.subarray(0, length), "pairs");
      if (length === between) {
        expect(decode()).toEqual(new Map([["a", "1"]]));
      } else {
        expect(decode).toThrow(malformed);
      }
    }
  });

  test("a name of an object's prototype is a name like others", () => {
    const decoded = decodePairs(encodePairs([["__proto__", "x"]]), "pairs");
    expect([...decoded]).toEqual([["__proto__", "x"]]);
  });
});

describe("numbers", () => {
  test("of 64 bits come out as they went in, up to 2^53 − 1", () => {
    for (const value of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER]) {
      const writer = new ByteWriter(1);
      writer.be64(value);
      expect(new ByteReader(writer.copy(), "number").be64()).toBe(value);
    }
    expect(() => new ByteReader(Buffer.from("0020000000000000", "hex"), "number").be64()).toThrow(malformed);
  });

  test.each([-1, 1.5, 2 ** 53, Number.NaN])("%d is a mistake of the caller", (value) => {
    expect(() => new ByteWriter().be64(value)).toThrow(/Mistake in the calling code/);
    expect(() => new ByteWriter().be64(value)).not.toThrow(EnvelopeError);
  });
});

describe("text", () => {
  test("that holds U+FFFD, or begins with a byte order mark, is text", () => {
    for (const text of ["a\ufffdb", "\ufeffx", "\ufffd"]) {
      const writer = new ByteWriter();
      writer.text(text);
      expect(new ByteReader(writer.copy(), "text").text()).toBe(text);
    }
  });

  test.each(["ff", "c080", "eda080", "f4908080", "e282", "61ff", "efbfbdff"])(
    "the bytes %s are not UTF-8 and are refused",
    (hex) => {
      expect(() => new ByteReader(Buffer.from(hex, "hex"), "text").restText()).toThrow(malformed);
    },
  );
});

test("erase() leaves nothing of what was written, also where the buffer grew", () => {
  const writer = new ByteWriter(4);
  writer.raw(new Uint8Array(3).fill(0xaa));
  const before = writer.written();
  writer.raw(new Uint8Array(100).fill(0xbb));
  const after = writer.written();
  writer.erase();
  expect(before.every((byte) => byte === 0)).toBe(true);
  expect(after.every((byte) => byte === 0)).toBe(true);
});
