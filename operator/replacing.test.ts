import { expect, test } from "vitest";
import type { KubeObject } from "./kube/resources.ts";
import { createManualClock } from "./manualclock.ts";
import { Replacing, START_MS } from "./replacing.ts";

const STORE = { namespace: "team", name: "default" };
const DONE = { observedGeneration: 2, currentRevision: "b", updateRevision: "b" };

function statefulSet(status: object, generation = 2): KubeObject {
  const metadata = { namespace: "team", name: "coffer-default", generation };
  return { apiVersion: "apps/v1", kind: "StatefulSet", metadata, ...{ status } };
}

function replacing(sets: { set: KubeObject | undefined }) {
  const clock = createManualClock();
  return { clock, replacing: new Replacing({ find: () => sets.set }, clock) };
}

test.each([
  ["a set that its controller has not seen", statefulSet({}), false],
  ["a set as it should be", statefulSet(DONE), false],
  ["a change that its controller has not seen", statefulSet(DONE, 3), true],
  ["old pods beside new ones", statefulSet({ ...DONE, currentRevision: "a" }), true],
])("%s", (_sentence, set, isUnderWay) => {
  expect(replacing({ set }).replacing.isUnderWay(STORE)).toBe(isUnderWay);
});

test("is over after its time, and begins anew with the next change", async () => {
  const sets = { set: statefulSet(DONE, 3) };
  const { clock, replacing: one } = replacing(sets);
  expect(one.isUnderWay(STORE)).toBe(true);
  await clock.pass(START_MS - 1);
  expect(one.isUnderWay(STORE)).toBe(true);
  await clock.pass(1);
  expect(one.isUnderWay(STORE)).toBe(false);
  sets.set = statefulSet(DONE);
  expect(one.isUnderWay(STORE)).toBe(false);
  sets.set = statefulSet(DONE, 3);
  expect(one.isUnderWay(STORE)).toBe(true);
});

test("goes on for a moment after the set is as it should be, for its pods are known to be ready a moment later", async () => {
  const sets = { set: statefulSet(DONE, 3) };
  const { clock, replacing: one } = replacing(sets);
  expect(one.isUnderWay(STORE)).toBe(true);
  sets.set = statefulSet(DONE, 2);
  expect(one.isUnderWay(STORE)).toBe(true);
  await clock.pass(4000);
  expect(one.isUnderWay(STORE)).toBe(true);
  await clock.pass(1001);
  expect(one.isUnderWay(STORE)).toBe(false);
});
