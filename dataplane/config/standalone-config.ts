/** The configuration of a data plane that runs alone: of what is wanted and of the keys and credentials that there are. Pure. */
import { createHash, createHmac } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { type KmsOptionsJson, kmsKeyIdOf, parseKmsOptions } from "../../kms/options.ts";
import type {
  BucketEntry,
  BucketRules,
  ConfiguredCredential,
  DataPlaneConfig,
  ProviderEntry,
  SelfServiceEntry,
} from "./config.ts";
import { ConfigError } from "./config.ts";
import type { StandaloneWish, WishedCredential, WishedRules } from "./wish.ts";

export interface Pair {
  readonly accessKeyId: string;
  readonly secret: string;
}

/** What it takes beside the wish. */
export interface Material {
  /** The ring, if there is one: it opens what it wrapped, also where it no longer writes. */
  readonly local: Extract<KmsOptionsJson, { readonly type: "Local" }> | undefined;
  /** By `credentialName`, for those that bring none. */
  readonly pairs: ReadonlyMap<string, Pair>;
  /** Changes when a rewrap is wanted. */
  readonly rewrapWish: string;
}

/** A name for each credential, unlike any other's. */
export function credentialName(bucket: string | undefined, entry: string): string {
  return bucket === undefined ? entry : `${bucket}.${entry}`;
}

const TOKEN_LABEL = "coffer bearer token 1";

/** The bearer token that belongs to a pair where none was chosen. */
export function tokenOf({ accessKeyId, secret }: Pair): string {
  return createHmac("sha256", secret).update(`${TOKEN_LABEL}\0${accessKeyId}`).digest("base64url");
}

/** An entry that did not change keeps its revision, and a configuration that did not change is the one before. */
export function standaloneConfig(
  wish: StandaloneWish,
  material: Material,
  previous: DataPlaneConfig | undefined,
  nowMs: number,
): DataPlaneConfig {
  const revision = Math.max(nowMs, (previous?.revision ?? 0) + 1);
  const mark = { revision, resource: wish.resource, madeFrom: [] };
  const providers = providersOf(wish, material).map((entry) =>
    kept(
      { ...mark, ...entry },
      previous?.providers.find(({ name }) => name === entry.name),
    ),
  );
  const keys = providers.map(({ name }) => ({ provider: name, minEpoch: 1 }));
  const rulesOf = (rules: WishedRules, context: BucketEntry["context"]): BucketRules => ({
    keys,
    rewrapWish: material.rewrapWish,
    ...rules,
    context: { ...context },
    allowCustomerKeys: false,
    allowPlaintext: false,
  });
  const credential = (wished: WishedCredential, bucket?: string) =>
    credentialOf(wished, wished.pair ?? material.pairs.get(credentialName(bucket, wished.entry)));
  refuseShared([
    { wished: wish.admin, configured: credential(wish.admin) },
    ...wish.buckets.flatMap(({ name, access }) =>
      access.map((wished) => ({ wished, configured: credential(wished, name) })),
    ),
  ]);
  const buckets = wish.buckets.map(({ name, rules, context, access }): BucketEntry => {
    const credentials = access.map((one) => credential(one, name));
    const entry = { ...mark, ...rulesOf(rules, context), name, state: "serve" as const, credentials };
    return kept(
      entry,
      previous?.buckets.find((before) => before.name === name),
    );
  });
  const selfService = { ...mark, ...rulesOf(wish.rules, {}), credentials: [credential(wish.admin)] };
  const config: DataPlaneConfig = {
    format: 1,
    revision,
    ruledBy: "nobody",
    region: wish.region,
    hostNames: [...wish.hostNames],
    settings: wish.settings,
    providers,
    buckets,
    selfService: kept<SelfServiceEntry>(selfService, previous?.selfService),
  };
  return previous !== undefined && isDeepStrictEqual({ ...config, revision: previous.revision }, previous)
    ? previous
    : config;
}

/** The one that writes is the first. */
function providersOf(
  { provider, vault, timeoutMs, attemptsMax, cache }: StandaloneWish,
  { local }: Material,
): Omit<ProviderEntry, "revision" | "resource" | "madeFrom">[] {
  const entryOf = (name: string, options: KmsOptionsJson | undefined) => {
    if (options === undefined) return [];
    const parsed = parseKmsOptions(options);
    if ("problems" in parsed) {
      throw new ConfigError(parsed.problems.map(({ at, problem }) => `provider ${name}${at}: ${problem}`));
    }
    const attempts = attemptsMax === undefined ? {} : { attemptsMax };
    return [{ name, options, kmsKeyId: kmsKeyIdOf(parsed.options), timeoutMs, ...attempts, cache: { ...cache } }];
  };
  const entries = { local: entryOf("local", local), vault: entryOf("vault", vault) };
  return provider === "local" ? [...entries.local, ...entries.vault] : [...entries.vault, ...entries.local];
}

function credentialOf(wished: WishedCredential, pair: Pair | undefined): ConfiguredCredential {
  if (pair === undefined) throw new Error("a credential without a pair of its own has one that was made");
  const token = wished.token ?? tokenOf(pair);
  return {
    entry: wished.entry,
    generation: 0,
    accessKeyId: pair.accessKeyId,
    secret: pair.secret,
    tokenSha256: createHash("sha256").update(token).digest("hex"),
    permissions: [...wished.permissions],
    ...(wished.keys ? { keys: true } : {}),
  };
}

interface Made {
  readonly wished: WishedCredential;
  readonly configured: ConfiguredCredential;
}

/** Access key and token say by themselves who asks. Two that were chosen are told apart before; of the others, one was made. */
function refuseShared(credentials: readonly Made[]): void {
  const problems = [
    ...shared(credentials, "accessKey", ({ configured }) => configured.accessKeyId),
    ...shared(credentials, "token", ({ configured }) => configured.tokenSha256),
  ];
  if (problems.length > 0) throw new ConfigError(problems);
}

function shared(
  credentials: readonly Made[],
  what: keyof WishedCredential["places"],
  idOf: (one: Made) => string,
): string[] {
  const before = new Map<string, Made>();
  return credentials.flatMap((one) => {
    const other = before.get(idOf(one));
    before.set(idOf(one), one);
    if (other === undefined) return [];
    const wasChosen = ({ wished }: Made) => (what === "token" ? wished.token : wished.pair) !== undefined;
    const [chosen, made] = wasChosen(one) ? [one, other] : [other, one];
    const { [what]: place } = chosen.wished.places;
    return [`${place}: is also that of ${made.wished.places[what]}: each credential has its own`];
  });
}

function kept<Entry extends { readonly revision: number }>(entry: Entry, before: Entry | undefined): Entry {
  return before !== undefined && isDeepStrictEqual({ ...entry, revision: before.revision }, before) ? before : entry;
}
