// What a rotation may wait for: a KMS that is given more time than the lease lasts holds none up.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RESOURCES } from "./kube/resources.ts";
import { createOperatorWorld, type OperatorWorld } from "./world.ts";

/** Of a machine that is busy. */
const LIMIT_MS = 150_000;

let world: OperatorWorld;

beforeAll(async () => {
  world = await createOperatorWorld("rotation");
});

afterAll(async () => {
  expect(world.operator.proxy.violations).toEqual([]);
  await world.close();
});

describe("a raised keyGeneration", () => {
  it("rotates though a look at the key may take longer than the lease lasts", async () => {
    const healthCheck = { interval: "5m", timeout: "1m" };
    await world.apply(RESOURCES.kmsProviders, "patient", { type: "Local", healthCheck });
    await world.untilReady(RESOURCES.kmsProviders, "patient", LIMIT_MS);
    const keyRotation = { keyGeneration: 1 };
    await world.apply(RESOURCES.kmsProviders, "patient", { type: "Local", healthCheck, keyRotation });
    await world.until(
      RESOURCES.kmsProviders,
      "patient",
      ({ status }) => status.key?.version === "2" && status.rotation === undefined,
      LIMIT_MS,
    );
  }, 600_000);
});
