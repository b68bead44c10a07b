// The objects of an EncryptedStore: pods and all around them. Pure: equal inputs give equal objects. The configuration's
// Secret is not among them, since its bytes are the compiler's.

import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import { PORTS, storeConfigName, storeObjectName, VAULT_AUDIENCE } from "../../crds/names.ts";
import { labelsOf, type Manifest, ownedBy } from "../manifest.ts";

/** What the operator knows that no store says. */
export interface StoreSurroundings {
  /** The operator's own image, which is the data plane's too. */
  readonly image: string;
  readonly operatorNamespace: string;
}

/** Where the pods find things. */
export const PLACES = {
  data: "/data",
  config: "/etc/coffer/config",
  configFile: "config.json",
  vaultToken: "/var/run/secrets/coffer/vault",
  vaultTokenFile: "token",
} as const;

/** The owner of every file in the image. */
const USER = 10001;
/** The data plane finishes what is in flight within less. */
const GRACE_SECONDS = 45;
/**
 * Of a pod that is going, and the only one of its Service: until its readiness probe has failed and every node has heard
 * of it. A connection that a node leads to a pod whose network is gone gets no answer, not even a refusal.
 */
const SHUTDOWN_DELAY_SECONDS = 3;
const TOKEN_SECONDS = 3600;
/** rw-r-----: the group is the pods'. */
const GROUP_READS = 0o440;

export type StoreObjects = Readonly<Record<StoreObject, Manifest | undefined>>;
export type StoreObject =
  | "serviceAccount"
  | "volumeClaim"
  | "service"
  | "networkPolicy"
  | "disruptionBudget"
  | "statefulSet";

/** In the order in which they are applied: pods last. undefined: this one is not wanted. */
export function storeObjects(store: EncryptedStore, around: StoreSurroundings): StoreObjects {
  return {
    serviceAccount: serviceAccount(store),
    volumeClaim: volumeClaim(store),
    service: service(store),
    networkPolicy: store.spec.networkPolicy.enabled ? networkPolicy(store, around) : undefined,
    disruptionBudget: disruptionBudget(store),
    statefulSet: statefulSet(store, around),
  };
}

/** The labels that pods of the store are found by. */
function podLabels(store: string): Record<string, string> {
  return labelsOf(store, "data-plane");
}

/** In the form that autoscalers read. */
export function podSelector(store: string): string {
  return Object.entries(podLabels(store))
    .map(([name, value]) => `${name}=${value}`)
    .join(",");
}

/** Where the store is reached within the cluster. */
export function storeUrls({ namespace, name }: { readonly namespace: string; readonly name: string }) {
  const host = `${storeObjectName(name)}.${namespace}.svc`;
  return { s3: `http://${host}:${PORTS.s3}`, rest: `http://${host}:${PORTS.rest}` };
}

function metadata(store: EncryptedStore, annotations?: Record<string, string>) {
  const { namespace = "", name } = store.metadata;
  return {
    namespace,
    name: storeObjectName(name),
    labels: podLabels(name),
    ...(annotations === undefined ? {} : { annotations }),
    ownerReferences: ownedBy(store),
  };
}

/** It has no rights, and its token is for Vault alone. */
function serviceAccount(store: EncryptedStore): Manifest {
  return {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: metadata(store, store.spec.serviceAccount?.annotations),
    automountServiceAccountToken: false,
  } as Manifest;
}

/** Without an owner: what holds the only copy of data does not go with the resource that made it. */
function volumeClaim(store: EncryptedStore): Manifest {
  const { namespace = "", name } = store.metadata;
  const { filesystem } = store.spec.backend;
  const { storageClassName } = filesystem ?? {};
  return {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { namespace, name: storeObjectName(name), labels: podLabels(name) },
    spec: {
      accessModes: ["ReadWriteOnce"],
      resources: { requests: { storage: filesystem?.size ?? "10Gi" } },
      ...(storageClassName === undefined ? {} : { storageClassName }),
    },
  } as Manifest;
}

function service(store: EncryptedStore): Manifest {
  const { type, annotations } = store.spec.service;
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: metadata(store, annotations),
    spec: {
      type,
      selector: podLabels(store.metadata.name),
      ports: [
        { name: "s3", port: PORTS.s3, targetPort: "s3", protocol: "TCP" },
        { name: "rest", port: PORTS.rest, targetPort: "rest", protocol: "TCP" },
      ],
    },
  } as Manifest;
}

/** Applications from where the spec says; the pages of 9090 also for the operator. */
function networkPolicy(store: EncryptedStore, { operatorNamespace }: StoreSurroundings): Manifest {
  const peers = store.spec.networkPolicy.allowFrom ?? [{ podSelector: {} }];
  const operator = { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": operatorNamespace } } };
  const port = (number: number) => ({ port: number, protocol: "TCP" });
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: metadata(store),
    spec: {
      podSelector: { matchLabels: podLabels(store.metadata.name) },
      policyTypes: ["Ingress"],
      ingress: [
        { from: peers, ports: [port(PORTS.s3), port(PORTS.rest)] },
        { from: [...peers, operator], ports: [port(PORTS.admin)] },
      ],
    },
  } as Manifest;
}

/** A drain of a single replica costs a restart, and does not hang. */
function disruptionBudget(store: EncryptedStore): Manifest {
  return {
    apiVersion: "policy/v1",
    kind: "PodDisruptionBudget",
    metadata: metadata(store),
    spec: { maxUnavailable: 1, selector: { matchLabels: podLabels(store.metadata.name) } },
  } as Manifest;
}

function statefulSet(store: EncryptedStore, around: StoreSurroundings): Manifest {
  const { name } = store.metadata;
  const { pod = {}, replicas } = store.spec;
  return {
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: metadata(store),
    spec: {
      replicas,
      serviceName: storeObjectName(name),
      podManagementPolicy: "Parallel",
      selector: { matchLabels: podLabels(name) },
      template: {
        metadata: {
          labels: { ...pod.labels, ...podLabels(name) },
          ...(pod.annotations === undefined ? {} : { annotations: pod.annotations }),
        },
        spec: podSpec(store, around),
      },
    },
  } as Manifest;
}

function podSpec(store: EncryptedStore, around: StoreSurroundings) {
  const { name } = store.metadata;
  const { pod = {} } = store.spec;
  const { nodeSelector, tolerations, affinity, topologySpreadConstraints, priorityClassName, imagePullSecrets } = pod;
  const handedOn = {
    nodeSelector,
    tolerations,
    affinity,
    topologySpreadConstraints,
    priorityClassName,
    imagePullSecrets,
  };
  return {
    ...Object.fromEntries(Object.entries(handedOn).filter(([, value]) => value !== undefined)),
    serviceAccountName: storeObjectName(name),
    automountServiceAccountToken: false,
    // Our Service's name would put COFFER_… into the environment.
    enableServiceLinks: false,
    terminationGracePeriodSeconds: GRACE_SECONDS,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: USER,
      runAsGroup: USER,
      fsGroup: USER,
      fsGroupChangePolicy: "OnRootMismatch",
      seccompProfile: { type: "RuntimeDefault" },
    },
    containers: [container(store, around)],
    volumes: [
      { name: "data", persistentVolumeClaim: { claimName: storeObjectName(name) } },
      { name: "config", secret: { secretName: storeConfigName(name), defaultMode: GROUP_READS } },
      {
        name: "vault-token",
        projected: {
          defaultMode: GROUP_READS,
          sources: [
            {
              serviceAccountToken: {
                audience: VAULT_AUDIENCE,
                expirationSeconds: TOKEN_SECONDS,
                path: PLACES.vaultTokenFile,
              },
            },
          ],
        },
      },
    ],
  };
}

/** Where the spec says nothing: a pod that asks for nothing starves first on a crowded node, and is ended first. */
const RESOURCES = { requests: { cpu: "100m", memory: "256Mi" } };

function container({ spec: { pod = {} } }: EncryptedStore, { image }: StoreSurroundings) {
  const asks = (path: string) => ({ httpGet: { path, port: "admin" } });
  return {
    name: "data-plane",
    image: pod.image ?? image,
    env: [
      { name: "COFFER_CONFIG", value: `${PLACES.config}/${PLACES.configFile}` },
      { name: "COFFER_LISTEN", value: "0.0.0.0" },
      { name: "COFFER_DATA_DIR", value: PLACES.data },
      { name: "COFFER_SHUTDOWN_DELAY_SECONDS", value: String(SHUTDOWN_DELAY_SECONDS) },
    ],
    ports: [
      { name: "s3", containerPort: PORTS.s3, protocol: "TCP" },
      { name: "rest", containerPort: PORTS.rest, protocol: "TCP" },
      { name: "admin", containerPort: PORTS.admin, protocol: "TCP" },
    ],
    resources: pod.resources ?? RESOURCES,
    // A volume that was not closed in peace is looked through first.
    startupProbe: {
      ...asks("/healthz"),
      initialDelaySeconds: 1,
      periodSeconds: 1,
      timeoutSeconds: 2,
      failureThreshold: 600,
    },
    livenessProbe: { ...asks("/healthz"), periodSeconds: 10, timeoutSeconds: 5, failureThreshold: 6 },
    // On a busy node an answer takes its time; with one replica, a pod that is taken out of its Service is an outage. But
    // an answer that says no is meant: within the shutdown's delay it must have been heard.
    readinessProbe: { ...asks("/readyz"), periodSeconds: 1, timeoutSeconds: 15, failureThreshold: 1 },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ["ALL"] },
    },
    volumeMounts: [
      { name: "data", mountPath: PLACES.data },
      { name: "config", mountPath: PLACES.config, readOnly: true },
      { name: "vault-token", mountPath: PLACES.vaultToken, readOnly: true },
    ],
  };
}
