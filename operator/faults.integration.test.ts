// The operator while the API server is not well, and when it dies half-way through what must happen once.

import { afterEach, describe, expect, it } from "vitest";
import { ACCESS_KEYS } from "../crds/names.ts";
import type { Fault } from "../e2e/cluster/faults.ts";
import type { RunningOperator } from "../e2e/cluster/operator.ts";
import { RESOURCES } from "./kube/resources.ts";
import { eventually } from "./kube/world.ts";
import { createOperatorWorld, isTrue, type OperatorWorld } from "./world.ts";

/** Programs take their time to start on a machine that does ten other things. */
const BUSY_MS = 200_000;
const TEST_MS = 4 * BUSY_MS;
/** What is left at least of a lease whose leader is well. */
const LEASE_LEFT_MS = 10_000;
let world: OperatorWorld;

afterEach(async () => {
  expect(world.operator.proxy.violations).toEqual([]);
  await world.close();
});

async function quickstart(): Promise<void> {
  await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" });
  await world.applyBucket("photos");
  await world.untilReady(RESOURCES.encryptedBuckets, "photos", BUSY_MS);
  // The last that is written of the provider until somebody wants something of it.
  await world.until(RESOURCES.kmsProviders, "local", ({ status }) => status.usedBy?.buckets === 1, BUSY_MS);
}

const RAISED = { type: "Local", keyRotation: { keyGeneration: 1 } };

function saidAtMs(operator: RunningOperator, message: string): number {
  const line = operator
    .printed()
    .split("\n")
    .find((one) => one.includes(`"${message}"`));
  return Date.parse((JSON.parse(line ?? "{}") as { readonly time: string }).time);
}

async function untilRotated(): Promise<void> {
  await world.until(
    RESOURCES.kmsProviders,
    "local",
    ({ status }) =>
      status.rotation === undefined && status.key?.generation === 1 && isTrue({ status } as never, "Ready"),
    BUSY_MS,
  );
}

async function ringVersions(): Promise<number> {
  const text = (await world.secret("local-key-ring"))["ring.json"] ?? "{}";
  return (JSON.parse(text) as { readonly keys: readonly unknown[] }).keys.length;
}

describe("the operator", () => {
  it(
    "brings two resources to Ready while every fourth request fails, in turn in every way",
    async () => {
      world = await createOperatorWorld("faults");
      const faults: readonly Fault[] = [
        { kind: "answer", status: 500 },
        { kind: "cut" },
        { kind: "answer", status: 429, retryAfterSeconds: 1 },
        { kind: "lose" },
        { kind: "answer", status: 409, reason: "Conflict" },
        { kind: "delay", delayMs: 300 },
        { kind: "answer", status: 503 },
      ];
      let asked = 0;
      world.operator.proxy.fault(({ path }) => {
        if (path.includes("/leases/")) return undefined;
        asked += 1;
        return asked % 4 === 0 ? faults[(asked / 4) % faults.length] : undefined;
      });
      await quickstart();
      const token = (await world.secret("photos-app"))[ACCESS_KEYS.token] ?? "";
      expect((await world.rest("PUT", "photos", "a", token, "a")).status).toBeLessThan(300);
      await world.apply(RESOURCES.kmsProviders, "local", RAISED);
      await untilRotated();
      expect(await ringVersions()).toBe(2);
    },
    TEST_MS,
  );

  it(
    "hears of what happened while all its watches were cut, or had become too old",
    async () => {
      world = await createOperatorWorld("watches");
      await quickstart();
      const { proxy } = world.operator;
      await eventually(
        () => proxy.watches(),
        (open) => open > 8,
      );
      proxy.cutWatches();
      await world.applyBucket("second");
      await world.untilReady(RESOURCES.encryptedBuckets, "second", BUSY_MS);
      const undo = proxy.fault(({ isWatch }) =>
        isWatch ? { kind: "answer", status: 410, reason: "Expired" } : undefined,
      );
      proxy.cutWatches();
      await world.applyBucket("third");
      await new Promise((resolve) => setTimeout(resolve, 1000));
      undo();
      await world.untilReady(RESOURCES.encryptedBuckets, "third", BUSY_MS);
    },
    TEST_MS,
  );

  const moments: Readonly<Record<string, (isRing: boolean, isProviderStatus: boolean) => Fault | undefined>> = {
    "between the intent and the call": (isRing) => (isRing ? { kind: "cut" } : undefined),
    // Nor does it come to write what it found at its second try.
    "when the call was made and its answer lost": (isRing, isStatus) =>
      isRing ? { kind: "lose" } : isStatus ? { kind: "cut" } : undefined,
    "between the call and the status": (_, isStatus) => (isStatus ? { kind: "cut" } : undefined),
  };

  it.each(Object.entries(moments))(
    "rotates once though it dies %s",
    async (when, faultOf) => {
      world = await createOperatorWorld("dies");
      await quickstart();
      let isCalled = false;
      const died = Promise.withResolvers<void>();
      world.operator.proxy.fault(({ method, path }) => {
        const isRing = method === "PATCH" && path.endsWith("/secrets/local-key-ring");
        const isStatus = method === "PATCH" && path.endsWith("/kmsproviders/local/status");
        isCalled ||= isRing;
        // The intent is written before the call.
        const fault = faultOf(isRing, isStatus && isCalled);
        if (fault !== undefined) died.resolve();
        return fault;
      });
      await world.apply(RESOURCES.kmsProviders, "local", RAISED);
      await died.promise;
      if (when.includes("lost")) await eventually(ringVersions, (count) => count === 2);
      await world.operator.kill();
      const provider = await world.find(RESOURCES.kmsProviders, "local");
      expect(provider?.status.rotation).toMatchObject({ cause: "Generation", fromVersion: "1" });
      // As the one before: its lease runs out first.
      await world.startAnother();
      await untilRotated();
      expect(await ringVersions()).toBe(2);
      expect((await world.find(RESOURCES.kmsProviders, "local"))?.status.key?.version).toBe("2");
    },
    TEST_MS,
  );

  it(
    "gives the lease back when it is asked to end, so that another begins at once",
    async () => {
      world = await createOperatorWorld("handover");
      await quickstart();
      const first = world.operator;
      const next = await world.startAnother();
      await eventually(
        () => next.printed(),
        (text) => text.includes("lease: following"),
      );
      expect(await first.stop()).toBe(0);
      await world.applyBucket("second");
      await world.untilReady(RESOURCES.encryptedBuckets, "second", BUSY_MS);
      // One that is not given back lasts longer.
      expect(saidAtMs(next, "lease: leading") - saidAtMs(first, "lease: released")).toBeLessThan(LEASE_LEFT_MS);
    },
    TEST_MS,
  );

  it(
    "serves nobody's death: pods go on while no operator runs, and what happened meanwhile is found",
    async () => {
      world = await createOperatorWorld("away");
      await quickstart();
      const token = (await world.secret("photos-app"))[ACCESS_KEYS.token] ?? "";
      await world.operator.stop();
      expect((await world.rest("PUT", "photos", "a", token, "a")).status).toBeLessThan(300);
      await world.applyBucket("meanwhile");
      await world.remove(RESOURCES.services, "coffer-default");
      await world.startAnother();
      await world.untilReady(RESOURCES.encryptedBuckets, "meanwhile", BUSY_MS);
      await world.until(RESOURCES.services, "coffer-default", () => true);
      expect(await (await world.rest("GET", "photos", "a", token)).text()).toBe("a");
      expect((await world.secret("photos-app"))[ACCESS_KEYS.token]).toBe(token);
    },
    TEST_MS,
  );
});
