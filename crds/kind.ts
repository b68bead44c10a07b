// What a kind is, beside its spec: metadata, conditions, columns, and how all of it becomes one definition.

import Type, { type TObject, type TProperties } from "typebox";
import type { API_VERSION } from "./names.ts";
import type { ConditionTypeOf, KindName, Reason } from "./reasons.ts";
import { mapList, moment, type Rule, text, whole } from "./schema.ts";

/** What of an object's metadata the project reads. */
export interface Metadata {
  name: string;
  namespace?: string;
  uid?: string;
  generation?: number;
  resourceVersion?: string;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
}

/** A resource as the API server serves it: defaults applied, so that a field with a default is always there. */
export interface Resource<Kind extends KindName, Spec, Status> {
  apiVersion: typeof API_VERSION;
  kind: Kind;
  metadata: Metadata;
  spec: Spec;
  status: Status;
}

/** One condition. `reason` comes from reasons.ts. */
export interface Condition<Kind extends KindName = KindName> {
  type: ConditionTypeOf<Kind>;
  status: "True" | "False" | "Unknown";
  observedGeneration?: number;
  lastTransitionTime: string;
  reason: Reason;
  message: string;
}

/** A column of `kubectl get`; priority 1 shows with `-o wide` alone. */
export interface Column {
  readonly name: string;
  readonly type: "string" | "integer" | "date";
  readonly jsonPath: string;
  readonly priority?: 1;
}

/** The one definition of a kind: types, schema and documentation all come from it. */
export interface Definition<Kind extends KindName = KindName> {
  readonly kind: Kind;
  readonly plural: string;
  readonly singular: string;
  readonly shortName: string;
  readonly description: string;
  readonly spec: TObject;
  readonly status: TObject;
  readonly rules: readonly Rule[];
  readonly columns: readonly Column[];
  readonly selectableFields: readonly string[];
  /** Where `kubectl scale` reads and writes; absent: it cannot be scaled. */
  readonly scale?: {
    readonly specReplicasPath: string;
    readonly statusReplicasPath: string;
    readonly labelSelectorPath: string;
  };
}

/** The status of a kind: `fields`, and what every status has. It is always there, observedGeneration −1 until a first pass:
 *  without it, whoever waits for a resource would take a new one for finished. The price: the API server stores a default
 *  of the status only with the next write, so a manifest that is applied again before the first pass moves the
 *  resourceVersion once, and nothing else. */
export function statusOf<Kind extends KindName, Fields extends TProperties>(_kind: Kind, fields: Fields) {
  const always = {
    observedGeneration: whole("Generation of the spec that the last pass dealt with; -1 before the first.", {
      least: -1,
      default: -1,
      format: "int64",
    }),
    lastHandledReconcileAt: Type.Optional(
      text("Value of the annotation coffer.dev/reconcile-requested-at that was dealt with last.", { min: 0, max: 256 }),
    ),
    conditions: Type.Optional(conditions<Kind>()),
  };
  return Type.Object({ ...always, ...fields }, { description: "What was found, written by Coffer.", default: {} });
}

/** Status of a condition's column, or its reason or message. */
export function conditionPath(type: string, field: "status" | "reason" | "message"): string {
  return `.status.conditions[?(@.type=="${type}")].${field}`;
}

export const READY_COLUMNS: readonly Column[] = [
  { name: "Ready", type: "string", jsonPath: conditionPath("Ready", "status") },
  { name: "Reason", type: "string", jsonPath: conditionPath("Ready", "reason") },
];
export const AGE_COLUMN: Column = { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" };
export const MESSAGE_COLUMN: Column = {
  name: "Message",
  type: "string",
  jsonPath: conditionPath("Ready", "message"),
  priority: 1,
};

function conditions<Kind extends KindName>() {
  const condition = Type.Object(
    {
      type: text("Name of the condition.", { max: 316, pattern: "^[A-Z][A-Za-z]*$" }),
      status: Type.Unsafe<Condition["status"]>({
        type: "string",
        description: "True, False or Unknown.",
        enum: ["True", "False", "Unknown"],
      }),
      observedGeneration: Type.Optional(
        whole("Generation of the spec that the condition speaks of.", { least: 0, format: "int64" }),
      ),
      lastTransitionTime: moment("When the status of the condition last changed."),
      reason: text("One word for programs.", { max: 1024, pattern: "^[A-Z][A-Za-z]*$" }),
      message: text("What it means and what to do, for a person.", { min: 0, max: 32_768 }),
    },
    { description: "One thing that is so, is not so, or is not known." },
  );
  const list = mapList("What is so and what is not, each with its reason.", "type", 16, condition);
  return Type.Unsafe<Condition<Kind>[]>(list);
}
