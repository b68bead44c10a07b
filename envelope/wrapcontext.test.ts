import { describe, expect, test } from "vitest";
import { bucketKeyContext, dataKeyContext } from "./wrapcontext.ts";

const storeId = new Uint8Array(16).fill(5);
const id = new Uint8Array(16).fill(11);

describe("a wrap context", () => {
  test("of a bucket key names store, bucket, key and the pairs of the configuration", () => {
    expect(bucketKeyContext(storeId, "photos", id, [["team", "a"]])).toEqual({
      "coffer:store": "05".repeat(16),
      "coffer:bucket": "photos",
      "coffer:key": "0b".repeat(16),
      team: "a",
    });
  });

  test("of a data key names its body, and the pairs of the request too", () => {
    expect(dataKeyContext(storeId, "photos", id, [["team", "a"]], [["department", "x"]])).toEqual({
      "coffer:store": "05".repeat(16),
      "coffer:bucket": "photos",
      "coffer:body": "0b".repeat(16),
      team: "a",
      department: "x",
    });
  });

  test.each<[string, [string, string][], [string, string][]]>([
    ["coffer:key in the configuration", [["coffer:key", "x"]], []],
    ["coffer:x in the request", [], [["coffer:x", "x"]]],
    [
      "a name twice in the request",
      [],
      [
        ["a", "1"],
        ["a", "2"],
      ],
    ],
    ["a name of the configuration again in the request", [["a", "1"]], [["a", "1"]]],
    ["half a surrogate", [], [["a", "\ud800"]]],
  ])("refuses %s", (_, spec, request) => {
    const build = () => dataKeyContext(storeId, "photos", id, spec, request);
    expect(build).toThrow(expect.objectContaining({ name: "EnvelopeError", code: "Malformed" }));
  });

  test("takes __proto__ and Coffer: for names like others", () => {
    const context = dataKeyContext(storeId, "photos", id, [["__proto__", "x"]], [["Coffer:key", "y"]]);
    expect(Object.entries(context)).toContainEqual(["__proto__", "x"]);
    expect(Object.entries(context)).toContainEqual(["Coffer:key", "y"]);
  });
});
