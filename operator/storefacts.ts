// A store as its buckets see it: what its configuration has of them, what its pods say, and how long they have said
// nothing.

import type { EncryptedStore } from "../crds/encryptedstore.ts";
import type { BucketEntry, DataPlaneConfig } from "../dataplane/config/config.ts";
import { conditionOf } from "./conditions.ts";
import { itemOf } from "./controller.ts";
import type { ResourceName } from "./kind.ts";
import type { ScopedWatch } from "./kube/scopedwatch.ts";
import { type Replacing, START_MS } from "./replacing.ts";
import type { StoreConfigs } from "./storeconfigs.ts";
import type { StoreFacts as PodsSay, StorePods } from "./storepods.ts";

export interface StoreFacts extends PodsSay {
  readonly store: EncryptedStore;
  readonly config: DataPlaneConfig | undefined;
  /** Made a moment ago, and no pod of it has been ready yet; or its pods are being replaced: no outage. */
  readonly isStarting: boolean;
}

export interface StoreFactsNeeds {
  readonly stores: ScopedWatch<EncryptedStore>;
  readonly configs: StoreConfigs;
  readonly pods: StorePods;
  readonly replacing: Replacing;
}

/** undefined: there is no such store. */
export async function factsOfStore(
  { stores, configs, pods, replacing }: StoreFactsNeeds,
  name: ResourceName,
  now: Date,
  signal: AbortSignal,
): Promise<StoreFacts | undefined> {
  const store = stores.find(name);
  if (store === undefined) {
    replacing.forget(name);
    return undefined;
  }
  const stored = await configs.find(store, signal);
  const said = await pods.facts(itemOf(name), signal);
  const ageMs = now.getTime() - Date.parse(store.metadata.creationTimestamp ?? "");
  const wasAvailable = conditionOf(store.status.conditions, "Available")?.status === "True";
  const isNew = !said.wasReady && !wasAvailable && ageMs < START_MS;
  const isReplaced = replacing.isUnderWay(name);
  const ready = said.pods.filter((pod) => pod.ready).length;
  return {
    ...said,
    store,
    config: stored.kind === "ours" ? stored.config : undefined,
    isStarting: isNew || (isReplaced && ready < store.spec.replicas),
  };
}

const byResource = new WeakMap<DataPlaneConfig, ReadonlyMap<string, BucketEntry>>();

/** The entry that came from a resource, found without a walk: configurations have many. */
export function entryOf(config: DataPlaneConfig | undefined, resource: string): BucketEntry | undefined {
  if (config === undefined) return undefined;
  let entries = byResource.get(config);
  if (entries === undefined) {
    entries = new Map(config.buckets.map((entry) => [entry.resource, entry]));
    byResource.set(config, entries);
  }
  return entries.get(resource);
}
