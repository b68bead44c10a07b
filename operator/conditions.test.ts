import { describe, expect, test } from "vitest";
import type { Condition } from "../crds/kind.ts";
import {
  blockedNotices,
  conditionsOf,
  type Judgement,
  no,
  readyNotices,
  sameStatus,
  unknown,
  type Verdict,
  withDeletion,
  yes,
} from "./conditions.ts";

const NOW = new Date("2026-03-10T12:00:00.750Z");
const LATER = new Date("2026-03-10T13:00:00Z");

const good: readonly Verdict[] = [
  yes("StoreReady", "StoreServing", "a"),
  yes("ProviderReady", "ProviderServing", "b"),
  yes("ConfigurationApplied", "ConfigApplied", "c"),
  yes("AccessReady", "CredentialsPublished", "d"),
];

function conditions(
  changes: Partial<Judgement> & { instead?: Verdict } = {},
  before?: readonly Condition[],
  now = NOW,
): Condition[] {
  const { instead, ...rest } = changes;
  const verdicts = good.map((verdict) => (verdict.type === instead?.type ? instead : verdict));
  const judgement = { verdicts, reconciling: undefined, stalled: undefined, ...rest };
  return conditionsOf("EncryptedBucket", before, judgement, 4, now);
}

describe("conditionsOf()", () => {
  test("gives Ready the reason and message of the first part that is not so", () => {
    const [ready] = conditions({ instead: no("ProviderReady", "ProviderNotFound", "Make it") });
    expect(ready).toEqual({
      type: "Ready",
      status: "False",
      observedGeneration: 4,
      lastTransitionTime: "2026-03-10T12:00:00Z",
      reason: "ProviderNotFound",
      message: "Make it",
    });
  });

  test("prefers what is wrong to what is not known", () => {
    const verdicts = [unknown("StoreReady", "?"), ...good.slice(1, 3), no("AccessReady", "SecretConflict", "!")];
    expect(conditions({ verdicts })[0]).toMatchObject({ status: "False", reason: "SecretConflict" });
    expect(conditions({ verdicts: verdicts.slice(0, 3) })[0]).toMatchObject({
      status: "Unknown",
      reason: "NotChecked",
    });
  });

  test("never says that it goes on, and that nothing does, at the same time", () => {
    const mistake = no("AccessReady", "SecretConflict", "!");
    const both = conditions({ instead: mistake, reconciling: "Under way", stalled: mistake });
    expect(both.map(({ type }) => type)).toContain("Stalled");
    expect(both.map(({ type }) => type)).not.toContain("Reconciling");
  });

  test("shows what nobody judged as Unknown, and what is present only while true only then", () => {
    expect(conditions().map(({ type, status }) => `${type} ${status}`)).toEqual([
      "Ready True",
      "StoreReady True",
      "ProviderReady True",
      "ConfigurationApplied True",
      "AccessReady True",
      "RewrapComplete Unknown",
    ]);
    expect(conditions({ reconciling: "Under way" }).at(-1)).toMatchObject({
      type: "Reconciling",
      status: "True",
      message: "Under way",
    });
    expect(conditions({ stalled: no("AccessReady", "SecretConflict", "Remove it") }).at(-1)).toMatchObject({
      type: "Stalled",
      status: "True",
      reason: "SecretConflict",
      message: "Remove it",
    });
  });

  test("moves a time only with its status", () => {
    const first = conditions();
    const second = conditions({ instead: no("StoreReady", "StoreNotReady", "!") }, first, LATER);
    const times = Object.fromEntries(second.map(({ type, lastTransitionTime }) => [type, lastTransitionTime]));
    expect(times).toMatchObject({
      Ready: "2026-03-10T13:00:00Z",
      StoreReady: "2026-03-10T13:00:00Z",
      ProviderReady: "2026-03-10T12:00:00Z",
    });
  });

  test("keeps Ready within the grace of a failure, and gives none to what was not ready", () => {
    const failing = { instead: no("StoreReady", "StoreNotReady", "!"), withinGrace: true };
    expect(conditions(failing, conditions())[0]).toMatchObject({ status: "True" });
    expect(conditions(failing, conditions(failing))[0]).toMatchObject({ status: "False" });
  });
});

const WAITS = yes("DeletionBlocked", "InUse", "It is named");
const GOES = no("DeletionBlocked", "InUse", "");

/** As they are of a resource that is being deleted. */
function deleted(found: Condition[], verdict = WAITS): Condition[] {
  const metadata = { name: "photos", deletionTimestamp: NOW.toISOString() };
  return withDeletion({ metadata, status: {} }, found, verdict, 4, NOW);
}

describe("withDeletion()", () => {
  test("leaves what nobody wants gone as it is", () => {
    expect(withDeletion({ metadata: { name: "photos" }, status: {} }, conditions(), WAITS, 4, NOW)).toEqual(
      conditions(),
    );
  });

  test("tells beside Ready that a resource goes, and what it waits for", () => {
    const [ready] = conditions();
    expect(deleted(conditions(), GOES)[0]).toEqual({ ...ready, reason: "Deleting", message: "It is being deleted" });
    const waiting = deleted(conditions());
    const message = "It is being deleted. It is named";
    expect(waiting[0]).toEqual({ ...ready, reason: "DeletionBlocked", message });
    expect(waiting.at(-1)).toMatchObject({ type: "DeletionBlocked", status: "True", reason: "InUse" });
  });

  test("hides nothing that is wrong with it", () => {
    const failed = conditions({ instead: no("StoreReady", "StoreNotReady", "No pod") });
    expect(deleted(failed)[0]).toEqual(failed[0]);
  });
});

describe("readyNotices()", () => {
  const ready = conditions();
  const failed = conditions({ instead: no("StoreReady", "StoreNotReady", "No pod") });
  const underWay = conditions({ instead: no("StoreReady", "StoreNotReady", "No pod"), reconciling: "Starting" });
  const cases: Record<string, [before: Condition[] | undefined, after: Condition[], messages: string[]]> = {
    "ready for the first time": [undefined, ready, ["fine"]],
    "still ready": [ready, ready, []],
    "no longer ready": [ready, failed, ["No pod"]],
    "still not ready": [failed, failed, []],
    "not ready while something is under way": [ready, underWay, []],
    "not ready after something was under way": [underWay, failed, ["No pod"]],
    "ready after something was under way": [underWay, ready, ["fine"]],
    "ready and being deleted": [ready, deleted(ready), []],
    "still being deleted": [deleted(ready), ready, []],
    "not known": [ready, conditions({ verdicts: [] }), []],
  };
  test.each(Object.entries(cases))("tells once of what is %s", (_sentence, [before, after, messages]) => {
    expect(readyNotices(before, after, "fine").map(({ message }) => message)).toEqual(messages);
  });
});

test("blockedNotices() tells once of a deletion that waits", () => {
  const blocked: Condition[] = [
    { ...(conditions()[0] as Condition), type: "DeletionBlocked", reason: "InUse", message: "It is named" },
  ];
  const told = [{ type: "Warning", reason: "InUse", message: "It is named" }];
  expect(blockedNotices(undefined, blocked)).toEqual(told);
  expect(blockedNotices(conditions(), blocked)).toEqual(told);
  expect(blockedNotices(blocked, blocked)).toEqual([]);
  expect(blockedNotices(blocked, conditions())).toEqual([]);
});

test("sameStatus() minds values, not the order of members or what is undefined", () => {
  expect(sameStatus({ a: 1, b: { c: [1, 2], d: undefined } }, { b: { c: [1, 2] }, a: 1 })).toBe(true);
  expect(sameStatus({ a: [1, 2] }, { a: [2, 1] })).toBe(false);
  expect(sameStatus({ a: 1 }, { a: 1, b: null })).toBe(false);
});
