// What each reason of each condition means to a person, and what to do about it. Every reason has a line: the compiler
// sees to it. The message of a condition names the objects in question; here is what is so in every case.

import type { KindName, REASONS } from "./reasons.ts";

type Explained = Exclude<keyof typeof REASONS, "Ready">;
type Advice = { readonly [Condition in Explained]: Readonly<Record<(typeof REASONS)[Condition][number], string>> };

const ADVICE: Advice = {
  ConfigurationValid: {
    ConfigurationAccepted: "The spec can be used.",
    ScheduleInvalid: "`keyRotation.schedule` is no cron expression of five fields. Correct it.",
    TimeZoneUnknown:
      "`keyRotation.timeZone` is no name of the IANA time zone database, such as `Europe/Berlin`. Correct it.",
    TypeNotSupported: "This version of Coffer cannot do what the spec asks of the KMS. The message says what.",
    CertificateAuthorityInvalid:
      "What `caBundleRef` names holds no certificate in PEM. Put the CA's certificate there.",
    SpecInvalid: "A value of the spec cannot be used. The message says which and why.",
  },
  CredentialsResolved: {
    CredentialsFound: "All that the spec refers to is there.",
    SecretNotFound: "Make the Secret that the message names, in this namespace. It is found within seconds.",
    SecretKeyMissing: "The Secret is there, but not the key in it. Add it, or correct the reference.",
    SecretInvalid: "What the Secret holds cannot be used. The message says why.",
    ConfigMapNotFound: "Make the ConfigMap that the message names, in this namespace.",
    ConfigMapKeyMissing: "The ConfigMap is there, but not the key in it. Add it, or correct the reference.",
    ServiceAccountNotFound: "Make the ServiceAccount that `auth.kubernetes.serviceAccountRef` names.",
    TokenRequestDenied:
      "The operator may not request tokens of that ServiceAccount. The message prints the commands that allow it.",
    LoginFailed:
      "The KMS refuses the login. Check role, audience and secret. Once they are right it goes on by itself.",
  },
  Reachable: {
    ProbeSucceeded: "The KMS answers.",
    ConnectionFailed:
      "The KMS does not answer. Warm traffic goes on for as long as `cache.ttl` says. Check address and network.",
    TLSFailed:
      "The certificate of the KMS is not trusted, or is another's. Check `caBundleRef`, `tlsServerName` and the time.",
    Sealed: "Vault is sealed or not initialised. Unseal it.",
    Throttled: "The KMS answers that it is asked too often. It is asked again, less often.",
    CircuitOpen: "After many failures the KMS is left alone for a moment, and then asked again.",
  },
  KeyUsable: {
    KeyVerified: "A key was wrapped and unwrapped a moment ago.",
    KeyNotFound: "The KMS has no key of that name. Make it, or correct the name by a new KmsProvider.",
    KeyDisabled: "The key is there and disabled. Enable it.",
    PermissionDenied: "The login may not use the key. The message names the action that the KMS must allow.",
    ProbeMismatch: "What was wrapped could not be unwrapped to the same. Look at the key in the KMS.",
    KeyRingLost:
      "The Secret of the key ring has gone, or holds another ring. Restore it from your backup: `docs/key-ring.md`. Coffer makes no other, since it would open nothing.",
    KeyRingInvalid: "The Secret holds no key ring. Restore it from your backup: `docs/key-ring.md`.",
  },
  RotationCurrent: {
    UpToDate: "No rotation is due.",
    RotationInProgress: "A new version of the key is being made.",
    RotationFailed: "The KMS did not make a new version. It is tried again; the message says what stands in the way.",
    RotationUnsupported: "A key ring that you keep (`local.keySecretRef`) is only read. Rotate it yourself.",
  },
  StoreReady: {
    StoreServing: "A pod of the store is ready.",
    StoreNotFound: "The store that `storeRef` names is not there. Make it. The store `default` is made by itself.",
    StoreNotReady: "No pod of the store has been ready for 30 seconds. Look at the EncryptedStore.",
    NameConflict:
      "Another EncryptedBucket has this bucket name in the store. Give one of them another name. This one takes over by itself when that one goes.",
  },
  ProviderReady: {
    ProviderServing: "The KmsProvider is ready, and the pods can use its key.",
    ProviderNotFound: "Make the KmsProvider that `kmsProviderRef` names, in this namespace.",
    ProviderNotReady: "Look at the KmsProvider. The bucket goes on with the keys that it has in memory.",
    KeyNotProvided:
      "Some keys of the bucket are wrapped by a KMS key that no KmsProvider here has. Apply one with that key.",
    PodsCannotUseKey:
      "The operator can use the key, and a pod of the store cannot. Check what the pods' login may do, and the network between them and the KMS.",
  },
  ConfigurationApplied: {
    ConfigApplied: "Every ready pod runs what the spec says.",
    RolloutInProgress: "The pods are loading the configuration.",
    PodsNotReady: "No pod is there to load the configuration.",
    ConfigRejected: "A pod refuses the configuration and goes on with the one before. The message says why.",
    ConfigIncomplete: "Something that the configuration needs is missing. The message says what.",
    TooManyBuckets: "One store takes some 4,000 buckets. Make another EncryptedStore, and name it in `storeRef`.",
  },
  AccessReady: {
    CredentialsPublished: "The credentials of every access entry are in their Secrets.",
    CredentialsPending: "Credentials are on their way, first to the pods and then into the Secret.",
    SecretConflict:
      "A Secret of that name is there that Coffer did not make, and does not touch. Remove it, or set `secretName`.",
  },
  RewrapComplete: {
    RewrapDone: "All keys of the bucket are wrapped by the newest version of the KMS key.",
    RewrapInProgress: "The keys are being wrapped again. `status.rewrap` counts them. The bucket serves meanwhile.",
    RewrapWaiting: "It is tried again later. The message says what stands in the way.",
    RewrapFailed:
      "Some keys could not be wrapped again. They are still under the version before, which must stay usable.",
  },
  ResourcesApplied: {
    ObjectsApplied: "All that the store needs is there.",
    NameTaken:
      "An object of that name is there that Coffer did not make, and does not touch. Remove it, or give the store another name.",
    QuotaExceeded: "A quota of the namespace leaves no room. Raise it, or ask for less in the spec.",
    ApplyDenied: "The API server refuses an object: a policy, or a namespace that ends. The message is its own.",
    SecondStoreRefused: "`npm start` runs one store. Remove the other.",
  },
  BackendReachable: {
    BackendServing: "The storage answers.",
    VolumePending:
      "The volume is not bound. The message says what it waits for: a StorageClass, a node, or a provisioner.",
    VolumeResizeFailed: "The volume could not be made larger. Does its StorageClass have `allowVolumeExpansion: true`?",
    BackendFailed: "No pod tells that its storage answers. The message is the pod's.",
  },
  Available: {
    ReplicasReady: "As many pods are ready as the spec says.",
    PodsNotReady: "Fewer pods are ready. The message says what keeps them.",
  },
  Reconciling: { ChangeInProgress: "A change is being brought about. An outage is never this." },
  DeletionBlocked: {
    InUse: "Something names this resource. Delete that first, or point it at another.",
    BucketNotEmpty: "`deletionPolicy: DeleteIfEmpty`, and there are objects. Delete them, or change the policy.",
  },
  Suspended: { Suspended: "`spec.suspend` is true. Everything is left as it is, and goes on serving." },
};

const STALLED = "Nothing goes on until you change something. The message says what.";

/** Reasons that a kind never gives, though it has the condition. */
const NEVER: Readonly<Record<KindName, readonly string[]>> = {
  KmsProvider: ["BucketNotEmpty"],
  EncryptedBucket: ["InUse", "TooManyBuckets"],
  EncryptedStore: ["BucketNotEmpty"],
};

/** "" for a reason that the kind never gives. */
export function adviceOn(kind: KindName, condition: keyof typeof REASONS | "Stalled", reason: string): string {
  if (NEVER[kind].includes(reason)) return "";
  if (condition === "Stalled" || condition === "Ready") return STALLED;
  const advice: Readonly<Record<string, string>> = ADVICE[condition];
  return advice[reason] ?? "";
}
