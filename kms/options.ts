// What each provider type needs to be opened: one union, in the two forms in which it lives. `KmsOptionsJson` stands in
// the configuration document, secrets as values; `KmsOptions` is parsed, secrets redact themselves.
// A further provider type is one member of each union and one row of TYPES.

import Type, { type TSchema } from "typebox";
import { Compile, type Validator } from "typebox/compile";
import { type Problem, problemsBySchema } from "./problems.ts";
import { parseRing, printRing, type Ring, RingSchema, ringProblems } from "./ring.ts";
import {
  parseVaultOptions,
  printVaultOptions,
  type VaultOptions,
  VaultOptionsSchema,
  vaultKeyId,
  vaultProblems,
} from "./vault-options.ts";

export type { Problem } from "./problems.ts";
export type { VaultOptions } from "./vault-options.ts";

/** `Local`: the keys are in a ring that stands here whole. `Vault`: in the transit engine of a Vault or OpenBao. */
export type KmsOptions = LocalOptions | VaultOptions;

interface LocalOptions {
  readonly type: "Local";
  readonly ring: Ring;
}

/** The provider types that can be opened. */
type KmsType = KmsOptions["type"];

const LocalOptionsSchema = Type.Object(
  { type: Type.Literal("Local"), ring: RingSchema },
  { additionalProperties: false },
);

/** The shape of the form in the configuration document. What stands between its members, `parseKmsOptions` checks. */
export const KmsOptionsSchema = Type.Union([LocalOptionsSchema, VaultOptionsSchema]);

/** The form of the configuration document. Holds secrets in the clear. */
export type KmsOptionsJson = Type.Static<typeof KmsOptionsSchema>;

interface TypeRow<Json extends KmsOptionsJson, Options extends KmsOptions> {
  readonly shape: Validator<Record<never, never>, TSchema>;
  /** What the shape cannot say; asked only where the shape holds. */
  further(json: Json, at: string): Problem[];
  parse(json: Json): Options;
  print(options: Options): Json;
  /** Stable, and without an address. */
  keyId(options: Options): string;
}

type OfType<Union, Name extends KmsType> = Extract<Union, { readonly type: Name }>;

const TYPES: { readonly [Name in KmsType]: TypeRow<OfType<KmsOptionsJson, Name>, OfType<KmsOptions, Name>> } = {
  Local: {
    shape: Compile(LocalOptionsSchema),
    further: ({ ring }, at) => ringProblems(ring, `${at}/ring`),
    parse: ({ ring }) => ({ type: "Local", ring: parseRing(ring) }),
    print: ({ ring }) => ({ type: "Local", ring: printRing(ring) }),
    keyId: ({ ring }) => ring.id,
  },
  Vault: {
    shape: Compile(VaultOptionsSchema),
    further: vaultProblems,
    parse: parseVaultOptions,
    print: printVaultOptions,
    keyId: vaultKeyId,
  },
};

/** The row of these options' type, for options that are known to be of it. */
function rowOf(type: KmsType): TypeRow<KmsOptionsJson, KmsOptions> {
  return TYPES[type] as unknown as TypeRow<KmsOptionsJson, KmsOptions>;
}

/** The options, or all that is wrong with them at once. `at` is where they stand in their document, as a JSON pointer. No
 *  problem quotes what it found. */
export function parseKmsOptions(
  value: unknown,
  at = "",
): { readonly options: KmsOptions } | { readonly problems: readonly Problem[] } {
  if (!isObject(value)) return { problems: [{ at, problem: "must be object" }] };
  const { type } = value;
  if (!isKmsType(type)) {
    return { problems: [{ at: `${at}/type`, problem: `must be one of: ${Object.keys(TYPES).join(", ")}` }] };
  }
  const row = rowOf(type);
  const byShape = problemsBySchema(row.shape, value, at);
  const problems = byShape.length > 0 ? byShape : row.further(value as KmsOptionsJson, at);
  if (problems.length > 0) return { problems };
  return { options: row.parse(value as KmsOptionsJson) };
}

/** The inverse of `parseKmsOptions`, for who writes the document. Reveals secrets. */
export function printKmsOptions(options: KmsOptions): KmsOptionsJson {
  return rowOf(options.type).print(options);
}

/** The id of the KMS key that these options open, as records and statuses name it. */
export function kmsKeyIdOf(options: KmsOptions): string {
  return rowOf(options.type).keyId(options);
}

function isKmsType(type: unknown): type is KmsType {
  return typeof type === "string" && Object.hasOwn(TYPES, type);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
