// What Argo CD and Flux make of each state that a resource can be in: a table, judged by their own code.

import { beforeAll, expect, it } from "vitest";
import { REASONS } from "../../crds/reasons.ts";
import { type Judged, judge, prepareJudge } from "./judge.ts";

const BUILD_MS = 30 * 60_000;

let program: string;

beforeAll(async () => {
  program = await prepareJudge(() => {});
}, BUILD_MS);

type Kind = "KmsProvider" | "EncryptedBucket" | "EncryptedStore";

interface State {
  readonly kind?: Kind;
  readonly spec?: object;
  readonly generation?: number;
  readonly observed?: number;
  readonly deleted?: boolean;
  /** Type → status and reason; undefined: no status at all. */
  readonly conditions?: Readonly<Record<string, string>>;
}

function resourceIn({
  kind = "EncryptedBucket",
  spec = {},
  generation = 2,
  observed = 2,
  deleted = false,
  conditions,
}: State) {
  const status = {
    observedGeneration: observed,
    ...(conditions === undefined
      ? {}
      : {
          conditions: Object.entries(conditions).map(([type, words]) => {
            const [is = "", reason = ""] = words.split(" ");
            return { type, status: is, reason, message: "what to do", observedGeneration: observed };
          }),
        }),
  };
  const deletion = deleted ? { deletionTimestamp: "2026-01-01T00:00:00Z", finalizers: ["coffer.dev/in-use"] } : {};
  const metadata = { name: "one", namespace: "team", generation, ...deletion };
  return { apiVersion: "coffer.dev/v1alpha1", kind, metadata, spec, status };
}

const READY = { Ready: "True Ready" };
const STATES: Readonly<Record<string, readonly [State, Judged["health"], Judged["kstatus"]]>> = {
  "a new one that nobody has seen": [{ observed: -1 }, "Progressing", "InProgress"],
  "its first visit": [
    { conditions: { Ready: "Unknown NotChecked", Reconciling: "True ChangeInProgress" } },
    "Progressing",
    "InProgress",
  ],
  "looked at, and not all is known": [{ conditions: { Ready: "Unknown NotChecked" } }, "Progressing", "InProgress"],
  ready: [{ conditions: READY }, "Healthy", "Current"],
  "ready for the spec before": [{ observed: 1, conditions: READY }, "Progressing", "InProgress"],
  "ready while a change is brought about": [
    { conditions: { ...READY, Reconciling: "True ChangeInProgress" } },
    "Progressing",
    "InProgress",
  ],
  "not ready while a change is brought about": [
    { conditions: { Ready: "False StoreNotReady", Reconciling: "True ChangeInProgress" } },
    "Progressing",
    "InProgress",
  ],
  "an outage of a store": [
    { kind: "EncryptedStore", conditions: { Ready: "False BackendFailed" } },
    "Degraded",
    "InProgress",
  ],
  "an outage of a KMS": [
    { kind: "KmsProvider", conditions: { Ready: "False ConnectionFailed" } },
    "Degraded",
    "InProgress",
  ],
  "pods that cannot use the key": [{ conditions: { Ready: "False PodsCannotUseKey" } }, "Degraded", "InProgress"],
  "a provider that is not there yet": [
    { conditions: { Ready: "False ProviderNotFound" } },
    "Progressing",
    "InProgress",
  ],
  "a store that is not there yet": [{ conditions: { Ready: "False StoreNotFound" } }, "Progressing", "InProgress"],
  "a provider that has an outage, which shows it": [
    { conditions: { Ready: "False ProviderNotReady" } },
    "Progressing",
    "InProgress",
  ],
  "a Secret that is not there yet": [
    { kind: "KmsProvider", conditions: { Ready: "False SecretNotFound" } },
    "Progressing",
    "InProgress",
  ],
  "a volume that is not bound yet": [
    { kind: "EncryptedStore", conditions: { Ready: "False VolumePending" } },
    "Progressing",
    "InProgress",
  ],
  "a mistake of the user": [
    { conditions: { Ready: "False SecretConflict", Stalled: "True SecretConflict" } },
    "Degraded",
    "Failed",
  ],
  "a refused rotation of a provider that is ready": [
    { kind: "KmsProvider", conditions: { ...READY, Stalled: "True RotationUnsupported" } },
    "Degraded",
    "Failed",
  ],
  "a mistake beside a change that is under way": [
    {
      conditions: { Ready: "False SecretNotFound", Reconciling: "True ChangeInProgress", Stalled: "True SpecInvalid" },
    },
    "Progressing",
    "InProgress",
  ],
  "a mistake that was corrected a moment ago": [
    { observed: 1, conditions: { Ready: "False SecretConflict", Stalled: "True SecretConflict" } },
    "Progressing",
    "InProgress",
  ],
  "ready and re-wrapping, which may take hours": [
    { conditions: { ...READY, RewrapComplete: "False RewrapInProgress" } },
    "Healthy",
    "Current",
  ],
  suspended: [
    { spec: { suspend: true }, observed: 1, conditions: { ...READY, Suspended: "True Suspended" } },
    "Suspended",
    "InProgress",
  ],
  "suspended a moment ago, and not seen": [
    { spec: { suspend: true }, observed: 1, conditions: READY },
    "Progressing",
    "InProgress",
  ],
  "no longer suspended, and not seen": [
    { spec: { suspend: false }, observed: 1, conditions: { ...READY, Suspended: "True Suspended" } },
    "Progressing",
    "InProgress",
  ],
  "being deleted": [{ deleted: true, conditions: READY }, "Progressing", "Terminating"],
  "a deletion that waits for a person": [
    { deleted: true, conditions: { ...READY, DeletionBlocked: "True InUse" } },
    "Degraded",
    "Terminating",
  ],
};

it("the states of the table are seen as the table says", async () => {
  const judged = await judge(
    program,
    Object.values(STATES).map(([state]) => resourceIn(state)),
  );
  const seen = Object.keys(STATES).map((name, at) => [name, judged[at]?.health, judged[at]?.kstatus]);
  expect(seen).toEqual(Object.entries(STATES).map(([name, [, health, kstatus]]) => [name, health, kstatus]));
});

it("the message is that of the condition, with its reason", async () => {
  const [judged] = await judge(program, [resourceIn({ conditions: { Ready: "False StoreNotReady" } })]);
  expect(judged?.message).toBe("StoreNotReady: what to do");
});

it("nothing is ever Healthy for Argo CD that is not Current for kstatus, whatever the reason", async () => {
  const kinds: readonly Kind[] = ["KmsProvider", "EncryptedBucket", "EncryptedStore"];
  const reasons = [...new Set(Object.values(REASONS).flat())];
  const beside: readonly Record<string, string>[] = [
    {},
    { Reconciling: "True ChangeInProgress" },
    { Stalled: "True NameConflict" },
  ];
  const states = kinds.flatMap((kind) =>
    reasons.flatMap((reason) =>
      ["True", "False", "Unknown"].flatMap((is) =>
        beside.flatMap((more) =>
          [1, 2].map((observed) => ({ kind, observed, conditions: { Ready: `${is} ${reason}`, ...more } })),
        ),
      ),
    ),
  );
  const judged = await judge(program, states.map(resourceIn));
  expect(judged.length).toBeGreaterThan(1000);
  for (const [at, { health, kstatus }] of judged.entries()) {
    expect([states[at], health === "Healthy"]).toEqual([states[at], kstatus === "Current"]);
    if (kstatus === "Failed") expect(health).toBe("Degraded");
  }
});
