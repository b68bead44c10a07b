// EncryptedBucket: a bucket, the KMS key and algorithm that its objects are encrypted with, and who may use it.

import Type, { type Static } from "typebox";
import {
  AGE_COLUMN,
  conditionPath,
  type Definition,
  MESSAGE_COLUMN,
  READY_COLUMNS,
  type Resource,
  statusOf,
} from "./kind.ts";
import {
  atomicList,
  CANNOT_FALL,
  choice,
  counter,
  counterInItem,
  described,
  duration,
  flag,
  label,
  mapList,
  moment,
  name,
  present,
  ref,
  same,
  stringMap,
  text,
  whole,
} from "./schema.ts";

/** Algorithms and key modes that a user may ask for; Auto is the faster on the processor at hand. */
export const ALGORITHMS = ["AES-256-GCM", "ChaCha20-Poly1305", "Auto"] as const;
export const KEY_MODES = ["Bucket", "Object"] as const;

const IS_BUCKET_NAME = (x: string) =>
  `${x}.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$') && !${x}.contains('..') && !${x}.matches('^[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+$')`;
const BUCKET_NAME = (of: string) => `(has(${of}.spec.bucketName) ? ${of}.spec.bucketName : ${of}.metadata.name)`;
const STORE_NAME = (of: string) => `(has(${of}.storeRef) ? ${of}.storeRef.name : 'default')`;
const GENERATION = (of: string) => `(has(${of}.credentialsGeneration) ? ${of}.credentialsGeneration : 0)`;

const encryption = Type.Object(
  {
    kmsProviderRef: ref(
      "Whose key wraps the bucket's keys; a change moves the bucket by wrapping them again.",
      "Name of the KmsProvider, in the same namespace.",
    ),
    algorithm: choice("Cipher of objects written from now on.", ALGORITHMS, { default: "AES-256-GCM" }),
    keyMode: choice(
      "Whether the KMS wraps one key for the bucket or one for each object written from now on.",
      KEY_MODES,
      {
        default: "Bucket",
      },
    ),
    chunkSize: choice(
      "How many bytes of an object are encrypted together, in objects written from now on.",
      ["16Ki", "32Ki", "64Ki", "128Ki", "256Ki", "512Ki", "1Mi"],
      { default: "64Ki" },
    ),
    context: Type.Optional(
      stringMap("What every use of the KMS key is bound to, and its audit log shows; immutable.", 16, 256, [
        {
          rule: "self.all(k, size(k) <= 128 && !k.startsWith('coffer:'))",
          message: "keys must have at most 128 characters and not begin with coffer:",
        },
      ]),
    ),
  },
  described("How objects are encrypted.", [{ rule: same("context"), message: "context is immutable" }]),
);

const accessEntry = Type.Object(
  {
    name: label("Name of the entry, and the end of its Secret's name."),
    permissions: atomicList(choice("One permission.", ["Read", "Write", "List", "Delete"]), {
      description: "What the credentials may do.",
      least: 1,
      most: 4,
      rules: [
        {
          rule: "self.all(p, self.exists_one(q, q == p))",
          message: "each permission can be named once",
        },
      ],
    }),
    secretName: Type.Optional(name("Name of the Secret; absent, the resource's and the entry's name with a dash.")),
    credentialsGeneration: Type.Optional(counterInItem("Raise it for new credentials, once; absent, 0.")),
  },
  described("One pair of credentials, in a Secret of its own.", [
    {
      rule: `${GENERATION("self")} >= ${GENERATION("oldSelf")}`,
      message: `credentialsGeneration ${CANNOT_FALL}`,
    },
  ]),
);

const spec = Type.Object(
  {
    bucketName: Type.Optional(
      text("Name of the bucket; absent, the resource's name; immutable.", {
        min: 3,
        max: 63,
        rules: [
          {
            rule: IS_BUCKET_NAME("self"),
            message: "must be a bucket name: lower-case letters, digits, dots and dashes, and no IP address",
          },
        ],
      }),
    ),
    storeRef: Type.Optional(
      ref(
        "Where the bucket lies; absent, the namespace's store default, which is made if need be; immutable.",
        "Name of the EncryptedStore, in the same namespace.",
      ),
    ),
    encryption,
    rewrap: Type.Object(
      {
        policy: choice(
          "When the bucket's keys are wrapped under a new version of the KMS key.",
          ["OnKeyRotation", "Manual"],
          { default: "OnKeyRotation" },
        ),
        generation: counter("Raise it to wrap the bucket's keys again, once."),
      },
      present("When the bucket's keys follow the KMS key."),
    ),
    access: Type.Optional(
      mapList("Who may use the bucket.", "name", 32, accessEntry, [
        {
          rule: "self.all(a, !has(a.secretName) || self.exists_one(b, has(b.secretName) && b.secretName == a.secretName))",
          message: "each secretName can be given once",
        },
      ]),
    ),
    credentialsOverlap: duration("How long replaced credentials go on working.", "0s", "720h", "24h"),
    deletionPolicy: choice(
      "What becomes of the objects when this resource is deleted.",
      ["Retain", "DeleteIfEmpty", "DeleteWithObjects"],
      { default: "Retain" },
    ),
    suspend: flag("Whether everything is left as it is, while the bucket goes on being served.", false),
  },
  described("What is wanted.", [
    { rule: `${STORE_NAME("self")} == ${STORE_NAME("oldSelf")}`, message: "storeRef is immutable" },
  ]),
);

const count = (description: string) => whole(description, { least: 0, format: "int64" });

const rewrapStatus = Type.Object(
  {
    generation: count("The rewrap.generation that was last dealt with."),
    scanned: count("Records that were looked at."),
    rewrapped: count("Records that were wrapped again."),
    current: count("Records that needed nothing."),
    excluded: count("Records that no configured key opens."),
    conflict: count("Records that changed meanwhile."),
    failed: count("Records that could not be wrapped."),
    oldestKeyVersion: Type.Optional(text("Oldest version of the KMS key that a record needs.", { max: 253 })),
    startTime: Type.Optional(moment("When it began.")),
    completionTime: Type.Optional(moment("When it was done.")),
  },
  described("How far the last rewrap is."),
);

const status = statusOf("EncryptedBucket", {
  bucketName: Type.Optional(text("Name of the bucket.", { max: 63 })),
  store: Type.Optional(text("Name of the EncryptedStore.", { max: 253 })),
  endpoint: Type.Optional(text("Where the store is reached by S3.", { max: 2048 })),
  encryption: Type.Optional(
    Type.Object(
      {
        provider: text("The KmsProvider whose key wraps every key of the bucket.", { max: 253 }),
        keyId: text("The KMS key, as records name it.", { max: 2048 }),
        keyVersion: text("The version of it that every key of the bucket has reached.", { max: 253 }),
      },
      described("What the bucket's keys are wrapped with."),
    ),
  ),
  rewrap: Type.Optional(rewrapStatus),
  access: Type.Optional(
    mapList(
      "The credentials that were given out.",
      "name",
      32,
      Type.Object(
        {
          name: label("Name of the entry."),
          secretName: name("Name of the Secret."),
          credentialsGeneration: count("The credentialsGeneration that the Secret has."),
        },
        described("One pair of credentials."),
      ),
    ),
  ),
});

export type EncryptedBucketSpec = Static<typeof spec>;
export type EncryptedBucketStatus = Static<typeof status>;
/** A bucket whose objects are encrypted. */
export type EncryptedBucket = Resource<"EncryptedBucket", EncryptedBucketSpec, EncryptedBucketStatus>;

export const ENCRYPTED_BUCKET: Definition<"EncryptedBucket"> = {
  kind: "EncryptedBucket",
  plural: "encryptedbuckets",
  singular: "encryptedbucket",
  shortName: "ebkt",
  description: "A bucket whose objects are encrypted before they reach any storage.",
  spec,
  status,
  rules: [
    { rule: "size(self.metadata.name) <= 63", message: "metadata.name must have at most 63 characters" },
    {
      rule: `has(self.spec.bucketName) || (size(self.metadata.name) >= 3 && ${IS_BUCKET_NAME("self.metadata.name")})`,
      message: "without spec.bucketName, metadata.name must be a bucket name of at least 3 characters",
    },
    { rule: `${BUCKET_NAME("self")} == ${BUCKET_NAME("oldSelf")}`, message: "spec.bucketName is immutable" },
  ],
  columns: [
    { name: "Bucket", type: "string", jsonPath: ".status.bucketName" },
    { name: "Provider", type: "string", jsonPath: ".spec.encryption.kmsProviderRef.name" },
    ...READY_COLUMNS,
    { name: "Key-Version", type: "string", jsonPath: ".status.encryption.keyVersion" },
    AGE_COLUMN,
    { name: "Rewrap", type: "string", jsonPath: conditionPath("RewrapComplete", "reason"), priority: 1 },
    { name: "Store", type: "string", jsonPath: ".status.store", priority: 1 },
    { name: "Endpoint", type: "string", jsonPath: ".status.endpoint", priority: 1 },
    MESSAGE_COLUMN,
  ],
  selectableFields: [".spec.encryption.kmsProviderRef.name"],
};
