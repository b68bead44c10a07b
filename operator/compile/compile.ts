// From the resources of one store to its DataPlaneConfig. Pure: equal inputs give equal bytes; time and random pairs are
// inputs. Each resource is compiled alone, so that its own plan shows what is wrong with it, and the store joins what
// came of them. What is unchanged, or cannot be compiled, is taken from the configuration before.

import type {
  BucketEntry,
  DataPlaneConfig,
  ProviderEntry,
  SelfServiceEntry,
  Settings,
} from "../../dataplane/config/config.ts";
import { equalExcept } from "./equal.ts";

export { type BucketInputs, bucketNameOf, bucketResource, compileBucket, overlapMsOf, storeNameOf } from "./bucket.ts";
export {
  type AccessWish,
  type CredentialAction,
  type CredentialsPlan,
  type EntryObserved,
  entriesInNeed,
  NO_CREDENTIALS,
  type Pair,
  planCredentials,
  type SecretSeen,
  tokenOf,
} from "./credentials.ts";
export { type Finding, isFinding } from "./finding.ts";
export { holdersOf } from "./holders.ts";
export { compileProvider, providerResource } from "./provider.ts";
export { compileSelfService, compileSettings, selfServiceWish, storeResource } from "./store.ts";
export {
  compileVault,
  type Reference,
  type VaultMaterial,
  vaultReferences,
} from "./vault.ts";

/** All of a store but its buckets. */
export interface StoreInputs {
  /** Of what changes now: the time in ms, or one more than the revision before if that is not earlier. */
  readonly revision: number;
  readonly ruledBy: DataPlaneConfig["ruledBy"];
  readonly region: string;
  readonly hostNames: readonly string[];
  readonly settings: Settings;
  /** All that could be compiled; those that nothing names stay out. */
  readonly providers: readonly ProviderEntry[];
  readonly selfService: SelfServiceEntry | undefined;
  /** Resources (as entries name them) that exist and could not be compiled: the entry before stays. */
  readonly held: ReadonlySet<string>;
}

/** The revision for what changes now. */
export function nextRevision(previous: DataPlaneConfig | undefined, nowMs: number): number {
  return Math.max(nowMs, (previous?.revision ?? 0) + 1);
}

/** The configuration of a store; `previous` itself, if nothing has changed. */
export function joinStore(
  store: StoreInputs,
  entries: readonly BucketEntry[],
  previous: DataPlaneConfig | undefined,
): DataPlaneConfig {
  const buckets = joinBuckets(store, entries, previous);
  const selfService = store.selfService ?? heldSelfService(store, previous);
  const providers = joinProviders(store, buckets, selfService, previous);
  const known = new Set(providers.map(({ name }) => name));
  const config: DataPlaneConfig = {
    format: 1,
    revision: store.revision,
    ruledBy: store.ruledBy,
    region: store.region,
    hostNames: [...store.hostNames],
    settings: store.settings,
    providers,
    buckets: buckets.map((bucket) => withKnownKeys(bucket, known)).filter((bucket) => bucket.keys.length > 0),
    ...(selfService === undefined || !selfService.keys.every(({ provider }) => known.has(provider))
      ? {}
      : { selfService }),
  };
  return previous !== undefined && equalExcept(config, previous, ["revision"]) ? previous : config;
}

function joinBuckets(store: StoreInputs, entries: readonly BucketEntry[], previous: DataPlaneConfig | undefined) {
  const resources = new Set(entries.map(({ resource }) => resource));
  const names = new Set(entries.map(({ name }) => name));
  const kept = (previous?.buckets ?? []).filter(
    ({ resource, name }) => store.held.has(resource) && !resources.has(resource) && !names.has(name),
  );
  return [...entries, ...kept].sort(byName);
}

function heldSelfService(store: StoreInputs, previous: DataPlaneConfig | undefined): SelfServiceEntry | undefined {
  const before = previous?.selfService;
  return before !== undefined && store.held.has(before.resource) ? before : undefined;
}

/** Only what an entry names: a pod holds no key that it has no use for. A provider that has gone, or cannot be compiled,
 *  stays as it was while an entry still names it. */
function joinProviders(
  store: StoreInputs,
  buckets: readonly BucketEntry[],
  selfService: SelfServiceEntry | undefined,
  previous: DataPlaneConfig | undefined,
): ProviderEntry[] {
  const rules = selfService === undefined ? buckets : [...buckets, selfService];
  const named = new Set(rules.flatMap(({ keys }) => keys.map(({ provider }) => provider)));
  const byProvider = new Map<string, ProviderEntry>();
  for (const entry of [...(previous?.providers ?? []), ...store.providers]) byProvider.set(entry.name, entry);
  return [...byProvider.values()].filter(({ name }) => named.has(name)).sort(byName);
}

/** A provider that nobody knows any more cannot be named. Where it is the one that writes, the bucket is not served. */
function withKnownKeys(bucket: BucketEntry, known: ReadonlySet<string>): BucketEntry {
  if (bucket.keys.every(({ provider }) => known.has(provider))) return bucket;
  const [writing, ...leaving] = bucket.keys;
  if (writing === undefined || !known.has(writing.provider)) return { ...bucket, keys: [] };
  return { ...bucket, keys: [writing, ...leaving.filter(({ provider }) => known.has(provider))] };
}

function byName(left: { readonly name: string }, right: { readonly name: string }): number {
  return left.name < right.name ? -1 : 1;
}
