import { describe, expect, it } from "vitest";
import type { EncryptedBucket } from "../../crds/encryptedbucket.ts";
import { FINALIZERS } from "../../crds/names.ts";
import { validate } from "../../crds/validate.ts";
import { runController } from "../controller.ts";
import { createManualClock } from "../manualclock.ts";
import { WorkQueue } from "../queue.ts";
import type { PodFacts } from "../rollout.ts";
import { type DeletionObserved, planDeletion } from "./deletion.ts";

const NOW = new Date("2026-03-10T12:00:00Z");
const MINUTE_MS = 60_000;
const OURS = FINALIZERS.deleteBucket;
type Policy = EncryptedBucket["spec"]["deletionPolicy"];

function bucket(deletionPolicy: Policy, finalizers: string[], goingForMs?: number): EncryptedBucket {
  const encryption = { kmsProviderRef: { name: "local" } };
  const made = validate({
    apiVersion: "coffer.dev/v1alpha1",
    kind: "EncryptedBucket",
    metadata: { name: "photos" },
    spec: { encryption, deletionPolicy },
  });
  if ("problems" in made) throw new Error(JSON.stringify(made.problems));
  const deletionTimestamp = new Date(NOW.getTime() - (goingForMs ?? 0)).toISOString();
  const going = goingForMs === undefined ? {} : { deletionTimestamp };
  return { ...(made.object as EncryptedBucket), metadata: { name: "photos", finalizers, ...going } };
}

function pod(job?: { readonly state: "running" | "done" | "blocked"; readonly wish?: string }): PodFacts {
  const counts = { scanned: 0, rewrapped: 0, current: 0, excluded: 0, conflict: 0, failed: 0 };
  const jobs =
    job === undefined
      ? []
      : [
          {
            kind: "empty",
            bucket: "photos",
            wish: job.wish ?? "empty-and-remove 7",
            state: job.state,
            counts,
            startedMs: 0,
            updatedMs: 0,
            ...(job.state === "blocked" ? { reason: "BucketNotEmpty" } : {}),
          },
        ];
  return { name: "pod", ready: true, reasons: [], revision: 7, refused: undefined, providers: [], jobs };
}

function observed(one: EncryptedBucket, more: Partial<DeletionObserved> = {}): DeletionObserved {
  return {
    bucket: one,
    bucketName: "photos",
    isHeldByAnother: false,
    isServable: true,
    isStoreGone: false,
    pods: [pod()],
    withoutReadyPodMs: 0,
    revision: 7,
    ...more,
  };
}

const deleting = (policy: Policy = "DeleteWithObjects", goingForMs = 1000) =>
  bucket(policy, ["other", OURS], goingForMs);

describe("planDeletion()", () => {
  const finalizers: Readonly<Record<string, readonly [DeletionObserved, readonly string[] | undefined]>> = {
    "Retain needs no finalizer": [observed(bucket("Retain", [])), undefined],
    "DeleteIfEmpty needs one": [observed(bucket("DeleteIfEmpty", ["other"])), ["other", OURS]],
    "DeleteWithObjects needs one": [observed(bucket("DeleteWithObjects", [])), [OURS]],
    "one that is there stays": [observed(bucket("DeleteIfEmpty", [OURS])), undefined],
    "Retain takes it off again": [observed(bucket("Retain", [OURS, "other"])), ["other"]],
    "one that goes gets none any more": [observed(bucket("DeleteIfEmpty", ["other"], 1000)), undefined],
    "one that goes waits for its job": [observed(deleting(), { pods: [pod({ state: "running" })] }), undefined],
    "a job that is done lets it go": [observed(deleting(), { pods: [pod({ state: "done" })] }), ["other"]],
    "a job for an older entry says nothing": [
      observed(deleting(), { pods: [pod({ state: "done", wish: "empty-and-remove 6" })] }),
      undefined,
    ],
    "Retain lets it go": [observed(deleting("Retain")), ["other"]],
    "another's name lets it go": [observed(deleting(), { isHeldByAnother: true }), ["other"]],
    "a store that has gone lets it go": [observed(deleting(), { isStoreGone: true }), ["other"]],
    "one that was never served goes": [observed(deleting(), { isServable: false }), ["other"]],
    "no pod for four minutes is no reason": [
      observed(deleting("DeleteIfEmpty", 10 * MINUTE_MS), { pods: [], withoutReadyPodMs: 4 * MINUTE_MS }),
      undefined,
    ],
    "no pod for five minutes lets it go": [
      observed(deleting("DeleteIfEmpty", 10 * MINUTE_MS), { pods: [], withoutReadyPodMs: 5 * MINUTE_MS }),
      ["other"],
    ],
    "no pod for long, but deleted a moment ago, is no reason": [
      observed(deleting("DeleteIfEmpty", 1000), { pods: [], withoutReadyPodMs: 60 * MINUTE_MS }),
      undefined,
    ],
  };

  it.each(Object.entries(finalizers))("%s", (_, [one, wanted]) => {
    expect(planDeletion(one, NOW).finalizers).toEqual(wanted);
  });

  it("tells when data are kept, and only then", () => {
    const kept = planDeletion(observed(deleting(), { isStoreGone: true }), NOW);
    expect(kept.events.map(({ reason }) => reason)).toEqual(["DataKept"]);
    expect(planDeletion(observed(deleting(), { pods: [pod({ state: "done" })] }), NOW).events).toEqual([]);
  });

  it("says that the bucket is not empty, and what to do about it", () => {
    const { blocked, finalizers: wanted } = planDeletion(
      observed(deleting("DeleteIfEmpty"), { pods: [pod({ state: "blocked", wish: "remove-if-empty 7" })] }),
      NOW,
    );
    expect(wanted).toBeUndefined();
    expect(blocked).toMatchObject({ type: "DeletionBlocked", status: "True", reason: "BucketNotEmpty" });
    expect(blocked.message).toContain("spec.deletionPolicy");
  });

  it("comes again while it waits, so that it ends though nothing happens", () => {
    expect(planDeletion(observed(deleting()), NOW).againAfterMs).toBe(5 * MINUTE_MS);
  });

  /** Minutes after which a bucket went that was deleted at 0, when its last pod was ready for the last time after `podMinutes`
   *  and something else had it looked at after each of `looks`. */
  async function minutesToTheEnd(podMinutes: number, looks: readonly number[]): Promise<number | undefined> {
    const clock = createManualClock();
    const queue = new WorkQueue(clock);
    const ending = new AbortController();
    const beganMs = clock.now().getTime();
    const going = { ...deleting().metadata, deletionTimestamp: clock.now().toISOString() };
    let endedMs: number | undefined;
    const observe = async () => {
      const withoutReadyPodMs = Math.max(0, clock.monotonicMs() - podMinutes * MINUTE_MS);
      return observed({ ...deleting(), metadata: going }, { pods: [], withoutReadyPodMs });
    };
    const running = runController(
      {
        kind: {
          observe: async () => (endedMs === undefined ? await observe() : undefined),
          plan: (seen: DeletionObserved, now) => {
            const { finalizers: wanted, againAfterMs } = planDeletion(seen, now);
            if (wanted !== undefined) endedMs = clock.now().getTime();
            return { actions: [], status: seen.bucket.status, events: [], againAfterMs };
          },
          act: async () => undefined,
        },
        resourceOf: ({ bucket: one }) => one,
        writeStatus: async () => undefined,
        tell: () => undefined,
        failed: (_, error) => {
          throw error;
        },
      },
      { queue, clock, workers: 1, counts: { began: () => undefined, ended: () => undefined } },
      ending.signal,
    );
    for (const minutes of [0, ...looks]) {
      await clock.pass(beganMs + minutes * MINUTE_MS - clock.now().getTime());
      queue.add("team/photos");
    }
    await clock.pass(60 * MINUTE_MS);
    queue.close();
    ending.abort();
    await running;
    return endedMs === undefined ? undefined : (endedMs - beganMs) / MINUTE_MS;
  }

  const ends: Readonly<Record<string, readonly [podMinutes: number, looks: readonly number[], end: number]>> = {
    "without a pod from the beginning": [0, [], 5],
    "without a pod from the beginning, and looked at on the way": [0, [1, 3, 4.9], 5],
    "without a pod after a minute, of which the pods tell": [1, [1], 6],
    "without a pod after a minute, and looked at on the way": [1, [1, 2.5, 5.9], 6],
  };

  it.each(Object.entries(ends))("lets a bucket go after five minutes: %s", async (_, [podMinutes, looks, end]) => {
    expect(await minutesToTheEnd(podMinutes, looks)).toBe(end);
  });
});
