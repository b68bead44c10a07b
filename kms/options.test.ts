import { inspect } from "node:util";
import { Check } from "typebox/value";
import { describe, expect, test } from "vitest";
import { KmsOptionsSchema, parseKmsOptions, printKmsOptions } from "./options.ts";
import { createRing, printRing } from "./ring.ts";

const ring = printRing(createRing(new Date("2026-01-02T03:04:05Z")));

const bad: Readonly<Record<string, [unknown, ...string[]]>> = {
  nothing: [undefined, "/o"],
  "a list": [[], "/o"],
  "no type": [{ ring }, "/o/type"],
  "a type that nobody knows": [{ type: "Paper", ring }, "/o/type"],
  "a type that cannot be opened yet": [{ type: "AWS", ring }, "/o/type"],
  "the name of a built-in as type": [{ type: "constructor", ring }, "/o/type"],
  "no ring": [{ type: "Local" }, "/o/ring"],
  "a ring that is text": [{ type: "Local", ring: JSON.stringify(ring) }, "/o/ring"],
  "an unknown member": [{ type: "Local", ring, "a/b": 1 }, "/o/a~1b"],
  "two problems": [{ type: "Local", ring: { ...ring, id: "x", keys: [] } }, "/o/ring/id", "/o/ring/keys"],
  "a ring that is wrong only between its members": [
    { type: "Local", ring: { ...ring, keys: ring.keys.map((key) => ({ ...key, state: "disabled" })) } },
    "/o/ring/keys/0/state",
  ],
};

describe("parseKmsOptions()", () => {
  test("takes Local options, and printKmsOptions() gives them back", () => {
    const json = { type: "Local", ring };
    const parsed = parseKmsOptions(JSON.parse(JSON.stringify(json)));
    expect("options" in parsed && printKmsOptions(parsed.options)).toEqual(json);
    expect(Check(KmsOptionsSchema, json)).toBe(true);
  });

  for (const [what, [json, ...places]] of Object.entries(bad)) {
    test(`refuses ${what}`, () => {
      const parsed = parseKmsOptions(json, "/o");
      expect("problems" in parsed && parsed.problems.map(({ at }) => at)).toEqual(places);
    });
  }

  test("gives options that show no secret", () => {
    const parsed = parseKmsOptions({ type: "Local", ring });
    expect(inspect(parsed, { depth: null, showHidden: true }) + JSON.stringify(parsed)).not.toContain(
      ring.keys[0]?.key,
    );
  });
});
