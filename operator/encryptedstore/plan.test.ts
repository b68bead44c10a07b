import { expect, test } from "vitest";
import type { EncryptedStore, EncryptedStoreStatus } from "../../crds/encryptedstore.ts";
import { API_VERSION } from "../../crds/names.ts";
import { statusProblems, validate } from "../../crds/validate.ts";
import { NO_CREDENTIALS } from "../compile/compile.ts";
import { sameStatus } from "../conditions.ts";
import type { PodFacts } from "../rollout.ts";
import { type ObservedStore, planStore } from "./plan.ts";

const NOW = new Date("2026-03-10T12:00:00Z");

function store(spec: object = {}, status: Partial<EncryptedStoreStatus> = {}): EncryptedStore {
  const made = validate({
    apiVersion: API_VERSION,
    kind: "EncryptedStore",
    metadata: { name: "default" },
    spec: { backend: { type: "Filesystem" }, ...spec },
  });
  if ("problems" in made) throw new Error(JSON.stringify(made.problems));
  const object = made.object as EncryptedStore;
  return {
    ...object,
    metadata: { ...object.metadata, generation: 1 },
    status: { ...object.status, conditions: [], ...status },
  };
}

function pod(changes: Partial<PodFacts> = {}): PodFacts {
  return {
    name: "pod-0",
    ready: true,
    reasons: [],
    revision: 5,
    refused: undefined,
    providers: [],
    jobs: [],
    ...changes,
  };
}

function plan(of: EncryptedStore, changes: Partial<ObservedStore> = {}) {
  const observed: ObservedStore = {
    store: of,
    refused: undefined,
    replicas: 1,
    pods: [pod()],
    isStarting: false,
    revision: undefined,
    selfService: undefined,
    credentials: NO_CREDENTIALS,
    endpoints: { s3: "http://127.0.0.1:9000", rest: "http://127.0.0.1:8080" },
    buckets: 3,
    ...changes,
  };
  const planned = planStore(observed, NOW);
  expect(statusProblems("EncryptedStore", planned.status)).toEqual([]);
  return planned;
}

function reasons({ status }: { status: EncryptedStoreStatus }) {
  return Object.fromEntries((status.conditions ?? []).map((one) => [one.type, `${one.status} ${one.reason}`]));
}

test("shows Unknown on the first visit", () => {
  const first = store();
  delete first.status.conditions;
  expect(reasons(plan(first))).toMatchObject({ Ready: "Unknown NotChecked", Reconciling: "True ChangeInProgress" });
});

test("is ready when its pods are, and says where it is", () => {
  const planned = plan(store());
  expect(reasons(planned)).toEqual({
    Ready: "True Ready",
    ResourcesApplied: "True ObjectsApplied",
    BackendReachable: "True BackendServing",
    ConfigurationApplied: "True ConfigApplied",
    Available: "True ReplicasReady",
  });
  expect(planned.status).toMatchObject({
    replicas: 1,
    readyReplicas: 1,
    buckets: 3,
    endpoints: { s3: "http://127.0.0.1:9000", rest: "http://127.0.0.1:8080" },
  });
  expect(sameStatus(plan(store({}, planned.status)).status, planned.status)).toBe(true);
});

const cases: Record<string, [changes: Partial<ObservedStore>, expected: Record<string, string | undefined>]> = {
  "a pod that is not ready": [
    { pods: [pod({ ready: false, reasons: ["the storage takes no writes"] })] },
    { Ready: "False BackendFailed", Available: "False PodsNotReady", Stalled: undefined },
  ],
  "a pod that its Service does not lead to yet": [
    { pods: [pod({ ready: false, isUnserved: true, reasons: ["its Service does not lead to it yet"] })] },
    { Ready: "False PodsNotReady", BackendReachable: "True BackendServing", Available: "False PodsNotReady" },
  ],
  "no pod": [
    { pods: [] },
    { Ready: "False PodsNotReady", BackendReachable: "Unknown NotChecked", Reconciling: undefined },
  ],
  "a pod that does not answer": [
    { pods: [pod({ ready: false, revision: undefined, reasons: ["it does not answer"] })] },
    { Ready: "False PodsNotReady", BackendReachable: "Unknown NotChecked" },
  ],
  "pods that are being started": [
    { pods: [], isStarting: true },
    { Ready: "False PodsNotReady", Reconciling: "True ChangeInProgress" },
  ],
  "a pod that refuses its configuration": [
    { pods: [pod({ refused: "buckets: is missing" })] },
    { Ready: "False ConfigRejected" },
  ],
  "a pod that is behind": [{ revision: 6 }, { Ready: "False RolloutInProgress", Reconciling: "True ChangeInProgress" }],
  "selfService whose provider is missing": [
    { selfService: { finding: "ProviderNotFound", message: 'KmsProvider "x" does not exist' } },
    { Ready: "False ConfigIncomplete" },
  ],
  "a Secret of its credentials that is another's": [
    {
      credentials: { ...NO_CREDENTIALS, conflicts: [{ entry: "admin", place: 'Secret "default-admin"' }] },
    },
    { Ready: "False NameTaken", Stalled: "True NameTaken" },
  ],
  "a store for which there is no place": [
    { refused: "one store runs here", pods: [] },
    { Ready: "False SecondStoreRefused", Stalled: "True SecondStoreRefused" },
  ],
};
test.each(Object.entries(cases))("tells of %s", (_sentence, [changes, expected]) => {
  const found = reasons(plan(store(), changes));
  for (const [type, reason] of Object.entries(expected)) expect(found[type]).toBe(reason);
});

test("leaves a suspended store's status as it is", () => {
  const { status } = plan(store());
  const planned = plan(store({ suspend: true }, status), { pods: [] });
  expect(reasons(planned)).toEqual({ ...reasons({ status }), Suspended: "True Suspended" });
});

test("tells of credentials that are replaced, once the configuration can do without the old ones", () => {
  const { status } = plan(store());
  const credentials = { ...NO_CREDENTIALS, pending: ["admin"], replaced: ["admin"] };
  const told = [
    {
      type: "Normal",
      reason: "CredentialsRotated",
      message: "new credentials for selfService entry admin: its Secret was gone, so the old ones have ended",
    },
  ];
  const notices = (changes: Partial<ObservedStore>) => plan(store({}, status), { credentials, ...changes }).events;
  expect(notices({ selfService: {} })).toEqual(told);
  expect(notices({ selfService: {}, credentials: { ...credentials, replaced: [] } })).toEqual([]);
  expect(notices({ selfService: { finding: "ProviderNotReady", message: "no key" } })).not.toContainEqual(told[0]);
});

test("tells of credentials whose entry has gone", () => {
  const cluster = {
    resources: { type: "ResourcesApplied", status: "True", reason: "ObjectsApplied", message: "" },
    volume: undefined,
    resize: undefined,
    configuration: undefined,
    ended: ["brief"],
    isUnderWay: false,
    selector: "app=x",
  } as const;
  const { status } = plan(store());
  const { events } = plan(store({}, status), { selfService: {}, cluster });
  const message = "selfService entry brief has gone: its credentials end";
  expect(events).toEqual([{ type: "Normal", reason: "CredentialsEnded", message }]);
  expect(plan(store({}, status), { selfService: {}, cluster: { ...cluster, ended: [] } }).events).toEqual([]);
});
