import { describe, expect, it } from "vitest";
import { createReferences } from "./references.ts";

describe("references", () => {
  it("finds all who refer to a thing, and no longer those who stopped", () => {
    const references = createReferences();
    references.set("bucket a", ["secret x", "secret y"]);
    references.set("bucket b", ["secret y"]);
    expect(references.referrers("secret y")).toEqual(["bucket a", "bucket b"]);
    references.set("bucket a", ["secret x"]);
    expect(references.referrers("secret y")).toEqual(["bucket b"]);
    references.set("bucket b", []);
    expect(references.referrers("secret y")).toEqual([]);
    expect(references.referrers("secret x")).toEqual(["bucket a"]);
  });
});
