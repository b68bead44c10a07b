import { describe, expect, it } from "vitest";
import { type FileOutcome, NOTHING, sum, withAnotherRun, worthAnotherRun } from "./report.ts";

function passes(name: string): FileOutcome {
  return { ...NOTHING, name, passed: 3 };
}

function fails(name: string): FileOutcome {
  return { ...NOTHING, name, passed: 2, failures: [`${name} > it does: Error: not yet`] };
}

describe("a file that failed", () => {
  it("is run once more, by itself", () => {
    expect(worthAnotherRun([passes("a.test.ts"), fails("b.test.ts")])).toEqual(["b.test.ts"]);
    expect(worthAnotherRun([passes("a.test.ts")])).toEqual([]);
  });

  it("is not run again beside many others, nor if it judges them", () => {
    const four = ["a", "b", "c", "d"].map((name) => fails(`${name}.test.ts`));
    expect(worthAnotherRun(four)).toEqual([]);
    expect(worthAnotherRun([fails("a.test.ts"), fails("health.last.test.ts")])).toEqual([]);
  });

  it("counts as passed if it passes then, and is told of", () => {
    const files = withAnotherRun([passes("a.test.ts"), fails("b.test.ts")], [passes("b.test.ts")]);
    expect(files.reduce(sum, NOTHING)).toEqual({
      passed: 6,
      skipped: 0,
      failures: [],
      unsteady: ["b.test.ts > it does: Error: not yet"],
    });
  });

  it("has failed if it fails again, or did not run again", () => {
    const first = [fails("a.test.ts"), fails("b.test.ts")];
    const { passed, failures, unsteady } = withAnotherRun(first, [fails("a.test.ts")]).reduce(sum, NOTHING);
    expect({ passed, failures: failures.length, unsteady }).toEqual({ passed: 4, failures: 2, unsteady: [] });
  });
});
