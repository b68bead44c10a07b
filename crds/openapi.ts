// Checks a value against a structural schema, unknown fields included, and words what is wrong as the API server does.
// The rules in CEL are validate.ts's.

import { childOf } from "./cel.ts";
import type { SchemaNode } from "./crd.ts";
import { isObject } from "./defaults.ts";

/** Something wrong at one place. After a blocking one the value cannot be trusted to have the form that CEL rules expect. */
export interface Finding {
  readonly path: string;
  readonly message: string;
  readonly blocking: boolean;
}

type Report = (message: string, blocking?: "blocking") => void;

/** All that is wrong with `value` and what is in it. */
export function schemaFindings(node: SchemaNode, value: unknown, path: string): Finding[] {
  const findings: Finding[] = [];
  check(node, value, path, findings);
  return findings;
}

/** `path.key`, which at the root is `key`. */
export function pathOf(parent: string, key: string): string {
  return parent === "" ? key : `${parent}.${key}`;
}

/** The values that tell an item of a map list from the others, as text; undefined: one is missing. */
export function identity(item: unknown, keys: readonly string[]): string | undefined {
  if (!isObject(item) || keys.some((key) => typeof item[key] !== "string")) {
    return undefined;
  }
  return JSON.stringify(Object.fromEntries(keys.map((key) => [key, item[key]])));
}

function check(node: SchemaNode, value: unknown, path: string, findings: Finding[]): void {
  const report: Report = (message, blocking) => findings.push({ path, message, blocking: blocking !== undefined });
  const expected = node["x-kubernetes-int-or-string"] === true ? "integer,string" : node.type;
  if (expected !== undefined && !hasType(node, value)) {
    const found = typeName(value);
    report(`Invalid value: "${found}": ${path} in body must be of type ${expected}: "${found}"`, "blocking");
    return;
  }
  if (typeof value === "string") {
    checkString(node, value, path, report);
  } else if (typeof value === "number") {
    checkNumber(node, value, path, report);
  } else if (Array.isArray(value)) {
    checkList(node, value, path, report);
    value.forEach((item, index) => {
      check(node.items ?? {}, item, `${path}[${index}]`, findings);
    });
    checkIdentities(node, value, path, findings);
  } else if (isObject(value)) {
    checkObject(node, value, path, findings, report);
  }
}

function hasType(node: SchemaNode, value: unknown): boolean {
  if (node["x-kubernetes-int-or-string"] === true) {
    return typeof value === "string" || Number.isInteger(value);
  }
  switch (node.type) {
    case "object":
      return isObject(value);
    case "array":
      return Array.isArray(value);
    case "integer":
      return Number.isInteger(value);
    default:
      return typeof value === node.type;
  }
}

function typeName(value: unknown): string {
  if (value === null) {
    return "null";
  }
  if (Array.isArray(value)) {
    return "array";
  }
  if (typeof value === "number") {
    return Number.isInteger(value) ? "integer" : "number";
  }
  return typeof value;
}

function checkString(node: SchemaNode, value: string, path: string, report: Report): void {
  const shown = JSON.stringify(value);
  const characters = [...value].length;
  if (node.enum !== undefined && !node.enum.includes(value)) {
    const allowed = node.enum.map((one) => JSON.stringify(one)).join(", ");
    report(`Unsupported value: ${shown}: supported values: ${allowed}`, "blocking");
  }
  if (node.maxLength !== undefined && characters > node.maxLength) {
    report(`Too long: may not be more than ${node.maxLength} characters`, "blocking");
    return;
  }
  if (node.minLength !== undefined && characters < node.minLength) {
    report(`Invalid value: ${shown}: ${path} in body should be at least ${node.minLength} chars long`);
  }
  if (node.pattern !== undefined && !new RegExp(node.pattern).test(value)) {
    report(`Invalid value: ${shown}: ${path} in body should match '${node.pattern}'`);
  }
  if (node.format === "date-time" && !isMoment(value)) {
    report(`Invalid value: ${shown}: ${path} in body must be of type date-time: ${shown}`);
  }
}

function isMoment(value: string): boolean {
  return (
    /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})$/.test(value) && !Number.isNaN(Date.parse(value))
  );
}

function checkNumber(node: SchemaNode, value: number, path: string, report: Report): void {
  if (node.minimum !== undefined && value < node.minimum) {
    report(`Invalid value: ${value}: ${path} in body should be greater than or equal to ${node.minimum}`);
  }
  if (node.maximum !== undefined && value > node.maximum) {
    report(`Invalid value: ${value}: ${path} in body should be less than or equal to ${node.maximum}`);
  }
}

function checkList(node: SchemaNode, value: readonly unknown[], path: string, report: Report): void {
  if (node.maxItems !== undefined && value.length > node.maxItems) {
    report(`Too many: ${value.length}: must have at most ${node.maxItems} items`, "blocking");
  }
  if (node.minItems !== undefined && value.length < node.minItems) {
    report(`Invalid value: ${value.length}: ${path} in body should have at least ${node.minItems} items`);
  }
}

function checkIdentities(node: SchemaNode, value: readonly unknown[], path: string, findings: Finding[]): void {
  const keys = node["x-kubernetes-list-map-keys"];
  if (keys === undefined) {
    return;
  }
  const seen = new Set<string>();
  value.forEach((item, index) => {
    const id = identity(item, keys);
    if (id === undefined) {
      return;
    }
    if (seen.has(id)) {
      findings.push({ path: `${path}[${index}]`, message: `Duplicate value: ${id}`, blocking: false });
    }
    seen.add(id);
  });
}

function checkObject(
  node: SchemaNode,
  value: Record<string, unknown>,
  path: string,
  findings: Finding[],
  report: Report,
): void {
  const { properties, additionalProperties, maxProperties } = node;
  const keys = Object.keys(value);
  if (maxProperties !== undefined && keys.length > maxProperties) {
    report(`Too many: ${keys.length}: must have at most ${maxProperties} items`, "blocking");
  }
  for (const key of node.required ?? []) {
    if (!Object.hasOwn(value, key)) {
      findings.push({ path: pathOf(path, key), message: "Required value", blocking: true });
    }
  }
  if (properties === undefined && additionalProperties === undefined) {
    return;
  }
  for (const key of keys) {
    const child = childOf(node, key);
    const childPath = pathOf(path, key);
    if (child === undefined) {
      findings.push({ path: childPath, message: `unknown field "${childPath}"`, blocking: false });
    } else {
      check(child, value[key], childPath, findings);
    }
  }
}
