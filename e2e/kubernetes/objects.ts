// What is asked of the API server: where each kind of object is found, and the parts of objects that tests look at.

export interface Condition {
  readonly type: string;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
  readonly lastTransitionTime: string;
}

// biome-ignore lint/suspicious/noExplicitAny: every kind has fields of its own, and a test names those that it means
type Fields = any;

export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly generation?: number;
    readonly creationTimestamp: string;
    readonly deletionTimestamp?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly finalizers?: readonly string[];
    readonly ownerReferences?: readonly { readonly kind: string; readonly name: string; readonly uid: string }[];
  };
  readonly spec?: Fields;
  readonly status?: Fields;
  readonly data?: Readonly<Record<string, string>>;
  readonly [field: string]: Fields;
}

/** By the plural: the API that has it. */
const APIS = {
  bindings: "v1",
  configmaps: "v1",
  namespaces: "v1",
  nodes: "v1",
  persistentvolumeclaims: "v1",
  persistentvolumes: "v1",
  pods: "v1",
  secrets: "v1",
  serviceaccounts: "v1",
  services: "v1",
  daemonsets: "apps/v1",
  deployments: "apps/v1",
  replicasets: "apps/v1",
  statefulsets: "apps/v1",
  jobs: "batch/v1",
  leases: "coordination.k8s.io/v1",
  endpointslices: "discovery.k8s.io/v1",
  events: "events.k8s.io/v1",
  networkpolicies: "networking.k8s.io/v1",
  poddisruptionbudgets: "policy/v1",
  clusterrolebindings: "rbac.authorization.k8s.io/v1",
  clusterroles: "rbac.authorization.k8s.io/v1",
  rolebindings: "rbac.authorization.k8s.io/v1",
  roles: "rbac.authorization.k8s.io/v1",
  customresourcedefinitions: "apiextensions.k8s.io/v1",
  encryptedbuckets: "coffer.dev/v1alpha1",
  encryptedstores: "coffer.dev/v1alpha1",
  kmsproviders: "coffer.dev/v1alpha1",
} as const;

/** The plural, as URLs have it. */
export type Resource = keyof typeof APIS;

/** Without a name the list; without a namespace an object of the whole cluster, or the list of all namespaces. */
export function pathOf(resource: Resource, namespace: string | undefined, name?: string): string {
  const api = APIS[resource];
  const root = api === "v1" ? "/api/v1" : `/apis/${api}`;
  const inside = namespace === undefined ? "" : `/namespaces/${namespace}`;
  return `${root}${inside}/${resource}${name === undefined ? "" : `/${name}`}`;
}

export function conditionOf(object: KubeObject | undefined, type: string): Condition | undefined {
  const conditions = (object?.status?.conditions ?? []) as readonly Condition[];
  return conditions.find((condition) => condition.type === type);
}

/** For the message of a wait that was in vain. */
export function describeObject(object: KubeObject | undefined): string {
  if (object === undefined) return "it does not exist";
  const { status } = object;
  const conditions = (status?.conditions ?? []) as readonly Condition[];
  const said = conditions.map(({ type, status: is, reason, message }) => `${type}=${is} ${reason}: ${message}`);
  const rest = { ...status, conditions: undefined };
  return [...said, `status ${JSON.stringify(rest)}`].join("\n  ").slice(0, 4000);
}
