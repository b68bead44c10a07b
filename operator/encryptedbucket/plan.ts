// What to do about one EncryptedBucket: pure, so that every case is a row of plan.test.ts. Its configuration entry is
// compiled elsewhere (compile/); here is what came of it, and what a person is told.

import type { EncryptedBucket, EncryptedBucketStatus } from "../../crds/encryptedbucket.ts";
import { ANNOTATIONS } from "../../crds/names.ts";
import type { JobState } from "../../dataplane/admin/api.ts";
import type { BucketEntry } from "../../dataplane/config/config.ts";
import {
  bucketNameOf,
  type CredentialAction,
  type CredentialsPlan,
  type Finding,
  isFinding,
  storeNameOf,
} from "../compile/compile.ts";
import {
  conditionOf,
  conditionsOf,
  firstConditions,
  type Judgement,
  no,
  readyNotices,
  suspendedConditions,
  unknown,
  type Verdict,
  yes,
} from "../conditions.ts";
import type { Plan } from "../kind.ts";
import {
  appliedVerdict,
  isCompleteSweep,
  type PodFacts,
  podsThatTry,
  podWithoutKey,
  rewrapOf,
  rewrapVerdict,
} from "../rollout.ts";
import { bucketNotices } from "./notices.ts";

/** How long a store may be without a ready pod until a bucket says so. */
const STORE_GRACE_MS = 30_000;
/** How often to look whether a start takes too long. */
const STARTING_AGAIN_MS = 15_000;
/** How often the progress of a rewrap is written. */
const PROGRESS_MS = 10_000;

export interface ObservedBucket {
  readonly bucket: EncryptedBucket;
  readonly store: ObservedBucketStore;
  readonly provider: ObservedBucketProvider | undefined;
  /** The EncryptedBucket that has the name which this one wants too. */
  readonly holder: string | undefined;
  /** What became of it; the entry as it is in the configuration that pods are given. */
  readonly compiled: BucketEntry | Finding;
  readonly credentials: CredentialsPlan;
  /** By access entry: name of the Secret. */
  readonly secretNames: ReadonlyMap<string, string>;
}

export type ObservedBucketStore =
  | {
      readonly kind: "missing";
      readonly message: string;
      /** Coffer makes it itself. */
      readonly isBeingMade?: boolean;
    }
  | {
      readonly kind: "found";
      readonly endpoint: string | undefined;
      readonly pods: readonly PodFacts[];
      /** They were made a moment ago, and none has been ready yet: no outage. */
      readonly isStarting: boolean;
      /** 0 while a pod is ready. */
      readonly withoutReadyPodMs: number;
    };

export interface ObservedBucketProvider {
  readonly name: string;
  readonly ready: "True" | "False" | "Unknown";
  /** Why it is not ready. */
  readonly message: string;
  readonly keyId: string;
  readonly keyVersion: string;
}

/** `remove`: the Secret of an entry that has gone from the spec. */
export type BucketAction =
  | (CredentialAction & { readonly bucket: string; readonly secretName: string })
  | { readonly kind: "remove"; readonly bucket: string; readonly entry: string; readonly secretName: string };

export type BucketPlan = Plan<BucketAction, EncryptedBucketStatus>;

export function planBucket(observed: ObservedBucket, now: Date): BucketPlan {
  const { bucket } = observed;
  const { status, spec } = bucket;
  const generation = bucket.metadata.generation ?? 0;
  if (status.conditions === undefined) {
    const conditions = firstConditions("EncryptedBucket", generation, now);
    return {
      actions: [],
      status: { ...status, observedGeneration: generation, conditions },
      events: [],
      againAfterMs: 0,
    };
  }
  if (spec.suspend) return suspended(bucket, now);
  const job = rewrapJob(observed, now);
  const judgement = judge(observed, job);
  const conditions = conditionsOf("EncryptedBucket", status.conditions, judgement, generation, now);
  const next = statusOf(observed, job, conditions, generation);
  const actions = observed.holder === undefined ? actionsOf(observed) : [];
  return {
    actions,
    status: next,
    events: [...bucketNotices(status, next, actions), ...readyNotices(status.conditions, conditions, "ready")],
    againAfterMs: againAfter(observed, job, now),
  };
}

function suspended(bucket: EncryptedBucket, now: Date): BucketPlan {
  const { status } = bucket;
  const conditions = suspendedConditions(status.conditions, Math.max(0, status.observedGeneration), now);
  const isNews = conditionOf(status.conditions, "Suspended") === undefined;
  const message = "suspended: it is left as it is, and goes on being served";
  return {
    actions: [],
    status: { ...status, conditions },
    events: isNews ? [{ type: "Normal", reason: "Suspended", message }] : [],
    againAfterMs: undefined,
  };
}

function entryOf({ compiled }: ObservedBucket): BucketEntry | undefined {
  return isFinding(compiled) ? undefined : compiled;
}

function podsOf({ store }: ObservedBucket): readonly PodFacts[] {
  return store.kind === "found" ? store.pods : [];
}

/** As it is to be told: while it runs, its counts stay as the status has them until they may be written again. */
function rewrapJob(observed: ObservedBucket, now: Date): JobState | undefined {
  const entry = entryOf(observed);
  const job = entry === undefined ? undefined : rewrapOf(podsOf(observed), entry.name, entry.rewrapWish);
  const { rewrap: told } = observed.bucket.status;
  if (job?.state !== "running" || told?.startTime !== seconds(job.startedMs) || isProgressDue(now)) return job;
  const { scanned, rewrapped, current, excluded, conflict, failed, oldestKeyVersion } = told;
  const { oldestKeyVersion: _, ...rest } = job;
  return {
    ...rest,
    counts: { scanned, rewrapped, current, excluded, conflict, failed },
    ...(oldestKeyVersion === undefined ? {} : { oldestKeyVersion }),
  };
}

function judge(observed: ObservedBucket, job: JobState | undefined): Judgement {
  const store = storeVerdict(observed);
  const provider = providerVerdict(observed, job);
  const applied = configurationVerdict(observed);
  const access = accessVerdict(observed);
  const mistakes = [store, access].filter(({ reason }) => reason === "NameConflict" || reason === "SecretConflict");
  const { store: found } = observed;
  const isComing = found.kind === "found" ? found.isStarting : found.isBeingMade === true;
  const rewrap = job === undefined && isPausing(observed.bucket, found) ? [] : [rewrapVerdict(job)];
  const isUnderWay =
    isComing ||
    applied.reason === "RolloutInProgress" ||
    // Where there is no entry, credentials wait for somebody else.
    (access.reason === "CredentialsPending" && !isFinding(observed.compiled));
  return {
    verdicts: [store, provider, applied, access, ...rewrap],
    reconciling: isUnderWay ? "The bucket is being brought to its pods" : undefined,
    stalled: mistakes[0],
  };
}

function storeVerdict({ bucket, store, holder }: ObservedBucket): Verdict {
  if (holder !== undefined) {
    const message = `EncryptedBucket "${holder}" has the bucket name "${bucketNameOf(bucket)}": this one takes over when that has gone`;
    return no("StoreReady", "NameConflict", message);
  }
  if (store.kind === "missing") return no("StoreReady", "StoreNotFound", store.message);
  if (store.pods.some(({ ready }) => ready) || isPausing(bucket, store)) {
    return yes("StoreReady", "StoreServing", "A pod of the store is ready");
  }
  const why = store.pods.flatMap(({ reasons }) => reasons)[0];
  return no("StoreReady", "StoreNotReady", `No pod of the store is ready${why === undefined ? "" : `: ${why}`}`);
}

/** Its pods were ready a moment ago. Nothing is told of that, in the same words: every bucket of the store would. */
function isPausing({ status }: EncryptedBucket, store: ObservedBucketStore): boolean {
  if (store.kind !== "found" || store.pods.some(({ ready }) => ready)) return false;
  const wasServing = conditionOf(status.conditions, "StoreReady")?.status === "True";
  return wasServing && store.withoutReadyPodMs < STORE_GRACE_MS;
}

function providerVerdict(observed: ObservedBucket, job: JobState | undefined): Verdict {
  const { compiled, provider } = observed;
  const name = observed.bucket.spec.encryption.kmsProviderRef.name;
  if (provider === undefined) {
    return no("ProviderReady", "ProviderNotFound", `KmsProvider "${name}" does not exist: make it, or name another`);
  }
  if (provider.ready === "Unknown") return unknown("ProviderReady", `KmsProvider "${name}" is being tried`);
  if (provider.ready === "False") {
    return no("ProviderReady", "ProviderNotReady", `KmsProvider "${name}" is not ready: ${provider.message}`);
  }
  if (isFinding(compiled)) return no("ProviderReady", "ProviderNotReady", compiled.message);
  const without = podWithoutKey(podsOf(observed), name);
  if (without !== undefined) return no("ProviderReady", "PodsCannotUseKey", without);
  if (job !== undefined && job.state !== "running" && job.counts.excluded > 0) {
    const message = `${job.counts.excluded} keys of the bucket are wrapped by a KMS key that no provider here has: apply the KmsProvider of that key`;
    return no("ProviderReady", "KeyNotProvided", message);
  }
  return yes("ProviderReady", "ProviderServing", `KmsProvider "${name}" is ready`);
}

function configurationVerdict(observed: ObservedBucket): Verdict {
  const { compiled, holder } = observed;
  if (holder !== undefined) return unknown("ConfigurationApplied", "The name is another's");
  if (isFinding(compiled)) return no("ConfigurationApplied", "ConfigIncomplete", compiled.message);
  const applied = appliedVerdict(podsOf(observed), compiled.revision);
  if (applied.reason === "PodsNotReady" && wasAppliedJustNow(observed)) {
    return yes("ConfigurationApplied", "ConfigApplied", "Every ready pod runs this configuration");
  }
  const provider = observed.bucket.spec.encryption.kmsProviderRef.name;
  const trying = podsThatTry(podsOf(observed), provider);
  // One that was ready is not called into question by a pod that begins.
  const isReady = conditionOf(observed.bucket.status.conditions, "Ready")?.status === "True";
  if (applied.status !== "True" || trying === 0 || isReady) return applied;
  return no("ConfigurationApplied", "RolloutInProgress", `${trying} pods try the key of KmsProvider "${provider}"`);
}

/** A pod that begins anew is no outage, as long as the spec is what it was. */
function wasAppliedJustNow({ bucket, store }: ObservedBucket): boolean {
  const before = conditionOf(bucket.status.conditions, "ConfigurationApplied");
  const isSame = before?.status === "True" && before.observedGeneration === (bucket.metadata.generation ?? 0);
  return isSame && store.kind === "found" && store.withoutReadyPodMs < STORE_GRACE_MS;
}

function accessVerdict({ credentials, holder }: ObservedBucket): Verdict {
  if (holder !== undefined) return unknown("AccessReady", "The name is another's");
  const [conflict] = credentials.conflicts;
  if (conflict !== undefined) {
    const message = `${conflict.place} is there already and not ours: remove it, or give access entry "${conflict.entry}" another secretName`;
    return no("AccessReady", "SecretConflict", message);
  }
  if (credentials.pending.length > 0) {
    return no("AccessReady", "CredentialsPending", `On their way: ${credentials.pending.join(", ")}`);
  }
  return yes("AccessReady", "CredentialsPublished", "The credentials of every access entry are where they belong");
}

/** Secrets whose entry has gone first: their names may be wanted by another. */
function actionsOf({ bucket, credentials, secretNames }: ObservedBucket): BucketAction[] {
  const { name } = bucket.metadata;
  const gone = (bucket.status.access ?? []).filter((given) => secretNames.get(given.name) !== given.secretName);
  return [
    ...gone.map((given) => ({
      kind: "remove" as const,
      bucket: name,
      entry: given.name,
      secretName: given.secretName,
    })),
    ...credentials.actions.map((action) => ({
      ...action,
      bucket: name,
      secretName: secretNames.get(action.entry) ?? `${name}-${action.entry}`,
    })),
  ];
}

function statusOf(
  observed: ObservedBucket,
  job: JobState | undefined,
  conditions: NonNullable<EncryptedBucketStatus["conditions"]>,
  generation: number,
): EncryptedBucketStatus {
  const { bucket, store, holder } = observed;
  const { status, metadata } = bucket;
  const requested = metadata.annotations?.[ANNOTATIONS.reconcileRequestedAt];
  const held = holder === undefined ? { bucketName: bucketNameOf(bucket) } : {};
  const endpoint = store.kind === "found" ? store.endpoint : status.endpoint;
  const encryption = encryptionOf(observed, job);
  const rewrap = rewrapStatus(observed, job);
  const access = accessStatus(observed);
  return {
    observedGeneration: generation,
    ...(requested === undefined ? {} : { lastHandledReconcileAt: requested }),
    conditions,
    ...held,
    store: storeNameOf(bucket),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(encryption === undefined ? {} : { encryption }),
    ...(rewrap === undefined ? {} : { rewrap }),
    ...(access.length === 0 ? {} : { access }),
  };
}

/** Names a provider and a version only after a sweep has brought every record to them; a bucket that never had one
 *  begins with what it writes with. */
function encryptionOf({ bucket, provider, compiled }: ObservedBucket, job: JobState | undefined) {
  const before = bucket.status.encryption;
  if (provider === undefined || isFinding(compiled)) return before;
  const isSwept = job !== undefined && isCompleteSweep(job);
  if (before !== undefined && !isSwept) return before;
  // The sweep went to the newest version that pods knew of, at least the one of the wish.
  const [, , version] = isSwept ? splitWish(compiled.rewrapWish) : [];
  return { provider: provider.name, keyId: provider.keyId, keyVersion: version ?? provider.keyVersion };
}

function splitWish(wish: string): string[] {
  const [provider = "", generation = "", ...version] = wish.split("/");
  return [provider, generation, version.join("/")];
}

function rewrapStatus(observed: ObservedBucket, job: JobState | undefined): EncryptedBucketStatus["rewrap"] {
  const entry = entryOf(observed);
  if (job === undefined || entry === undefined) return observed.bucket.status.rewrap;
  const generation = Number(splitWish(entry.rewrapWish)[1]);
  return {
    generation: Number.isSafeInteger(generation) ? generation : 0,
    ...job.counts,
    ...(job.oldestKeyVersion === undefined ? {} : { oldestKeyVersion: job.oldestKeyVersion }),
    startTime: seconds(job.startedMs),
    ...(job.completedMs === undefined ? {} : { completionTime: seconds(job.completedMs) }),
  };
}

/** Without a memory of its last write: in the first second of every ten. */
function isProgressDue(now: Date): boolean {
  return now.getTime() % PROGRESS_MS < 1000;
}

function seconds(timeMs: number): string {
  return `${new Date(timeMs).toISOString().slice(0, 19)}Z`;
}

function accessStatus({ credentials, bucket, secretNames, holder }: ObservedBucket) {
  const before = bucket.status.access ?? [];
  if (holder !== undefined) return before;
  const published = new Map(credentials.published.map(({ entry, generation }) => [entry, generation]));
  return (bucket.spec.access ?? []).flatMap(({ name }) => {
    const given = before.find((one) => one.name === name);
    const generation = published.get(name);
    const secretName = secretNames.get(name);
    if (generation === undefined || secretName === undefined) return given === undefined ? [] : [given];
    return [{ name, secretName, credentialsGeneration: generation }];
  });
}

function againAfter({ credentials, store }: ObservedBucket, job: JobState | undefined, now: Date): number | undefined {
  if (credentials.actions.length > 0) return 0;
  // Nobody tells when the time is over in which a store may be without a ready pod.
  if (store.kind === "found" && store.isStarting) return STARTING_AGAIN_MS;
  const graceMs = store.kind === "found" ? STORE_GRACE_MS - store.withoutReadyPodMs : 0;
  if (graceMs > 0 && graceMs < STORE_GRACE_MS) return graceMs;
  return job?.state === "running" ? PROGRESS_MS - (now.getTime() % PROGRESS_MS) : undefined;
}
