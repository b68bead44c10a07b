// Conditions of any kind: from what a plan found to the list that a status holds. Pure; knows the closed lists of
// crds/reasons.ts and no kind.

import type { Condition, Metadata } from "../crds/kind.ts";
import {
  BESIDE_READY,
  type ConditionType,
  type KindName,
  NOT_CHECKED,
  READY_PARTS,
  type Reason,
  type ReasonOf,
} from "../crds/reasons.ts";
import type { Notice } from "./kind.ts";

/** What was found of one condition, before it has a time. */
export interface Verdict {
  readonly type: ConditionType;
  readonly status: "True" | "False" | "Unknown";
  readonly reason: Reason;
  readonly message: string;
}

/** All that a pass found. A part without a verdict stays as it was if only this pass does not know it; it is Unknown where
 *  another part is in its way, or the spec is new. */
export interface Judgement {
  readonly verdicts: readonly Verdict[];
  /** What is being brought about, in words; undefined: nothing is. Not told beside a mistake. */
  readonly reconciling: string | undefined;
  /** The verdict that is the user's mistake. */
  readonly stalled: Verdict | undefined;
  /** Ready stays True though a part is not: what failed is still within its grace. */
  readonly withinGrace?: boolean;
  /** Further conditions that are present only while true. */
  readonly whileTrue?: readonly Verdict[];
}

export function yes<Type extends ConditionType>(type: Type, reason: ReasonOf<Type>, message: string): Verdict {
  return { type, status: "True", reason, message };
}

export function no<Type extends ConditionType>(type: Type, reason: ReasonOf<Type>, message: string): Verdict {
  return { type, status: "False", reason, message };
}

export function unknown(type: ConditionType, message: string): Verdict {
  return { type, status: "Unknown", reason: NOT_CHECKED, message };
}

const NOT_CHECKED_YET = "Not checked yet";

/** The conditions of a status, in a fixed order. A time moves only when the condition's status does. */
export function conditionsOf<Kind extends KindName>(
  kind: Kind,
  before: readonly Condition[] | undefined,
  judgement: Judgement,
  observedGeneration: number,
  now: Date,
): Condition<Kind>[] {
  const found = new Map(judgement.verdicts.map((verdict) => [verdict.type, verdict]));
  const known = (type: ConditionType) => found.get(type) ?? stillKnown(type, before, observedGeneration);
  const inTheWay = READY_PARTS[kind].map(known).find((part) => part?.status === "False");
  const verdictOf = (type: ConditionType) => {
    return found.get(type) ?? blocked(type, inTheWay) ?? known(type) ?? untried(type, before);
  };
  const parts = READY_PARTS[kind].map(verdictOf);
  const beside = BESIDE_READY[kind].map(verdictOf);
  const wasReady = conditionOf(before, "Ready")?.status === "True";
  const ready = judgement.withinGrace === true && wasReady ? readyVerdict([]) : readyVerdict(parts);
  const all: Verdict[] = [ready, ...parts, ...beside];
  all.push(...movement(judgement));
  all.push(...(judgement.whileTrue ?? []));
  return all.map((verdict) => dated(verdict, before, observedGeneration, now)) as Condition<Kind>[];
}

/** What an earlier pass found, of the spec as it is. */
function stillKnown(type: ConditionType, before: readonly Condition[] | undefined, generation: number) {
  const was = conditionOf(before, type);
  return was === undefined || was.status === "Unknown" || was.observedGeneration !== generation ? undefined : was;
}

function blocked(type: ConditionType, inTheWay: Verdict | undefined): Verdict | undefined {
  if (inTheWay === undefined || inTheWay.type === type) return undefined;
  const message = `Cannot be told while ${inTheWay.type} is False`;
  return { type, status: "Unknown", reason: inTheWay.reason, message };
}

function untried(type: ConditionType, before: readonly Condition[] | undefined): Verdict {
  const was = conditionOf(before, type);
  const isFirst = was === undefined || was.message === NOT_CHECKED_YET;
  return unknown(type, isFirst ? NOT_CHECKED_YET : "It is being tried again");
}

/** Never both: who waits for a resource takes the one for "wait on" and the other for "it has failed". */
function movement({ stalled, reconciling }: Judgement): Verdict[] {
  if (stalled !== undefined) return [{ ...stalled, type: "Stalled", status: "True" }];
  return reconciling === undefined ? [] : [yes("Reconciling", "ChangeInProgress", reconciling)];
}

/** What a resource shows from its first visit to the end of its first pass. */
export function firstConditions<Kind extends KindName>(kind: Kind, observedGeneration: number, now: Date) {
  const judgement: Judgement = { verdicts: [], reconciling: "This resource is new", stalled: undefined };
  return conditionsOf(kind, undefined, judgement, observedGeneration, now);
}

/** The conditions of a resource that is suspended: only Suspended changes. */
export function suspendedConditions<Kind extends KindName>(
  before: readonly Condition<Kind>[] | undefined,
  observedGeneration: number,
  now: Date,
): Condition<Kind>[] {
  const others = (before ?? []).filter((condition) => condition.type !== "Suspended");
  const suspended = yes("Suspended", "Suspended", "spec.suspend is true: everything is left as it is");
  return [...others, dated(suspended, before, observedGeneration, now) as Condition<Kind>];
}

/** The conditions of what somebody may want gone. `blocked` is DeletionBlocked, present only while true. Ready is what its
 *  parts make of it, and where it is True it tells of the deletion, for whoever looks no further than at `kubectl get`. */
export function withDeletion<Kind extends KindName>(
  {
    metadata,
    status,
  }: { readonly metadata: Metadata; readonly status: { readonly conditions?: readonly Condition[] } },
  conditions: readonly Condition<Kind>[],
  blocked: Verdict,
  observedGeneration: number,
  now: Date,
): Condition<Kind>[] {
  const others = conditions.filter(({ type }) => type !== blocked.type);
  if (metadata.deletionTimestamp === undefined) return others;
  const isBlocked = blocked.status === "True";
  const going = isBlocked
    ? ({ reason: "DeletionBlocked", message: `It is being deleted. ${blocked.message}` } as const)
    : ({ reason: "Deleting", message: "It is being deleted" } as const);
  const told = others.map((one) => (one.type === "Ready" && one.status === "True" ? { ...one, ...going } : one));
  if (!isBlocked) return told;
  return [...told, dated(blocked, status.conditions, observedGeneration, now) as Condition<Kind>];
}

export function conditionOf(conditions: readonly Condition[] | undefined, type: ConditionType): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** One notice where Ready, or the reason why it is not, has changed. `readyWords` is what there is to say of True. */
export function readyNotices(
  before: readonly Condition[] | undefined,
  after: readonly Condition[],
  readyWords: string,
): Notice[] {
  const was = conditionOf(before, "Ready");
  const is = conditionOf(after, "Ready");
  if (is === undefined || is.status === "Unknown") return [];
  const isUnderWay = conditionOf(after, "Reconciling") !== undefined;
  const wasUnderWay = conditionOf(before, "Reconciling") !== undefined;
  if (was?.status === "True" && is.status === "True") return [];
  const isSame = was?.status === is.status && was.reason === is.reason;
  if (isSame && (isUnderWay || !wasUnderWay)) return [];
  if (is.status === "True") return [{ type: "Normal", reason: "Ready", message: readyWords }];
  // What is only under way is no news: the end of it will be.
  if (isUnderWay) return [];
  return [{ type: "Warning", reason: is.reason, message: is.message }];
}

/** Somebody wants it gone, and it waits for a person: said once, for whoever looks no further than at Events. */
export function blockedNotices(before: readonly Condition[] | undefined, after: readonly Condition[]): Notice[] {
  const is = conditionOf(after, "DeletionBlocked");
  if (is === undefined || conditionOf(before, "DeletionBlocked") !== undefined) return [];
  return [{ type: "Warning", reason: is.reason, message: is.message }];
}

/** Whether two statuses say the same: then none is written. */
export function sameStatus(left: unknown, right: unknown): boolean {
  return JSON.stringify(sorted(left)) === JSON.stringify(sorted(right));
}

function readyVerdict(parts: readonly Verdict[]): Verdict {
  const failed = parts.find((part) => part.status === "False") ?? parts.find((part) => part.status === "Unknown");
  if (failed === undefined) return yes("Ready", "Ready", "Everything is as it should be");
  return { type: "Ready", status: failed.status, reason: failed.reason, message: failed.message };
}

function dated(
  verdict: Verdict,
  before: readonly Condition[] | undefined,
  observedGeneration: number,
  now: Date,
): Condition {
  const was = conditionOf(before, verdict.type);
  const since = was?.status === verdict.status ? was.lastTransitionTime : momentOf(now);
  const { type, status, reason, message } = verdict;
  return { type, status, observedGeneration, lastTransitionTime: since, reason, message };
}

/** Seconds, as the API server has them. */
export function momentOf(now: Date): string {
  return `${now.toISOString().slice(0, 19)}Z`;
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, member]) => member !== undefined);
  entries.sort(([left], [right]) => (left < right ? -1 : 1));
  return Object.fromEntries(entries.map(([name, member]) => [name, sorted(member)]));
}
