// Accepted and refused KmsProviders: each rule of the kind with at least one of both.

import { type Case, type Cases, long, resource } from "./case.ts";

const provider = (spec: object, name = "local") => resource("KmsProvider", name, spec);
const local = (more: object = {}) => provider({ type: "Local", ...more });
const auth = { tokenSecretRef: { name: "vault-token", key: "token" } };
const vaultSpec = { address: "https://vault:8200", keyName: "photos", auth };
const vault = (more: object = {}) => provider({ type: "Vault", vault: { ...vaultSpec, ...more } }, "vault");
const ring = (key: string) => ({ local: { keySecretRef: { name: "ring", key } } });

const accepted = (object: object, before?: object): Case => (before === undefined ? { object } : { object, before });
const refused = (path: string, says: string, object: object, before?: object): Case => ({
  ...accepted(object, before),
  refused: { path, says },
});

const DURATION = "must be a duration such as 90s or 5m";
const EXACTLY_ONE = "exactly one of kubernetes, appRole and tokenSecretRef must be set";
const NEW_KEY = "immutable: to change the key, make a new KmsProvider";

export const KMS_PROVIDER_CASES: Cases = {
  "a Local provider needs its type alone": accepted(local()),
  "the member local may be empty": accepted(local({ local: {} })),
  "a key ring may be kept by the user": accepted(local(ring("ring.json"))),
  "a name of 63 characters": accepted(provider({ type: "Local" }, long(63))),
  "a name of 64 characters": refused("", "at most 63 characters", provider({ type: "Local" }, long(64))),
  "a name in capitals": refused("metadata.name", "RFC 1123", provider({ type: "Local" }, "Local")),
  "no spec": refused("spec", "Required value", { ...local(), spec: undefined }),
  "no type": refused("spec.type", "Required value", provider({})),
  "a type that does not exist": refused("spec.type", 'supported values: "Local", "Vault"', provider({ type: "AWS" })),
  "an unknown field": refused("spec.address", "unknown field", local({ address: "https://vault" })),
  "an unknown field deep inside": refused(
    "spec.local.keySecretRef.namespace",
    "unknown field",
    local({ local: { keySecretRef: { name: "ring", key: "a", namespace: "other" } } }),
  ),
  "a null counts as absent": accepted(local({ local: null, keyRotation: null, cache: { ttl: null } })),
  "a null where a value is needed": refused("spec.type", "Required value", provider({ type: null })),

  "the type stays": accepted(local(), local()),
  "the type changes": refused("spec", "type is immutable", vault(), provider({ type: "Local" }, "vault")),
  "local beside type Vault": refused(
    "spec",
    "local needs type Local",
    provider({ type: "Vault", local: {}, vault: vaultSpec }),
  ),
  "vault beside type Local": refused("spec", "vault must be set with type Vault", local({ vault: vaultSpec })),
  "type Vault without vault": refused("spec", "vault must be set with type Vault", provider({ type: "Vault" })),

  "the ring's reference stays": accepted(local(ring("a")), local(ring("a"))),
  "local comes, empty": accepted(local({ local: {} }), local()),
  "the ring's reference changes": refused(
    "spec",
    "local.keySecretRef is immutable",
    local(ring("b")),
    local(ring("a")),
  ),
  "the ring's reference comes": refused("spec", "local.keySecretRef is immutable", local(ring("a")), local()),
  "the ring's reference goes": refused(
    "spec",
    "local.keySecretRef is immutable",
    local({ local: {} }),
    local(ring("a")),
  ),
  "local goes with the reference in it": refused("spec", "local.keySecretRef is immutable", local(), local(ring("a"))),
  "a key of a Secret with a slash": refused("spec.local.keySecretRef.key", "should match", local(ring("a/b"))),

  "a Vault provider with a token": accepted(vault()),
  "a Vault provider with everything": accepted(
    vault({
      address: "https://vault.example:8200/base",
      vaultNamespace: "team/a",
      transitMount: "keys",
      tlsServerName: "vault.internal",
      caBundleRef: { kind: "Secret", name: "vault-ca", key: "tls.crt" },
      auth: {
        kubernetes: {
          role: "coffer",
          operatorRole: "coffer-operator",
          mountPath: "k8s",
          serviceAccountRef: { name: "a" },
        },
      },
    }),
  ),
  "an http:// address by permission": accepted(vault({ address: "http://vault:8200", allowInsecure: true })),
  "an http:// address": refused("spec.vault", "needs allowInsecure: true", vault({ address: "http://vault:8200" })),
  "an address of another scheme": refused(
    "spec.vault.address",
    "should match",
    vault({ address: "ftp://vault", allowInsecure: true }),
  ),
  "an address with a query": refused("spec.vault.address", "should match", vault({ address: "https://vault/?a=b" })),
  "an address of 2048 characters": accepted(vault({ address: `https://${long(2040)}` })),
  "an address of 2049 characters": refused(
    "spec.vault.address",
    "Too long",
    vault({ address: `https://${long(2041)}` }),
  ),
  "a key name with a slash": refused("spec.vault.keyName", "should match", vault({ keyName: "a/b" })),
  "an empty vaultNamespace": refused("spec.vault.vaultNamespace", "at least 1 chars", vault({ vaultNamespace: "" })),
  "the address changes": accepted(vault({ address: "https://other:8200" }), vault()),
  "the default transitMount is written out": accepted(vault({ transitMount: "transit" }), vault()),
  "the key name changes": refused("spec.vault", NEW_KEY, vault({ keyName: "other" }), vault()),
  "the transitMount changes": refused("spec.vault", NEW_KEY, vault({ transitMount: "other" }), vault()),
  "the vaultNamespace changes": refused(
    "spec.vault",
    NEW_KEY,
    vault({ vaultNamespace: "b" }),
    vault({ vaultNamespace: "a" }),
  ),
  "the vaultNamespace comes": refused("spec.vault", NEW_KEY, vault({ vaultNamespace: "a" }), vault()),
  "the vaultNamespace goes": refused("spec.vault", NEW_KEY, vault(), vault({ vaultNamespace: "a" })),

  "a login by AppRole": accepted(
    vault({ auth: { appRole: { roleId: "r", secretIdSecretRef: { name: "s", key: "id" } } } }),
  ),
  "a login by Kubernetes": accepted(vault({ auth: { kubernetes: { role: "coffer" } } })),
  "the login changes": accepted(vault({ auth: { kubernetes: { role: "coffer" } } }), vault()),
  "no login": refused("spec.vault.auth", EXACTLY_ONE, vault({ auth: {} })),
  "two logins": refused("spec.vault.auth", EXACTLY_ONE, vault({ auth: { ...auth, kubernetes: { role: "coffer" } } })),
  "a login without its role": refused(
    "spec.vault.auth.kubernetes.role",
    "Required value",
    vault({ auth: { kubernetes: {} } }),
  ),

  "keyGeneration is raised": accepted(
    local({ keyRotation: { keyGeneration: 3 } }),
    local({ keyRotation: { keyGeneration: 1 } }),
  ),
  "keyGeneration stays": accepted(
    local({ keyRotation: { keyGeneration: 1 } }),
    local({ keyRotation: { keyGeneration: 1 } }),
  ),
  "keyGeneration begins high": accepted(local({ keyRotation: { keyGeneration: 2_147_483_647 } })),
  "keyGeneration is lowered": refused(
    "spec.keyRotation.keyGeneration",
    "can be raised, never lowered or removed",
    local({ keyRotation: { keyGeneration: 1 } }),
    local({ keyRotation: { keyGeneration: 2 } }),
  ),
  "keyGeneration is removed": refused(
    "spec.keyRotation.keyGeneration",
    "can be raised, never lowered or removed",
    local({ keyRotation: {} }),
    local({ keyRotation: { keyGeneration: 2 } }),
  ),
  "keyRotation is removed with the generation in it": refused(
    "spec.keyRotation.keyGeneration",
    "can be raised, never lowered or removed",
    local(),
    local({ keyRotation: { keyGeneration: 2 } }),
  ),
  "keyGeneration below 0": refused(
    "spec.keyRotation.keyGeneration",
    "greater than or equal to 0",
    local({ keyRotation: { keyGeneration: -1 } }),
  ),
  "keyGeneration above its end": refused(
    "spec.keyRotation.keyGeneration",
    "less than or equal to 2147483647",
    local({ keyRotation: { keyGeneration: 2_147_483_648 } }),
  ),
  "keyGeneration as text": refused(
    "spec.keyRotation.keyGeneration",
    "must be of type integer",
    local({ keyRotation: { keyGeneration: "1" } }),
  ),
  "keyGeneration of a half": refused(
    "spec.keyRotation.keyGeneration",
    "must be of type integer",
    local({ keyRotation: { keyGeneration: 1.5 } }),
  ),
  "a schedule": accepted(local({ keyRotation: { schedule: "0 3 1 */3 *", timeZone: "Europe/Berlin" } })),
  "a schedule of six fields": refused(
    "spec.keyRotation.schedule",
    "should match",
    local({ keyRotation: { schedule: "0 0 3 1 * *" } }),
  ),
  "a schedule of 101 characters": refused(
    "spec.keyRotation.schedule",
    "Too long",
    local({ keyRotation: { schedule: `0 3 1 * ${long(93, "1")}` } }),
  ),
  "a time zone alone": refused(
    "spec.keyRotation",
    "timeZone needs schedule",
    local({ keyRotation: { timeZone: "UTC" } }),
  ),

  "the shortest interval": accepted(local({ healthCheck: { interval: "5s", timeout: "4999ms" } })),
  "the longest interval": accepted(local({ healthCheck: { interval: "1h" } })),
  "an interval in two units": accepted(local({ healthCheck: { interval: "1m30s" } })),
  "an interval below 5s": refused(
    "spec.healthCheck.interval",
    `${DURATION}, from 5s to 1h`,
    local({ healthCheck: { interval: "4999ms", timeout: "1s" } }),
  ),
  "an interval above 1h": refused(
    "spec.healthCheck.interval",
    DURATION,
    local({ healthCheck: { interval: "60m1ms" } }),
  ),
  "an interval without a unit": refused(
    "spec.healthCheck.interval",
    DURATION,
    local({ healthCheck: { interval: "60" } }),
  ),
  "an interval in days": refused("spec.healthCheck.interval", DURATION, local({ healthCheck: { interval: "1d" } })),
  "an interval with a fraction": refused(
    "spec.healthCheck.interval",
    DURATION,
    local({ healthCheck: { interval: "1.5m" } }),
  ),
  "an empty interval": refused("spec.healthCheck.interval", DURATION, local({ healthCheck: { interval: "" } })),
  "an interval as a number": refused(
    "spec.healthCheck.interval",
    "must be of type string",
    local({ healthCheck: { interval: 60 } }),
  ),
  "the shortest timeout": accepted(local({ healthCheck: { timeout: "100ms" } })),
  "a timeout below 100ms": refused(
    "spec.healthCheck.timeout",
    `${DURATION}, from 100ms to 1m`,
    local({ healthCheck: { timeout: "99ms" } }),
  ),
  "a timeout as long as the default interval": refused(
    "spec.healthCheck",
    "timeout must be shorter than interval",
    local({ healthCheck: { timeout: "1m" } }),
  ),
  "an interval as short as the default timeout": refused(
    "spec.healthCheck",
    "timeout must be shorter than interval",
    local({ healthCheck: { interval: "5s" } }),
  ),
  "a failureThreshold of 10": accepted(local({ healthCheck: { failureThreshold: 10 } })),
  "a failureThreshold of 11": refused(
    "spec.healthCheck.failureThreshold",
    "less than or equal to 10",
    local({ healthCheck: { failureThreshold: 11 } }),
  ),
  "a failureThreshold of 0": refused(
    "spec.healthCheck.failureThreshold",
    "greater than or equal to 1",
    local({ healthCheck: { failureThreshold: 0 } }),
  ),

  "a cache that keeps nothing": accepted(local({ cache: { ttl: "0s", negativeTtl: "0s", maxEntries: 1 } })),
  "a cache that keeps for a day": accepted(local({ cache: { ttl: "24h", negativeTtl: "10m" } })),
  "a cache that keeps for longer": refused(
    "spec.cache.ttl",
    `${DURATION}, from 0s to 24h`,
    local({ cache: { ttl: "1441m" } }),
  ),
  "refusals kept for too long": refused(
    "spec.cache.negativeTtl",
    `${DURATION}, from 0s to 10m`,
    local({ cache: { negativeTtl: "601s" } }),
  ),
  "a cache without entries": refused(
    "spec.cache.maxEntries",
    "greater than or equal to 1",
    local({ cache: { maxEntries: 0 } }),
  ),
};
