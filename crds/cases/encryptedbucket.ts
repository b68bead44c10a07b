// Accepted and refused EncryptedBuckets: each rule of the kind with at least one of both.

import { type Case, type Cases, long, resource, wide } from "./case.ts";

const encryption = { kmsProviderRef: { name: "local" } };
const bucket = (more: object = {}, name = "photos") => resource("EncryptedBucket", name, { encryption, ...more });
const encrypted = (more: object) => bucket({ encryption: { ...encryption, ...more } });
const entry = (more: object = {}) => ({ name: "app", permissions: ["Read"], ...more });
const access = (...entries: object[]) => bucket({ access: entries });
const rewrap = (generation: number) => bucket({ rewrap: { generation } });

const accepted = (object: object, before?: object): Case => (before === undefined ? { object } : { object, before });
const refused = (path: string, says: string, object: object, before?: object): Case => ({
  ...accepted(object, before),
  refused: { path, says },
});

const NAME = "must be a bucket name";
const CANNOT_FALL = "can be raised, never lowered or removed";

export const ENCRYPTED_BUCKET_CASES: Cases = {
  "a bucket needs its provider alone": accepted(bucket()),
  "a bucket with everything": accepted(
    bucket({
      bucketName: "holiday.photos-2026",
      storeRef: { name: "default" },
      encryption: {
        ...encryption,
        algorithm: "Auto",
        keyMode: "Object",
        chunkSize: "1Mi",
        context: { team: "a" },
      },
      rewrap: { policy: "Manual", generation: 1 },
      access: [
        entry({ permissions: ["Read", "Write", "List", "Delete"], secretName: "app-keys", credentialsGeneration: 1 }),
      ],
      credentialsOverlap: "720h",
      deletionPolicy: "DeleteIfEmpty",
      suspend: true,
    }),
  ),
  "no encryption": refused("spec.encryption", "Required value", resource("EncryptedBucket", "photos", {})),
  "no provider": refused("spec.encryption.kmsProviderRef", "Required value", bucket({ encryption: {} })),
  "a provider without a name": refused(
    "spec.encryption.kmsProviderRef.name",
    "Required value",
    encrypted({ kmsProviderRef: {} }),
  ),
  "a provider of another namespace": refused(
    "spec.encryption.kmsProviderRef.namespace",
    "unknown field",
    encrypted({ kmsProviderRef: { name: "local", namespace: "other" } }),
  ),

  "a resource name that is a bucket name": accepted(bucket({}, "my.photos")),
  "a resource name of 63 characters": accepted(bucket({}, long(63))),
  "a resource name of 64 characters": refused("", "at most 63 characters", bucket({ bucketName: "photos" }, long(64))),
  "a resource name too short for a bucket": refused("", "must be a bucket name of at least 3", bucket({}, "ab")),
  "a short resource name with a bucketName": accepted(bucket({ bucketName: "photos" }, "ab")),
  "a resource name that is an IP address": refused("", "must be a bucket name of at least 3", bucket({}, "10.0.0.1")),
  "the shortest bucketName": accepted(bucket({ bucketName: "abc" })),
  "the longest bucketName": accepted(bucket({ bucketName: long(63) })),
  "a bucketName of 2 characters": refused("spec.bucketName", "at least 3 chars", bucket({ bucketName: "ab" })),
  "a bucketName of 64 characters": refused("spec.bucketName", "Too long", bucket({ bucketName: long(64) })),
  "a bucketName in capitals": refused("spec.bucketName", NAME, bucket({ bucketName: "Photos" })),
  "a bucketName with an underscore": refused("spec.bucketName", NAME, bucket({ bucketName: "my_photos" })),
  "a bucketName with two dots": refused("spec.bucketName", NAME, bucket({ bucketName: "a..b" })),
  "a bucketName that ends with a dash": refused("spec.bucketName", NAME, bucket({ bucketName: "photos-" })),
  "a bucketName that begins with a dot": refused("spec.bucketName", NAME, bucket({ bucketName: ".photos" })),
  "a bucketName that is an IP address": refused("spec.bucketName", NAME, bucket({ bucketName: "192.168.0.1" })),
  "a bucketName of five numbers": accepted(bucket({ bucketName: "1.2.3.4.5" })),
  "the bucketName is written out": accepted(bucket({ bucketName: "photos" }), bucket()),
  "the bucketName goes, being the resource's name": accepted(bucket(), bucket({ bucketName: "photos" })),
  "the bucketName changes": refused(
    "",
    "spec.bucketName is immutable",
    bucket({ bucketName: "videos" }),
    bucket({ bucketName: "images" }),
  ),
  "another bucketName comes": refused("", "spec.bucketName is immutable", bucket({ bucketName: "videos" }), bucket()),
  "another bucketName goes": refused("", "spec.bucketName is immutable", bucket(), bucket({ bucketName: "videos" })),

  "the default store is written out": accepted(bucket({ storeRef: { name: "default" } }), bucket()),
  "the default store is left out": accepted(bucket(), bucket({ storeRef: { name: "default" } })),
  "the store changes": refused(
    "spec",
    "storeRef is immutable",
    bucket({ storeRef: { name: "b" } }),
    bucket({ storeRef: { name: "a" } }),
  ),
  "another store comes": refused("spec", "storeRef is immutable", bucket({ storeRef: { name: "a" } }), bucket()),
  "another store goes": refused("spec", "storeRef is immutable", bucket(), bucket({ storeRef: { name: "a" } })),

  "the provider changes": accepted(encrypted({ kmsProviderRef: { name: "vault" } }), bucket()),
  "algorithm, keyMode and chunkSize change": accepted(
    encrypted({ algorithm: "ChaCha20-Poly1305", keyMode: "Object", chunkSize: "16Ki" }),
    bucket(),
  ),
  "an algorithm that does not exist": refused(
    "spec.encryption.algorithm",
    "Unsupported value",
    encrypted({ algorithm: "AES-128-GCM" }),
  ),
  "a keyMode that does not exist": refused(
    "spec.encryption.keyMode",
    'supported values: "Bucket", "Object"',
    encrypted({ keyMode: "None" }),
  ),
  "a chunkSize that does not exist": refused(
    "spec.encryption.chunkSize",
    "Unsupported value",
    encrypted({ chunkSize: "48Ki" }),
  ),
  "a context of 16 entries": accepted(encrypted({ context: wide(16) })),
  "a context of 17 entries": refused(
    "spec.encryption.context",
    "must have at most 16 items",
    encrypted({ context: wide(17) }),
  ),
  "a context key of 128 characters": accepted(encrypted({ context: { [long(128)]: "v" } })),
  "a context key of 129 characters": refused(
    "spec.encryption.context",
    "at most 128 characters",
    encrypted({ context: { [long(129)]: "v" } }),
  ),
  "a context key that is ours": refused(
    "spec.encryption.context",
    "not begin with coffer:",
    encrypted({ context: { "coffer:bucket": "v" } }),
  ),
  "a context value of 256 characters": accepted(encrypted({ context: { k: long(256) } })),
  "a context value of 257 characters": refused(
    "spec.encryption.context.k",
    "Too long",
    encrypted({ context: { k: long(257) } }),
  ),
  "a context value that is a number": refused(
    "spec.encryption.context.k",
    "must be of type string",
    encrypted({ context: { k: 1 } }),
  ),
  "the context stays, in another order": accepted(
    encrypted({ context: { a: "1", b: "2" } }),
    encrypted({ context: { b: "2", a: "1" } }),
  ),
  "the context changes": refused(
    "spec.encryption",
    "context is immutable",
    encrypted({ context: { a: "2" } }),
    encrypted({ context: { a: "1" } }),
  ),
  "the context comes": refused("spec.encryption", "context is immutable", encrypted({ context: { a: "1" } }), bucket()),
  "the context goes": refused("spec.encryption", "context is immutable", bucket(), encrypted({ context: { a: "1" } })),

  "rewrap.generation is raised": accepted(rewrap(2), rewrap(1)),
  "rewrap.generation is lowered": refused("spec.rewrap.generation", CANNOT_FALL, rewrap(1), rewrap(2)),
  "rewrap goes with its generation": refused("spec.rewrap.generation", CANNOT_FALL, bucket(), rewrap(1)),
  "rewrap goes at generation 0": accepted(bucket(), bucket({ rewrap: { policy: "Manual" } })),
  "a rewrap policy that does not exist": refused(
    "spec.rewrap.policy",
    "Unsupported value",
    bucket({ rewrap: { policy: "Never" } }),
  ),

  "32 entries of access": accepted(access(...Array.from({ length: 32 }, (_, i) => entry({ name: `app-${i}` })))),
  "33 entries of access": refused(
    "spec.access",
    "must have at most 32 items",
    access(...Array.from({ length: 33 }, (_, i) => entry({ name: `app-${i}` }))),
  ),
  "two entries of one name": refused("spec.access[1]", "Duplicate value", access(entry(), entry())),
  "an entry without a name": refused("spec.access[0].name", "Required value", access({ permissions: ["Read"] })),
  "an entry whose name has a dot": refused("spec.access[0].name", "should match", access(entry({ name: "a.b" }))),
  "an entry without permissions": refused("spec.access[0].permissions", "Required value", access({ name: "app" })),
  "an entry with no permission": refused(
    "spec.access[0].permissions",
    "at least 1 items",
    access(entry({ permissions: [] })),
  ),
  "a permission that does not exist": refused(
    "spec.access[0].permissions[0]",
    "Unsupported value",
    access(entry({ permissions: ["Admin"] })),
  ),
  "all permissions": accepted(access(entry({ permissions: ["Delete", "List", "Write", "Read"] }))),
  "a permission twice": refused(
    "spec.access[0].permissions",
    "each permission can be named once",
    access(entry({ permissions: ["Read", "Read"] })),
  ),
  "five permissions": refused(
    "spec.access[0].permissions",
    "must have at most 4 items",
    access(entry({ permissions: ["Read", "Write", "List", "Delete", "Read"] })),
  ),
  "two Secrets": accepted(
    access(entry({ secretName: "a" }), entry({ name: "b", secretName: "b" }), entry({ name: "c" })),
  ),
  "two entries for one Secret": refused(
    "spec.access",
    "each secretName can be given once",
    access(entry({ secretName: "a" }), entry({ name: "b", secretName: "a" })),
  ),
  "credentialsGeneration comes": accepted(access(entry({ credentialsGeneration: 1 })), access(entry())),
  "credentialsGeneration is raised in another place": accepted(
    access(entry({ name: "b", credentialsGeneration: 0 }), entry({ credentialsGeneration: 2 })),
    access(entry({ credentialsGeneration: 1 })),
  ),
  "credentialsGeneration is lowered": refused(
    "spec.access[0]",
    CANNOT_FALL,
    access(entry({ credentialsGeneration: 1 })),
    access(entry({ credentialsGeneration: 2 })),
  ),
  "credentialsGeneration is lowered in another place": refused(
    "spec.access[1]",
    CANNOT_FALL,
    access(entry({ name: "b" }), entry({ credentialsGeneration: 1 })),
    access(entry({ credentialsGeneration: 2 })),
  ),
  "credentialsGeneration goes": refused(
    "spec.access[0]",
    CANNOT_FALL,
    access(entry()),
    access(entry({ credentialsGeneration: 1 })),
  ),
  "credentialsGeneration 0 goes": accepted(access(entry()), access(entry({ credentialsGeneration: 0 }))),
  "the entry goes with its generation": accepted(access(), access(entry({ credentialsGeneration: 1 }))),

  "no overlap": accepted(bucket({ credentialsOverlap: "0s" })),
  "an overlap with a sign": refused(
    "spec.credentialsOverlap",
    "from 0s to 720h",
    bucket({ credentialsOverlap: "-1h" }),
  ),
  "an overlap of more than 30 days": refused(
    "spec.credentialsOverlap",
    "from 0s to 720h",
    bucket({ credentialsOverlap: "720h1s" }),
  ),
  "a deletionPolicy that does not exist": refused(
    "spec.deletionPolicy",
    "Unsupported value",
    bucket({ deletionPolicy: "Delete" }),
  ),
  "the deletionPolicy changes": accepted(bucket({ deletionPolicy: "DeleteWithObjects" }), bucket()),
  "suspend as text": refused("spec.suspend", "must be of type boolean", bucket({ suspend: "yes" })),
};
