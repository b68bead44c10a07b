// The kinds of objects that the operator reads and writes, and where the API server has them. One table, so that RBAC can
// be held against it. Shapes say only what the operator reads; what it writes is a plan's or a manifest's.

import type { EncryptedBucket } from "../../crds/encryptedbucket.ts";
import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import type { Metadata } from "../../crds/kind.ts";
import { KINDS } from "../../crds/kinds.ts";
import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { API_VERSION } from "../../crds/names.ts";

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface ObjectMetadata extends Metadata {
  ownerReferences?: OwnerReference[];
}

/** What every object has. */
export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMetadata;
}

/** Where an object is. Every kind that the operator knows is namespaced. */
export interface ObjectName {
  readonly namespace: string;
  readonly name: string;
}

export interface ResourceType<Shape extends KubeObject> {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  /** `metadata`: lists and watches bring no more, ever. What such an object holds is read by name. */
  readonly listed: "whole" | "metadata";
  /** Never there: carries the shape for the compiler. */
  readonly shape?: Shape;
}

export interface SecretObject extends KubeObject {
  type?: string;
  immutable?: boolean;
  data?: Record<string, string>;
}

export interface ConfigMapObject extends KubeObject {
  data?: Record<string, string>;
  binaryData?: Record<string, string>;
}

export interface PodObject extends KubeObject {
  spec?: { readonly nodeName?: string };
  status?: {
    readonly phase?: string;
    readonly podIP?: string;
    readonly conditions?: readonly StatusCondition[];
    readonly containerStatuses?: readonly ContainerStatus[];
  };
}

export interface ContainerStatus {
  readonly name: string;
  /** Its startup probe has succeeded. */
  readonly started?: boolean;
  readonly state?: {
    readonly waiting?: { readonly reason?: string; readonly message?: string };
    readonly running?: object;
  };
}

export interface StatusCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

export interface StatefulSetObject extends KubeObject {
  status?: { readonly observedGeneration?: number; readonly replicas?: number; readonly readyReplicas?: number };
}

export interface VolumeClaimObject extends KubeObject {
  spec?: { readonly storageClassName?: string; readonly resources?: object };
  status?: {
    readonly phase?: string;
    readonly capacity?: Readonly<Record<string, string>>;
    readonly conditions?: readonly StatusCondition[];
  };
}

export interface LeaseObject extends KubeObject {
  spec: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

export interface EventObject extends KubeObject {
  eventTime: string;
  reportingController: string;
  reportingInstance: string;
  action: string;
  reason: string;
  note: string;
  type: "Normal" | "Warning";
  regarding: { apiVersion: string; kind: string; namespace: string; name: string; uid: string };
  series?: { count: number; lastObservedTime: string };
}

function ours<Shape extends KubeObject>(kind: keyof typeof KINDS): ResourceType<Shape> {
  return { apiVersion: API_VERSION, kind, plural: KINDS[kind].plural, listed: "whole" };
}

function whole<Shape extends KubeObject = KubeObject>(apiVersion: string, kind: string, plural: string) {
  return { apiVersion, kind, plural, listed: "whole" } as ResourceType<Shape>;
}

function byName<Shape extends KubeObject = KubeObject>(apiVersion: string, kind: string, plural: string) {
  return { apiVersion, kind, plural, listed: "metadata" } as ResourceType<Shape>;
}

export const RESOURCES = {
  kmsProviders: ours<KmsProvider>("KmsProvider"),
  encryptedBuckets: ours<EncryptedBucket>("EncryptedBucket"),
  encryptedStores: ours<EncryptedStore>("EncryptedStore"),
  secrets: byName<SecretObject>("v1", "Secret", "secrets"),
  configMaps: byName<ConfigMapObject>("v1", "ConfigMap", "configmaps"),
  pods: whole<PodObject>("v1", "Pod", "pods"),
  services: byName("v1", "Service", "services"),
  serviceAccounts: byName("v1", "ServiceAccount", "serviceaccounts"),
  volumeClaims: whole<VolumeClaimObject>("v1", "PersistentVolumeClaim", "persistentvolumeclaims"),
  statefulSets: whole<StatefulSetObject>("apps/v1", "StatefulSet", "statefulsets"),
  networkPolicies: byName("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
  disruptionBudgets: byName("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets"),
  leases: whole<LeaseObject>("coordination.k8s.io/v1", "Lease", "leases"),
  events: whole<EventObject>("events.k8s.io/v1", "Event", "events"),
} as const;

/** The path of a type's collection in a namespace; in all of them without one. */
export function collectionPath(type: ResourceType<KubeObject>, namespace: string | undefined): string {
  const group = type.apiVersion.includes("/") ? `/apis/${type.apiVersion}` : `/api/${type.apiVersion}`;
  const place = namespace === undefined ? "" : `/namespaces/${encodeURIComponent(namespace)}`;
  return `${group}${place}/${type.plural}`;
}

export function objectPath(type: ResourceType<KubeObject>, { namespace, name }: ObjectName): string {
  return `${collectionPath(type, namespace)}/${encodeURIComponent(name)}`;
}

/** How an object is called in maps. */
export function objectKey({ namespace, name }: { readonly namespace?: string; readonly name: string }): string {
  return `${namespace ?? ""}/${name}`;
}
