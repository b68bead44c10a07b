// What to do about one EncryptedStore: pure, so that every case is a row of plan.test.ts. Here is what its pods say; what
// is made for it in a cluster is not known here.

import type { EncryptedStore, EncryptedStoreStatus } from "../../crds/encryptedstore.ts";
import { ANNOTATIONS } from "../../crds/names.ts";
import { type CredentialAction, type CredentialsPlan, type Finding, isFinding } from "../compile/compile.ts";
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
import type { Notice, Plan } from "../kind.ts";
import { appliedVerdict, type PodFacts } from "../rollout.ts";

/** How often to look whether a start takes too long. */
const STARTING_AGAIN_MS = 15_000;

export interface ObservedStore {
  readonly store: EncryptedStore;
  /** Why there is no place for this store; undefined: there is. */
  readonly refused: string | undefined;
  readonly replicas: number;
  readonly pods: readonly PodFacts[];
  /** They were made a moment ago, and none has been ready yet: no outage. */
  readonly isStarting: boolean;
  /** In which selfService last changed; undefined: any will do. */
  readonly revision: number | undefined;
  readonly selfService: object | Finding | undefined;
  readonly credentials: CredentialsPlan;
  readonly endpoints: { readonly s3: string; readonly rest: string } | undefined;
  readonly buckets: number;
  /** What a cluster has made of the store's objects; absent where there is none. */
  readonly cluster?: ObservedObjects;
}

export interface ObservedObjects {
  /** ResourcesApplied. */
  readonly resources: Verdict;
  /** Why the volume cannot be used; undefined: the pods know better. */
  readonly volume: Verdict | undefined;
  /** Why it does not get the size that the spec says. Pods serve on from what they have. */
  readonly resize: Verdict | undefined;
  /** Why the configuration cannot be given to the pods; undefined: it can. */
  readonly configuration: Verdict | undefined;
  /** Entries of selfService whose credentials go with the configuration that is given to the pods now. */
  readonly ended: readonly string[];
  /** Objects are being made or changed. */
  readonly isUnderWay: boolean;
  /** Of the pods, for autoscalers. */
  readonly selector: string;
}

export type StoreAction = CredentialAction & { readonly store: string };
export type StorePlan = Plan<StoreAction, EncryptedStoreStatus>;

export function planStore(observed: ObservedStore, now: Date): StorePlan {
  const { store } = observed;
  const { status, spec, metadata } = store;
  const generation = metadata.generation ?? 0;
  if (status.conditions === undefined) {
    const conditions = firstConditions("EncryptedStore", generation, now);
    return {
      actions: [],
      status: { ...status, observedGeneration: generation, conditions },
      events: [],
      againAfterMs: 0,
    };
  }
  if (spec.suspend) return suspended(store, now);
  const judgement = observed.refused === undefined ? judge(observed) : refuse(observed.refused);
  const conditions = conditionsOf("EncryptedStore", status.conditions, judgement, generation, now);
  return {
    actions: observed.credentials.actions.map((action) => ({ ...action, store: metadata.name })),
    status: statusOf(observed, conditions, generation),
    events: [...credentialNotices(observed), ...readyNotices(status.conditions, conditions, "ready")],
    againAfterMs: againAfter(observed),
  };
}

/** They end with the configuration that this pass gives to the pods: where it gives none, they have not ended. */
function credentialNotices({ credentials, selfService, cluster }: ObservedStore): Notice[] {
  if (selfService === undefined || isFinding(selfService) || cluster?.configuration !== undefined) return [];
  const replaced = credentials.replaced.map((entry): Notice => {
    const message = `new credentials for selfService entry ${entry}: its Secret was gone, so the old ones have ended`;
    return { type: "Normal", reason: "CredentialsRotated", message };
  });
  const ended = (cluster?.ended ?? []).map((entry): Notice => {
    const message = `selfService entry ${entry} has gone: its credentials end`;
    return { type: "Normal", reason: "CredentialsEnded", message };
  });
  return [...replaced, ...ended];
}

function againAfter({ credentials, isStarting }: ObservedStore): number | undefined {
  if (credentials.actions.length > 0) return 0;
  // Nobody tells when a start takes too long.
  return isStarting ? STARTING_AGAIN_MS : undefined;
}

function suspended(store: EncryptedStore, now: Date): StorePlan {
  const { status } = store;
  const conditions = suspendedConditions(status.conditions, Math.max(0, status.observedGeneration), now);
  const isNews = conditionOf(status.conditions, "Suspended") === undefined;
  const message = "suspended: it is left as it is, and goes on serving";
  return {
    actions: [],
    status: { ...status, conditions },
    events: isNews ? [{ type: "Normal", reason: "Suspended", message }] : [],
    againAfterMs: undefined,
  };
}

function refuse(why: string): Judgement {
  const refused = no("ResourcesApplied", "SecondStoreRefused", why);
  return { verdicts: [refused], reconciling: undefined, stalled: refused };
}

function judge(observed: ObservedStore): Judgement {
  const { pods, revision, replicas } = observed;
  const ready = pods.filter((pod) => pod.ready).length;
  const why = pods.flatMap(({ reasons }) => reasons)[0];
  const because = why === undefined ? "" : `: ${why}`;
  const available =
    ready >= replicas
      ? yes("Available", "ReplicasReady", `${ready} of ${replicas} pods are ready`)
      : no("Available", "PodsNotReady", `${ready} of ${replicas} pods are ready${because}`);
  const { cluster } = observed;
  const applied = cluster?.configuration ?? configurationVerdict(observed, revision);
  const objects = cluster?.resources ?? yes("ResourcesApplied", "ObjectsApplied", "All that the store needs is there");
  const resources = objects.status === "False" ? objects : (conflictVerdict(observed) ?? objects);
  const isAnswered = pods.some((pod) => pod.ready || pod.isUnserved === true);
  const backend = isAnswered
    ? yes("BackendReachable", "BackendServing", "The storage answers")
    : unanswered(pods, because);
  const unusable = isAnswered ? undefined : cluster?.volume;
  const verdicts: Verdict[] = [resources, unusable ?? cluster?.resize ?? backend, applied, available];
  const mistake = verdicts.find(({ status, reason }) => status === "False" && MISTAKES.includes(reason));
  return { verdicts, reconciling: reconcilingWords(observed, applied), stalled: mistake };
}

/** Only a pod that answers knows its storage. */
function unanswered(pods: readonly PodFacts[], because: string): Verdict {
  if (pods.some(({ revision }) => revision !== undefined)) {
    return no("BackendReachable", "BackendFailed", `No pod has a storage that serves${because}`);
  }
  return unknown("BackendReachable", "No pod tells of its storage");
}

/** What waits for a person: nothing that Coffer could do brings it about. */
const MISTAKES: readonly Verdict["reason"][] = ["NameTaken", "TooManyBuckets"];

/** A Secret of selfService's credentials whose name another has. */
function conflictVerdict({ credentials: { conflicts } }: ObservedStore): Verdict | undefined {
  const [first] = conflicts;
  if (first === undefined) return undefined;
  const message = `${first.place} is there already and not ours: remove it, or give the selfService entry "${first.entry}" another secretName`;
  return no("ResourcesApplied", "NameTaken", message);
}

function reconcilingWords({ isStarting, credentials, cluster }: ObservedStore, applied: Verdict): string | undefined {
  if (cluster?.isUnderWay === true) return "Its objects are being made";
  if (isStarting) return "Its pods are being started";
  const isUnderWay = applied.reason === "RolloutInProgress" || credentials.pending.length > 0;
  return isUnderWay ? "The pods are given their configuration" : undefined;
}

function configurationVerdict({ pods, selfService }: ObservedStore, revision: number | undefined): Verdict {
  if (selfService !== undefined && isFinding(selfService)) {
    return no("ConfigurationApplied", "ConfigIncomplete", `selfService: ${selfService.message}`);
  }
  const refusing = pods.find(({ refused }) => refused !== undefined);
  if (refusing?.refused !== undefined) {
    return no(
      "ConfigurationApplied",
      "ConfigRejected",
      `${refusing.name} refuses the configuration: ${refusing.refused}`,
    );
  }
  return appliedVerdict(pods, revision ?? 0);
}

function statusOf(
  observed: ObservedStore,
  conditions: NonNullable<EncryptedStoreStatus["conditions"]>,
  generation: number,
): EncryptedStoreStatus {
  const { store, pods, endpoints, refused } = observed;
  const requested = store.metadata.annotations?.[ANNOTATIONS.reconcileRequestedAt];
  const counted =
    refused === undefined
      ? {
          replicas: pods.length,
          readyReplicas: pods.filter(({ ready }) => ready).length,
          buckets: observed.buckets,
          ...(observed.cluster === undefined ? {} : { selector: observed.cluster.selector }),
          ...(endpoints === undefined ? {} : { endpoints }),
        }
      : {};
  return {
    observedGeneration: generation,
    ...(requested === undefined ? {} : { lastHandledReconcileAt: requested }),
    conditions,
    ...counted,
  };
}
