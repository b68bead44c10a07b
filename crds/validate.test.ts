// The table of cases against the local evaluator, and what else validate() promises.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CASES } from "./cases/cases.ts";
import { isTransition } from "./cel.ts";
import { type SchemaNode, schemaOf } from "./crd.ts";
import type { EncryptedBucket } from "./encryptedbucket.ts";
import type { EncryptedStore } from "./encryptedstore.ts";
import { type AnyResource, KINDS } from "./kinds.ts";
import type { KmsProvider } from "./kmsprovider.ts";
import type { KindName } from "./reasons.ts";
import { type Problem, statusProblems, validate } from "./validate.ts";

const KIND_NAMES = Object.keys(CASES) as KindName[];

function accepted(object: unknown, old?: AnyResource): AnyResource {
  const result = validate(object, old);
  if ("problems" in result) {
    throw new Error(JSON.stringify(result.problems));
  }
  return result.object;
}

function problemsOf(object: unknown, old?: AnyResource): readonly Problem[] {
  const result = validate(object, old);
  return "problems" in result ? result.problems : [];
}

/** Messages of all rules of a kind. */
function messages(node: SchemaNode): string[] {
  const children = [...Object.values(node.properties ?? {}), node.items, node.additionalProperties];
  const below = children.flatMap((child) => (child === undefined ? [] : messages(child)));
  return [...(node["x-kubernetes-validations"] ?? []).map(({ message }) => message), ...below];
}

const bucket = (spec: object, name = "photos") => ({
  apiVersion: "coffer.dev/v1alpha1",
  kind: "EncryptedBucket",
  metadata: { name },
  spec,
});

describe.each(KIND_NAMES)("%s", (kind) => {
  it.each(Object.entries(CASES[kind]))("%s", (_, { object, before, refused }) => {
    const old = before === undefined ? undefined : accepted(before);
    const problems = problemsOf(object, old);
    if (refused === undefined) {
      expect(problems).toEqual([]);
      return;
    }
    expect(problems).toHaveLength(1);
    expect(problems[0]?.path).toBe(refused.path);
    expect(problems[0]?.message).toContain(refused.says);
  });

  it("each rule refuses an object of the table", () => {
    const said = Object.values(CASES[kind]).flatMap(({ object, before }) =>
      problemsOf(object, before === undefined ? undefined : accepted(before)).map(({ message }) => message),
    );
    // A counter that no case lowers, or a duration that no case exceeds, shares its message with one that a case does.
    const silent = messages(schemaOf(KINDS[kind])).filter((rule) => !said.some((message) => message.endsWith(rule)));
    // No value of backend.type but one exists yet, so that nothing can change it.
    expect(silent).toEqual(kind === "EncryptedStore" ? ["type is immutable"] : []);
  });
});

describe("validate()", () => {
  it("fills in the defaults of a KmsProvider", () => {
    const object = accepted({
      apiVersion: "coffer.dev/v1alpha1",
      kind: "KmsProvider",
      metadata: { name: "local" },
      spec: { type: "Local" },
    }) as KmsProvider;
    expect(object.spec).toEqual({
      type: "Local",
      keyRotation: { keyGeneration: 0 },
      healthCheck: { interval: "60s", timeout: "5s", failureThreshold: 3 },
      cache: { ttl: "5m", maxEntries: 1000, negativeTtl: "10s" },
    });
    expect(object.status).toEqual({ observedGeneration: -1 });
  });

  it("fills in the defaults of an EncryptedBucket", () => {
    const object = accepted(bucket({ encryption: { kmsProviderRef: { name: "local" } } })) as EncryptedBucket;
    expect(object.spec).toEqual({
      encryption: {
        kmsProviderRef: { name: "local" },
        algorithm: "AES-256-GCM",
        keyMode: "Bucket",
        chunkSize: "64Ki",
      },
      rewrap: { policy: "OnKeyRotation", generation: 0 },
      credentialsOverlap: "24h",
      deletionPolicy: "Retain",
      suspend: false,
    });
  });

  it("fills in the defaults of an EncryptedStore, and none of a member that nobody chose", () => {
    const object = accepted({
      apiVersion: "coffer.dev/v1alpha1",
      kind: "EncryptedStore",
      metadata: { name: "default" },
      spec: { backend: { type: "Filesystem" } },
    }) as EncryptedStore;
    expect(object.spec).toEqual({
      replicas: 1,
      backend: { type: "Filesystem" },
      service: { type: "ClusterIP" },
      networkPolicy: { enabled: true },
      settings: { logLevel: "Info", audit: { enabled: true, level: "All" } },
      suspend: false,
    });
  });

  it("reports everything that is wrong at once", () => {
    const wrong = bucket({
      bucketName: "My Photos",
      colour: "red",
      encryption: { kmsProviderRef: { name: "LOCAL" }, algorithm: "ROT13", context: { "coffer:a": "b" } },
      access: [{ name: "app", permissions: ["Read", "Read"] }],
      credentialsOverlap: "soon",
    });
    expect(
      problemsOf(wrong)
        .map(({ path }) => path)
        .sort(),
    ).toEqual([
      "spec.access[0].permissions",
      "spec.bucketName",
      "spec.colour",
      "spec.credentialsOverlap",
      "spec.encryption.algorithm",
      "spec.encryption.context",
      "spec.encryption.kmsProviderRef.name",
    ]);
  });

  it("reports a value that breaks both schema and rule as both", () => {
    const object = { ...bucket({ backend: { type: "Filesystem" }, replicas: 101 }, "default"), kind: "EncryptedStore" };
    expect(problemsOf(object)).toEqual([
      {
        path: "spec.replicas",
        message: "Invalid value: 101: spec.replicas in body should be less than or equal to 100",
      },
      { path: "spec", message: 'Invalid value: "object": more than one replica needs backend.type S3' },
    ]);
  });

  it("says a thing once: a rule that fails only because of what is reported below it is silent", () => {
    const object = { type: "Local", healthCheck: { interval: "often" } };
    const problems = problemsOf({ ...bucket(object, "local"), kind: "KmsProvider" });
    expect(problems.map(({ path }) => path)).toEqual(["spec.healthCheck.interval"]);
  });

  it("leaves its arguments as they are", () => {
    const object = bucket({ encryption: { kmsProviderRef: { name: "local" } }, rewrap: null });
    const copy = structuredClone(object);
    accepted(object);
    expect(object).toEqual(copy);
  });

  it("ignores an applied status, and keeps the old one", () => {
    const spec = { encryption: { kmsProviderRef: { name: "local" } } };
    const lying = { ...bucket(spec), status: { observedGeneration: 7, nonsense: true } };
    const first = accepted(lying);
    expect(first.status).toEqual({ observedGeneration: -1 });
    const old = { ...first, status: { observedGeneration: 3 } } as EncryptedBucket;
    expect(accepted(lying, old).status).toEqual({ observedGeneration: 3 });
  });

  it.each<[string, unknown, string]>([
    ["nothing", undefined, ""],
    ["a text", "photos", ""],
    ["a list", [], ""],
    ["an empty object", {}, "kind"],
    ["another kind", { ...bucket({}), kind: "Bucket" }, "kind"],
    ["a name that every object has", { ...bucket({}), kind: "constructor" }, "kind"],
    ["another version", { ...bucket({}), apiVersion: "coffer.dev/v1" }, "kind"],
    [
      "no metadata",
      { ...bucket({ encryption: { kmsProviderRef: { name: "a" } } }), metadata: undefined },
      "metadata.name",
    ],
    ["no name", bucket({ encryption: { kmsProviderRef: { name: "a" } } }, ""), "metadata.name"],
    ["a spec that is a list", { ...bucket({}), spec: [] }, "spec"],
  ])("refuses %s", (_, object, path) => {
    expect(problemsOf(object).map((problem) => problem.path)).toEqual([path]);
  });

  it("refuses metadata that no object has, and labels that are no text", () => {
    const spec = { encryption: { kmsProviderRef: { name: "local" } } };
    const object = { ...bucket(spec), metadata: { name: "photos", nmae: "x", labels: { a: 1 } } };
    expect(problemsOf(object).map(({ path }) => path)).toEqual(["metadata.nmae", "metadata.labels"]);
  });

  it("answers whatever it is given", () => {
    const apiVersion = fc.constant("coffer.dev/v1alpha1");
    const anything = fc.record({
      apiVersion,
      kind: fc.constantFrom(...KIND_NAMES),
      metadata: fc.jsonValue(),
      spec: fc.jsonValue(),
    });
    fc.assert(
      fc.property(anything, (object) => {
        expect(problemsOf(object).length).toBeGreaterThan(0);
      }),
    );
  });

  it("answers whatever one field of a good object becomes, before a change and after", () => {
    const good = KIND_NAMES.flatMap((kind) =>
      Object.values(CASES[kind]).filter(({ refused }) => refused === undefined),
    );
    fc.assert(
      fc.property(fc.constantFrom(...good), fc.jsonValue(), fc.nat(), ({ object }, value, at) => {
        const old = accepted(object);
        const changed = structuredClone(object) as { spec: Record<string, unknown> };
        const fields = Object.keys(old.spec);
        changed.spec[fields[at % fields.length] ?? "type"] = value;
        expect([true, false]).toContain("object" in validate(changed, old));
      }),
    );
  });

  it("gives an accepted object back as it is", () => {
    for (const kind of KIND_NAMES) {
      for (const { object } of Object.values(CASES[kind]).filter(({ refused }) => refused === undefined)) {
        const once = accepted(object);
        expect(accepted(once, once)).toEqual(once);
      }
    }
  });

  it("takes what a cluster printed", () => {
    const spec = { encryption: { kmsProviderRef: { name: "local" } } };
    const metadata = {
      name: "photos",
      namespace: "team",
      uid: "7b6f",
      resourceVersion: "1",
      generation: 1,
      creationTimestamp: "2026-01-01T00:00:00Z",
      managedFields: [],
      annotations: null,
    };
    expect(problemsOf({ ...bucket(spec), metadata })).toEqual([]);
  });
});

describe("statusProblems()", () => {
  const condition = {
    type: "Ready",
    status: "True",
    reason: "Ready",
    message: "",
    lastTransitionTime: "2026-01-01T00:00:00Z",
  };

  it("accepts a status that the kind allows", () => {
    const status = { observedGeneration: 1, conditions: [condition], usedBy: { buckets: 2 } };
    expect(statusProblems("KmsProvider", status)).toEqual([]);
  });

  it("names what it does not allow", () => {
    const status = {
      observedGeneration: 1,
      conditions: [condition, { ...condition, lastTransitionTime: "today" }],
      seen: 1,
    };
    expect(statusProblems("EncryptedBucket", status).map(({ path }) => path)).toEqual([
      "status.conditions[1].lastTransitionTime",
      "status.conditions[1]",
      "status.seen",
    ]);
  });
});

describe("isTransition()", () => {
  it("is true for rules that look at the object before", () => {
    expect(isTransition("self >= oldSelf")).toBe(true);
    expect(isTransition("self.oldSelfish == 'a'")).toBe(false);
  });
});
