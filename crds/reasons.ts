// The closed lists of conditions and their reasons. Plans choose from them; messages are theirs.

/** What `Ready` of each kind is the sum of, in the order in which the first that fails gives Ready its reason. */
export const READY_PARTS = {
  KmsProvider: ["ConfigurationValid", "CredentialsResolved", "Reachable", "KeyUsable"],
  EncryptedBucket: ["StoreReady", "ProviderReady", "ConfigurationApplied", "AccessReady"],
  EncryptedStore: ["ResourcesApplied", "BackendReachable", "ConfigurationApplied", "Available"],
} as const;

/** Conditions that stand beside Ready and do not move it. */
export const BESIDE_READY = {
  KmsProvider: ["RotationCurrent"],
  EncryptedBucket: ["RewrapComplete"],
  EncryptedStore: [],
} as const;

/** Conditions that are present only while they are true. */
export const WHILE_TRUE = ["Reconciling", "Stalled", "DeletionBlocked", "Suspended"] as const;

/** Reasons of each condition. The first of a list is the one that goes with True; all of Ready's own do: what is ready and
 *  is being deleted says so. */
export const REASONS = {
  Ready: ["Ready", "Deleting", "DeletionBlocked"],
  ConfigurationValid: [
    "ConfigurationAccepted",
    "ScheduleInvalid",
    "TimeZoneUnknown",
    "TypeNotSupported",
    "CertificateAuthorityInvalid",
    "SpecInvalid",
  ],
  CredentialsResolved: [
    "CredentialsFound",
    "SecretNotFound",
    "SecretKeyMissing",
    "SecretInvalid",
    "ConfigMapNotFound",
    "ConfigMapKeyMissing",
    "ServiceAccountNotFound",
    "TokenRequestDenied",
    "LoginFailed",
  ],
  Reachable: ["ProbeSucceeded", "ConnectionFailed", "TLSFailed", "Sealed", "Throttled", "CircuitOpen"],
  KeyUsable: [
    "KeyVerified",
    "KeyNotFound",
    "KeyDisabled",
    "PermissionDenied",
    "ProbeMismatch",
    "KeyRingLost",
    "KeyRingInvalid",
  ],
  RotationCurrent: ["UpToDate", "RotationInProgress", "RotationFailed", "RotationUnsupported"],
  StoreReady: ["StoreServing", "StoreNotFound", "StoreNotReady", "NameConflict"],
  ProviderReady: ["ProviderServing", "ProviderNotFound", "ProviderNotReady", "KeyNotProvided", "PodsCannotUseKey"],
  ConfigurationApplied: [
    "ConfigApplied",
    "RolloutInProgress",
    "PodsNotReady",
    "ConfigRejected",
    "ConfigIncomplete",
    "TooManyBuckets",
  ],
  AccessReady: ["CredentialsPublished", "CredentialsPending", "SecretConflict"],
  RewrapComplete: ["RewrapDone", "RewrapInProgress", "RewrapWaiting", "RewrapFailed"],
  ResourcesApplied: ["ObjectsApplied", "NameTaken", "QuotaExceeded", "ApplyDenied", "SecondStoreRefused"],
  BackendReachable: ["BackendServing", "VolumePending", "VolumeResizeFailed", "BackendFailed"],
  Available: ["ReplicasReady", "PodsNotReady"],
  Reconciling: ["ChangeInProgress"],
  DeletionBlocked: ["InUse", "BucketNotEmpty"],
  Suspended: ["Suspended"],
} as const;

/** The reason of a condition that nobody has looked at yet: it is Unknown. */
export const NOT_CHECKED = "NotChecked";

/** Reasons of Events that no condition tells. */
export const EVENT_REASONS = [
  "DataKept",
  "KeyRotated",
  "KeyRingCreated",
  "CredentialsRotated",
  "CredentialsEnded",
] as const;

export type KindName = keyof typeof READY_PARTS;
type Listed = keyof typeof REASONS;

/** `Stalled` repeats the reason of the condition that shows the user's mistake. */
export type ConditionType = Listed | "Stalled";

/** The conditions that a kind carries. */
export type ConditionTypeOf<Kind extends KindName> =
  | "Ready"
  | (typeof READY_PARTS)[Kind][number]
  | (typeof BESIDE_READY)[Kind][number]
  | (typeof WHILE_TRUE)[number];

/** The reasons of one condition; Ready and Stalled take any. */
export type ReasonOf<Condition extends ConditionType> = Condition extends "Ready" | "Stalled"
  ? Reason
  : Condition extends Listed
    ? (typeof REASONS)[Condition][number] | typeof NOT_CHECKED
    : never;

export type Reason = (typeof REASONS)[Listed][number] | typeof NOT_CHECKED;
export type EventReason = (typeof EVENT_REASONS)[number] | Reason;
