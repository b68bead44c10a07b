// EncryptedStore: the pods of a data plane, and the storage behind them.

import Type, { type Static, type TSchema } from "typebox";
import { ALGORITHMS, KEY_MODES } from "./encryptedbucket.ts";
import { AGE_COLUMN, type Definition, MESSAGE_COLUMN, READY_COLUMNS, type Resource, statusOf } from "./kind.ts";
import {
  affinity,
  networkPolicyPeer,
  nodeSelector,
  resources,
  tolerations,
  topologySpreadConstraints,
} from "./podshapes.ts";
import {
  atomicList,
  choice,
  described,
  flag,
  label,
  mapList,
  name,
  PATTERNS,
  present,
  ref,
  stringMap,
  text,
  whole,
} from "./schema.ts";

/** The size of a volume whose store says nothing of it. */
const VOLUME_SIZE = "10Gi";

const HAS_CLASS = (of: string) => `(has(${of}.filesystem) && has(${of}.filesystem.storageClassName))`;
const SIZE = (of: string) => `quantity(has(${of}.filesystem) ? ${of}.filesystem.size : '${VOLUME_SIZE}')`;
const OUR_KEYS = "!k.startsWith('app.kubernetes.io/') && !k.startsWith('coffer.dev/')";
const NOT_OURS = (field: string) => ({
  rule: `!has(self.${field}) || self.${field}.all(k, ${OUR_KEYS})`,
  message: `${field} below app.kubernetes.io/ and coffer.dev/ are Coffer's own`,
});
const withDescription = <Schema extends TSchema>(schema: Schema, description: string): Schema => ({
  ...schema,
  description,
});

const backend = Type.Object(
  {
    type: choice("Kind of storage; the member of that name may be set, and no other; immutable.", ["Filesystem"]),
    filesystem: Type.Optional(
      Type.Object(
        {
          size: text("Size of the volume; it grows, and never shrinks.", {
            max: 17,
            pattern: PATTERNS.bytes,
            default: VOLUME_SIZE,
          }),
          storageClassName: Type.Optional(
            name("StorageClass of the volume; absent, the cluster's default; immutable."),
          ),
        },
        described("A volume of its own; absent, 10Gi of the cluster's default StorageClass."),
      ),
    ),
  },
  described("Where ciphertext is stored.", [
    { rule: "self.type == oldSelf.type", message: "type is immutable" },
    {
      rule: `${HAS_CLASS("self")} == ${HAS_CLASS("oldSelf")} && (!${HAS_CLASS("self")} || self.filesystem.storageClassName == oldSelf.filesystem.storageClassName)`,
      message: "filesystem.storageClassName is immutable",
    },
    {
      rule: `${SIZE("self")}.compareTo(${SIZE("oldSelf")}) >= 0`,
      message: "filesystem.size can grow, never shrink",
    },
  ]),
);

const pod = Type.Object(
  {
    image: Type.Optional(text("Image of the data plane; absent, the operator's own.", { max: 512 })),
    imagePullSecrets: Type.Optional(
      atomicList(ref("A Secret to pull the image with.", "Name of the Secret, in the same namespace."), {
        description: "Secrets to pull the image with.",
        most: 8,
      }),
    ),
    resources: Type.Optional(
      withDescription(
        resources,
        "What the container asks for and may use, as in a Pod; absent, it asks for 100m and 256Mi.",
      ),
    ),
    nodeSelector: Type.Optional(withDescription(nodeSelector, "Labels of nodes that it may run on, as in a Pod.")),
    tolerations: Type.Optional(withDescription(tolerations, "Taints that it does not mind, as in a Pod.")),
    affinity: Type.Optional(withDescription(affinity, "Where it may and should run, as in a Pod.")),
    topologySpreadConstraints: Type.Optional(
      withDescription(topologySpreadConstraints, "How pods are spread, as in a Pod."),
    ),
    priorityClassName: Type.Optional(name("PriorityClass of the pods.")),
    labels: Type.Optional(stringMap("Further labels of the pods.", 32, 63)),
    annotations: Type.Optional(stringMap("Further annotations of the pods.", 32, 4096)),
  },
  described("How the pods run.", [NOT_OURS("labels"), NOT_OURS("annotations")]),
);

const selfServiceEntry = Type.Object(
  {
    name: label("Name of the entry, and the end of its Secret's name."),
    secretName: Type.Optional(name("Name of the Secret; absent, the store's and the entry's name with a dash.")),
  },
  described("One pair of credentials, in a Secret of its own."),
);

const selfService = Type.Object(
  {
    kmsProviderRef: ref(
      "Whose key wraps the keys of such buckets; immutable.",
      "Name of the KmsProvider, in the same namespace.",
    ),
    algorithm: Type.Optional(choice("Cipher of objects in such buckets; absent, AES-256-GCM.", ALGORITHMS)),
    keyMode: Type.Optional(
      choice("Whether the KMS wraps one key for each such bucket or for each object; absent, Bucket.", KEY_MODES),
    ),
    access: mapList("Who may create buckets.", "name", 8, selfServiceEntry),
  },
  described("Credentials that may create and delete buckets by S3 and REST, and do everything in those alone."),
);

const spec = Type.Object(
  {
    replicas: whole("How many pods serve the store.", { least: 1, most: 100, default: 1 }),
    backend,
    pod: Type.Optional(pod),
    serviceAccount: Type.Optional(
      Type.Object(
        { annotations: Type.Optional(stringMap("Annotations of the ServiceAccount.", 16, 4096)) },
        described("The ServiceAccount that the pods run as."),
      ),
    ),
    service: Type.Object(
      {
        type: choice("Type of the Service.", ["ClusterIP", "NodePort", "LoadBalancer"], { default: "ClusterIP" }),
        annotations: Type.Optional(stringMap("Annotations of the Service.", 32, 4096)),
      },
      present("The Service in front of the pods."),
    ),
    networkPolicy: Type.Object(
      {
        enabled: flag("Whether a NetworkPolicy is made.", true),
        allowFrom: Type.Optional(
          atomicList(networkPolicyPeer, {
            description: "Who may connect, as in a NetworkPolicy; absent, this namespace.",
            most: 16,
          }),
        ),
      },
      present("Who may connect to the pods."),
    ),
    selfService: Type.Optional(selfService),
    settings: Type.Object(
      {
        maxConcurrentRequests: Type.Optional(
          whole("Requests that one pod serves at a time; absent, by the memory at hand.", { least: 1, most: 100_000 }),
        ),
        logLevel: choice("The least that is logged.", ["Info", "Error", "Warn", "Debug"], { default: "Info" }),
        audit: Type.Object(
          {
            enabled: flag("Whether operations are written to the audit log.", true),
            level: choice(
              "Which operations: all, those that use keys, or those that write.",
              ["All", "Keys", "Writes"],
              {
                default: "All",
              },
            ),
          },
          present("The audit log."),
        ),
      },
      present("How each pod works."),
    ),
    suspend: flag("Whether everything is left as it is, while the pods go on serving.", false),
  },
  described("What is wanted.", [
    {
      rule: "self.replicas <= 1 || self.backend.type == 'S3'",
      message: "more than one replica needs backend.type S3",
    },
    {
      rule: "!has(oldSelf.selfService) || (has(self.selfService) && self.selfService.kmsProviderRef == oldSelf.selfService.kmsProviderRef)",
      message: "selfService stays, its kmsProviderRef is immutable; empty access shuts it",
    },
  ]),
);

const status = statusOf("EncryptedStore", {
  replicas: Type.Optional(whole("Pods that there are.", { least: 0 })),
  readyReplicas: Type.Optional(whole("Pods that are ready.", { least: 0 })),
  selector: Type.Optional(text("Label selector of the pods, for autoscalers.", { max: 1024 })),
  endpoints: Type.Optional(
    Type.Object(
      {
        s3: text("Where the store is reached by S3.", { max: 2048 }),
        rest: text("Where the store is reached by REST.", { max: 2048 }),
      },
      described("Where the store is reached."),
    ),
  ),
  buckets: Type.Optional(whole("How many EncryptedBuckets lie in the store.", { least: 0 })),
});

export type EncryptedStoreSpec = Static<typeof spec>;
export type EncryptedStoreStatus = Static<typeof status>;
/** The pods of a data plane and the storage behind them. */
export type EncryptedStore = Resource<"EncryptedStore", EncryptedStoreSpec, EncryptedStoreStatus>;

export const ENCRYPTED_STORE: Definition<"EncryptedStore"> = {
  kind: "EncryptedStore",
  plural: "encryptedstores",
  singular: "encryptedstore",
  shortName: "estore",
  description: "The pods that serve encrypted buckets, and the storage that holds the ciphertext.",
  spec,
  status,
  rules: [
    {
      rule: "size(self.metadata.name) <= 40 && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
      message: "metadata.name must be a DNS label of at most 40 characters",
    },
  ],
  columns: [
    { name: "Backend", type: "string", jsonPath: ".spec.backend.type" },
    ...READY_COLUMNS,
    { name: "Replicas", type: "integer", jsonPath: ".status.replicas" },
    { name: "Buckets", type: "integer", jsonPath: ".status.buckets" },
    AGE_COLUMN,
    { name: "Endpoint", type: "string", jsonPath: ".status.endpoints.s3", priority: 1 },
    MESSAGE_COLUMN,
  ],
  selectableFields: [],
  scale: {
    specReplicasPath: ".spec.replicas",
    statusReplicasPath: ".status.replicas",
    labelSelectorPath: ".status.selector",
  },
};
