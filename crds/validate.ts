// Accepts or refuses an object where no API server does it, by the schema that the CustomResourceDefinition prints:
// defaults, unknown fields, OpenAPI, then the rules in CEL. All that is wrong is reported at once.

import { celValue, childOf, holds, isTransition } from "./cel.ts";
import { type SchemaNode, schemaOf } from "./crd.ts";
import { applyDefaults, isObject } from "./defaults.ts";
import { type AnyResource, KINDS } from "./kinds.ts";
import { metadataFindings } from "./metadata.ts";
import { API_VERSION } from "./names.ts";
import { type Finding, identity, pathOf, schemaFindings } from "./openapi.ts";
import type { KindName } from "./reasons.ts";

/** What is wrong and where: `path: message` reads as the API server's own line. An empty path is the object itself. */
export interface Problem {
  readonly path: string;
  readonly message: string;
}

/** A resource with its defaults, or all that is wrong with it. */
export type Validated = { readonly object: AnyResource } | { readonly problems: readonly Problem[] };

const SCHEMAS: Readonly<Record<KindName, SchemaNode>> = {
  KmsProvider: schemaOf(KINDS.KmsProvider),
  EncryptedBucket: schemaOf(KINDS.EncryptedBucket),
  EncryptedStore: schemaOf(KINDS.EncryptedStore),
};

/**
 * What applying `object` would give: over `old`, the resource of that kind and name, if there is one. Nobody applies a
 * status: it is the old one's, or that of a new resource. Neither argument is changed.
 */
export function validate(object: unknown, old?: AnyResource): Validated {
  if (!isObject(object)) {
    return { problems: [{ path: "", message: "must be an object with apiVersion, kind, metadata and spec" }] };
  }
  const kind = kindOf(object);
  if (kind === undefined) {
    const { kind: given, apiVersion } = object;
    const message = `no matches for kind ${JSON.stringify(given ?? "")} in version ${JSON.stringify(apiVersion ?? "")}`;
    return { problems: [{ path: "kind", message }] };
  }
  const schema = SCHEMAS[kind];
  const applied = structuredClone(object);
  delete applied["status"];
  if (old !== undefined) {
    applied["status"] = structuredClone(old.status);
  }
  applyDefaults(schema, applied);
  const findings = [...metadataFindings(applied["metadata"]), ...schemaFindings(schema, applied, "")];
  const oldValue = old === undefined ? undefined : celValue(schema, old);
  const failed = ruleFindings(schema, celValue(schema, applied), oldValue, "", findings);
  const all = [...findings, ...failed];
  if (all.length > 0) {
    return { problems: all.map(({ path, message }) => ({ path, message })) };
  }
  // The schema that was just checked is the one that the type comes from.
  return { object: applied as unknown as AnyResource };
}

/** What of a status its kind's schema does not allow: for who writes one. */
export function statusProblems(kind: KindName, status: unknown): readonly Problem[] {
  const node = SCHEMAS[kind].properties?.["status"] ?? {};
  return schemaFindings(node, status, "status").map(({ path, message }) => ({ path, message }));
}

/** The kind of an object of the API; undefined: it is none of ours. */
function kindOf(object: Record<string, unknown>): KindName | undefined {
  const { kind } = object;
  if (object["apiVersion"] !== API_VERSION || typeof kind !== "string" || !Object.hasOwn(KINDS, kind)) {
    return undefined;
  }
  return kind as KindName;
}

/** Rules of the node and of all below it. A rule whose value has not the form that it expects is not asked. */
function ruleFindings(
  node: SchemaNode,
  self: unknown,
  old: unknown,
  path: string,
  before: readonly Finding[],
): Finding[] {
  const found = childFindings(node, self, old, path, before);
  const within = before.filter((finding) => isWithin(finding.path, path));
  if (within.some((finding) => finding.blocking)) {
    return found;
  }
  const own: Finding[] = [];
  for (const { rule, message } of node["x-kubernetes-validations"] ?? []) {
    if (isTransition(rule) && old === undefined) {
      continue;
    }
    const wrong = verdict(rule, message, self, old, within.length + found.length > 0);
    if (wrong !== undefined) {
      own.push({ path, message: `Invalid value: "${node.type ?? ""}": ${wrong}`, blocking: false });
    }
  }
  return [...own, ...found];
}

/** What the rule says, if it does not hold. An error of evaluation only follows from what is wrong below already. */
function verdict(rule: string, message: string, self: unknown, old: unknown, isKnownWrong: boolean) {
  try {
    return holds(rule, self, isTransition(rule) ? old : undefined) ? undefined : message;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split("\n")[0] : String(error);
    return isKnownWrong ? undefined : `${message} (the rule cannot be evaluated: ${reason})`;
  }
}

function childFindings(
  node: SchemaNode,
  self: unknown,
  old: unknown,
  path: string,
  before: readonly Finding[],
): Finding[] {
  if (Array.isArray(self)) {
    const { items } = node;
    if (items === undefined) {
      return [];
    }
    const keys = node["x-kubernetes-list-map-keys"];
    return self.flatMap((item: unknown, index) =>
      ruleFindings(items, item, counterpart(item, old, keys), `${path}[${index}]`, before),
    );
  }
  if (!isObject(self)) {
    return [];
  }
  return Object.entries(self).flatMap(([key, child]) => {
    const childNode = childOf(node, key);
    if (childNode === undefined) {
      return [];
    }
    const oldChild = isObject(old) && Object.hasOwn(old, key) ? old[key] : undefined;
    return ruleFindings(childNode, child, oldChild, pathOf(path, key), before);
  });
}

/** The item of the old list that has the same keys. Items of other lists have no counterpart. */
function counterpart(item: unknown, old: unknown, keys: readonly string[] | undefined): unknown {
  const id = keys === undefined ? undefined : identity(item, keys);
  if (keys === undefined || id === undefined || !Array.isArray(old)) {
    return undefined;
  }
  return old.find((candidate) => identity(candidate, keys) === id);
}

function isWithin(path: string, parent: string): boolean {
  return parent === "" || path === parent || path.startsWith(`${parent}.`) || path.startsWith(`${parent}[`);
}
