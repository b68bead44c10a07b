// What becomes of objects when an EncryptedBucket is deleted, of two buckets with one name, and of a store that goes.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ACCESS_KEYS, FINALIZERS } from "../crds/names.ts";
import { type KubeObject, RESOURCES, type ResourceType } from "./kube/resources.ts";
import { eventually } from "./kube/world.ts";
import { conditionIn, createOperatorWorld, isTrue, type OperatorWorld } from "./world.ts";

let world: OperatorWorld;

beforeAll(async () => {
  world = await createOperatorWorld("deletion");
  await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" });
});

afterAll(async () => {
  expect(world.operator.proxy.violations).toEqual([]);
  await world.close();
});

async function bucketWithObject(name: string, spec: object = {}): Promise<string> {
  await world.applyBucket(name, spec);
  await world.untilReady(RESOURCES.encryptedBuckets, name);
  const token = (await world.secret(`${name}-app`))[ACCESS_KEYS.token] ?? "";
  const bucketName = (await world.find(RESOURCES.encryptedBuckets, name))?.status.bucketName ?? name;
  expect((await world.rest("PUT", bucketName, "a", token, "a")).status).toBeLessThan(300);
  return token;
}

/** A test's API server collects no garbage. */
async function gone(name: string): Promise<void> {
  await world.untilGone(RESOURCES.encryptedBuckets, name);
  await world.remove(RESOURCES.secrets, `${name}-app`);
}

describe("an EncryptedBucket that is deleted", () => {
  it("with Retain goes at once; its objects stay, and are served again when it comes back", async () => {
    const token = await bucketWithObject("retained");
    expect((await world.find(RESOURCES.encryptedBuckets, "retained"))?.metadata.finalizers ?? []).toEqual([]);
    await world.remove(RESOURCES.encryptedBuckets, "retained");
    await gone("retained");
    await eventually(
      async () => (await world.rest("GET", "retained", "a", token)).status,
      (status) => status === 401 || status === 404,
    );
    await world.applyBucket("retained");
    await world.untilReady(RESOURCES.encryptedBuckets, "retained");
    const again = (await world.secret("retained-app"))[ACCESS_KEYS.token] ?? "";
    expect(await (await world.rest("GET", "retained", "a", again)).text()).toBe("a");
  });

  it("with DeleteIfEmpty waits for its objects, says so, and goes when they are gone", async () => {
    const token = await bucketWithObject("full", { deletionPolicy: "DeleteIfEmpty" });
    const { metadata } = await world.until(
      RESOURCES.encryptedBuckets,
      "full",
      (one) => one.metadata.finalizers?.includes(FINALIZERS.deleteBucket) === true,
    );
    expect(metadata.finalizers).toHaveLength(1);
    await world.remove(RESOURCES.encryptedBuckets, "full");
    const bucket = await world.until(RESOURCES.encryptedBuckets, "full", (one) => isTrue(one, "DeletionBlocked"));
    expect(conditionIn(bucket, "DeletionBlocked")).toMatchObject({ reason: "BucketNotEmpty" });
    await world.until(
      RESOURCES.encryptedBuckets,
      "full",
      (one) => isTrue(one, "Ready") && conditionIn(one, "Ready")?.reason === "DeletionBlocked",
    );
    expect(await (await world.rest("GET", "full", "a", token)).text()).toBe("a");
    expect((await world.rest("DELETE", "full", "a", token)).status).toBeLessThan(300);
    await world.untilGone(RESOURCES.encryptedBuckets, "full");
  });

  it("with DeleteIfEmpty goes on when its policy changes", async () => {
    await bucketWithObject("changed", { deletionPolicy: "DeleteIfEmpty" });
    await world.remove(RESOURCES.encryptedBuckets, "changed");
    await world.until(RESOURCES.encryptedBuckets, "changed", (one) => isTrue(one, "DeletionBlocked"));
    await world.applyBucket("changed", { deletionPolicy: "DeleteWithObjects" });
    await world.untilGone(RESOURCES.encryptedBuckets, "changed");
  });

  it("with DeleteWithObjects takes its objects along", async () => {
    await bucketWithObject("emptied", { deletionPolicy: "DeleteWithObjects" });
    await world.until(
      RESOURCES.encryptedBuckets,
      "emptied",
      (one) => one.metadata.finalizers?.includes(FINALIZERS.deleteBucket) === true,
    );
    await world.remove(RESOURCES.encryptedBuckets, "emptied");
    await world.untilGone(RESOURCES.encryptedBuckets, "emptied");
    await gone("emptied");
    await world.applyBucket("emptied");
    await world.untilReady(RESOURCES.encryptedBuckets, "emptied");
    const token = (await world.secret("emptied-app"))[ACCESS_KEYS.token] ?? "";
    expect((await world.rest("GET", "emptied", "a", token)).status).toBe(404);
  });

  it("takes its finalizer off when the policy becomes Retain", async () => {
    await world.applyBucket("policy", { deletionPolicy: "DeleteIfEmpty" });
    const held = (isHeld: boolean) => async () =>
      await world.until(
        RESOURCES.encryptedBuckets,
        "policy",
        (one) => (one.metadata.finalizers ?? []).includes(FINALIZERS.deleteBucket) === isHeld,
      );
    await held(true)();
    await world.applyBucket("policy", { deletionPolicy: "Retain" });
    await held(false)();
  });

  it("ends, suspended or not", async () => {
    await bucketWithObject("asleep", { deletionPolicy: "DeleteWithObjects" });
    await world.applyBucket("asleep", { deletionPolicy: "DeleteWithObjects", suspend: true });
    await world.until(RESOURCES.encryptedBuckets, "asleep", (one) => isTrue(one, "Suspended"));
    await world.remove(RESOURCES.encryptedBuckets, "asleep");
    await world.untilGone(RESOURCES.encryptedBuckets, "asleep");
  });
});

describe("a deletion that begins at the wrong end", () => {
  it("ends, though the provider was deleted first", async () => {
    await world.apply(RESOURCES.kmsProviders, "doomed", { type: "Local" });
    const encryption = { kmsProviderRef: { name: "doomed" } };
    await bucketWithObject("orphan", { encryption, deletionPolicy: "DeleteWithObjects" });
    await world.until(RESOURCES.kmsProviders, "doomed", (one) => (one.metadata.finalizers ?? []).length > 0);
    await world.remove(RESOURCES.kmsProviders, "doomed");
    await world.until(RESOURCES.kmsProviders, "doomed", (one) => isTrue(one, "DeletionBlocked"));
    await world.remove(RESOURCES.encryptedBuckets, "orphan");
    await world.untilGone(RESOURCES.encryptedBuckets, "orphan");
    await world.untilGone(RESOURCES.kmsProviders, "doomed");
  });

  it("ends, though the access Secret and the key ring were deleted first", async () => {
    await world.apply(RESOURCES.kmsProviders, "ringless", { type: "Local" });
    const encryption = { kmsProviderRef: { name: "ringless" } };
    await bucketWithObject("bare", { encryption, deletionPolicy: "DeleteWithObjects" });
    await world.remove(RESOURCES.secrets, "ringless-key-ring");
    await world.remove(RESOURCES.encryptedBuckets, "bare");
    await world.remove(RESOURCES.secrets, "bare-app");
    await world.untilGone(RESOURCES.encryptedBuckets, "bare");
  });

  it("ends for a bucket whose provider never was", async () => {
    const encryption = { kmsProviderRef: { name: "nobody" } };
    await world.applyBucket("unserved", { encryption, deletionPolicy: "DeleteWithObjects" });
    await world.until(
      RESOURCES.encryptedBuckets,
      "unserved",
      (one) =>
        (one.metadata.finalizers ?? []).length > 0 && conditionIn(one, "ProviderReady")?.reason === "ProviderNotFound",
    );
    await world.remove(RESOURCES.encryptedBuckets, "unserved");
    await world.untilGone(RESOURCES.encryptedBuckets, "unserved");
  });
});

describe("a namespace that goes", () => {
  it("lets all three kinds go, though the roles that the operator has in it go first", async () => {
    const names = ["going-key-ring", "going-app", "coffer-going-config"];
    await world.apply(RESOURCES.kmsProviders, "going", { type: "Local" });
    await world.apply(RESOURCES.encryptedStores, "going", { backend: { type: "Filesystem" } });
    const encryption = { kmsProviderRef: { name: "going" } };
    await world.applyBucket("going", { storeRef: { name: "going" }, encryption, deletionPolicy: "DeleteWithObjects" });
    await world.untilReady(RESOURCES.encryptedBuckets, "going");
    const kinds: readonly ResourceType<KubeObject>[] = [
      RESOURCES.encryptedStores,
      RESOURCES.kmsProviders,
      RESOURCES.encryptedBuckets,
    ];
    for (const kind of kinds) await world.until(kind, "going", (one) => (one.metadata.finalizers ?? []).length > 0);
    const withRoles = world.operator.proxy.fault(({ path, isWatch }) => {
      const isByClusterRole = path.startsWith("/apis/coffer.dev/") || path.startsWith("/apis/coordination.k8s.io/");
      return isByClusterRole || isWatch ? undefined : { kind: "answer", status: 403, reason: "Forbidden" };
    });
    for (const name of names) await world.remove(RESOURCES.secrets, name);
    for (const kind of kinds) await world.remove(kind, "going");
    for (const kind of kinds) await world.untilGone(kind, "going");
    withRoles();
  });
});

describe("two EncryptedBuckets of one name", () => {
  it("are one bucket: the second waits, and takes over by itself", async () => {
    await world.applyBucket("first", { bucketName: "shared" });
    await world.untilReady(RESOURCES.encryptedBuckets, "first");
    await world.applyBucket("second", { bucketName: "shared" });
    const second = await world.until(RESOURCES.encryptedBuckets, "second", (one) => isTrue(one, "Stalled"));
    expect(conditionIn(second, "StoreReady")).toMatchObject({ status: "False", reason: "NameConflict" });
    expect(conditionIn(second, "StoreReady")?.message).toContain('"first"');
    expect(isTrue((await world.find(RESOURCES.encryptedBuckets, "first")) as never, "Ready")).toBe(true);
    await world.remove(RESOURCES.encryptedBuckets, "first");
    await world.untilReady(RESOURCES.encryptedBuckets, "second");
  });
});

describe("an EncryptedStore", () => {
  it("that is named is waited for, never made", async () => {
    await world.applyBucket("waiting", { storeRef: { name: "elsewhere" } });
    const bucket = await world.until(
      RESOURCES.encryptedBuckets,
      "waiting",
      (one) => conditionIn(one, "StoreReady")?.reason === "StoreNotFound",
    );
    expect(conditionIn(bucket, "StoreReady")?.message).toContain('"elsewhere"');
    expect(await world.find(RESOURCES.encryptedStores, "elsewhere")).toBeUndefined();
    await world.apply(RESOURCES.encryptedStores, "elsewhere", { backend: { type: "Filesystem" } });
    await world.untilReady(RESOURCES.encryptedBuckets, "waiting");
  });

  it("that goes lets its buckets go, and says that the data were kept", async () => {
    await world.apply(RESOURCES.encryptedStores, "brief", { backend: { type: "Filesystem" } });
    await world.applyBucket("there", { storeRef: { name: "brief" }, deletionPolicy: "DeleteWithObjects" });
    await world.untilReady(RESOURCES.encryptedBuckets, "there");
    await world.until(RESOURCES.encryptedStores, "brief", (one) => (one.metadata.finalizers ?? []).length > 0);
    await world.remove(RESOURCES.encryptedStores, "brief");
    const store = await world.until(RESOURCES.encryptedStores, "brief", (one) => isTrue(one, "DeletionBlocked"));
    expect(conditionIn(store, "DeletionBlocked")?.message).toContain('EncryptedBucket "there"');
    await world.remove(RESOURCES.encryptedBuckets, "there");
    await world.untilGone(RESOURCES.encryptedBuckets, "there");
    await world.untilGone(RESOURCES.encryptedStores, "brief");
    await eventually(
      async () => await world.events("there"),
      (reasons) => reasons.includes("DataKept"),
    );
    const claim = await world.find(RESOURCES.volumeClaims, "coffer-brief");
    expect(claim?.metadata.ownerReferences).toBeUndefined();
  });
});
