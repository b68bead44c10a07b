import { describe, expect, it } from "vitest";
import { FINALIZERS } from "../crds/names.ts";
import { inUseFinalizers, withDeletionBlocked } from "./inuse.ts";

const NOW = new Date("2026-03-10T12:00:00Z");
const USERS = ["a", "b", "c", "d", "e", "f", "g"];
const OURS = FINALIZERS.inUse;

const resource = (finalizers: string[], isGoing = false) => ({
  metadata: { name: "local", finalizers, ...(isGoing ? { deletionTimestamp: NOW.toISOString() } : {}) },
  status: {},
});

describe("a resource that others name", () => {
  const cases: Readonly<
    Record<string, readonly [ReturnType<typeof resource>, readonly string[], string[] | undefined]>
  > = {
    "is held": [resource(["other"]), ["a"], ["other", OURS]],
    "stays held": [resource([OURS]), ["a"], undefined],
    "is let go when nobody names it": [resource([OURS, "other"]), [], ["other"]],
    "is let go also while it goes": [resource([OURS], true), [], []],
    "is not held any more once it goes": [resource(["other"], true), ["a"], undefined],
    "needs nothing while nobody names it": [resource([]), [], undefined],
  };

  it.each(Object.entries(cases))("%s", (_, [one, users, wanted]) => {
    expect(inUseFinalizers(one, users)).toEqual(wanted);
  });

  it("says who they are while somebody wants it gone, and not all if they are many", () => {
    const [condition] = withDeletionBlocked(resource([OURS], true), [], USERS, 3, NOW);
    expect(condition).toMatchObject({
      type: "DeletionBlocked",
      status: "True",
      reason: "InUse",
      observedGeneration: 3,
    });
    expect(condition?.message).toContain("a, b, c, d, e and 2 more");
    expect(withDeletionBlocked(resource([OURS]), [], USERS, 3, NOW)).toEqual([]);
    expect(withDeletionBlocked(resource([OURS], true), [], [], 3, NOW)).toEqual([]);
  });
});
