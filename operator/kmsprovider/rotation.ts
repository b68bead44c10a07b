// Rotation, at most once per wish and never lost. The wish becomes an intent in the status, in a write of its own; then
// the KMS is asked for a version newer than the one that the intent names; what it has afterwards ends the intent. A
// crash at any place is found again by looking, and a pass that repeats a step changes nothing.

import type { KmsProviderStatus } from "../../crds/kmsprovider.ts";
import { momentOf, no, type Verdict, yes } from "../conditions.ts";
import type { Notice } from "../kind.ts";
import { nextDate } from "./schedule.ts";

type KeyStatus = NonNullable<KmsProviderStatus["key"]>;
type Intent = NonNullable<KmsProviderStatus["rotation"]>;

export interface RotationInputs {
  readonly keyGeneration: number;
  readonly schedule: string | undefined;
  readonly timeZone: string | undefined;
  /** Absent: the resource is seen for the first time, and its counters are adopted. */
  readonly key: KeyStatus | undefined;
  readonly intent: Intent | undefined;
  /** What the KMS has. */
  readonly found: { readonly id: string; readonly version: string };
  /** Why this key is not ours to rotate; undefined: it is. */
  readonly notOurs: string | undefined;
  /** What came of the last call to rotate, if it failed. */
  readonly failure: string | undefined;
}

export interface RotationPlan {
  readonly key: KeyStatus;
  readonly intent: Intent | undefined;
  /** To be asked for a newer version than this. */
  readonly rotateFrom: string | undefined;
  readonly verdict: Verdict;
  readonly isRefused: boolean;
  readonly events: readonly Notice[];
  readonly againAfterMs: number | undefined;
}

export function planRotation(inputs: RotationInputs, now: Date): RotationPlan {
  const { intent, found } = inputs;
  const key = keyStatus(inputs, now, false);
  if (intent !== undefined) {
    return found.version === intent.fromVersion ? underWay(inputs, key, intent) : finish(inputs, key, now);
  }
  const cause = wishOf(inputs, now);
  if (cause === undefined) return rest(key, now, changedElsewhere(inputs));
  if (inputs.notOurs !== undefined) return refuse(key, inputs.notOurs);
  const dealtWith = cause === "Schedule" ? keyStatus(inputs, now, true) : { ...key, generation: inputs.keyGeneration };
  return {
    // From here on the wish is the intent's: a further rise is a further wish.
    key: dealtWith,
    intent: { cause, fromVersion: found.version, startTime: momentOf(now) },
    rotateFrom: undefined,
    verdict: no("RotationCurrent", "RotationInProgress", `A version newer than ${found.version} is wanted`),
    isRefused: false,
    events: [],
    againAfterMs: 0,
  };
}

function wishOf({ keyGeneration, key, schedule }: RotationInputs, now: Date): Intent["cause"] | undefined {
  if (key === undefined) return undefined;
  if (keyGeneration > key.generation) return "Generation";
  return schedule !== undefined && isDue(key, now) ? "Schedule" : undefined;
}

function isDue(key: KeyStatus | undefined, now: Date): boolean {
  return key?.nextRotationTime !== undefined && Date.parse(key.nextRotationTime) <= now.getTime();
}

/** What the status says of the key while nothing is asked of it. A counter that has fallen belongs to a resource that was
 *  made again: adopted, like the first. A date that has come stays until it is dealt with, so what was missed runs once. */
function keyStatus(inputs: RotationInputs, now: Date, isDateDealtWith: boolean): KeyStatus {
  const { key: before, found, keyGeneration, schedule, timeZone } = inputs;
  const generation = before === undefined ? keyGeneration : Math.min(before.generation, keyGeneration);
  const rotated = before?.lastRotationTime === undefined ? {} : { lastRotationTime: before.lastRotationTime };
  const key = { id: found.id, version: found.version, generation, ...rotated };
  if (schedule === undefined) return key;
  if (isDue(before, now) && !isDateDealtWith) return { ...key, nextRotationTime: before?.nextRotationTime as string };
  const next = nextDate(schedule, timeZone, now);
  return "date" in next && next.date !== undefined ? { ...key, nextRotationTime: momentOf(next.date) } : key;
}

function underWay({ failure }: RotationInputs, key: KeyStatus, intent: Intent): RotationPlan {
  const verdict =
    failure === undefined
      ? no("RotationCurrent", "RotationInProgress", `A version newer than ${intent.fromVersion} is wanted`)
      : no("RotationCurrent", "RotationFailed", `${failure}. It is tried again`);
  return {
    key,
    intent,
    rotateFrom: intent.fromVersion,
    verdict,
    isRefused: false,
    events: [],
    againAfterMs: 0,
  };
}

function finish({ found }: RotationInputs, key: KeyStatus, now: Date): RotationPlan {
  const event: Notice = { type: "Normal", reason: "KeyRotated", message: `rotated to version ${found.version}` };
  return rest({ ...key, lastRotationTime: momentOf(now) }, now, [event]);
}

function refuse(key: KeyStatus, why: string): RotationPlan {
  return {
    key,
    intent: undefined,
    rotateFrom: undefined,
    verdict: no("RotationCurrent", "RotationUnsupported", why),
    isRefused: true,
    events: [],
    againAfterMs: undefined,
  };
}

function rest(key: KeyStatus, now: Date, events: readonly Notice[]): RotationPlan {
  const next = key.nextRotationTime;
  return {
    key,
    intent: undefined,
    rotateFrom: undefined,
    verdict: yes("RotationCurrent", "UpToDate", `Version ${key.version} is the newest`),
    isRefused: false,
    events,
    againAfterMs: next === undefined ? undefined : Math.max(0, Date.parse(next) - now.getTime()),
  };
}

/** Whoever keeps the key may rotate it without us. */
function changedElsewhere({ key, found }: RotationInputs): Notice[] {
  if (key === undefined || key.version === found.version) return [];
  return [{ type: "Normal", reason: "KeyRotated", message: `version ${found.version} is in use now` }];
}
