import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runController } from "./controller.ts";
import { KubeError } from "./kube/failure.ts";
import { createManualClock, type ManualClock } from "./manualclock.ts";
import { WorkQueue } from "./queue.ts";

interface Resource {
  readonly status: number;
}

const MINUTE_MS = 60_000;
let clock: ManualClock;
let queue: WorkQueue;
let ending: AbortController;
let running: Promise<void>;
let passes: number;
let told: string[];
/** What becomes of every status that is written. */
let outcome: Error | undefined;

beforeEach(() => {
  clock = createManualClock();
  queue = new WorkQueue(clock);
  ending = new AbortController();
  passes = 0;
  told = [];
  outcome = undefined;
  running = runController<Resource, Resource, never>(
    {
      kind: {
        observe: async () => ({ status: passes }),
        plan: ({ status }) => ({ actions: [], status: status + 1, events: [], againAfterMs: undefined }),
        act: async () => undefined,
      },
      resourceOf: (observed) => observed,
      async writeStatus() {
        passes += 1;
        if (outcome !== undefined) throw outcome;
      },
      tell: () => undefined,
      failed: (_name, error) => told.push(String(error)),
    },
    { queue, clock, workers: 2, counts: { began: () => undefined, ended: () => undefined } },
    ending.signal,
  );
});

afterEach(async () => {
  queue.close();
  ending.abort();
  await running;
});

describe("a pass", () => {
  test("that meets a change is repeated soon, and tells nobody", async () => {
    outcome = new KubeError("conflict", "It has changed");
    queue.add("a/b");
    await clock.pass(0);
    outcome = undefined;
    await clock.pass(250);
    expect({ passes, told }).toEqual({ passes: 2, told: [] });
  });

  test("that meets a change nobody tells of again and again does not go on without end", async () => {
    outcome = new KubeError("conflict", "It has changed");
    queue.add("a/b");
    await clock.pass(10 * MINUTE_MS);
    expect(passes).toBeGreaterThan(10);
    expect(passes).toBeLessThan(30);
  });

  test("is made at once when the change comes, however long it was to wait", async () => {
    outcome = new KubeError("conflict", "It has changed");
    queue.add("a/b");
    await clock.pass(10 * MINUTE_MS);
    const before = passes;
    outcome = undefined;
    queue.add("a/b");
    await clock.pass(0);
    expect(passes).toBe(before + 1);
  });

  test("that fails is told, and repeated later each time", async () => {
    outcome = new Error("no");
    queue.add("a/b");
    await clock.pass(10 * MINUTE_MS);
    expect(told).toHaveLength(passes);
    expect(passes).toBeLessThan(30);
  });
});
