// Accepted and refused EncryptedStores: each rule of the kind with at least one of both.

import { type Case, type Cases, long, resource, wide } from "./case.ts";

const store = (more: object = {}, name = "default") =>
  resource("EncryptedStore", name, { backend: { type: "Filesystem" }, ...more });
const filesystem = (more: object) => store({ backend: { type: "Filesystem", filesystem: more } });
const selfService = (more: object = {}) =>
  store({ selfService: { kmsProviderRef: { name: "local" }, access: [{ name: "team" }], ...more } });
const pod = (more: object) => store({ pod: more });
const hosts = (...names: string[]) => ({ key: "kubernetes.io/hostname", operator: "In", values: names });

const accepted = (object: object, before?: object): Case => (before === undefined ? { object } : { object, before });
const refused = (path: string, says: string, object: object, before?: object): Case => ({
  ...accepted(object, before),
  refused: { path, says },
});

const STAYS = "selfService stays, its kmsProviderRef is immutable; empty access shuts it";
const OURS = "are Coffer's own";

export const ENCRYPTED_STORE_CASES: Cases = {
  "a store needs its backend alone": accepted(store()),
  "a store with everything": accepted(
    store({
      replicas: 1,
      backend: { type: "Filesystem", filesystem: { size: "1Ti", storageClassName: "fast" } },
      pod: {
        image: "registry.example/coffer:1",
        imagePullSecrets: [{ name: "pull" }],
        resources: { requests: { cpu: 1, memory: "512Mi" }, limits: { memory: "1Gi" } },
        nodeSelector: { "kubernetes.io/os": "linux" },
        tolerations: [{ key: "dedicated", operator: "Equal", value: "storage", effect: "NoSchedule" }],
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [{ matchExpressions: [hosts("a", "b")] }],
            },
            preferredDuringSchedulingIgnoredDuringExecution: [
              { weight: 1, preference: { matchExpressions: [hosts("a")] } },
            ],
          },
          podAntiAffinity: {
            preferredDuringSchedulingIgnoredDuringExecution: [
              { weight: 100, podAffinityTerm: { topologyKey: "zone", labelSelector: { matchLabels: { app: "a" } } } },
            ],
          },
        },
        topologySpreadConstraints: [{ maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "ScheduleAnyway" }],
        priorityClassName: "high",
        labels: { team: "a" },
        annotations: { note: "a b c" },
      },
      serviceAccount: { annotations: { "iam.example/role": "coffer" } },
      service: { type: "LoadBalancer", annotations: { "lb.example/internal": "true" } },
      networkPolicy: { enabled: true, allowFrom: [{ namespaceSelector: {} }, { ipBlock: { cidr: "10.0.0.0/8" } }] },
      selfService: {
        kmsProviderRef: { name: "local" },
        algorithm: "Auto",
        keyMode: "Object",
        access: [{ name: "team", secretName: "team-keys" }],
      },
      settings: {
        maxConcurrentRequests: 100_000,
        logLevel: "Debug",
        audit: { enabled: false, level: "Keys" },
      },
      suspend: true,
    }),
  ),
  "a name of 40 characters": accepted(store({}, long(40))),
  "a name of 41 characters": refused("", "DNS label of at most 40 characters", store({}, long(41))),
  "a name with a dot": refused("", "DNS label of at most 40 characters", store({}, "my.store")),

  "no backend": refused("spec.backend", "Required value", resource("EncryptedStore", "default", {})),
  "a backend without a type": refused("spec.backend.type", "Required value", store({ backend: {} })),
  "a backend that does not work yet": refused(
    "spec.backend.type",
    'supported values: "Filesystem"',
    store({ backend: { type: "S3" } }),
  ),
  "a second replica": refused("spec", "more than one replica needs backend.type S3", store({ replicas: 2 })),
  "no replica": refused("spec.replicas", "greater than or equal to 1", store({ replicas: 0 })),
  "the backend stays": accepted(store(), store()),

  "the volume grows": accepted(filesystem({ size: "11Gi" }), filesystem({ size: "10Gi" })),
  "the volume grows from the default": accepted(filesystem({ size: "10241Mi" }), store()),
  "the volume stays in another unit": accepted(filesystem({ size: "10240Mi" }), filesystem({ size: "10Gi" })),
  "the default size is written out": accepted(filesystem({ size: "10Gi" }), store()),
  "the volume shrinks": refused(
    "spec.backend",
    "can grow, never shrink",
    filesystem({ size: "9Gi" }),
    filesystem({ size: "10Gi" }),
  ),
  "the volume shrinks below the default": refused(
    "spec.backend",
    "can grow, never shrink",
    filesystem({ size: "10239Mi" }),
    store(),
  ),
  "the size goes": refused("spec.backend", "can grow, never shrink", filesystem({}), filesystem({ size: "20Gi" })),
  "the filesystem goes with its size": refused(
    "spec.backend",
    "can grow, never shrink",
    store(),
    filesystem({ size: "20Gi" }),
  ),
  "a small size goes": accepted(store(), filesystem({ size: "1Gi" })),
  "a size with a fraction": refused("spec.backend.filesystem.size", "should match", filesystem({ size: "1.5Gi" })),
  "a size of nothing": refused("spec.backend.filesystem.size", "should match", filesystem({ size: "0" })),
  "a size in decimal units": refused("spec.backend.filesystem.size", "should match", filesystem({ size: "10G" })),
  "the StorageClass stays": accepted(
    filesystem({ storageClassName: "fast" }),
    filesystem({ storageClassName: "fast" }),
  ),
  "the StorageClass changes": refused(
    "spec.backend",
    "filesystem.storageClassName is immutable",
    filesystem({ storageClassName: "slow" }),
    filesystem({ storageClassName: "fast" }),
  ),
  "a StorageClass comes": refused(
    "spec.backend",
    "filesystem.storageClassName is immutable",
    filesystem({ storageClassName: "fast" }),
    store(),
  ),
  "the StorageClass goes with its filesystem": refused(
    "spec.backend",
    "filesystem.storageClassName is immutable",
    store(),
    filesystem({ storageClassName: "fast" }),
  ),

  "labels and annotations of the user": accepted(pod({ labels: { "example.com/a": "b" }, annotations: { a: "b" } })),
  "labels alone": accepted(pod({ labels: { a: "b" } })),
  "a label below app.kubernetes.io/": refused("spec.pod", OURS, pod({ labels: { "app.kubernetes.io/name": "a" } })),
  "a label below coffer.dev/": refused("spec.pod", OURS, pod({ labels: { "coffer.dev/store": "a" } })),
  "an annotation below coffer.dev/": refused(
    "spec.pod",
    OURS,
    pod({ annotations: { "coffer.dev/config-revision": "1" } }),
  ),
  "an annotation below app.kubernetes.io/": refused(
    "spec.pod",
    OURS,
    pod({ annotations: { "app.kubernetes.io/name": "1" } }),
  ),
  "32 labels": accepted(pod({ labels: wide(32) })),
  "33 labels": refused("spec.pod.labels", "must have at most 32 items", pod({ labels: wide(33) })),
  "an amount that is no quantity": refused(
    "spec.pod.resources.limits.memory",
    "should match",
    pod({ resources: { limits: { memory: "lots" } } }),
  ),
  "an amount that is a list": refused(
    "spec.pod.resources.limits.cpu",
    "must be of type integer,string",
    pod({ resources: { limits: { cpu: [1] } } }),
  ),
  "a field of a Pod that is not handed on": refused(
    "spec.pod.hostNetwork",
    "unknown field",
    pod({ hostNetwork: true }),
  ),
  "an operator that does not exist": refused(
    "spec.pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator",
    "Unsupported value",
    pod({
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: "a", operator: "Is" }] }],
          },
        },
      },
    }),
  ),
  "nine Secrets to pull with": refused(
    "spec.pod.imagePullSecrets",
    "must have at most 8 items",
    pod({ imagePullSecrets: Array.from({ length: 9 }, (_, i) => ({ name: `s${i}` })) }),
  ),
  "a Service of another type": refused(
    "spec.service.type",
    "Unsupported value",
    store({ service: { type: "ExternalName" } }),
  ),

  "selfService comes": accepted(selfService(), store()),
  "selfService is shut": accepted(selfService({ access: [] }), selfService()),
  "selfService goes": refused("spec", STAYS, store(), selfService()),
  "selfService changes its provider": refused(
    "spec",
    STAYS,
    selfService({ kmsProviderRef: { name: "vault" } }),
    selfService(),
  ),
  "selfService changes its algorithm": accepted(selfService({ algorithm: "ChaCha20-Poly1305" }), selfService()),
  "selfService without access": refused(
    "spec.selfService.access",
    "Required value",
    store({ selfService: { kmsProviderRef: { name: "local" } } }),
  ),
  "nine entries of selfService": refused(
    "spec.selfService.access",
    "must have at most 8 items",
    selfService({ access: Array.from({ length: 9 }, (_, i) => ({ name: `t${i}` })) }),
  ),
  "two entries of selfService of one name": refused(
    "spec.selfService.access[1]",
    "Duplicate value",
    selfService({ access: [{ name: "a" }, { name: "a" }] }),
  ),

  "no request at a time": refused(
    "spec.settings.maxConcurrentRequests",
    "greater than or equal to 1",
    store({ settings: { maxConcurrentRequests: 0 } }),
  ),
  "a logLevel in lower case": refused(
    "spec.settings.logLevel",
    "Unsupported value",
    store({ settings: { logLevel: "info" } }),
  ),
  "an audit level that does not exist": refused(
    "spec.settings.audit.level",
    "Unsupported value",
    store({ settings: { audit: { level: "Reads" } } }),
  ),
};
