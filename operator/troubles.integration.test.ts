// What a store says of a cluster that cannot give it what it wants: a volume that waits, one that cannot grow or shrink, an
// image that is not to be had; and a store whose clients make buckets themselves.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { EncryptedStore } from "../crds/encryptedstore.ts";
import { ACCESS_KEYS } from "../crds/names.ts";
import type { ConditionType } from "../crds/reasons.ts";
import { askApiServer, mustAsk, sharedApiServer } from "../e2e/cluster/apiserver.ts";
import { RESOURCES } from "./kube/resources.ts";
import { eventually } from "./kube/world.ts";
import { conditionIn, createOperatorWorld, isTrue, type OperatorWorld } from "./world.ts";

const never = new AbortController().signal;
const CLASSES = "/apis/storage.k8s.io/v1/storageclasses";
const MERGE = { "content-type": "application/merge-patch+json" };
/** What nobody tells of is looked at every half a minute at the latest. */
const WITHIN_MS = 120_000;
const TEST_MS = 600_000;
let world: OperatorWorld;

beforeAll(async () => {
  world = await createOperatorWorld("troubles");
  await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" });
});

afterAll(async () => {
  expect(world.operator.proxy.violations).toEqual([]);
  await world.close();
});

async function applyStore(name: string, filesystem: object, more: object = {}): Promise<void> {
  await world.apply(RESOURCES.encryptedStores, name, { backend: { type: "Filesystem", filesystem }, ...more });
}

async function until(name: string, type: ConditionType, reason: string): Promise<EncryptedStore> {
  return await world.until(
    RESOURCES.encryptedStores,
    name,
    (one) => conditionIn(one, type)?.reason === reason,
    WITHIN_MS,
  );
}

/** What the controllers of volumes say of a claim: here nobody else does. */
async function say(claim: string, status: object): Promise<void> {
  const name = { namespace: world.namespace, name: claim };
  await world.until(RESOURCES.volumeClaims, claim, () => true);
  await world.kube.patch(RESOURCES.volumeClaims, name, { status }, never, "status");
}

/** On a connection that is not kept: the pod may close it in the moment in which it is used again. */
function bearer(token = ""): Record<string, string> {
  return { authorization: `Bearer ${token}`, connection: "close" };
}

describe("a volume", () => {
  it("that waits for somebody who provides it is told, with where to look", async () => {
    await world.node.pause(true);
    await applyStore("pending", {});
    const store = await until("pending", "BackendReachable", "VolumePending");
    expect(conditionIn(store, "BackendReachable")?.message).toMatch(
      /"coffer-pending" waits for a volume, and the cluster has no default StorageClass/,
    );
    expect(conditionIn(store, "Ready")).toMatchObject({ status: "False", reason: "VolumePending" });
    await world.node.pause(false);
    await world.untilReady(RESOURCES.encryptedStores, "pending", WITHIN_MS);
  });

  it(
    "whose StorageClass lets nothing grow is told with what to do, serves on, and grows when that is done",
    async () => {
      const storageClassName = `fixed-${world.namespace}`;
      const made = { metadata: { name: storageClassName }, provisioner: "nobody.example", allowVolumeExpansion: false };
      await mustAsk(sharedApiServer(), "POST", CLASSES, made);
      await applyStore("fixed", { size: "5Gi", storageClassName });
      await say("coffer-fixed", { phase: "Bound", capacity: { storage: "5Gi" } });
      await world.untilReady(RESOURCES.encryptedStores, "fixed", WITHIN_MS);
      await applyStore("fixed", { size: "6Gi", storageClassName }, { pod: { labels: { team: "a" } } });
      const store = await until("fixed", "BackendReachable", "VolumeResizeFailed");
      const condition = conditionIn(store, "BackendReachable");
      expect(condition?.message).toContain('PersistentVolumeClaim "coffer-fixed"');
      expect(condition?.message).toContain("allowVolumeExpansion: true in its StorageClass");
      expect(isTrue(store, "Available")).toBe(true);
      expect(conditionIn(store, "ResourcesApplied")?.status).toBe("True");
      // What else the spec says is done all the same.
      await world.until(RESOURCES.statefulSets, "coffer-fixed", (set) => JSON.stringify(set).includes('"team":"a"'));
      const allowed = { allowVolumeExpansion: true };
      const { status } = await askApiServer(
        sharedApiServer(),
        "PATCH",
        `${CLASSES}/${storageClassName}`,
        allowed,
        MERGE,
      );
      expect(status).toBe(200);
      await world.untilReady(RESOURCES.encryptedStores, "fixed", WITHIN_MS);
      const claim = await world.find(RESOURCES.volumeClaims, "coffer-fixed");
      expect(claim).toMatchObject({ spec: { resources: { requests: { storage: "6Gi" } } } });
    },
    TEST_MS,
  );

  it(
    "that another store of that name left, and that is larger than the spec says, is told with what to do",
    async () => {
      const labels = {
        "app.kubernetes.io/name": "coffer",
        "app.kubernetes.io/instance": "shrunk",
        "app.kubernetes.io/component": "data-plane",
        "app.kubernetes.io/managed-by": "coffer",
      };
      const claim = {
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: { namespace: world.namespace, name: "coffer-shrunk", labels },
        spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "5Gi" } } },
      };
      await world.kube.create(RESOURCES.volumeClaims, claim, never);
      await say("coffer-shrunk", { phase: "Bound", capacity: { storage: "5Gi" } });
      await applyStore("shrunk", { size: "1Gi" });
      const store = await until("shrunk", "BackendReachable", "VolumeResizeFailed");
      expect(conditionIn(store, "BackendReachable")?.message).toContain(
        "spec.backend.filesystem.size must be no less than what it has",
      );
      await applyStore("shrunk", { size: "5Gi" });
      await world.untilReady(RESOURCES.encryptedStores, "shrunk", WITHIN_MS);
    },
    TEST_MS,
  );

  it(
    "that its driver could not make larger is told in the driver's words",
    async () => {
      await world.untilReady(RESOURCES.encryptedStores, "pending", WITHIN_MS);
      const condition = { type: "ControllerResizeError", status: "True", message: "the pool is full" };
      await say("coffer-pending", { phase: "Bound", conditions: [condition] });
      const store = await until("pending", "BackendReachable", "VolumeResizeFailed");
      expect(conditionIn(store, "BackendReachable")?.message).toContain("the pool is full");
      await say("coffer-pending", { phase: "Bound", conditions: [] });
      await world.untilReady(RESOURCES.encryptedStores, "pending", WITHIN_MS);
    },
    TEST_MS,
  );
});

describe("an image", () => {
  it(
    "that cannot be pulled is told with what to look at, and the store is ready when another can",
    async () => {
      await applyStore("imageless", {}, { pod: { image: "nowhere.invalid/coffer:1" } });
      await say("coffer-imageless", { phase: "Bound" });
      const store = await world.until(
        RESOURCES.encryptedStores,
        "imageless",
        (one) => conditionIn(one, "Available")?.message.includes("ImagePullBackOff") === true,
        WITHIN_MS,
      );
      const condition = conditionIn(store, "Available");
      expect(condition).toMatchObject({ status: "False", reason: "PodsNotReady" });
      expect(condition?.message).toContain('Back-off pulling image "nowhere.invalid/coffer:1"');
      expect(condition?.message).toContain("check spec.pod.image and spec.pod.imagePullSecrets");
      expect(conditionIn(store, "Ready")?.message).toContain("ImagePullBackOff");
      await applyStore("imageless", {}, { pod: { image: "coffer:test" } });
      await world.untilReady(RESOURCES.encryptedStores, "imageless", WITHIN_MS);
    },
    TEST_MS,
  );
});

describe("a store with selfService", () => {
  const selfService = { kmsProviderRef: { name: "later" }, access: [{ name: "admin" }] };

  it("says which provider it waits for", async () => {
    await applyStore("own", {}, { selfService });
    await say("coffer-own", { phase: "Bound" });
    const store = await until("own", "ConfigurationApplied", "ConfigIncomplete");
    expect(conditionIn(store, "ConfigurationApplied")?.message).toContain('KmsProvider "later"');
  });

  it("is ready when the provider is there, and its credentials make a bucket and use it", async () => {
    await world.apply(RESOURCES.kmsProviders, "later", { type: "Local" });
    await world.untilReady(RESOURCES.encryptedStores, "own", WITHIN_MS);
    const keys = await world.secret("own-admin");
    expect(keys[ACCESS_KEYS.bucketName]).toBeUndefined();
    const base = `http://${world.node.addressOf("coffer-own-0")}:8080/api/v1/buckets/mine`;
    const headers = bearer(keys[ACCESS_KEYS.token]);
    const ask = async (method: string, url: string, body?: string) =>
      await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
    expect((await ask("PUT", base)).status).toBeLessThan(300);
    expect((await ask("PUT", `${base}/objects/a`, "a")).status).toBeLessThan(300);
    expect(await (await ask("GET", `${base}/objects/a`)).text()).toBe("a");
  });

  it("makes new credentials when their Secret is deleted, ends the old ones, and tells of it", async () => {
    const old = (await world.secret("own-admin"))[ACCESS_KEYS.token];
    await world.remove(RESOURCES.secrets, "own-admin");
    await world.until(RESOURCES.secrets, "own-admin", () => true, WITHIN_MS);
    const token = (await world.secret("own-admin"))[ACCESS_KEYS.token];
    expect(token).not.toBe(old);
    const url = `http://${world.node.addressOf("coffer-own-0")}:8080/api/v1/buckets/mine/objects/a`;
    const status = async (one = "") => (await fetch(url, { headers: bearer(one) })).status;
    await eventually(
      async () => [await status(token), await status(old)],
      ([now, before]) => now === 200 && before === 401,
      WITHIN_MS,
    );
    await eventually(
      async () => await world.events("own"),
      (reasons) => reasons.includes("CredentialsRotated"),
    );
  });

  it("ends the credentials of an entry that goes, takes its Secret away, and tells of it", async () => {
    const two = { ...selfService, access: [{ name: "admin" }, { name: "brief" }] };
    await applyStore("own", {}, { selfService: two });
    const keys = await world.secret("own-brief");
    const url = `http://${world.node.addressOf("coffer-own-0")}:8080/api/v1/buckets/mine/objects/a`;
    const headers = bearer(keys[ACCESS_KEYS.token]);
    const status = async () => (await fetch(url, { headers })).status;
    await eventually(status, (code) => code === 200, WITHIN_MS);
    await applyStore("own", {}, { selfService });
    await world.untilGone(RESOURCES.secrets, "own-brief", WITHIN_MS);
    await eventually(status, (code) => code === 401, WITHIN_MS);
    await eventually(
      async () => await world.events("own"),
      (reasons) => reasons.includes("CredentialsEnded"),
      WITHIN_MS,
    );
    expect(await world.find(RESOURCES.secrets, "own-admin")).toBeDefined();
  });

  it("takes the Secret of an entry away that gets another name", async () => {
    const renamed = { ...selfService, access: [{ name: "admin", secretName: "elsewhere" }] };
    await applyStore("own", {}, { selfService: renamed });
    await world.until(RESOURCES.secrets, "elsewhere", () => true, WITHIN_MS);
    await world.untilGone(RESOURCES.secrets, "own-admin", WITHIN_MS);
  });

  it("holds its provider", async () => {
    await world.until(RESOURCES.kmsProviders, "later", (one) => (one.metadata.finalizers ?? []).length > 0);
    await world.remove(RESOURCES.kmsProviders, "later");
    const provider = await world.until(RESOURCES.kmsProviders, "later", (one) => isTrue(one, "DeletionBlocked"));
    expect(conditionIn(provider, "DeletionBlocked")?.message).toContain('EncryptedStore "own" (selfService)');
  });

  it("whose Secret's name is another's says so, touches nothing, and goes on when that has gone", async () => {
    const metadata = { namespace: world.namespace, name: "foreign-admin" };
    const data = { mine: Buffer.from("precious").toString("base64") };
    await world.kube.create(RESOURCES.secrets, { apiVersion: "v1", kind: "Secret", metadata, data }, never);
    await applyStore("foreign", {}, { selfService: { ...selfService, kmsProviderRef: { name: "local" } } });
    await say("coffer-foreign", { phase: "Bound" });
    const store = await until("foreign", "ResourcesApplied", "NameTaken");
    expect(conditionIn(store, "ResourcesApplied")?.message).toContain('Secret "foreign-admin"');
    expect(isTrue(store, "Stalled")).toBe(true);
    expect((await world.find(RESOURCES.secrets, "foreign-admin"))?.data).toEqual(data);
    await world.remove(RESOURCES.secrets, "foreign-admin");
    await world.untilReady(RESOURCES.encryptedStores, "foreign", WITHIN_MS);
  });
});
