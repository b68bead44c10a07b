// Fills in defaults as the API server does before it looks at anything else: a default applies where its parent is
// there, and a null where none is allowed counts as absent.

import { childOf } from "./cel.ts";
import type { SchemaNode } from "./crd.ts";

/** Changes `value` in place. */
export function applyDefaults(node: SchemaNode, value: unknown): void {
  if (Array.isArray(value)) {
    const { items } = node;
    if (items !== undefined) {
      value.forEach((item) => {
        applyDefaults(items, item);
      });
    }
    return;
  }
  if (!isObject(value)) {
    return;
  }
  for (const key of Object.keys(value)) {
    if (value[key] === undefined || (value[key] === null && childOf(node, key) !== undefined)) {
      delete value[key];
    }
  }
  for (const [key, child] of Object.entries(node.properties ?? {})) {
    if (!Object.hasOwn(value, key) && child.default !== undefined) {
      value[key] = structuredClone(child.default);
    }
  }
  for (const [key, child] of Object.entries(value)) {
    const childNode = childOf(node, key);
    if (childNode !== undefined) {
      applyDefaults(childNode, child);
    }
  }
}

/** Whether a value is what JSON calls an object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
