import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mergePatch } from "./status.ts";

/** RFC 7396, as the API server does it. */
function applied(target: unknown, patch: unknown): unknown {
  if (typeof patch !== "object" || patch === null || Array.isArray(patch)) return patch;
  const result = typeof target === "object" && target !== null && !Array.isArray(target) ? { ...target } : {};
  const members = result as Record<string, unknown>;
  for (const [name, member] of Object.entries(patch)) {
    if (member === null) delete members[name];
    else members[name] = applied(members[name], member);
  }
  return members;
}

const leaf = fc.oneof(fc.integer(), fc.string(), fc.boolean(), fc.array(fc.integer(), { maxLength: 3 }));
const tree = fc.letrec((tie) => ({
  node: fc.oneof({ maxDepth: 3 }, leaf, tie("object")),
  object: fc.dictionary(fc.constantFrom("a", "b", "c", "d"), tie("node"), { noNullPrototype: true }),
})).object;

describe("mergePatch()", () => {
  it("makes one value of another, whatever they are", () => {
    fc.assert(
      fc.property(tree, tree, (before, after) => {
        const difference = mergePatch(before, after);
        expect(difference === undefined ? before : applied(before, difference.patch)).toEqual(after);
      }),
    );
  });

  it("says nothing where nothing differs, in whatever order the members stand", () => {
    const list = [{ type: "Ready", status: "True" }];
    const turned = [{ status: "True", type: "Ready" }];
    expect(mergePatch({ a: 1, list, gone: undefined }, { list: turned, a: 1 })).toBeUndefined();
  });

  it("removes what has gone, and names nothing else", () => {
    const before = { key: { id: "1", version: "3" }, rotation: { fromVersion: "3" }, same: { a: 1 } };
    const after = { key: { id: "1", version: "4" }, rotation: undefined, same: { a: 1 } };
    expect(mergePatch(before, after)).toEqual({ patch: { key: { version: "4" }, rotation: null } });
  });
});
