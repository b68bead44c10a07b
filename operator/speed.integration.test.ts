// How long the operator takes for what people wait for: a rotation that 100 buckets follow, and the work of a leader that
// died. Limits are wide, for machines that are busy; the figures are printed.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RESOURCES } from "./kube/resources.ts";
import { eventually } from "./kube/world.ts";
import { createOperatorWorld, isTrue, type OperatorWorld } from "./world.ts";

const BUCKETS = 100;
const LIMIT_MS = 500_000;
const never = new AbortController().signal;
let world: OperatorWorld;

beforeAll(async () => {
  world = await createOperatorWorld("speed");
  await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" });
  for (let index = 0; index < BUCKETS; index += 1) await world.applyBucket(`bucket-${index}`);
  await eventually(bucketsAt("1"), (count) => count === BUCKETS, LIMIT_MS);
});

afterAll(async () => {
  expect(world.operator.proxy.violations).toEqual([]);
  await world.close();
});

/** How many are ready, and say that all of their keys are wrapped by that version. */
function bucketsAt(version: string): () => Promise<number> {
  return async () => {
    const scope = { namespace: world.namespace };
    const page = await world.kube.page(RESOURCES.encryptedBuckets, scope, { limit: 1000, after: undefined }, never);
    const there = page.items.filter(
      (one) =>
        one.status.encryption?.keyVersion === version &&
        one.status.rewrap?.completionTime !== undefined &&
        isTrue(one, "RewrapComplete") &&
        isTrue(one, "Ready"),
    );
    return there.length;
  };
}

function print(what: string, sinceMs: number): void {
  process.stdout.write(`${what}: ${((performance.now() - sinceMs) / 1000).toFixed(1)} s\n`);
}

describe("100 buckets of one provider", () => {
  it("follow a rotation of its key", async () => {
    const beganMs = performance.now();
    await world.apply(RESOURCES.kmsProviders, "local", { type: "Local", keyRotation: { keyGeneration: 1 } });
    await eventually(bucketsAt("2"), (count) => count === BUCKETS, LIMIT_MS);
    print("a rotation, until the status of 100 buckets says that it is done", beganMs);
  });

  it("are looked after by another operator when the leader is killed", async () => {
    const leader = world.operator;
    const next = await world.startAnother();
    await eventually(
      () => next.printed(),
      (text) => text.includes("lease: following"),
    );
    await leader.kill();
    const beganMs = performance.now();
    await world.applyBucket("later");
    await world.untilReady(RESOURCES.encryptedBuckets, "later", LIMIT_MS);
    print("a leader that was killed, until another has made a bucket ready", beganMs);
  });
});
