import { expect, test, vi } from "vitest";
import type { PodObject } from "./kube/resources.ts";
import { createManualClock } from "./manualclock.ts";
import type { PodFacts } from "./rollout.ts";
import { StorePods } from "./storepods.ts";

const POD: PodObject = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace: "team", name: "coffer-default-0" },
  status: { podIP: "10.0.0.1" },
};
const SERVING: PodFacts = {
  name: "coffer-default-0",
  ready: true,
  reasons: [],
  revision: 5,
  refused: undefined,
  providers: [],
  jobs: [],
};

interface Asked {
  isPending?: boolean;
  isWaitedFor?: boolean;
  says?: PodFacts;
}

/** A pod that was asked for the first time, and how often it is asked in the next minute. */
async function askedInAMinute({ isPending = false, isWaitedFor = false, says = SERVING }: Asked): Promise<number> {
  const clock = createManualClock();
  const stopping = new AbortController();
  let asked = 0;
  const pods = new StorePods(
    {
      pods: {
        async ask() {
          asked += 1;
          return says;
        },
      },
      clock,
      list: () => [POD],
      isPending: () => isPending,
      isWaitedFor: () => isWaitedFor,
      changed: () => undefined,
    },
    stopping.signal,
  );
  await pods.facts("team/default", stopping.signal);
  const before = asked;
  await clock.pass(60_000);
  stopping.abort();
  await pods.ended();
  return asked - before;
}

const SILENT: PodFacts = { ...SERVING, ready: false, reasons: ["it does not answer"] };

async function factsOf(pod: PodObject, says: PodFacts): Promise<PodFacts | undefined> {
  const stopping = new AbortController();
  const pods = new StorePods(
    {
      pods: { ask: async () => says },
      clock: createManualClock(),
      list: () => [pod],
      isPending: () => false,
      isWaitedFor: () => false,
      changed: () => undefined,
    },
    stopping.signal,
  );
  const { pods: facts } = await pods.facts("team/default", stopping.signal);
  stopping.abort();
  await pods.ended();
  return facts[0];
}

async function reasonsOf(pod: PodObject): Promise<readonly string[]> {
  return (await factsOf(pod, SILENT))?.reasons ?? [];
}

test("asks a pod at rest twice a minute", async () => {
  expect(await askedInAMinute({})).toBe(2);
});

test("asks a pod that loads something twice a second", async () => {
  expect(await askedInAMinute({ isPending: true })).toBeGreaterThan(100);
});

test("asks a pod that somebody waits for every two seconds, for as long as it takes", async () => {
  expect(await askedInAMinute({ isWaitedFor: true })).toBe(30);
});

test("asks a pod that cannot use a key every two seconds, so that it is known when it can", async () => {
  const key = { name: "vault", canWrap: false, canUnwrap: false, failure: "unreachable" };
  expect(await askedInAMinute({ says: { ...SERVING, providers: [key] } })).toBe(30);
});

test("says of an image that cannot be pulled what to look at", async () => {
  const waiting = { reason: "ImagePullBackOff", message: 'Back-off pulling image "nowhere/coffer:1"' };
  const [reason] = await reasonsOf({
    ...POD,
    status: { phase: "Pending", containerStatuses: [{ name: "data-plane", state: { waiting } }] },
  });
  expect(reason).toContain(
    'coffer-default-0 does not run: ImagePullBackOff (Back-off pulling image "nowhere/coffer:1")',
  );
  expect(reason).toContain("check spec.pod.image and spec.pod.imagePullSecrets");
});

test("says so first of a pod that has an address already, and does not answer", async () => {
  const waiting = { reason: "ErrImagePull", message: "not found" };
  const [reason] = await reasonsOf({
    ...POD,
    status: { phase: "Pending", podIP: "10.0.0.1", containerStatuses: [{ name: "data-plane", state: { waiting } }] },
  });
  expect(reason).toMatch(/^coffer-default-0 does not run: ErrImagePull \(not found\): check spec.pod.image /);
});

test("says of a pod that no node takes why", async () => {
  const message = "0/1 nodes are available: 1 Insufficient memory.";
  const [reason] = await reasonsOf({
    ...POD,
    status: { phase: "Pending", conditions: [{ type: "PodScheduled", status: "False", message }] },
  });
  expect(reason).toBe(`coffer-default-0 cannot be scheduled: ${message}`);
});

test("says of a pod whose program has just begun that it is starting", async () => {
  const container = { name: "data-plane", started: false, state: { running: {} } };
  const starting = { ...POD, status: { phase: "Running", podIP: "10.0.0.1", containerStatuses: [container] } };
  expect((await reasonsOf(starting))[0]).toBe("coffer-default-0 is starting");
});

test("counts a pod as ready when its Service leads to it, and no sooner", async () => {
  const withReady = (status: string): PodObject => ({
    ...POD,
    status: { podIP: "10.0.0.1", conditions: [{ type: "Ready", status }] },
  });
  expect(await factsOf(withReady("True"), SERVING)).toEqual(SERVING);
  const early = await factsOf(withReady("False"), SERVING);
  expect(early).toMatchObject({ ready: false, isUnserved: true, revision: SERVING.revision });
  expect(early?.reasons).toEqual(["coffer-default-0 answers, and its Service does not lead to it yet"]);
});

test("looks again at once when something changes while it looks", async () => {
  const stopping = new AbortController();
  const answers: (() => void)[] = [];
  const pods = new StorePods(
    {
      pods: {
        async ask() {
          await new Promise<void>((resolve) => answers.push(resolve));
          return SERVING;
        },
      },
      clock: createManualClock(),
      list: () => [POD],
      isPending: () => false,
      isWaitedFor: () => false,
      changed: () => undefined,
    },
    stopping.signal,
  );
  const facts = pods.facts("team/default", stopping.signal);
  await vi.waitUntil(() => answers.length === 1, { timeout: 60_000 });
  pods.poke("team/default");
  answers[0]?.();
  await facts;
  await vi.waitUntil(() => answers.length === 2, { timeout: 60_000 });
  stopping.abort();
  answers[1]?.();
  await pods.ended();
});
