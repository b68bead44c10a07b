// The building blocks of the three kinds: each gives a TypeScript type and a node of an OpenAPI v3 structural schema
// at once. Says nothing of any kind; what the API server does with a node is validate.ts's to repeat.

import Type, { type TArray, type TInteger, type TSchema, type TString, type TUnsafe } from "typebox";

/** One rule in CEL. The message is what the user reads. */
export interface Rule {
  readonly rule: string;
  readonly message: string;
}

interface TextOptions {
  readonly min?: number;
  readonly max: number;
  readonly pattern?: string;
  readonly default?: string;
  readonly rules?: readonly Rule[];
}

const DURATION = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
const DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const COUNTER_MAX = 2_147_483_647;

export const PATTERNS = {
  label: `^${DNS_LABEL}$`,
  name: `^${DNS_LABEL}(\\.${DNS_LABEL})*$`,
  dataKey: "^[-._A-Za-z0-9]+$",
  bytes: "^[1-9][0-9]{0,14}(Ki|Mi|Gi|Ti)?$",
} as const;

/** A string of `min` (1 unless told) to `max` characters. */
export function text(description: string, options: TextOptions): TString {
  const { min = 1, max, rules } = options;
  return Type.String({
    description,
    ...(options.default === undefined ? {} : { default: options.default }),
    ...(min > 0 ? { minLength: min } : {}),
    maxLength: max,
    ...(options.pattern === undefined ? {} : { pattern: options.pattern }),
    ...validations(rules),
  });
}

/** One of `values`; the first is the default if `options.default` says so. */
export function choice<const Values extends readonly string[]>(
  description: string,
  values: Values,
  options: { default?: Values[number] } = {},
): TUnsafe<Values[number]> {
  return Type.Unsafe<Values[number]>({ type: "string", description, ...options, enum: [...values] });
}

export function flag(description: string, fallback: boolean): TSchema & TUnsafe<boolean> {
  return Type.Unsafe<boolean>({ type: "boolean", description, default: fallback });
}

/** A whole number from `least` to `most`. */
export function whole(
  description: string,
  options: { least?: number; most?: number; default?: number; format?: "int32" | "int64"; rules?: readonly Rule[] },
): TInteger {
  return Type.Integer({
    description,
    ...(options.default === undefined ? {} : { default: options.default }),
    format: options.format ?? "int32",
    ...(options.least === undefined ? {} : { minimum: options.least }),
    ...(options.most === undefined ? {} : { maximum: options.most }),
    ...validations(options.rules),
  });
}

/** A Duration between two others, both included. CEL checks the form too, so that no message names a pattern. */
export function duration(description: string, least: string, most: string, fallback: string): TString {
  return text(description, {
    min: 0,
    max: 20,
    default: fallback,
    rules: [
      {
        rule: `self.matches('${DURATION}') && duration(self) >= duration('${least}') && duration(self) <= duration('${most}')`,
        message: `must be a duration such as 90s or 5m, from ${least} to ${most}`,
      },
    ],
  });
}

export const CANNOT_FALL = "can be raised, never lowered or removed";

/** A number whose rise asks for an action once. */
export function counter(description: string): TInteger {
  return whole(description, {
    least: 0,
    most: COUNTER_MAX,
    default: 0,
    format: "int64",
    rules: [{ rule: "self >= oldSelf", message: CANNOT_FALL }],
  });
}

/** A Counter inside a list item, where no default may stand: absent is 0. The item carries the rule. */
export function counterInItem(description: string): TInteger {
  return whole(description, { least: 0, most: COUNTER_MAX, format: "int64" });
}

/** A DNS subdomain: the name of an object. */
export function name(description: string): TString {
  return text(description, { max: 253, pattern: PATTERNS.name });
}

/** A DNS label. */
export function label(description: string): TString {
  return text(description, { max: 63, pattern: PATTERNS.label });
}

/** A key of a Secret or ConfigMap. */
export function dataKey(description: string, fallback?: string): TString {
  return text(description, {
    max: 253,
    pattern: PATTERNS.dataKey,
    ...(fallback === undefined ? {} : { default: fallback }),
  });
}

/** A reference to an object of the same namespace by name. */
export function ref(description: string, ofName: string) {
  return Type.Object({ name: name(ofName) }, { description });
}

/** A reference to one key of a Secret of the same namespace. */
export function keyRef(description: string) {
  return Type.Object(
    { name: name("Name of the Secret, in the same namespace."), key: dataKey("Key within the Secret.") },
    { description },
  );
}

/** A map from string to string with at most `most` entries. */
export function stringMap(description: string | undefined, most: number, valueMax: number, rules?: readonly Rule[]) {
  return Type.Unsafe<Record<string, string>>({
    type: "object",
    ...(description === undefined ? {} : { description }),
    additionalProperties: { type: "string", maxLength: valueMax },
    maxProperties: most,
    ...validations(rules),
  });
}

/** A list whose items are told apart by `key`, so that each item may be applied, compared and merged alone. */
export function mapList<Item extends TSchema>(
  description: string,
  key: string,
  most: number,
  item: Item,
  rules?: readonly Rule[],
): TArray<Item> {
  return Type.Array(item, {
    description,
    maxItems: most,
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": [key],
    ...validations(rules),
  });
}

/** A list that is replaced as a whole. */
export function atomicList<Item extends TSchema>(
  item: Item,
  options: { description?: string; least?: number; most: number; rules?: readonly Rule[] },
): TArray<Item> {
  return Type.Array(item, {
    ...(options.description === undefined ? {} : { description: options.description }),
    ...(options.least === undefined ? {} : { minItems: options.least }),
    maxItems: options.most,
    "x-kubernetes-list-type": "atomic",
    ...validations(options.rules),
  });
}

/** A moment, as the API server writes it. */
export function moment(description: string) {
  return Type.Unsafe<string>({ type: "string", format: "date-time", description });
}

/** Options of an object that is always there: absent, it is `{}` and its own defaults apply. */
export function present(description: string, rules?: readonly Rule[]) {
  return { description, default: {}, ...validations(rules) };
}

/** Options of any object. */
export function described(description: string, rules?: readonly Rule[]) {
  return { description, ...validations(rules) };
}

/** CEL: the field is as it was, absent included. */
export function same(field: string): string {
  return `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`;
}

function validations(rules: readonly Rule[] | undefined) {
  return rules === undefined ? {} : { "x-kubernetes-validations": rules };
}
