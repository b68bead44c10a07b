// The checked-in YAML is what the definitions print, and what they print is a schema that an API server takes.

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { printCrd, type SchemaNode, schemaOf } from "./crd.ts";
import { KINDS } from "./kinds.ts";
import type { KindName } from "./reasons.ts";

const KIND_NAMES = Object.keys(KINDS) as KindName[];
const POD_SHAPES = new Set([
  "resources",
  "nodeSelector",
  "tolerations",
  "affinity",
  "topologySpreadConstraints",
  "allowFrom",
]);
const LONGEST_BYTES = 128 * 1024;

interface Visited {
  readonly path: string;
  readonly node: SchemaNode;
  readonly isDescribed: boolean;
  readonly isInItem: boolean;
}

/** Every node below, with whether it must be described and whether a list item or map value holds it. */
function* nodesOf(node: SchemaNode, path: string, isDescribed = true, isInItem = false): Generator<Visited> {
  yield { path, node, isDescribed, isInItem };
  for (const [name, child] of Object.entries(node.properties ?? {})) {
    const isShape = POD_SHAPES.has(path.slice(path.lastIndexOf(".") + 1));
    yield* nodesOf(child, `${path}.${name}`, isDescribed && !isShape, isInItem);
  }
  if (node.items !== undefined) {
    const isShape = POD_SHAPES.has(path.slice(path.lastIndexOf(".") + 1));
    yield* nodesOf(node.items, `${path}[]`, isDescribed && !isShape, true);
  }
  if (node.additionalProperties !== undefined) {
    yield* nodesOf(node.additionalProperties, `${path}{}`, false, true);
  }
}

describe.each(KIND_NAMES)("%s", (kind) => {
  const printed = printCrd(kind);
  const crd = parse(printed);
  const version = crd.spec.versions[0];
  const all = [...nodesOf(schemaOf(KINDS[kind]), "")];

  it("stands in its file as it is printed (run crds/print.ts after a change)", () => {
    const file = readFileSync(new URL(`${kind.toLowerCase()}.yaml`, import.meta.url), "utf8");
    expect(file).toBe(printed);
  });

  it("reads back as the schema that validate() goes by", () => {
    expect(version.schema.openAPIV3Schema).toEqual(JSON.parse(JSON.stringify(schemaOf(KINDS[kind]))));
  });

  it("stays below 128 KiB", () => {
    expect(Buffer.byteLength(printed)).toBeLessThan(LONGEST_BYTES);
    expect(Buffer.byteLength(JSON.stringify(crd))).toBeLessThan(LONGEST_BYTES);
  });

  it("is namespaced, of the category coffer, with a status of its own", () => {
    expect(crd.spec.scope).toBe("Namespaced");
    expect(crd.spec.names.categories).toEqual(["coffer"]);
    expect(crd.metadata.name).toBe(`${crd.spec.names.plural}.coffer.dev`);
    expect(version.subresources.status).toEqual({});
  });

  it("says each field in one sentence", () => {
    const silent = all.filter(
      ({ node, isDescribed }) => isDescribed && !/^[A-Z][^\n]*\.$/.test(node.description ?? ""),
    );
    // The API server describes it, and refuses a description of ours.
    expect(silent.map(({ path }) => path)).toEqual([".metadata"]);
    const wordy = all.filter(({ node }) => (node.description ?? "").includes(". "));
    expect(wordy.map(({ path }) => path)).toEqual([]);
  });

  it("bounds every string, list and map", () => {
    const unbounded = all.filter(({ path, node }) => {
      const isFixed =
        path === ".apiVersion" || path === ".kind" || node.enum !== undefined || node.format === "date-time";
      return (
        (node.type === "string" && !isFixed && node.maxLength === undefined) ||
        (node.type === "array" && node.maxItems === undefined) ||
        (node.additionalProperties !== undefined && node.maxProperties === undefined)
      );
    });
    expect(unbounded.map(({ path }) => path)).toEqual([]);
  });

  it("is structural: each node has one type, and none of what makes a union", () => {
    const untyped = all.filter(
      ({ node }) => node.type === undefined && node["x-kubernetes-int-or-string"] === undefined,
    );
    expect(untyped.map(({ path }) => path)).toEqual([]);
    expect(printed).not.toMatch(/^\s*(- )?(\$ref|oneOf|anyOf|allOf|not|const|patternProperties|~\w+):/m);
    const both = all.filter(({ node }) => node.properties !== undefined && node.additionalProperties !== undefined);
    expect(both.map(({ path }) => path)).toEqual([]);
  });

  it("has scalars and empty objects as defaults, and none inside a list item", () => {
    const defaults = all.filter(({ node }) => node.default !== undefined);
    expect(defaults.filter(({ isInItem }) => isInItem)).toEqual([]);
    const large = defaults.filter(
      ({ node }) => typeof node.default === "object" && JSON.stringify(node.default) !== "{}",
    );
    expect(large).toEqual([]);
  });

  it("requires no field that has a default, and only fields that exist", () => {
    for (const { node, path } of all) {
      for (const name of node.required ?? []) {
        expect([path, name, node.properties?.[name]?.default]).toEqual([path, name, undefined]);
        expect(node.properties).toHaveProperty(name);
      }
    }
  });

  it("says of each list how it is merged, and requires the keys of those that are maps", () => {
    for (const { node, path } of all.filter(({ node: { type } }) => type === "array")) {
      expect([path, ["map", "atomic"]]).toEqual([path, expect.arrayContaining([node["x-kubernetes-list-type"]])]);
      for (const key of node["x-kubernetes-list-map-keys"] ?? []) {
        expect(node.items?.required).toContain(key);
      }
    }
  });

  it("compares with the object before in no place that can be told from no other", () => {
    const lost = all.filter(({ path, node }) => {
      const rules = node["x-kubernetes-validations"] ?? [];
      return rules.some(({ rule }) => rule.includes("oldSelf")) && isUncorrelated(path, all);
    });
    expect(lost.map(({ path }) => path)).toEqual([]);
  });

  it("names in its rules only fields that exist", () => {
    const missing = all.flatMap(({ path, node }) =>
      (node["x-kubernetes-validations"] ?? []).flatMap(({ rule }) =>
        fieldsOf(rule)
          .filter((field) => field !== "metadata.name" && !reaches(node, field))
          .map((field) => `${path}: ${field}`),
      ),
    );
    expect(missing).toEqual([]);
  });

  it("points columns, fields to select by and the scale at what exists", () => {
    const paths = [
      ...version.additionalPrinterColumns.map((column: { jsonPath: string }) => column.jsonPath),
      ...(version.selectableFields ?? []).map((field: { jsonPath: string }) => field.jsonPath),
      ...Object.values(version.subresources.scale ?? {}),
    ] as string[];
    const known = new Set(all.map(({ path }) => path));
    const unknown = paths
      .filter((path) => path !== ".metadata.creationTimestamp")
      .filter((path) => !known.has(path.replace(/\[\?.*\]/, "[]")));
    expect(unknown).toEqual([]);
  });
});

/** Fields of self and oldSelf that a rule names, without the methods that it calls on them. */
function fieldsOf(rule: string): string[] {
  const chains = [...rule.matchAll(/\b(?:self|oldSelf)((?:\.\w+)+)(\(?)/g)];
  return chains
    .map(([, chain = "", call]) => (call === "(" ? chain.slice(0, chain.lastIndexOf(".")) : chain).slice(1))
    .filter((field) => field !== "");
}

function reaches(node: SchemaNode, field: string): boolean {
  let at: SchemaNode | undefined = node;
  for (const name of field.split(".")) {
    at = at?.properties?.[name];
  }
  return at !== undefined;
}

/** Whether an atomic list lies on the way to the node. */
function isUncorrelated(path: string, all: readonly Visited[]): boolean {
  return all.some(
    ({ path: above, node }) => node["x-kubernetes-list-type"] === "atomic" && path.startsWith(`${above}[]`),
  );
}

describe("columns", () => {
  const columns = (kind: KindName, isWide: boolean) =>
    KINDS[kind].columns
      .filter((column) => "priority" in column === isWide)
      .map((column) => column.name.toUpperCase())
      .join(" ");

  it.each<[KindName, string, string]>([
    ["KmsProvider", "TYPE READY REASON KEY-VERSION ROTATED AGE", "ENDPOINT KEY USED-BY MESSAGE"],
    ["EncryptedBucket", "BUCKET PROVIDER READY REASON KEY-VERSION AGE", "REWRAP STORE ENDPOINT MESSAGE"],
    ["EncryptedStore", "BACKEND READY REASON REPLICAS BUCKETS AGE", "ENDPOINT MESSAGE"],
  ])("of %s", (kind, narrow, wide) => {
    expect(columns(kind, false)).toBe(narrow);
    expect(columns(kind, true)).toBe(wide);
  });

  it.each<[KindName, string]>([
    ["KmsProvider", "kmsp"],
    ["EncryptedBucket", "ebkt"],
    ["EncryptedStore", "estore"],
  ])("%s is called %s for short", (kind, short) => {
    expect(KINDS[kind].shortName).toBe(short);
  });
});
