import { describe, expect, it } from "vitest";
import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import { validate } from "../../crds/validate.ts";
import { type StoreObjects, storeObjects, storeUrls } from "./manifests.ts";

const AROUND = { image: "coffer:1", operatorNamespace: "coffer-system" };

function store(spec: object = {}): EncryptedStore {
  const made = validate({
    apiVersion: "coffer.dev/v1alpha1",
    kind: "EncryptedStore",
    metadata: { name: "default", namespace: "team" },
    spec: { backend: { type: "Filesystem" }, ...spec },
  });
  if ("problems" in made) throw new Error(JSON.stringify(made.problems));
  const object = made.object as EncryptedStore;
  return { ...object, metadata: { ...object.metadata, uid: "1" } };
}

/** As plain data, so that a test may look anywhere. */
function specOf(objects: StoreObjects, which: keyof StoreObjects): Record<string, never> {
  const { spec } = JSON.parse(JSON.stringify(objects[which] ?? {})) as { readonly spec: Record<string, never> };
  return spec;
}

describe("storeObjects()", () => {
  it("gives equal objects for equal stores", () => {
    expect(JSON.stringify(storeObjects(store(), AROUND))).toBe(JSON.stringify(storeObjects(store(), AROUND)));
  });

  it("names them all alike, and owns all but the volume", () => {
    for (const [which, manifest] of Object.entries(storeObjects(store(), AROUND))) {
      expect(manifest?.metadata).toMatchObject({ namespace: "team", name: "coffer-default" });
      expect(manifest?.metadata.ownerReferences !== undefined).toBe(which !== "volumeClaim");
    }
  });

  it("selects pods by nothing that an upgrade changes", () => {
    const selector = JSON.stringify(specOf(storeObjects(store(), AROUND), "statefulSet")["selector"]);
    const later = storeObjects(store({ pod: { labels: { team: "a" } } }), { ...AROUND, image: "coffer:2" });
    expect(JSON.stringify(specOf(later, "statefulSet")["selector"])).toBe(selector);
    expect(selector).not.toContain("version");
  });

  it("lets in this namespace by default, the operator to 9090, and who the spec names instead", () => {
    const ingress = (spec: object) => specOf(storeObjects(store(spec), AROUND), "networkPolicy")["ingress"];
    const operator = { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "coffer-system" } } };
    const ports = (...numbers: number[]) => numbers.map((port) => ({ port, protocol: "TCP" }));
    expect(ingress({})).toEqual([
      { from: [{ podSelector: {} }], ports: ports(9000, 8080) },
      { from: [{ podSelector: {} }, operator], ports: ports(9090) },
    ]);
    const peer = { namespaceSelector: { matchLabels: { team: "b" } } };
    expect(ingress({ networkPolicy: { allowFrom: [peer] } })).toMatchObject([
      { from: [peer] },
      { from: [peer, operator] },
    ]);
    expect(storeObjects(store({ networkPolicy: { enabled: false } }), AROUND).networkPolicy).toBeUndefined();
  });

  it("asks for the volume that the spec names", () => {
    const filesystem = { size: "1Ti", storageClassName: "fast" };
    const objects = storeObjects(store({ backend: { type: "Filesystem", filesystem } }), AROUND);
    expect(specOf(objects, "volumeClaim")).toEqual({
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: "1Ti" } },
      storageClassName: "fast",
    });
    expect(specOf(storeObjects(store(), AROUND), "volumeClaim")).not.toHaveProperty("storageClassName");
  });

  it("hands on what the spec says of pods, and never lets it take a label of ours", () => {
    const pod = {
      image: "mine:2",
      nodeSelector: { disk: "ssd" },
      tolerations: [{ key: "a", operator: "Exists" }],
      imagePullSecrets: [{ name: "pull" }],
      priorityClassName: "high",
      labels: { team: "a" },
      annotations: { note: "b" },
    };
    const { metadata, spec } = specOf(storeObjects(store({ pod }), AROUND), "statefulSet")["template"] as unknown as {
      readonly metadata: object;
      readonly spec: { readonly containers: readonly object[] };
    };
    expect(metadata).toMatchObject({
      labels: { team: "a", "app.kubernetes.io/instance": "default" },
      annotations: { note: "b" },
    });
    const { nodeSelector, tolerations, imagePullSecrets, priorityClassName } = pod;
    expect(spec).toMatchObject({ nodeSelector, tolerations, imagePullSecrets, priorityClassName });
    expect(spec.containers[0]).toMatchObject({ image: "mine:2" });
  });

  it("asks for some processor and memory, unless the spec says how much", () => {
    const resourcesOf = (pod: object) => {
      const { template } = specOf(storeObjects(store({ pod }), AROUND), "statefulSet") as unknown as {
        readonly template: { readonly spec: { readonly containers: readonly [{ readonly resources: object }] } };
      };
      return template.spec.containers[0].resources;
    };
    expect(resourcesOf({})).toEqual({ requests: { cpu: "100m", memory: "256Mi" } });
    const limits = { memory: "2Gi" };
    expect(resourcesOf({ resources: { limits } })).toEqual({ limits });
  });

  it("lets a pod that is going be heard to say so, and has it end well within its grace", () => {
    const { template } = specOf(storeObjects(store(), AROUND), "statefulSet") as unknown as {
      readonly template: {
        readonly spec: {
          readonly terminationGracePeriodSeconds: number;
          readonly containers: readonly [
            {
              readonly env: readonly { readonly name: string; readonly value: string }[];
              readonly readinessProbe: { readonly periodSeconds: number; readonly failureThreshold: number };
            },
          ];
        };
      };
    };
    const [{ env, readinessProbe }] = template.spec.containers;
    const delaySeconds = Number(env.find(({ name }) => name === "COFFER_SHUTDOWN_DELAY_SECONDS")?.value);
    const { periodSeconds, failureThreshold } = readinessProbe;
    // A node looks at most once a second what it leads where.
    expect(delaySeconds).toBeGreaterThan(periodSeconds * failureThreshold + 1);
    // And 25 s for what is in flight, and some to close the volume.
    expect(delaySeconds + 30).toBeLessThan(template.spec.terminationGracePeriodSeconds);
  });

  it("is reached by the name of its Service", () => {
    expect(storeUrls({ namespace: "team", name: "default" })).toEqual({
      s3: "http://coffer-default.team.svc:9000",
      rest: "http://coffer-default.team.svc:8080",
    });
  });
});
