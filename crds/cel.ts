// Evaluates one CEL rule as the API server does: `duration()` and `quantity()`, and no other library.

import { Environment } from "@marcbachmann/cel-js";
import type { SchemaNode } from "./crd.ts";
import { sizeBytes } from "./units.ts";

/** A quantity, of which the rules need nothing but the order. */
class Quantity {
  readonly bytes: bigint;

  constructor(bytes: bigint) {
    this.bytes = bytes;
  }

  compareTo(other: Quantity): bigint {
    if (this.bytes === other.bytes) {
      return 0n;
    }
    return this.bytes < other.bytes ? -1n : 1n;
  }
}

const environment = new Environment()
  .registerVariable("self", "dyn")
  .registerVariable("oldSelf", "dyn")
  .registerType("Quantity", Quantity)
  .registerFunction("quantity(string): Quantity", (text: string) => new Quantity(sizeBytes(text)))
  .registerFunction("Quantity.compareTo(Quantity): int", (a: Quantity, b: Quantity) => a.compareTo(b));

const parsed = new Map<string, ReturnType<Environment["parse"]>>();

/** Whether a rule looks at the object before the change, so that it holds for changes alone. */
export function isTransition(rule: string): boolean {
  return /\boldSelf\b/.test(rule);
}

/** Whether the rule holds. `self` and `oldSelf` come from celValue(). Throws when the rule cannot be evaluated. */
export function holds(rule: string, self: unknown, oldSelf: unknown): boolean {
  let program = parsed.get(rule);
  if (program === undefined) {
    program = environment.parse(rule);
    parsed.set(rule, program);
  }
  const answer: unknown = program(oldSelf === undefined ? { self } : { self, oldSelf });
  if (typeof answer !== "boolean") {
    throw new TypeError(`rule gives no boolean: ${rule}`);
  }
  return answer;
}

/** A value as CEL sees it through its schema: integers are int, not double. */
export function celValue(node: SchemaNode, value: unknown): unknown {
  if (typeof value === "number") {
    const isInt = node.type === "integer" || node["x-kubernetes-int-or-string"] === true;
    return isInt && Number.isInteger(value) ? BigInt(value) : value;
  }
  if (Array.isArray(value)) {
    const { items } = node;
    return items === undefined ? value : value.map((item) => celValue(items, item));
  }
  if (typeof value !== "object" || value === null) {
    return value;
  }
  const entries = Object.entries(value).map(([key, child]) => {
    const childNode = childOf(node, key);
    return [key, childNode === undefined ? child : celValue(childNode, child)] as const;
  });
  return Object.fromEntries(entries);
}

/** Schema of a field of an object or map; undefined: the schema does not know it. */
export function childOf(node: SchemaNode, key: string): SchemaNode | undefined {
  const { properties } = node;
  return properties !== undefined && Object.hasOwn(properties, key) ? properties[key] : node.additionalProperties;
}
