// Joins what the controllers of a namespace have compiled into the one configuration of a store.

import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { accessSecretName, LABELS, REGION } from "../../crds/names.ts";
import type { BucketEntry, DataPlaneConfig, ProviderEntry, SelfServiceEntry } from "../../dataplane/config/config.ts";
import type { Access } from "../access.ts";
import type { AccessSurroundings } from "../accesssecret.ts";
import {
  bucketResource,
  type CredentialsPlan,
  compileProvider,
  compileSelfService,
  compileSettings,
  type Finding,
  isFinding,
  joinStore,
  NO_CREDENTIALS,
  providerResource,
  selfServiceWish,
  storeResource,
} from "../compile/compile.ts";
import { itemOf } from "../controller.ts";
import type { Compiled } from "../entries.ts";
import type { SecretObject } from "../kube/resources.ts";
import { isControlledBy } from "../manifest.ts";
import type { Materials } from "../materials.ts";
import { isApplied, type PodFacts } from "../rollout.ts";
import { entryOf } from "../storefacts.ts";

export interface JoinInputs {
  readonly store: EncryptedStore;
  readonly previous: DataPlaneConfig | undefined;
  /** Of what changes now. */
  readonly revision: number;
  readonly providers: readonly KmsProvider[];
  readonly materials: Materials;
  /** Every bucket of the store that exists, by resource name. */
  readonly buckets: readonly string[];
  /** By `itemOf` of the bucket. */
  readonly compiled: ReadonlyMap<string, Compiled>;
  readonly selfService: SelfServiceEntry | Finding | undefined;
}

/** `previous` itself, if nothing has changed. */
export function joinConfig(inputs: JoinInputs): DataPlaneConfig {
  const { store, previous, revision, buckets, compiled, selfService } = inputs;
  const namespace = store.metadata.namespace ?? "";
  const held = new Set<string>();
  const entries: BucketEntry[] = [];
  for (const name of buckets) {
    const outcome = compiled.get(itemOf({ namespace, name }))?.outcome;
    // Not compiled yet, by a leader that has just begun: as it was.
    if (outcome === undefined || isFinding(outcome)) held.add(bucketResource(name));
    else entries.push(withRevisionOfJoin(outcome, previous, revision));
  }
  const isHeld = selfService !== undefined && isFinding(selfService);
  if (isHeld) held.add(storeResource(store.metadata.name));
  return joinStore(
    {
      revision,
      ruledBy: "operator",
      region: REGION,
      hostNames: [],
      settings: compileSettings(store),
      providers: providerEntries(inputs),
      selfService: isHeld ? undefined : selfService,
      held,
    },
    entries,
    previous,
  );
}

/** What was compiled some time ago changes only now: pods that run a configuration of the time between have not got it. */
function withRevisionOfJoin(entry: BucketEntry, previous: DataPlaneConfig | undefined, revision: number): BucketEntry {
  return entry.revision === entryOf(previous, entry.resource)?.revision ? entry : { ...entry, revision };
}

function providerEntries({ providers, materials, previous, revision }: JoinInputs): ProviderEntry[] {
  const outcomes = providers.map((provider) => {
    const { name, generation } = provider.metadata;
    const key = materials.find(itemOf(provider.metadata)) ?? { finding: "KeyUnusable" as const, message: "" };
    return compileProvider({
      provider,
      key,
      madeFrom: [`${providerResource(name)}@${generation}`],
      previous: previous?.providers.find((entry) => entry.name === name),
      revision,
    });
  });
  return outcomes.filter((outcome): outcome is ProviderEntry => !isFinding(outcome));
}

export interface SelfServiceNeeds {
  readonly access: Access;
  readonly materials: Materials;
  readonly around: AccessSurroundings;
  readonly providers: readonly KmsProvider[];
  readonly previous: DataPlaneConfig | undefined;
  readonly pods: readonly PodFacts[];
  readonly revision: number;
  readonly nowMs: number;
}

export interface SelfServiceFound {
  readonly compiled: SelfServiceEntry | Finding | undefined;
  readonly credentials: CredentialsPlan;
}

export async function findSelfService(
  store: EncryptedStore,
  needs: SelfServiceNeeds,
  signal: AbortSignal,
): Promise<SelfServiceFound> {
  const wanted = store.spec.selfService;
  if (wanted === undefined) return { compiled: undefined, credentials: NO_CREDENTIALS };
  const { previous, pods, providers, materials, revision, around } = needs;
  const before = previous?.selfService;
  const entries = wanted.access.map(({ name, secretName }) => ({
    ...selfServiceWish(name),
    ...(secretName === undefined ? {} : { secretName }),
  }));
  const holder = {
    owner: store,
    entries,
    published: new Map<string, number>(),
    before: before?.credentials ?? [],
    isApplied: before !== undefined && isApplied(pods, before.revision),
    overlapMs: 0,
    around,
  };
  const credentials = await needs.access.plan(holder, needs.nowMs, signal);
  const provider = providers.find(({ metadata }) => metadata.name === wanted.kmsProviderRef.name);
  const isUsable = (one: KmsProvider) => {
    const material = materials.find(itemOf(one.metadata));
    return material !== undefined && !isFinding(material);
  };
  const usable = providers.filter(isUsable).map(({ metadata }) => metadata.name);
  const compiled = compileSelfService({
    store,
    provider:
      provider === undefined
        ? undefined
        : {
            name: provider.metadata.name,
            keyVersion: isUsable(provider) ? provider.status.key?.version : undefined,
          },
    providersWithEntry: new Set([...(previous?.providers ?? []).map(({ name }) => name), ...usable]),
    credentials: credentials.configured,
    madeFrom: [`${storeResource(store.metadata.name)}@${store.metadata.generation}`],
    previous: before,
    revision,
  });
  return { compiled, credentials };
}

/** The Secret of one entry of selfService. */
export function selfServiceSecretName(store: EncryptedStore, entry: string): string {
  const wanted = store.spec.selfService?.access.find(({ name }) => name === entry);
  return accessSecretName(store.metadata.name, wanted ?? { name: entry });
}

export function selfServiceSecretNames(store: EncryptedStore): string[] {
  return (store.spec.selfService?.access ?? []).map(({ name }) => selfServiceSecretName(store, name));
}

/** Of the Secrets of the namespace, those of entries that have gone, which go along. */
export function leftSecrets(store: EncryptedStore, secrets: readonly SecretObject[]): string[] {
  if (store.spec.selfService === undefined) return [];
  const wanted = new Set(selfServiceSecretNames(store));
  const ours = secrets.filter(
    (secret) => isControlledBy(secret, store) && secret.metadata.labels?.[LABELS.component] === "access",
  );
  return ours.map(({ metadata }) => metadata.name).filter((name) => !wanted.has(name));
}

/** Entries that the configuration still has, and the spec has not. */
export function endedEntries(store: EncryptedStore, config: DataPlaneConfig | undefined): string[] {
  const wanted = new Set(store.spec.selfService?.access.map(({ name }) => name));
  const entries = new Set(config?.selfService?.credentials.map(({ entry }) => entry));
  return [...entries].filter((entry) => !wanted.has(entry));
}
