import { describe, expect, test } from "vitest";
import type { EncryptedBucket, EncryptedBucketStatus } from "../../crds/encryptedbucket.ts";
import { API_VERSION } from "../../crds/names.ts";
import { statusProblems, validate } from "../../crds/validate.ts";
import type { JobState } from "../../dataplane/admin/api.ts";
import type { BucketEntry } from "../../dataplane/config/config.ts";
import type { CredentialsPlan } from "../compile/compile.ts";
import { conditionOf, sameStatus } from "../conditions.ts";
import type { PodFacts } from "../rollout.ts";
import { type ObservedBucket, planBucket } from "./plan.ts";

const NOW = new Date("2026-03-10T12:00:05Z");
const REVISION = 100;

function bucket(spec: object = {}, status: Partial<EncryptedBucketStatus> = {}): EncryptedBucket {
  const encryption = { kmsProviderRef: { name: "local" } };
  const made = validate({
    apiVersion: API_VERSION,
    kind: "EncryptedBucket",
    metadata: { name: "photos" },
    spec: { encryption, access: [{ name: "app", permissions: ["Read"] }], ...spec },
  });
  if ("problems" in made) throw new Error(JSON.stringify(made.problems));
  const object = made.object as EncryptedBucket;
  return {
    ...object,
    metadata: { ...object.metadata, generation: 2 },
    status: { ...object.status, conditions: [], ...status },
  };
}

const entry = { name: "photos", revision: REVISION, rewrapWish: "local/0/3" } as BucketEntry;

const published: CredentialsPlan = {
  configured: [],
  actions: [],
  published: [{ entry: "app", generation: 0 }],
  pending: [],
  replaced: [],
  conflicts: [],
};

function pod(changes: Partial<PodFacts> = {}): PodFacts {
  return {
    name: "pod-0",
    ready: true,
    reasons: [],
    revision: REVISION,
    refused: undefined,
    providers: [{ name: "local", canWrap: true, canUnwrap: true, failure: undefined }],
    jobs: [job()],
    ...changes,
  };
}

function job(changes: Partial<JobState> = {}): JobState {
  return {
    kind: "rewrap",
    bucket: "photos",
    wish: entry.rewrapWish,
    state: "done",
    counts: { scanned: 4, rewrapped: 3, current: 1, excluded: 0, conflict: 0, failed: 0 },
    oldestKeyVersion: "3",
    startedMs: 1_000,
    updatedMs: 2_000,
    completedMs: 3_000,
    ...changes,
  };
}

function counts(changes: Partial<JobState["counts"]>): JobState["counts"] {
  return { ...job().counts, ...changes };
}

function observed(of: EncryptedBucket, changes: Partial<ObservedBucket> = {}): ObservedBucket {
  return {
    bucket: of,
    store: { kind: "found", endpoint: "http://127.0.0.1:9000", pods: [pod()], isStarting: false, withoutReadyPodMs: 0 },
    provider: { name: "local", ready: "True", message: "", keyId: "ring", keyVersion: "3" },
    holder: undefined,
    compiled: entry,
    credentials: published,
    secretNames: new Map([["app", "photos-app"]]),
    ...changes,
  };
}

function plan(of: EncryptedBucket, changes: Partial<ObservedBucket> = {}) {
  const planned = planBucket(observed(of, changes), NOW);
  expect(statusProblems("EncryptedBucket", planned.status)).toEqual([]);
  return planned;
}

function withPods(...pods: PodFacts[]): Partial<ObservedBucket> {
  return { store: { kind: "found", endpoint: "http://127.0.0.1:9000", pods, isStarting: false, withoutReadyPodMs: 0 } };
}

function reasons({ status }: { status: EncryptedBucketStatus }) {
  return Object.fromEntries((status.conditions ?? []).map((one) => [one.type, `${one.status} ${one.reason}`]));
}

describe("planBucket()", () => {
  test("shows Unknown on the first visit, and does nothing yet", () => {
    const first = bucket();
    delete first.status.conditions;
    const planned = plan(first);
    expect(reasons(planned)).toMatchObject({ Ready: "Unknown NotChecked", Reconciling: "True ChangeInProgress" });
    expect(planned).toMatchObject({ actions: [], againAfterMs: 0 });
  });

  test("is ready when its pods run its entry, its key works and its credentials are published", () => {
    const planned = plan(bucket());
    expect(reasons(planned)).toEqual({
      Ready: "True Ready",
      StoreReady: "True StoreServing",
      ProviderReady: "True ProviderServing",
      ConfigurationApplied: "True ConfigApplied",
      AccessReady: "True CredentialsPublished",
      RewrapComplete: "True RewrapDone",
    });
    expect(planned.status).toMatchObject({
      observedGeneration: 2,
      bucketName: "photos",
      store: "default",
      endpoint: "http://127.0.0.1:9000",
      encryption: { provider: "local", keyId: "ring", keyVersion: "3" },
      rewrap: {
        generation: 0,
        scanned: 4,
        rewrapped: 3,
        oldestKeyVersion: "3",
        completionTime: "1970-01-01T00:00:03Z",
      },
      access: [{ name: "app", secretName: "photos-app", credentialsGeneration: 0 }],
    });
    expect(planned.events).toEqual([{ type: "Normal", reason: "Ready", message: "ready" }]);
  });

  test("changes nothing when it is asked again", () => {
    const { status } = plan(bucket());
    const again = plan(bucket({}, status));
    expect(sameStatus(again.status, status)).toBe(true);
    expect(again).toMatchObject({ actions: [], events: [] });
  });

  const cases: Record<string, [changes: Partial<ObservedBucket>, expected: Record<string, string | undefined>]> = {
    "a provider that does not exist": [
      { provider: undefined, compiled: { finding: "ProviderNotFound", message: "none" } },
      { Ready: "False ProviderNotFound", Stalled: undefined, Reconciling: undefined },
    ],
    "a provider that is not ready": [
      { provider: { name: "local", ready: "False", message: "Sealed", keyId: "ring", keyVersion: "3" } },
      { Ready: "False ProviderNotReady", ConfigurationApplied: "True ConfigApplied" },
    ],
    "a pod that cannot use the key": [
      withPods(pod({ providers: [{ name: "local", canWrap: true, canUnwrap: false, failure: "denied" }] })),
      { Ready: "False PodsCannotUseKey" },
    ],
    "a pod that has not tried the key yet": [
      withPods(pod({ providers: [], untried: ["local"] })),
      { Ready: "False RolloutInProgress", Reconciling: "True ChangeInProgress" },
    ],
    "a pod that has not tried another key yet": [withPods(pod({ untried: ["other"] })), { Ready: "True Ready" }],
    "keys that no provider opens": [
      withPods(pod({ jobs: [job({ counts: counts({ excluded: 2 }) })] })),
      { Ready: "False KeyNotProvided", RewrapComplete: "False RewrapFailed" },
    ],
    "a store that does not exist": [
      { store: { kind: "missing", message: "no store" } },
      { Ready: "False StoreNotFound", Stalled: undefined, Reconciling: undefined },
    ],
    "the default store, which is being made": [
      { store: { kind: "missing", message: "being made", isBeingMade: true } },
      { Ready: "False StoreNotFound", Reconciling: "True ChangeInProgress" },
    ],
    "pods that are being started": [
      { store: { kind: "found", endpoint: undefined, pods: [], isStarting: true, withoutReadyPodMs: 0 } },
      { Ready: "False StoreNotReady", Reconciling: "True ChangeInProgress" },
    ],
    "pods that are gone": [withPods(), { Ready: "False StoreNotReady", Reconciling: undefined }],
    "a pod that is behind": [
      withPods(pod({ revision: REVISION - 1 })),
      { Ready: "False RolloutInProgress", Reconciling: "True ChangeInProgress" },
    ],
    "one pod of two that is behind": [
      withPods(pod(), pod({ name: "pod-1", revision: REVISION - 1 })),
      { ConfigurationApplied: "False RolloutInProgress" },
    ],
    "a pod that refuses the document": [
      withPods(pod({ revision: REVISION - 1, refused: "buckets: is missing" })),
      { Ready: "False ConfigRejected", Reconciling: undefined },
    ],
    "a pod that refuses a later document": [withPods(pod({ refused: "later" })), { Ready: "True Ready" }],
    "a pod that is not ready does not count": [
      withPods(pod(), pod({ name: "pod-1", ready: false, revision: undefined })),
      { Ready: "True Ready" },
    ],
    "credentials that are on their way": [
      { credentials: { ...published, published: [], pending: ["app"] } },
      { Ready: "False CredentialsPending", Reconciling: "True ChangeInProgress" },
    ],
    "credentials that wait for a provider": [
      {
        provider: undefined,
        compiled: { finding: "ProviderNotFound", message: "none" },
        credentials: { ...published, published: [], pending: ["app"] },
      },
      { Ready: "False ProviderNotFound", AccessReady: "False CredentialsPending", Reconciling: undefined },
    ],
    "a Secret of somebody else": [
      { credentials: { ...published, published: [], conflicts: [{ entry: "app", place: "photos-app" }] } },
      { Ready: "False SecretConflict", Stalled: "True SecretConflict" },
    ],
    "a name that another has": [
      { holder: "older", compiled: { finding: "StoreNotFound", message: "" } },
      { Ready: "False NameConflict", Stalled: "True NameConflict", ConfigurationApplied: "Unknown NotChecked" },
    ],
    "a rewrap that is under way": [
      withPods(pod({ jobs: [job({ state: "running" })] })),
      { Ready: "True Ready", RewrapComplete: "False RewrapInProgress", Reconciling: undefined },
    ],
    "a rewrap that waits": [
      withPods(pod({ jobs: [job({ state: "running", reason: "ServiceUnavailable" })] })),
      { Ready: "True Ready", RewrapComplete: "False RewrapWaiting" },
    ],
    "a rewrap of which nobody has told": [
      withPods(pod({ jobs: [job({ wish: "local/0/2" })] })),
      { Ready: "True Ready", RewrapComplete: "Unknown NotChecked" },
    ],
  };
  test.each(Object.entries(cases))("tells of %s", (_sentence, [changes, expected]) => {
    const found = reasons(plan(bucket(), changes));
    for (const [type, reason] of Object.entries(expected)) expect(found[type]).toBe(reason);
  });

  test("is not called into question by a pod that begins, once it was ready", () => {
    const { status } = plan(bucket());
    const beginning = withPods(pod({ providers: [], untried: ["local"] }));
    expect(reasons(plan(bucket({}, status), beginning))["Ready"]).toBe("True Ready");
  });

  test("says of a pod that cannot use the key what to look at", () => {
    const refused = { name: "local", canWrap: false, canUnwrap: false, failure: "credentials" };
    const { status } = plan(bucket(), withPods(pod({ providers: [refused] })));
    const message = conditionOf(status.conditions, "ProviderReady")?.message;
    expect(message).toMatch(/ cannot use the key: the KMS refuses its login\. Check /);
  });

  test("lets a store be without a ready pod for half a minute", () => {
    const { status } = plan(bucket());
    const without = (withoutReadyPodMs: number) =>
      plan(bucket({}, status), {
        store: {
          kind: "found",
          endpoint: "e",
          pods: [pod({ ready: false, revision: undefined, providers: [] })],
          isStarting: false,
          withoutReadyPodMs,
        },
      });
    expect(reasons(without(29_999))).toMatchObject({ Ready: "True Ready", StoreReady: "True StoreServing" });
    expect(without(29_000).againAfterMs).toBe(1000);
    expect(without(29_000).events).toEqual([]);
    const told = without(30_000);
    expect(reasons(told)).toMatchObject({
      Ready: "False StoreNotReady",
      ConfigurationApplied: "False PodsNotReady",
    });
    expect(told.events).toMatchObject([{ type: "Warning", reason: "StoreNotReady" }]);
    expect(told.againAfterMs).toBeUndefined();
  });

  test("tells nothing of pods that pause", () => {
    const { status } = plan(bucket());
    const silent = pod({ ready: false, revision: undefined, providers: [], jobs: [] });
    const paused = plan(bucket({}, status), {
      store: { ...observed(bucket()).store, pods: [silent], withoutReadyPodMs: 5000 } as ObservedBucket["store"],
    });
    expect(paused.status.conditions).toEqual(status.conditions);
  });

  test("names a new provider or version only after the sweep that brought every key there", () => {
    const before = { provider: "old", keyId: "other", keyVersion: "9" };
    const running = plan(bucket({}, { encryption: before }), withPods(pod({ jobs: [job({ state: "running" })] })));
    expect(running.status.encryption).toEqual(before);
    const excluded = withPods(pod({ jobs: [job({ counts: counts({ excluded: 1 }) })] }));
    expect(plan(bucket({}, { encryption: before }), excluded).status.encryption).toEqual(before);
    expect(plan(bucket({}, { encryption: before })).status.encryption).toEqual({
      provider: "local",
      keyId: "ring",
      keyVersion: "3",
    });
  });

  test("tells how far a rewrap is every ten seconds, and writes nothing in between", () => {
    const { completedMs: _completedMs, ...running } = job({ state: "running" });
    const at = (of: EncryptedBucket, scanned: number, afterMs: number) => {
      const jobs = [{ ...running, counts: counts({ scanned }) }];
      return planBucket(observed(of, withPods(pod({ jobs }))), new Date(NOW.getTime() + afterMs));
    };
    const begun = at(bucket(), 10, 0);
    expect(begun.status.rewrap?.scanned).toBe(10);
    const between = at(bucket({}, begun.status), 20, 1000);
    expect(sameStatus(between.status, begun.status)).toBe(true);
    const due = at(bucket({}, between.status), 30, 1000 + (between.againAfterMs ?? Number.NaN));
    expect(due.status.rewrap?.scanned).toBe(30);
    expect(conditionOf(due.status.conditions, "RewrapComplete")?.message).toContain("30 records");
    expect(between.againAfterMs).toBeLessThanOrEqual(10_000);
  });

  test("leaves a suspended bucket's status as it is, observedGeneration too", () => {
    const { status } = plan(bucket());
    const before = { ...status, observedGeneration: 1 };
    const planned = plan(bucket({ suspend: true }, before), { holder: "other" });
    expect(planned.actions).toEqual([]);
    expect(reasons(planned)).toEqual({ ...reasons({ status }), Suspended: "True Suspended" });
    expect(planned.status.observedGeneration).toBe(1);
    expect(plan(bucket({ suspend: true }, planned.status)).events).toEqual([]);
  });

  test("drops Suspended when it is resumed", () => {
    const { status } = plan(bucket());
    const suspended = plan(bucket({ suspend: true }, status));
    expect(reasons(plan(bucket({}, suspended.status)))["Suspended"]).toBeUndefined();
  });

  test("carries out what its credentials need, and takes away what has gone from the spec first", () => {
    const pair = { accessKeyId: "id", secret: "secret" };
    const access = [{ name: "old", secretName: "photos-old", credentialsGeneration: 2 }];
    const planned = plan(bucket({}, { access }), {
      credentials: { ...published, published: [], pending: ["app"], actions: [{ kind: "create", entry: "app", pair }] },
    });
    expect(planned.actions).toEqual([
      { kind: "remove", bucket: "photos", entry: "old", secretName: "photos-old" },
      { kind: "create", entry: "app", pair, bucket: "photos", secretName: "photos-app" },
    ]);
    expect(planned.againAfterMs).toBe(0);
    expect(planned.status.access).toBeUndefined();
  });

  test("touches no Secret while another has its name", () => {
    const actions = [{ kind: "create" as const, entry: "app", pair: { accessKeyId: "id", secret: "s" } }];
    const planned = plan(bucket(), { holder: "older", credentials: { ...published, actions } });
    expect(planned.actions).toEqual([]);
    expect(planned.status.bucketName).toBeUndefined();
  });

  test("tells of a rewrap that ends in the same second as the one before", () => {
    const { status } = plan(bucket());
    const before = { ...status, encryption: { provider: "local", keyId: "ring", keyVersion: "2" } };
    const { events } = plan(bucket({}, before));
    expect(events.map(({ reason }) => reason)).toEqual(["RewrapDone"]);
    expect(plan(bucket({}, status)).events).toEqual([]);
  });

  test("tells of a rotation of credentials, and of a rewrap that is done, once", () => {
    const { completedMs: _completedMs, ...unfinished } = job({ state: "running" });
    const running = plan(bucket(), withPods(pod({ jobs: [unfinished] })));
    const rotated = { ...published, published: [{ entry: "app", generation: 1 }] };
    const done = plan(bucket({}, running.status), { credentials: rotated });
    expect(done.events).toEqual([
      { type: "Normal", reason: "CredentialsRotated", message: "new credentials for access entry app" },
      { type: "Normal", reason: "RewrapDone", message: "its keys are wrapped by KmsProvider local, version 3" },
    ]);
    expect(plan(bucket({}, done.status), { credentials: rotated }).events).toEqual([]);
  });

  test("tells of no rotation when it gives an entry its first credentials, or adopts a lower counter", () => {
    const { status } = plan(bucket());
    const adopted = { ...published, published: [{ entry: "app", generation: 7 }] };
    const { access: _access, ...without } = status;
    expect(plan(bucket({}, without), { credentials: adopted }).events).toEqual([]);
    const high = plan(bucket({}, without), { credentials: adopted });
    expect(plan(bucket({}, high.status)).events).toEqual([]);
  });

  test("moves a condition's time only with its status", () => {
    const { status } = plan(bucket());
    const old = "2020-01-01T00:00:00Z";
    const aged = (status.conditions ?? []).map((one) => ({ ...one, lastTransitionTime: old }));
    const planned = plan(bucket({}, { ...status, conditions: aged }), withPods(pod({ revision: 1 })));
    expect(conditionOf(planned.status.conditions, "StoreReady")?.lastTransitionTime).toBe(old);
    expect(conditionOf(planned.status.conditions, "Ready")?.lastTransitionTime).toBe("2026-03-10T12:00:05Z");
  });
});
