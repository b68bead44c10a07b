/**
 * The contract between the halves: the one document that the operator (or `npm start`) writes and a data plane reads.
 * Types, meaning and strict parsing of every field. It is whole and self-contained: secrets stand in it as values.
 * Where this process runs (ports, folders) is not in it: that is the environment's, see sources.ts.
 */
import { createHash } from "node:crypto";
import Type from "typebox";
import { Compile } from "typebox/compile";
import { KmsOptionsSchema, parseKmsOptions } from "../../kms/options.ts";
import { describeProblems } from "./problems.ts";

const exact = { additionalProperties: false } as const;
const Name = Type.String({ minLength: 1, maxLength: 253 });
const Revision = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });

/** Where an entry comes from: the revision in which it last changed, its resource, and the versions that it was made from. */
const mark = {
  revision: Revision,
  resource: Type.String({ minLength: 1, maxLength: 512 }),
  madeFrom: Type.Array(Type.String({ maxLength: 512 }), { maxItems: 256 }),
};

const PermissionSchema = Type.Union([
  Type.Literal("Read"),
  Type.Literal("Write"),
  Type.Literal("List"),
  Type.Literal("Delete"),
]);

const CredentialSchema = Type.Object(
  {
    entry: Type.String({ minLength: 1, maxLength: 63 }),
    generation: Type.Integer({ minimum: 0 }),
    accessKeyId: Type.String({ minLength: 3, maxLength: 128, pattern: "^[A-Za-z0-9_-]+$" }),
    secret: Type.String({ minLength: 8, maxLength: 256 }),
    tokenSha256: Type.String({ pattern: "^[0-9a-f]{64}$" }),
    permissions: Type.Array(PermissionSchema, { maxItems: 4 }),
    /** Milliseconds since 1970 from which a replaced pair is refused; absent while it is current. */
    endsMs: Type.Optional(Type.Integer({ minimum: 0 })),
    /** May rotate and re-wrap keys over REST, where nobody rules. */
    keys: Type.Optional(Type.Boolean()),
  },
  exact,
);

const AlgorithmSchema = Type.Union([
  Type.Literal("AES-256-GCM"),
  Type.Literal("ChaCha20-Poly1305"),
  Type.Literal("Auto"),
]);

const bucketRules = {
  /** `keys[0]` writes, the others only open: what a bucket is leaving. Nothing else is asked of any KMS. */
  keys: Type.Array(
    Type.Object({ provider: Name, minEpoch: Type.Integer({ minimum: 1, maximum: 0xffffffff }) }, exact),
    {
      minItems: 1,
      maxItems: 8,
    },
  ),
  /** Changes when a rewrap is wanted; a sweep wraps every record once per wish. Empty: none is wanted. */
  rewrapWish: Type.String({ maxLength: 1024 }),
  algorithm: AlgorithmSchema,
  keyMode: Type.Union([Type.Literal("bucket"), Type.Literal("object")]),
  /** Plaintext bytes of a chunk: a power of two from 16 KiB to 1 MiB. */
  chunkBytes: Type.Union([
    Type.Literal(16_384),
    Type.Literal(32_768),
    Type.Literal(65_536),
    Type.Literal(131_072),
    Type.Literal(262_144),
    Type.Literal(524_288),
    Type.Literal(1_048_576),
  ]),
  context: Type.Record(Type.String({ pattern: "^[\\s\\S]{1,128}$" }), Type.String({ maxLength: 256 })),
  allowCustomerKeys: Type.Boolean(),
  allowPlaintext: Type.Boolean(),
};

const ProviderSchema = Type.Object(
  {
    ...mark,
    name: Name,
    options: KmsOptionsSchema,
    kmsKeyId: Type.String({ minLength: 1, maxLength: 2048 }),
    /** Of one call to the KMS. */
    timeoutMs: Type.Integer({ minimum: 100, maximum: 60_000 }),
    /** Of one call, the first included; absent: as resilience.ts has it. */
    attemptsMax: Type.Optional(Type.Integer({ minimum: 1, maximum: 11 })),
    cache: Type.Object(
      {
        ttlMs: Type.Integer({ minimum: 0, maximum: 86_400_000 }),
        maxEntries: Type.Integer({ minimum: 1, maximum: 100_000 }),
        negativeTtlMs: Type.Integer({ minimum: 0, maximum: 600_000 }),
      },
      exact,
    ),
  },
  exact,
);

const BucketSchema = Type.Object(
  {
    ...mark,
    ...bucketRules,
    name: Type.String({ minLength: 3, maxLength: 63, pattern: "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$" }),
    state: Type.Union([Type.Literal("serve"), Type.Literal("remove-if-empty"), Type.Literal("empty-and-remove")]),
    credentials: Type.Array(CredentialSchema, { maxItems: 1024 }),
  },
  exact,
);

const SelfServiceSchema = Type.Object(
  { ...mark, ...bucketRules, credentials: Type.Array(CredentialSchema, { maxItems: 1024 }) },
  exact,
);

const SettingsSchema = Type.Object(
  {
    maxConcurrentRequests: Type.Integer({ minimum: 1, maximum: 100_000 }),
    logLevel: Type.Union([Type.Literal("Error"), Type.Literal("Warn"), Type.Literal("Info"), Type.Literal("Debug")]),
    audit: Type.Object(
      {
        enabled: Type.Boolean(),
        level: Type.Union([Type.Literal("All"), Type.Literal("Keys"), Type.Literal("Writes")]),
      },
      exact,
    ),
    /** Whether /metrics answers; absent: it does. */
    metrics: Type.Optional(Type.Object({ enabled: Type.Boolean() }, exact)),
  },
  exact,
);

const DataPlaneConfigSchema = Type.Object(
  {
    format: Type.Literal(1),
    /** Milliseconds since 1970, always above the last. */
    revision: Revision,
    /** `nobody`: this process may hold a KeyAdmin. */
    ruledBy: Type.Union([Type.Literal("operator"), Type.Literal("folder"), Type.Literal("nobody")]),
    region: Type.String({ minLength: 1, maxLength: 64 }),
    hostNames: Type.Array(Type.String({ minLength: 1, maxLength: 253 }), { maxItems: 64 }),
    settings: SettingsSchema,
    providers: Type.Array(ProviderSchema, { maxItems: 1000 }),
    buckets: Type.Array(BucketSchema, { maxItems: 10_000 }),
    selfService: Type.Optional(SelfServiceSchema),
  },
  exact,
);

export type Permission = Type.Static<typeof PermissionSchema>;
export type Algorithm = Type.Static<typeof AlgorithmSchema>;
export type ConfiguredCredential = Type.Static<typeof CredentialSchema>;
export type ProviderEntry = Type.Static<typeof ProviderSchema>;
export type BucketEntry = Type.Static<typeof BucketSchema>;
export type SelfServiceEntry = Type.Static<typeof SelfServiceSchema>;
export type Settings = Type.Static<typeof SettingsSchema>;
export type DataPlaneConfig = Type.Static<typeof DataPlaneConfigSchema>;
export type BucketRules = Pick<
  BucketEntry,
  "keys" | "rewrapWish" | "algorithm" | "keyMode" | "chunkBytes" | "context" | "allowCustomerKeys" | "allowPlaintext"
>;

export const defaultSettings: Settings = {
  maxConcurrentRequests: 1000,
  logLevel: "Info",
  audit: { enabled: true, level: "All" },
};

/** A document that cannot be used: every problem with its path. Holds no value of the document. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(`The configuration has ${problems.length} problem(s): ${problems.join("; ")}`);
    this.name = "ConfigError";
    this.problems = problems;
  }
}

const validator = Compile(DataPlaneConfigSchema);

/** Checks a document whole; throws ConfigError with all problems at once. Unknown members are refused. */
export function parseConfig(document: unknown): DataPlaneConfig {
  const problems = describeProblems(validator, document);
  if (problems.length > 0) throw new ConfigError(problems);
  const config = document as DataPlaneConfig;
  const crossed = [...duplicates(config), ...danglingProviders(config), ...badOptions(config)];
  if (crossed.length > 0) throw new ConfigError(crossed);
  return config;
}

/** Hex SHA-256 of the document's canonical JSON: equal documents have equal hashes. */
export function configHash(config: DataPlaneConfig): string {
  return createHash("sha256").update(JSON.stringify(config)).digest("hex");
}

function duplicates(config: DataPlaneConfig): string[] {
  const problems: string[] = [];
  const providers = new Set<string>();
  for (const [index, provider] of config.providers.entries()) {
    if (providers.has(provider.name)) problems.push(`providers/${index}/name: "${provider.name}" appears twice`);
    providers.add(provider.name);
  }
  const buckets = new Set<string>();
  for (const [index, bucket] of config.buckets.entries()) {
    if (buckets.has(bucket.name)) problems.push(`buckets/${index}/name: "${bucket.name}" appears twice`);
    buckets.add(bucket.name);
  }
  const accessKeys = new Set<string>();
  for (const credential of allCredentials(config)) {
    if (accessKeys.has(credential.accessKeyId)) problems.push("an accessKeyId appears twice");
    accessKeys.add(credential.accessKeyId);
  }
  return problems;
}

function danglingProviders(config: DataPlaneConfig): string[] {
  const known = new Set(config.providers.map((provider) => provider.name));
  const missing = (rules: BucketRules, path: string) =>
    rules.keys
      .filter((key) => !known.has(key.provider))
      .map((key) => `${path}/keys: provider "${key.provider}" is not in the configuration`);
  const inBuckets = config.buckets.flatMap((bucket, index) => missing(bucket, `buckets/${index}`));
  return config.selfService === undefined ? inBuckets : [...inBuckets, ...missing(config.selfService, "selfService")];
}

function badOptions(config: DataPlaneConfig): string[] {
  return config.providers.flatMap((provider, index) => {
    const parsed = parseKmsOptions(provider.options, `/providers/${index}/options`);
    return "problems" in parsed ? parsed.problems.map(({ at, problem }) => `${at.slice(1)}: ${problem}`) : [];
  });
}

function allCredentials(config: DataPlaneConfig): ConfiguredCredential[] {
  return [...config.buckets.flatMap((bucket) => bucket.credentials), ...(config.selfService?.credentials ?? [])];
}
