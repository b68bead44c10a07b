// What to do about one KmsProvider: pure, so that every case is a row of plan.test.ts.

import type { KmsProvider, KmsProviderStatus } from "../../crds/kmsprovider.ts";
import { ANNOTATIONS } from "../../crds/names.ts";
import type { KmsCode } from "../../kms/kms.ts";
import {
  conditionOf,
  conditionsOf,
  firstConditions,
  type Judgement,
  no,
  readyNotices,
  type Verdict,
  yes,
} from "../conditions.ts";
import type { Notice, Plan } from "../kind.ts";
import { planRotation, type RotationPlan, wishOf } from "./rotation.ts";
import { nextDate } from "./schedule.ts";
import type { Probe } from "./seen.ts";

/** What stands where the key should be. */
export type KeyFound =
  | { readonly kind: "found"; readonly id: string; readonly version: string }
  /** Absent for certain. */
  | { readonly kind: "absent" }
  /** There, and no key. `message` says why, and names no value. */
  | { readonly kind: "invalid"; readonly message: string }
  /** What the spec refers to for logging in, or for the key, is not there. */
  | { readonly kind: "unresolved"; readonly reason: UnresolvedReason; readonly message: string }
  /** The ServiceAccount that Coffer itself makes for its login is not there. */
  | { readonly kind: "loginMissing"; readonly account: string }
  | { readonly kind: "failed"; readonly code: KmsCode; readonly message: string }
  /** The spec, or what it refers to, cannot be right. */
  | { readonly kind: "misconfigured"; readonly reason: MisconfiguredReason; readonly message: string }
  /** Nobody has looked yet. */
  | { readonly kind: "pending" };

export type MisconfiguredReason = "CertificateAuthorityInvalid" | "SpecInvalid";

export type UnresolvedReason =
  | "SecretNotFound"
  | "ServiceAccountNotFound"
  | "TokenRequestDenied"
  | "SecretKeyMissing"
  | "SecretInvalid"
  | "ConfigMapNotFound"
  | "ConfigMapKeyMissing";

export interface ObservedProvider {
  readonly provider: KmsProvider;
  readonly key: KeyFound;
  readonly probe: Probe;
  /** The version of the key was read after the wish to rotate it was found. */
  readonly isReadAnew: boolean;
  /** Of probes, in a row. */
  readonly failures: number;
  /** Where the key ring that Coffer makes is, in words: what to back up, and what to restore. */
  readonly ringPlace: string;
  readonly endpoint: string | undefined;
  readonly usedByBuckets: number;
  /** Of the last call to rotate, if it failed. */
  readonly rotateFailure: string | undefined;
  /** A call to rotate goes on in the background, and tells when it has ended. */
  readonly isRotating: boolean;
}

export type ProviderAction =
  | { readonly kind: "makeRing"; readonly provider: string }
  | { readonly kind: "makeLogin"; readonly provider: string }
  | { readonly kind: "rotate"; readonly provider: string; readonly ifVersion: string };

export type ProviderPlan = Plan<ProviderAction, KmsProviderStatus>;

export function planProvider(observed: ObservedProvider, now: Date): ProviderPlan {
  const { provider } = observed;
  const { status } = provider;
  const generation = provider.metadata.generation ?? 0;
  if (status.conditions === undefined) {
    const conditions = firstConditions("KmsProvider", generation, now);
    return {
      actions: [],
      status: { ...status, observedGeneration: generation, conditions },
      events: [],
      againAfterMs: 0,
    };
  }
  const standing = judgeKey(observed);
  const rotation = standing.usable === undefined ? undefined : rotationOf(observed, standing.usable, now);
  const schedule = scheduleProblem(observed, now);
  const judgement = judge(observed, standing, rotation, schedule);
  const conditions = conditionsOf("KmsProvider", status.conditions, judgement, generation, now);
  const next = statusOf(observed, rotation, conditions, generation);
  const readyWords = `ready with key version ${next.key?.version ?? "?"}`;
  return {
    actions: actionsOf(observed, standing, rotation),
    status: next,
    events: [
      ...ringNotices(observed, standing),
      ...rotatedNotices(observed, rotation),
      ...rotationNotices(status.conditions, rotation),
      ...readyNotices(status.conditions, conditions, readyWords),
    ],
    againAfterMs: standing.againAfterMs ?? rotation?.againAfterMs,
  };
}

interface Standing {
  readonly verdicts: readonly Verdict[];
  /** The key as it may be rotated and put into a configuration. */
  readonly usable: KeyKnown | undefined;
  /** What is ours to make before anything can be tried. */
  readonly make: "makeRing" | "makeLogin" | undefined;
  /** When to look again at what nobody tells of. */
  readonly againAfterMs: number | undefined;
  readonly isUsersMistake: boolean;
}

/** Whether the key that was found may go into a configuration: it is the one that the status names, and no older. In
 *  Vault the id is a place, which a spec names: another place is another wish, an older key there is another key. */
export function isSameKey({ spec, status }: KmsProvider, found: KeyKnown): boolean {
  const known = status.key;
  if (known === undefined) return true;
  if (known.id !== found.id) return spec.type !== "Local";
  return Number(found.version) >= Number(known.version);
}

/** Accounts of others and Roles are not watched. */
const UNTOLD: readonly UnresolvedReason[] = ["ServiceAccountNotFound", "TokenRequestDenied"];
const UNTOLD_AGAIN_MS = 10_000;
/** What was made is told of sooner. */
const MADE_AGAIN_MS = 1000;

function judgeKey(observed: ObservedProvider): Standing {
  const { provider, key, ringPlace } = observed;
  const known = provider.status.key;
  switch (key.kind) {
    case "pending":
      return standing([resolved()]);
    case "misconfigured":
      return standing([no("ConfigurationValid", key.reason, key.message)], { isUsersMistake: true });
    case "unresolved":
      return standing([no("CredentialsResolved", key.reason, key.message)], {
        againAfterMs: UNTOLD.includes(key.reason) ? UNTOLD_AGAIN_MS : undefined,
      });
    case "loginMissing": {
      const message = `ServiceAccount "${key.account}" does not exist, and is being made`;
      const verdict = no("CredentialsResolved", "ServiceAccountNotFound", message);
      return standing([verdict], { make: "makeLogin", againAfterMs: MADE_AGAIN_MS });
    }
    case "invalid": {
      const message = `${ringPlace} is no key ring: ${key.message}. Restore it from your backup`;
      return standing([resolved(), no("KeyUsable", "KeyRingInvalid", message)], { isUsersMistake: true });
    }
    case "failed":
      return standing([resolved(), ...failureVerdicts(observed, key.code, key.message)]);
    case "absent":
      if (known === undefined) return standing([resolved()], { make: "makeRing", againAfterMs: 0 });
      return standing([resolved(), no("KeyUsable", "KeyRingLost", lostMessage(ringPlace, known))]);
    case "found":
      if (!isSameKey(provider, key)) {
        return standing([resolved(), ...replacedVerdicts(observed, key)]);
      }
      return standing([resolved(), ...probeVerdicts(observed, key)], { usable: { id: key.id, version: key.version } });
  }
}

function standing(verdicts: readonly Verdict[], more: Partial<Omit<Standing, "verdicts">> = {}): Standing {
  return { verdicts, usable: undefined, make: undefined, againAfterMs: undefined, isUsersMistake: false, ...more };
}

/** Which key it is, and its newest version. */
interface KeyKnown {
  readonly id: string;
  readonly version: string;
}

/** Another key in the place of the one that was in use. */
function replacedVerdicts({ provider, ringPlace }: ObservedProvider, found: KeyKnown): Verdict[] {
  const known = provider.status.key;
  if (provider.spec.type === "Local") {
    const message = `${ringPlace} holds ${describe(found)}, where ${describe(known)} was in use. ${restore(known)}`;
    return [no("KeyUsable", "KeyRingLost", message)];
  }
  const version = `version ${known?.version}`;
  const lost = `KMS key "${found.id}" had ${version}, and its newest is ${found.version} now: it was made anew, or is older`;
  const message = `${lost}. Restore it with ${version} from your backup of the KMS: no other opens what that wrapped`;
  return [yes("Reachable", "ProbeSucceeded", "The KMS answers"), no("KeyUsable", "KeyNotFound", message)];
}

function lostMessage(ringPlace: string, known: KeyKnown): string {
  return `${ringPlace} has gone. ${restore(known)}`;
}

function restore(known: KeyKnown | undefined): string {
  return `Restore ${describe(known)} from your backup: no other is ever made in its place, since it could open nothing`;
}

function describe(key: KeyKnown | undefined): string {
  return key === undefined ? "no key ring" : `key ring ${key.id} with version ${key.version}`;
}

function resolved(): Verdict {
  return yes("CredentialsResolved", "CredentialsFound", "All that the spec refers to is there");
}

function probeVerdicts(observed: ObservedProvider, key: KeyKnown): Verdict[] {
  const { provider, probe, ringPlace } = observed;
  if (probe === undefined) return [];
  if (probe.outcome === "failed") return failureVerdicts(observed, probe.code, probe.message);
  const reachable = yes("Reachable", "ProbeSucceeded", "The KMS answers");
  if (probe.outcome === "different") {
    return [reachable, no("KeyUsable", "ProbeMismatch", "The KMS gave back another key than it was given")];
  }
  const backUp = isOwnRing(provider)
    ? `. Back up ${ringPlace} (key ring ${key.id}, version ${key.version}): without it nothing can be decrypted`
    : "";
  return [reachable, yes("KeyUsable", "KeyVerified", `A key was wrapped and unwrapped${backUp}`)];
}

function isOwnRing({ spec }: KmsProvider): boolean {
  return spec.type === "Local" && spec.local?.keySecretRef === undefined;
}

/** What a KMS could not do, as the condition that a person looks at. */
function failureVerdicts({ provider, endpoint }: ObservedProvider, code: KmsCode, message: string): Verdict[] {
  const reachable = yes("Reachable", "ProbeSucceeded", "The KMS answers");
  switch (code) {
    case "credentials":
      return [
        no("CredentialsResolved", "LoginFailed", `${message}: check what spec.vault.auth names${goesOn(provider)}`),
      ];
    case "unreachable":
      return [no("Reachable", "ConnectionFailed", `${message}${addressAdvice(endpoint)}${servesOn(provider)}`)];
    case "tls":
      return [no("Reachable", "TLSFailed", `${message}: check caBundleRef and tlsServerName${goesOn(provider)}`)];
    case "sealed":
      return [no("Reachable", "Sealed", `${message}${servesOn(provider)}`)];
    case "throttled":
      return [no("Reachable", "Throttled", message)];
    case "circuit-open":
      return [no("Reachable", "CircuitOpen", message)];
    case "not-found":
      return [reachable, no("KeyUsable", "KeyNotFound", message)];
    case "disabled":
      return [reachable, no("KeyUsable", "KeyDisabled", message)];
    case "denied":
      return [reachable, no("KeyUsable", "PermissionDenied", message)];
    case "rejected":
      return [reachable, no("KeyUsable", "ProbeMismatch", message)];
    case "unsupported":
      return [no("ConfigurationValid", "TypeNotSupported", message)];
  }
}

/** Nothing that does not work takes the place of what did. */
function goesOn({ status }: KmsProvider): string {
  return status.key === undefined ? "" : ". Pods go on with what they have, for as long as that is good";
}

/** What an outage means for whoever reads and writes meanwhile. */
function servesOn({ spec, status }: KmsProvider): string {
  if (status.key === undefined) return "";
  return `. Pods serve on with the keys that they have in memory, each for as long as cache.ttl (${spec.cache.ttl})`;
}

function addressAdvice(endpoint: string | undefined): string {
  return endpoint === undefined ? "" : `: check its address, ${endpoint}, and the network between`;
}

function rotationOf(observed: ObservedProvider, found: KeyKnown, now: Date): RotationPlan {
  const { spec, status } = observed.provider;
  const { probe } = observed;
  const ref = spec.local?.keySecretRef;
  const { keyGeneration, schedule, timeZone } = spec.keyRotation;
  return planRotation(
    {
      keyGeneration,
      schedule: scheduleProblem(observed, now) === undefined ? schedule : undefined,
      timeZone,
      key: status.key,
      intent: status.rotation,
      found,
      isReadAnew: observed.isReadAnew,
      readFailure: probe?.outcome === "failed" ? probe.message : undefined,
      notOurs:
        ref === undefined
          ? undefined
          : `The key ring in Secret "${ref.name}" is yours: add a version there to rotate it`,
      failure: observed.rotateFailure,
      isRotating: observed.isRotating,
    },
    now,
  );
}

/** Whether the key is to be rotated, so that its newest version must be read anew: the intent names that. */
export function isRotationWished(provider: KmsProvider, now: Date): boolean {
  const { spec, status } = provider;
  if (status.rotation !== undefined) return false;
  const { keyGeneration, schedule } = spec.keyRotation;
  const isScheduled = scheduleProblem({ provider }, now) === undefined;
  return wishOf({ keyGeneration, key: status.key, schedule: isScheduled ? schedule : undefined }, now) !== undefined;
}

function scheduleProblem({ provider }: Pick<ObservedProvider, "provider">, now: Date): Verdict | undefined {
  const { schedule, timeZone } = provider.spec.keyRotation;
  if (schedule === undefined) return undefined;
  const next = nextDate(schedule, timeZone, now);
  return "problem" in next ? no("ConfigurationValid", next.problem.reason, next.problem.message) : undefined;
}

function judge(
  observed: ObservedProvider,
  found: Standing,
  rotation: RotationPlan | undefined,
  schedule: Verdict | undefined,
): Judgement {
  const { provider, failures } = observed;
  const valid = schedule ?? yes("ConfigurationValid", "ConfigurationAccepted", "The spec can be used");
  // Those of the key come last: they know better.
  const verdicts = [valid, ...(rotation === undefined ? [] : [rotation.verdict]), ...found.verdicts];
  const mistake = found.isUsersMistake ? found.verdicts.find(({ status }) => status === "False") : undefined;
  const refused = rotation?.isRefused === true ? rotation.verdict : undefined;
  return {
    verdicts,
    reconciling: reconcilingWords(observed, found, rotation),
    stalled: mistake ?? schedule ?? refused,
    withinGrace: observed.probe?.outcome === "failed" && failures < provider.spec.healthCheck.failureThreshold,
  };
}

function reconcilingWords(observed: ObservedProvider, found: Standing, rotation: RotationPlan | undefined) {
  if (found.make === "makeRing") return "A key ring is being made";
  if (found.make === "makeLogin") return "A ServiceAccount for the login is being made";
  if (rotation?.doing !== undefined) return rotation.doing;
  const isToBeTried = observed.key.kind === "pending" || found.usable !== undefined;
  return isToBeTried && observed.probe === undefined ? "The key is being tried" : undefined;
}

function statusOf(
  observed: ObservedProvider,
  rotation: RotationPlan | undefined,
  conditions: NonNullable<KmsProviderStatus["conditions"]>,
  generation: number,
): KmsProviderStatus {
  const { provider, endpoint, usedByBuckets } = observed;
  const { status, metadata } = provider;
  const requested = metadata.annotations?.[ANNOTATIONS.reconcileRequestedAt];
  const key = rotation?.key ?? status.key;
  const intent = rotation === undefined ? status.rotation : rotation.intent;
  return {
    observedGeneration: generation,
    ...(requested === undefined ? {} : { lastHandledReconcileAt: requested }),
    conditions,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(key === undefined ? {} : { key }),
    ...(intent === undefined ? {} : { rotation: intent }),
    usedBy: { buckets: usedByBuckets },
  };
}

function actionsOf({ provider }: ObservedProvider, found: Standing, rotation: RotationPlan | undefined) {
  const { name } = provider.metadata;
  const actions: ProviderAction[] = [];
  if (found.make !== undefined) actions.push({ kind: found.make, provider: name });
  if (rotation?.rotateFrom !== undefined) {
    actions.push({ kind: "rotate", provider: name, ifVersion: rotation.rotateFrom });
  }
  return actions;
}

/** Told once, when the ring is seen for the first time: only a person can keep a copy of it. */
function ringNotices({ provider, ringPlace }: ObservedProvider, { usable }: Standing): Notice[] {
  if (usable === undefined || provider.status.key !== undefined || !isOwnRing(provider)) return [];
  const message = `its key ring is ${ringPlace}: back it up, without it nothing can be decrypted`;
  return [{ type: "Normal", reason: "KeyRingCreated", message }];
}

/** A backup from before does not open what is wrapped from now on. */
function rotatedNotices({ provider, ringPlace }: ObservedProvider, rotation: RotationPlan | undefined): Notice[] {
  const events = rotation?.events ?? [];
  if (!isOwnRing(provider)) return [...events];
  return events.map((event) => ({ ...event, message: `${event.message}: back up ${ringPlace} again` }));
}

/** A rotation that cannot be, or failed, leaves the provider ready; it is told all the same. */
function rotationNotices(before: KmsProviderStatus["conditions"], rotation: RotationPlan | undefined): Notice[] {
  const { reason, message } = rotation?.verdict ?? {};
  if (reason !== "RotationFailed" && reason !== "RotationUnsupported") return [];
  const isNews = conditionOf(before, "RotationCurrent")?.reason !== reason;
  return isNews ? [{ type: "Warning", reason, message: message ?? "" }] : [];
}
