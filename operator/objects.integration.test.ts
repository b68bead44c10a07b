// What is made for an EncryptedStore: that all of it is there, that drift is mended, that what is another's is not touched.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ACCESS_KEYS, ANNOTATIONS } from "../crds/names.ts";
import { type KubeObject, RESOURCES, type ResourceType } from "./kube/resources.ts";
import { eventually } from "./kube/world.ts";
import { conditionIn, createOperatorWorld, isTrue, type OperatorWorld } from "./world.ts";

const never = new AbortController().signal;
/** Pods that were well are looked at every half a minute, and one that has gone is given a while to come back. */
const UNREADY_MS = 150_000;
let world: OperatorWorld;

beforeAll(async () => {
  world = await createOperatorWorld("objects");
  await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" });
  await world.applyBucket("photos");
  await world.untilReady(RESOURCES.encryptedBuckets, "photos");
});

afterAll(async () => {
  expect(world.operator.proxy.violations).toEqual([]);
  await world.close();
});

const OWNED: readonly ResourceType<KubeObject>[] = [
  RESOURCES.statefulSets,
  RESOURCES.services,
  RESOURCES.serviceAccounts,
  RESOURCES.networkPolicies,
  RESOURCES.disruptionBudgets,
];

interface WithSpec extends KubeObject {
  readonly spec: Readonly<Record<string, unknown>>;
}

async function made(type: ResourceType<KubeObject>): Promise<WithSpec> {
  return (await world.until(type, "coffer-default", () => true)) as WithSpec;
}

describe("a store's objects", () => {
  it("are all there, and go with it, but for the volume", async () => {
    const store = await world.find(RESOURCES.encryptedStores, "default");
    for (const type of OWNED) {
      const { metadata } = await made(type);
      expect(metadata.ownerReferences).toMatchObject([{ uid: store?.metadata.uid, controller: true }]);
      expect(metadata.labels).toMatchObject({
        "app.kubernetes.io/instance": "default",
        "app.kubernetes.io/managed-by": "coffer",
      });
    }
    const claim = await made(RESOURCES.volumeClaims);
    expect(claim.metadata.ownerReferences).toBeUndefined();
    expect(claim.spec).toMatchObject({ resources: { requests: { storage: "10Gi" } } });
    expect(JSON.stringify(store?.metadata)).not.toContain('"ownerReferences"');
  });

  it("have pods that may do nothing, write nowhere but to their volume, and are told of no other Service", async () => {
    const { spec } = (await made(RESOURCES.statefulSets)) as WithSpec & {
      readonly spec: { readonly template: { readonly spec: Readonly<Record<string, unknown>> } };
    };
    expect(spec.template.spec).toMatchObject({
      serviceAccountName: "coffer-default",
      automountServiceAccountToken: false,
      enableServiceLinks: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: "RuntimeDefault" } },
      containers: [
        {
          image: "coffer:test",
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ["ALL"] },
          },
        },
      ],
    });
  });

  it("are applied again where somebody removed them", async () => {
    for (const type of OWNED.filter(({ plural }) => plural !== "statefulsets")) {
      const { metadata } = await made(type);
      await world.remove(type, "coffer-default");
      await world.until(type, "coffer-default", (object) => object.metadata.uid !== metadata.uid);
    }
  });

  const drift: Readonly<Record<string, readonly [ResourceType<KubeObject>, object]>> = {
    "a Service with another port": [RESOURCES.services, { spec: { ports: [{ name: "s3", port: 1, targetPort: 1 }] } }],
    "a NetworkPolicy that lets all in": [RESOURCES.networkPolicies, { spec: { ingress: [{}] } }],
    "a PodDisruptionBudget that hangs": [RESOURCES.disruptionBudgets, { spec: { maxUnavailable: 0 } }],
    "pods with another image": [
      RESOURCES.statefulSets,
      { spec: { template: { spec: { containers: [{ name: "data-plane", image: "other:1" }] } } } },
    ],
    "a ServiceAccount with a token": [RESOURCES.serviceAccounts, { automountServiceAccountToken: true }],
    "a label that was taken off": [RESOURCES.services, { metadata: { labels: { "app.kubernetes.io/name": null } } }],
  };

  it.each(Object.entries(drift))("are mended: %s", async (_, [type, patch]) => {
    const wanted = await made(type);
    await world.kube.patch(type, { namespace: world.namespace, name: "coffer-default" }, patch, never);
    const word = ({ spec, metadata, ...others }: WithSpec) => {
      const { automountServiceAccountToken } = others as { readonly automountServiceAccountToken?: boolean };
      return JSON.stringify([spec, metadata.labels, automountServiceAccountToken]);
    };
    await eventually(
      async () => word((await world.find(type, "coffer-default")) as WithSpec),
      (now) => now === word(wanted),
    );
  });

  it("keep what others have put on them", async () => {
    const name = { namespace: world.namespace, name: "coffer-default" };
    const patch = { metadata: { annotations: { "somebody.else/wants": "this" } } };
    await world.kube.patch(RESOURCES.services, name, patch, never);
    await world.apply(RESOURCES.encryptedStores, "default", {
      backend: { type: "Filesystem" },
      service: { annotations: { "we.want/that": "too" } },
    });
    const service = await world.until(
      RESOURCES.services,
      "coffer-default",
      ({ metadata }) => metadata.annotations?.["we.want/that"] === "too",
    );
    expect(service.metadata.annotations?.["somebody.else/wants"]).toBe("this");
  });

  it("follow the spec: a larger volume, no NetworkPolicy, labels and resources of pods", async () => {
    await world.apply(RESOURCES.encryptedStores, "default", {
      backend: { type: "Filesystem", filesystem: { size: "20Gi" } },
      networkPolicy: { enabled: false },
      pod: { labels: { team: "a" }, resources: { requests: { cpu: "100m" } } },
    });
    await world.untilGone(RESOURCES.networkPolicies, "coffer-default");
    const { spec } = (await world.until(RESOURCES.statefulSets, "coffer-default", (object) =>
      JSON.stringify(object).includes('"team":"a"'),
    )) as unknown as WithSpec;
    expect(JSON.stringify(spec)).toContain('"cpu":"100m"');
    // A claim that is bound to nothing cannot grow: the API server says so, and so does the store.
    await world.until(
      RESOURCES.encryptedStores,
      "default",
      (one) => conditionIn(one, "BackendReachable")?.reason === "VolumeResizeFailed",
    );
    await world.apply(RESOURCES.encryptedStores, "small", {
      backend: { type: "Filesystem", filesystem: { size: "1Gi" } },
    });
    const claim = (await world.until(RESOURCES.volumeClaims, "coffer-small", () => true)) as unknown as WithSpec;
    expect(claim.spec).toMatchObject({ resources: { requests: { storage: "1Gi" } } });
  });

  it("that are another's are not touched, and the store says so until they are gone", async () => {
    const metadata = { namespace: world.namespace, name: "coffer-taken" };
    const spec = { ports: [{ port: 80 }], selector: { app: "theirs" } };
    const theirs = { apiVersion: "v1", kind: "Service", metadata, spec };
    await world.kube.create(RESOURCES.services, theirs, never);
    await world.apply(RESOURCES.encryptedStores, "taken", { backend: { type: "Filesystem" } });
    const store = await world.until(RESOURCES.encryptedStores, "taken", (one) => isTrue(one, "Stalled"));
    expect(conditionIn(store, "ResourcesApplied")).toMatchObject({ status: "False", reason: "NameTaken" });
    expect(conditionIn(store, "ResourcesApplied")?.message).toContain('Service "coffer-taken"');
    const service = (await world.find(RESOURCES.services, "coffer-taken")) as WithSpec | undefined;
    expect(service?.spec["selector"]).toEqual({ app: "theirs" });
    await world.remove(RESOURCES.services, "coffer-taken");
    const annotations = { [ANNOTATIONS.reconcileRequestedAt]: "now" };
    await world.apply(RESOURCES.encryptedStores, "taken", { backend: { type: "Filesystem" } }, { annotations });
    await world.untilReady(RESOURCES.encryptedStores, "taken");
  });

  it("have a configuration that is written again, with the same credentials, where somebody removed it", async () => {
    const token = (await world.secret("photos-app"))[ACCESS_KEYS.token] ?? "";
    expect((await world.rest("PUT", "photos", "a", token, "a")).status).toBeLessThan(300);
    const before = await world.find(RESOURCES.secrets, "coffer-default-config");
    await world.remove(RESOURCES.secrets, "coffer-default-config");
    await world.until(
      RESOURCES.secrets,
      "coffer-default-config",
      ({ metadata }) => metadata.uid !== before?.metadata.uid,
    );
    await world.untilReady(RESOURCES.encryptedBuckets, "photos");
    expect((await world.secret("photos-app"))[ACCESS_KEYS.token]).toBe(token);
    expect(await (await world.rest("GET", "photos", "a", token)).text()).toBe("a");
  });

  it("say when no pod is ready, and when one is again", async () => {
    await world.node.pause(true);
    await world.node.kill("coffer-default-0");
    const store = await world.until(
      RESOURCES.encryptedStores,
      "default",
      (one) => conditionIn(one, "Available")?.status === "False",
      UNREADY_MS,
    );
    expect(store.status.readyReplicas).toBe(0);
    await world.node.pause(false);
    await world.until(RESOURCES.encryptedStores, "default", (one) => isTrue(one, "Available"));
  }, 600_000);

  it("are left as they are while the store is suspended", async () => {
    const name = { namespace: world.namespace, name: "coffer-small" };
    await world.untilReady(RESOURCES.encryptedStores, "small");
    const small = { backend: { type: "Filesystem", filesystem: { size: "1Gi" } } };
    await world.apply(RESOURCES.encryptedStores, "small", { ...small, suspend: true });
    await world.until(RESOURCES.encryptedStores, "small", (one) => isTrue(one, "Suspended"));
    await world.remove(RESOURCES.services, "coffer-small");
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(await world.find(RESOURCES.services, "coffer-small")).toBeUndefined();
    await world.apply(RESOURCES.encryptedStores, "small", { ...small, suspend: false });
    await eventually(
      async () => await world.kube.read(RESOURCES.services, name, never),
      (service) => service !== undefined,
    );
  });
});
