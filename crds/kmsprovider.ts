// KmsProvider: where a KMS key lives, how to log in there, when it is rotated and how its health is watched.

import Type, { type Static } from "typebox";
import { AGE_COLUMN, type Definition, MESSAGE_COLUMN, READY_COLUMNS, type Resource, statusOf } from "./kind.ts";
import {
  choice,
  counter,
  dataKey,
  described,
  duration,
  flag,
  keyRef,
  moment,
  name,
  present,
  ref,
  same,
  text,
  whole,
} from "./schema.ts";

const local = Type.Object(
  {
    keySecretRef: Type.Optional(
      keyRef("A key ring that you keep: read, never written, so it cannot be rotated here; immutable."),
    ),
  },
  described("A key ring in a Secret; absent, Coffer makes one, and the status says what to back up."),
);

const kubernetesLogin = Type.Object(
  {
    role: text("Role of Vault's Kubernetes auth method that the data plane logs in with.", { max: 255 }),
    operatorRole: Type.Optional(text("Role that the operator logs in with; absent, the same role.", { max: 255 })),
    mountPath: text("Where the auth method is mounted.", { max: 255, default: "kubernetes" }),
    serviceAccountRef: Type.Optional(
      ref(
        "ServiceAccount that the operator logs in as; absent, coffer-kms.",
        "Name of the ServiceAccount, in the same namespace.",
      ),
    ),
  },
  described("Log in with a ServiceAccount token of the audience vault."),
);

const appRoleLogin = Type.Object(
  {
    roleId: text("The role id.", { max: 255 }),
    secretIdSecretRef: keyRef("Where the secret id is."),
    mountPath: text("Where the auth method is mounted.", { max: 255, default: "approle" }),
  },
  described("Log in with an AppRole."),
);

const auth = Type.Object(
  {
    kubernetes: Type.Optional(kubernetesLogin),
    appRole: Type.Optional(appRoleLogin),
    tokenSecretRef: Type.Optional(keyRef("Where a Vault token is.")),
  },
  described("How to log in: exactly one way.", [
    {
      rule: "[has(self.kubernetes), has(self.appRole), has(self.tokenSecretRef)].exists_one(x, x)",
      message: "exactly one of kubernetes, appRole and tokenSecretRef must be set",
    },
  ]),
);

const NEW_KEY = "immutable: to change the key, make a new KmsProvider and point the buckets at it";

const vault = Type.Object(
  {
    address: text("URL of the server.", { max: 2048, pattern: "^https?://[^/?#\\s]+(/[^?#\\s]*)?$" }),
    allowInsecure: flag("Whether an http:// address is accepted, over which tokens travel in the clear.", false),
    vaultNamespace: Type.Optional(text("Vault namespace of the transit engine; immutable.", { max: 255 })),
    transitMount: text("Where the transit engine is mounted; immutable.", { max: 255, default: "transit" }),
    keyName: text("Name of the transit key; immutable.", { max: 255, pattern: "^[A-Za-z0-9_.-]+$" }),
    tlsServerName: Type.Optional(
      text("Name that the server's certificate must have; absent, the host of the address.", { max: 253 }),
    ),
    caBundleRef: Type.Optional(
      Type.Object(
        {
          kind: choice("Kind of the object.", ["ConfigMap", "Secret"], { default: "ConfigMap" }),
          name: name("Name of the object, in the same namespace."),
          key: dataKey("Key within the object.", "ca.crt"),
        },
        described("Certificates, in PEM, of the authorities that the server is checked against."),
      ),
    ),
    auth,
  },
  described("A key of the transit engine of HashiCorp Vault or OpenBao.", [
    {
      rule: "self.allowInsecure || self.address.startsWith('https://')",
      message: "an http:// address needs allowInsecure: true",
    },
    {
      rule: `self.keyName == oldSelf.keyName && self.transitMount == oldSelf.transitMount && ${same("vaultNamespace")}`,
      message: `keyName, transitMount and vaultNamespace are ${NEW_KEY}`,
    },
  ]),
);

const keyRotation = Type.Object(
  {
    keyGeneration: counter("Raise it to rotate the KMS key once."),
    schedule: Type.Optional(
      text("When to rotate, as five fields of cron.", { max: 100, pattern: "^[^ ]+( +[^ ]+){4}$" }),
    ),
    timeZone: Type.Optional(text("Time zone of the schedule, such as Europe/Berlin; absent, UTC.", { max: 64 })),
  },
  present("When the KMS key gets a new version.", [
    { rule: "!has(self.timeZone) || has(self.schedule)", message: "timeZone needs schedule" },
  ]),
);

const healthCheck = Type.Object(
  {
    interval: duration("How often the key is probed.", "5s", "1h", "60s"),
    timeout: duration("How long one call may take.", "100ms", "1m", "5s"),
    failureThreshold: whole("How many probes in a row must fail until the provider is not ready.", {
      least: 1,
      most: 10,
      default: 3,
    }),
  },
  present("How the key is watched, by wrapping and unwrapping with it.", [
    {
      rule: "!has(self.timeout) || !has(self.interval) || duration(self.timeout) < duration(self.interval)",
      message: "timeout must be shorter than interval",
    },
  ]),
);

const cache = Type.Object(
  {
    ttl: duration("How long an unwrapped key is kept.", "0s", "24h", "5m"),
    maxEntries: whole("How many unwrapped keys are kept.", { least: 1, most: 100_000, default: 1000 }),
    negativeTtl: duration("How long a refusal of the KMS is kept.", "0s", "10m", "10s"),
  },
  present("What each pod of a data plane keeps in memory."),
);

const HAS_RING = "(has(self.local) && has(self.local.keySecretRef))";
const HAD_RING = "(has(oldSelf.local) && has(oldSelf.local.keySecretRef))";

const spec = Type.Object(
  {
    type: choice("Kind of KMS; the member of that name, and no other, is set; immutable.", ["Local", "Vault"]),
    local: Type.Optional(local),
    vault: Type.Optional(vault),
    keyRotation,
    healthCheck,
    cache,
  },
  described("What is wanted.", [
    { rule: "self.type == oldSelf.type", message: "type is immutable" },
    { rule: "self.type == 'Local' || !has(self.local)", message: "local needs type Local" },
    {
      rule: "(self.type == 'Vault') == has(self.vault)",
      message: "vault must be set with type Vault, and with no other",
    },
    {
      rule: `${HAS_RING} == ${HAD_RING} && (!${HAS_RING} || self.local.keySecretRef == oldSelf.local.keySecretRef)`,
      message: "local.keySecretRef is immutable",
    },
  ]),
);

const status = statusOf("KmsProvider", {
  endpoint: Type.Optional(text("Where the KMS is reached.", { max: 2048 })),
  key: Type.Optional(
    Type.Object(
      {
        id: text("The KMS key, as records name it.", { max: 2048 }),
        version: text("Newest version of the key.", { max: 253 }),
        generation: whole("The keyGeneration that was last dealt with.", { least: 0, format: "int64" }),
        lastRotationTime: Type.Optional(moment("When Coffer last rotated the key.")),
        nextRotationTime: Type.Optional(moment("When the schedule rotates it next.")),
      },
      described("The KMS key."),
    ),
  ),
  rotation: Type.Optional(
    Type.Object(
      {
        cause: choice("Why the key is being rotated.", ["Generation", "Schedule"]),
        fromVersion: text("The version that a newer one is wanted for.", { max: 253 }),
        startTime: moment("When it began."),
      },
      described("The rotation that is under way."),
    ),
  ),
  usedBy: Type.Optional(
    Type.Object(
      { buckets: whole("How many EncryptedBuckets use this provider.", { least: 0 }) },
      described("Who uses this provider."),
    ),
  ),
});

export type KmsProviderSpec = Static<typeof spec>;
export type KmsProviderStatus = Static<typeof status>;
/** A KMS key and the way to it. */
export type KmsProvider = Resource<"KmsProvider", KmsProviderSpec, KmsProviderStatus>;

export const KMS_PROVIDER: Definition<"KmsProvider"> = {
  kind: "KmsProvider",
  plural: "kmsproviders",
  singular: "kmsprovider",
  shortName: "kmsp",
  description: "A key in a key-management system that wraps the keys of encrypted buckets.",
  spec,
  status,
  rules: [{ rule: "size(self.metadata.name) <= 63", message: "metadata.name must have at most 63 characters" }],
  columns: [
    { name: "Type", type: "string", jsonPath: ".spec.type" },
    ...READY_COLUMNS,
    { name: "Key-Version", type: "string", jsonPath: ".status.key.version" },
    { name: "Rotated", type: "date", jsonPath: ".status.key.lastRotationTime" },
    AGE_COLUMN,
    { name: "Endpoint", type: "string", jsonPath: ".status.endpoint", priority: 1 },
    { name: "Key", type: "string", jsonPath: ".status.key.id", priority: 1 },
    { name: "Used-By", type: "integer", jsonPath: ".status.usedBy.buckets", priority: 1 },
    MESSAGE_COLUMN,
  ],
  selectableFields: [".spec.type"],
};
