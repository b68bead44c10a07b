// The whole operator against a real API server, with real data planes as its pods: from two resources to bytes and back.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ACCESS_KEYS } from "../crds/names.ts";
import { RESOURCES } from "./kube/resources.ts";
import { eventually } from "./kube/world.ts";
import { askedSince, conditionIn, createOperatorWorld, isTrue, type OperatorWorld, untilQuiet } from "./world.ts";

/** What a quiet machine is promised, and what a busy one is given beside it. */
const SECOND_BUCKET_MS = 5000;
const PATIENCE = 12;

let world: OperatorWorld;

beforeAll(async () => {
  world = await createOperatorWorld("main");
});

afterAll(async () => {
  expect(world.operator.proxy.violations).toEqual([]);
  await world.close();
});

describe("the operator", () => {
  it("brings two resources to Ready, and objects go in and out with the credentials of the Secret", async () => {
    await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" });
    await world.applyBucket("photos");
    await world.untilReady(RESOURCES.kmsProviders, "local");
    await world.untilReady(RESOURCES.encryptedBuckets, "photos");
    await world.untilReady(RESOURCES.encryptedStores, "default");
    const keys = await world.secret("photos-app");
    expect(Object.keys(keys).sort()).toEqual(Object.values(ACCESS_KEYS).sort());
    expect(keys[ACCESS_KEYS.s3Endpoint]).toBe(`http://coffer-default.${world.namespace}.svc:9000`);
    const token = keys[ACCESS_KEYS.token] ?? "";
    expect((await world.rest("PUT", "photos", "hello.txt", token, "hello")).status).toBeLessThan(300);
    expect(await (await world.rest("GET", "photos", "hello.txt", token)).text()).toBe("hello");
  });

  it("moves nothing when the same is applied again", async () => {
    // What is told of them after they are ready.
    await world.until(RESOURCES.encryptedBuckets, "photos", (one) => isTrue(one, "RewrapComplete"));
    await world.until(RESOURCES.kmsProviders, "local", ({ status }) => status.usedBy?.buckets === 1);
    const versions = async () => [
      (await world.find(RESOURCES.kmsProviders, "local"))?.metadata.resourceVersion,
      (await world.find(RESOURCES.encryptedBuckets, "photos"))?.metadata.resourceVersion,
    ];
    const before = await eventually(
      async () => [await versions(), await new Promise((resolve) => setTimeout(resolve, 1000)), await versions()],
      ([first, , second]) => JSON.stringify(first) === JSON.stringify(second),
    );
    await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" });
    await world.applyBucket("photos");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(await versions()).toEqual(before[2]);
  });

  it("prints its numbers for Prometheus", async () => {
    const port = /"healthPort":(\d+)/.exec(world.operator.printed())?.[1];
    const ask = async (path: string) =>
      await fetch(`http://127.0.0.1:${port}${path}`, { headers: { connection: "close" } });
    const response = await ask("/metrics");
    expect(response.headers.get("content-type")).toContain("text/plain");
    await response.text();
    // A pass that waits its turn is in the queue.
    const text = await eventually(
      async () => await (await ask("/metrics")).text(),
      (now) => /^workqueue_depth\{name="kmsprovider"\} 0$/m.test(now),
    );
    expect(text).toContain("leader_election_master_status 1");
    expect(text).toMatch(/^controller_runtime_reconcile_total\{controller="encryptedbucket",result="success"\} [1-9]/m);
    expect(text).toMatch(/^rest_client_requests_total\{method="PATCH",code="200"\} [1-9]/m);
    expect(text).toMatch(/^reflector_watches_total\{resource="encryptedbuckets"\} [1-9]/m);
    expect(text).toContain(`coffer_kms_probe_last_success{namespace="${world.namespace}",name="local"} 1`);
    expect((await ask("/readyz")).status).toBe(200);
    expect((await ask("/healthz")).status).toBe(200);
    expect((await ask("/else")).status).toBe(404);
  });

  it("tells in words what it found, and in Events what changed", async () => {
    const provider = await world.until(RESOURCES.kmsProviders, "local", ({ status }) => status.usedBy?.buckets === 1);
    expect(conditionIn(provider, "KeyUsable")?.message).toContain('Back up Secret "local-key-ring"');
    expect(provider.status.observedGeneration).toBe(provider.metadata.generation);
    const store = await world.until(RESOURCES.encryptedStores, "default", ({ status }) => status.buckets === 1);
    expect(store.status).toMatchObject({ replicas: 1, readyReplicas: 1 });
    expect(store.status.selector).toContain("app.kubernetes.io/instance=default");
    const bucket = await world.until(RESOURCES.encryptedBuckets, "photos", (one) => isTrue(one, "RewrapComplete"));
    expect(bucket.status).toMatchObject({ bucketName: "photos", store: "default", encryption: { keyVersion: "1" } });
    for (const name of ["photos", "local"]) {
      await eventually(
        async () => await world.events(name),
        (reasons) => reasons.includes("Ready"),
      );
    }
  });

  it("brings a second bucket to Ready without a restart, and moves no other's status", async () => {
    const before = await world.until(RESOURCES.encryptedBuckets, "photos", (one) => isTrue(one, "Ready"));
    const beganMs = performance.now();
    await world.applyBucket("invoices", { encryption: { kmsProviderRef: { name: "local" }, keyMode: "Object" } });
    await world.untilReady(RESOURCES.encryptedBuckets, "invoices");
    expect(performance.now() - beganMs).toBeLessThan(SECOND_BUCKET_MS * PATIENCE);
    const after = await world.find(RESOURCES.encryptedBuckets, "photos");
    expect(after?.metadata.resourceVersion).toBe(before.metadata.resourceVersion);
    const token = (await world.secret("invoices-app"))[ACCESS_KEYS.token] ?? "";
    expect((await world.rest("PUT", "invoices", "a", token, "a")).status).toBeLessThan(300);
    expect((await world.rest("GET", "photos", "hello.txt", token)).status).toBe(403);
  });

  it("rotates when keyGeneration rises, once, and the buckets follow", async () => {
    await world.apply(RESOURCES.kmsProviders, "local", { type: "Local", keyRotation: { keyGeneration: 1 } });
    const provider = await world.until(
      RESOURCES.kmsProviders,
      "local",
      ({ status }) => status.key?.version === "2" && status.rotation === undefined,
    );
    expect(provider.status.key?.generation).toBe(1);
    for (const name of ["photos", "invoices"]) {
      const bucket = await world.until(
        RESOURCES.encryptedBuckets,
        name,
        (one) => one.status.encryption?.keyVersion === "2" && isTrue(one, "RewrapComplete") && isTrue(one, "Ready"),
      );
      expect(bucket.status.encryption).toMatchObject({ provider: "local" });
    }
    const token = (await world.secret("photos-app"))[ACCESS_KEYS.token] ?? "";
    expect(await (await world.rest("GET", "photos", "hello.txt", token)).text()).toBe("hello");
  });

  it("adopts the counters of a resource that it sees for the first time", async () => {
    await world.apply(RESOURCES.kmsProviders, "restored", { type: "Local", keyRotation: { keyGeneration: 7 } });
    const provider = await world.until(RESOURCES.kmsProviders, "restored", (one) => isTrue(one, "Ready"));
    expect(provider.status.key).toMatchObject({ version: "1", generation: 7 });
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect((await world.find(RESOURCES.kmsProviders, "restored"))?.status.key?.version).toBe("1");
  });

  it("writes nothing while nothing happens, but its lease", async () => {
    await untilQuiet(world.operator.proxy);
    const before = world.operator.proxy.seen.length;
    await new Promise((resolve) => setTimeout(resolve, 8000));
    const asked = askedSince(world.operator.proxy, before);
    expect(asked.map(({ method, path }) => `${method} ${path}`)).toEqual([]);
  });
});
