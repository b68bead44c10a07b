// From what is applied and what was seen to the configuration, and to what the plans of stores and buckets look at.

import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { REGION } from "../../crds/names.ts";
import type { BucketEntry, DataPlaneConfig, ProviderEntry } from "../../dataplane/config/config.ts";
import {
  bucketResource,
  compileProvider,
  compileSettings,
  holdersOf,
  isFinding,
  joinStore,
  NO_CREDENTIALS,
  nextRevision,
  providerResource,
  storeResource,
} from "../compile/compile.ts";
import { conditionOf } from "../conditions.ts";
import type { ObservedBucket, ObservedBucketProvider } from "../encryptedbucket/plan.ts";
import type { ObservedStore } from "../encryptedstore/plan.ts";
import type { AccessSurroundings } from "./accessfiles.ts";
import {
  type CompiledBucket,
  type CompiledSelfService,
  compileFolderBucket,
  compileFolderSelfService,
  type PassState,
  type Round,
} from "./compiling.ts";
import type { Urls } from "./hints.ts";
import type { SeenProvider } from "./providers.ts";
import { resourcesOf } from "./records.ts";
import { chooseStore, missingStore } from "./stores.ts";

export interface Assembled {
  /** The one before, if nothing has changed; undefined: there is no store. */
  readonly config: DataPlaneConfig | undefined;
  readonly stores: readonly ObservedStore[];
  readonly buckets: readonly { readonly observed: ObservedBucket; readonly around: AccessSurroundings }[];
}

export async function assemble(
  state: PassState,
  seen: ReadonlyMap<string, SeenProvider>,
  { accessDir, urls }: { readonly accessDir: string; readonly urls: Urls },
  now: Date,
): Promise<Assembled> {
  const resources = resourcesOf(state.records);
  const revision = nextRevision(state.config, now.getTime());
  const providers = compileProviders(state, seen, resources.providers, revision);
  const providersWithEntry = new Set([...(state.config?.providers ?? []), ...providers].map(({ name }) => name));
  const round: Round = { state, seen, resources, providersWithEntry, revision, accessDir, urls, now };

  const { store, refused } = chooseStore(resources.stores, resources.buckets, now);
  const holders = holdersOf(resources.buckets);
  const compiled: CompiledBucket[] = [];
  for (const bucket of resources.buckets) {
    const obstacle = { missing: missingStore(bucket, store), holder: holders.get(bucket.metadata.name) };
    compiled.push(await compileFolderBucket(round, bucket, obstacle));
  }
  const selfService = await compileFolderSelfService(round, store);
  const config = store === undefined ? state.config : join(round, store, providers, compiled, selfService);
  const entries = new Map(config?.buckets.map((entry) => [entry.resource, entry]));
  return {
    config,
    stores: resources.stores.map((one) =>
      observeStore(round, one, refused.get(one.metadata.name), config, selfService),
    ),
    buckets: compiled.map((one) => ({ observed: observeBucket(round, one, entries), around: one.around })),
  };
}

function compileProviders(
  state: PassState,
  seen: ReadonlyMap<string, SeenProvider>,
  providers: readonly KmsProvider[],
  revision: number,
): ProviderEntry[] {
  const outcomes = providers.map((provider) => {
    const { name, generation } = provider.metadata;
    const key = seen.get(name)?.material ?? { finding: "KeyUnusable", message: "It was not looked at" };
    const previous = state.config?.providers.find((entry) => entry.name === name);
    return compileProvider({
      provider,
      key,
      madeFrom: [`${providerResource(name)}@${generation}`],
      previous,
      revision,
    });
  });
  return outcomes.filter((outcome): outcome is ProviderEntry => !isFinding(outcome));
}

function join(
  { state, revision }: Round,
  store: EncryptedStore,
  providers: readonly ProviderEntry[],
  compiled: readonly CompiledBucket[],
  selfService: CompiledSelfService,
): DataPlaneConfig {
  const entries = compiled.flatMap((one) => (isFinding(one.compiled) ? [] : [one.compiled]));
  const failed = compiled.filter((one) => isFinding(one.compiled));
  const held = new Set(failed.map(({ bucket }) => bucketResource(bucket.metadata.name)));
  const ofClients = selfService.compiled;
  const isHeld = ofClients !== undefined && isFinding(ofClients);
  if (isHeld) held.add(storeResource(store.metadata.name));
  const inputs = {
    revision,
    ruledBy: "folder" as const,
    region: REGION,
    hostNames: [],
    settings: compileSettings(store),
    providers,
    selfService: isHeld ? undefined : ofClients,
    held,
  };
  return joinStore(inputs, entries, state.config);
}

function observeStore(
  { state, urls, resources }: Round,
  store: EncryptedStore,
  refused: string | undefined,
  config: DataPlaneConfig | undefined,
  selfService: CompiledSelfService,
): ObservedStore {
  const isOurs = refused === undefined;
  return {
    store,
    refused,
    replicas: 1,
    pods: isOurs ? state.pods : [],
    isStarting: state.isStarting,
    revision: config?.selfService?.revision,
    selfService: isOurs ? selfService.compiled : undefined,
    credentials: isOurs ? selfService.credentials : NO_CREDENTIALS,
    endpoints: { s3: urls.s3, rest: urls.rest },
    buckets: resources.buckets.filter((bucket) => missingStore(bucket, store) === undefined).length,
  };
}

function observeBucket(
  { state, urls, resources }: Round,
  { bucket, missing, holder, credentials, compiled }: CompiledBucket,
  entries: ReadonlyMap<string, BucketEntry>,
): ObservedBucket {
  const { name } = bucket.metadata;
  const entry = entries.get(bucketResource(name));
  const { pods, isStarting, withoutReadyPodMs } = state;
  return {
    bucket,
    store:
      missing === undefined
        ? { kind: "found", endpoint: urls.s3, pods, isStarting, withoutReadyPodMs }
        : { kind: "missing", message: missing },
    provider: observeProvider(resources.providers, bucket.spec.encryption.kmsProviderRef.name),
    holder,
    compiled: isFinding(compiled) ? compiled : (entry ?? compiled),
    credentials,
    secretNames: new Map((bucket.spec.access ?? []).map((one) => [one.name, `${name}-${one.name}`])),
  };
}

function observeProvider(providers: readonly KmsProvider[], name: string): ObservedBucketProvider | undefined {
  const provider = providers.find(({ metadata }) => metadata.name === name);
  if (provider === undefined) return undefined;
  const { conditions, key } = provider.status;
  const ready = conditionOf(conditions, "Ready");
  return {
    name,
    ready: ready?.status ?? "Unknown",
    message: ready?.message ?? "",
    keyId: key?.id ?? "",
    keyVersion: key?.version ?? "",
  };
}
