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
  /** It was read after the wish was found: one that is older may have been rotated since by somebody else, and the wish
   *  would be taken as fulfilled. */
  readonly isReadAnew: boolean;
  /** Why it could not be read, the last time. */
  readonly readFailure: string | undefined;
  /** Why this key is not ours to rotate; undefined: it is. */
  readonly notOurs: string | undefined;
  /** What came of the last call to rotate, if it failed. */
  readonly failure: string | undefined;
  /** One goes on, and tells when it has ended. */
  readonly isRotating: boolean;
}

export interface RotationPlan {
  readonly key: KeyStatus;
  readonly intent: Intent | undefined;
  /** To be asked for a newer version than this. */
  readonly rotateFrom: string | undefined;
  readonly verdict: Verdict;
  readonly isRefused: boolean;
  /** What is being done, in words. */
  readonly doing: string | undefined;
  readonly events: readonly Notice[];
  readonly againAfterMs: number | undefined;
}

/** Whoever reads the newest version tells of it, sooner than this. */
const READ_AGAIN_MS = 1000;

export function planRotation(inputs: RotationInputs, now: Date): RotationPlan {
  const { intent, found } = inputs;
  const key = keyStatus(inputs, now, false);
  if (intent !== undefined) {
    return found.version === intent.fromVersion ? underWay(inputs, key, intent) : finish(inputs, key, now);
  }
  const cause = wishOf(inputs, now);
  if (cause === undefined) return rest(key, now, changedElsewhere(inputs));
  if (inputs.notOurs !== undefined) return refuse(key, inputs.notOurs);
  if (!inputs.isReadAnew) return waitForVersion(inputs, key);
  const dealtWith = cause === "Schedule" ? keyStatus(inputs, now, true) : { ...key, generation: inputs.keyGeneration };
  return {
    // From here on the wish is the intent's: a further rise is a further wish.
    key: dealtWith,
    intent: { cause, fromVersion: found.version, startTime: momentOf(now) },
    rotateFrom: undefined,
    verdict: no("RotationCurrent", "RotationInProgress", `A version newer than ${found.version} is wanted`),
    isRefused: false,
    doing: rotatingWords(found.version),
    events: [],
    againAfterMs: 0,
  };
}

/** Why the key is to be rotated; undefined: it is not. */
export function wishOf(
  { keyGeneration, key, schedule }: Pick<RotationInputs, "keyGeneration" | "key" | "schedule">,
  now: Date,
): Intent["cause"] | undefined {
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

function waitForVersion({ readFailure }: RotationInputs, key: KeyStatus): RotationPlan {
  const verdict =
    readFailure === undefined
      ? no("RotationCurrent", "RotationInProgress", "A newer version is wanted: which is the newest is looked up first")
      : no("RotationCurrent", "RotationFailed", `${readFailure}. It is tried again`);
  return {
    key,
    intent: undefined,
    rotateFrom: undefined,
    verdict,
    isRefused: false,
    doing: "The key is looked at, to be rotated from its newest version",
    events: [],
    againAfterMs: READ_AGAIN_MS,
  };
}

function rotatingWords(fromVersion: string): string {
  return `The key is being rotated from version ${fromVersion}`;
}

function underWay({ failure, isRotating }: RotationInputs, key: KeyStatus, intent: Intent): RotationPlan {
  const verdict =
    failure === undefined
      ? no("RotationCurrent", "RotationInProgress", `A version newer than ${intent.fromVersion} is wanted`)
      : no("RotationCurrent", "RotationFailed", `${failure}. It is tried again`);
  return {
    key,
    intent,
    rotateFrom: isRotating ? undefined : intent.fromVersion,
    verdict,
    isRefused: false,
    doing: rotatingWords(intent.fromVersion),
    events: [],
    againAfterMs: isRotating ? undefined : 0,
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
    doing: undefined,
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
    doing: undefined,
    events,
    againAfterMs: next === undefined ? undefined : Math.max(0, Date.parse(next) - now.getTime()),
  };
}

/** Whoever keeps the key may rotate it without us. */
function changedElsewhere({ key, found }: RotationInputs): Notice[] {
  if (key === undefined || key.version === found.version) return [];
  return [{ type: "Normal", reason: "KeyRotated", message: `version ${found.version} is in use now` }];
}
