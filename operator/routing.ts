// Who looks again when something has changed. Every rule of it stands here, so that "a change of this acts on that" can be
// read in one place; a pass that finds nothing to do costs nothing but itself.

import type { EncryptedBucket } from "../crds/encryptedbucket.ts";
import type { EncryptedStore } from "../crds/encryptedstore.ts";
import { LABELS } from "../crds/names.ts";
import { bucketNameOf, storeNameOf } from "./compile/compile.ts";
import { itemOf, nameOfItem } from "./controller.ts";
import type { References } from "./kube/references.ts";
import type { KubeObject, PodObject } from "./kube/resources.ts";
import type { Change } from "./kube/store.ts";
import type { Materials } from "./materials.ts";
import type { WorkQueue } from "./queue.ts";
import type { StorePods } from "./storepods.ts";
import type { Watches } from "./watches.ts";

export interface RoutingNeeds {
  readonly watches: Watches;
  readonly queues: OfEachKind<WorkQueue>;
  readonly references: OfEachKind<References>;
  readonly materials: Materials;
  readonly storePods: StorePods;
}

interface OfEachKind<Value> {
  readonly providers: Value;
  readonly buckets: Value;
  readonly stores: Value;
}

export interface Routing {
  /** What is to be joined is, a moment later: a burst of edits makes one configuration. */
  join(store: string): void;
  /** All buckets of a store. */
  bucketsOf(store: string): void;
}

const JOIN_AFTER_MS = 150;

export function route(needs: RoutingNeeds): Routing {
  const { watches, queues } = needs;
  const routing: Routing = {
    join: (store) => queues.stores.addAfter(store, JOIN_AFTER_MS),
    bucketsOf(store) {
      const { namespace, name } = nameOfItem(store);
      for (const bucket of watches.buckets.inNamespace(namespace)) {
        if (storeNameOf(bucket) === name) queues.buckets.add(itemOf(bucket.metadata));
      }
    },
  };
  routeOwnKinds(needs, routing);
  routeReferences(needs);
  routeMade(needs);
  needs.materials.listen((provider) => providerChanged(needs, routing, provider));
  return routing;
}

function routeOwnKinds(needs: RoutingNeeds, routing: Routing): void {
  const { watches, queues } = needs;
  const opened = new Set<string>();
  const open = ({ metadata: { namespace = "" } }: KubeObject) => {
    if (opened.has(namespace)) return;
    opened.add(namespace);
    watches.secrets.open(namespace);
    watches.configMaps.open(namespace);
  };
  watches.providers.listen((change) => {
    open(change.object);
    queues.providers.add(itemOf(change.object.metadata));
    providerChanged(needs, routing, itemOf(change.object.metadata));
  });
  watches.buckets.listen((change) => {
    open(change.object);
    queues.buckets.add(itemOf(change.object.metadata));
    bucketChanged(needs, routing, change);
  });
  watches.stores.listen((change) => {
    open(change.object);
    queues.stores.add(itemOf(change.object.metadata));
    storeChanged(needs, routing, change);
  });
}

/** Buckets that it wraps for, or did, and stores, which have its key in their configuration. */
function providerChanged({ watches, queues }: RoutingNeeds, routing: Routing, provider: string): void {
  const { namespace, name } = nameOfItem(provider);
  for (const bucket of watches.buckets.inNamespace(namespace)) {
    const names = [bucket.spec.encryption.kmsProviderRef.name, bucket.status.encryption?.provider];
    if (names.includes(name)) queues.buckets.add(itemOf(bucket.metadata));
  }
  for (const store of watches.stores.inNamespace(namespace)) routing.join(itemOf(store.metadata));
}

function bucketChanged({ watches, queues }: RoutingNeeds, routing: Routing, change: Change<EncryptedBucket>): void {
  const { object: bucket } = change;
  const { namespace = "" } = bucket.metadata;
  const before = change.kind === "changed" ? change.before : undefined;
  if (before !== undefined && wordOf(before) === wordOf(bucket)) return;
  routing.join(itemOf({ namespace, name: storeNameOf(bucket) }));
  const providers = [bucket, before].flatMap((one) => [
    one?.spec.encryption.kmsProviderRef.name,
    one?.status.encryption?.provider,
  ]);
  for (const name of new Set(providers)) if (name !== undefined) queues.providers.add(itemOf({ namespace, name }));
  for (const rival of watches.buckets.inNamespace(namespace)) {
    if (rival !== bucket && bucketNameOf(rival) === bucketNameOf(bucket)) queues.buckets.add(itemOf(rival.metadata));
  }
}

/** What of a bucket concerns others. */
function wordOf({ metadata, spec, status }: EncryptedBucket): string {
  return JSON.stringify([
    metadata.uid,
    metadata.deletionTimestamp,
    spec.encryption.kmsProviderRef.name,
    status.encryption?.provider,
    status.bucketName,
  ]);
}

function storeChanged({ watches, queues }: RoutingNeeds, routing: Routing, change: Change<EncryptedStore>): void {
  const { object: store } = change;
  const { namespace = "" } = store.metadata;
  if (change.kind === "changed" && change.before.metadata.deletionTimestamp === store.metadata.deletionTimestamp)
    return;
  routing.bucketsOf(itemOf(store.metadata));
  const provider = store.spec.selfService?.kmsProviderRef.name;
  if (provider !== undefined) queues.providers.add(itemOf({ namespace, name: provider }));
  for (const bucket of watches.buckets.inNamespace(namespace)) {
    if (storeNameOf(bucket) === store.metadata.name) routing.join(itemOf(store.metadata));
  }
}

/** By the reverse index, without reading all. */
function routeReferences(needs: RoutingNeeds): void {
  const { queues, references } = needs;
  const tell = ({ object }: Change<KubeObject>) => {
    const { kind, metadata } = object;
    const place = `${kind}/${metadata.namespace ?? ""}/${metadata.name}`;
    for (const item of references.providers.referrers(place)) queues.providers.add(item);
    for (const item of references.buckets.referrers(place)) queues.buckets.add(item);
    for (const item of references.stores.referrers(place)) queues.stores.add(item);
  };
  needs.watches.secrets.listen(tell);
  needs.watches.configMaps.listen(tell);
}

/** The pods of a store. */
export function podsOfStore({ pods }: Watches, store: string): readonly PodObject[] {
  const { namespace } = nameOfItem(store);
  return pods.inNamespace(namespace).filter((pod) => storeOf(pod) === store);
}

/** Whether a bucket of the store waits for its objects to go. */
export function isBucketGoing({ buckets }: Watches, store: string): boolean {
  const { namespace, name } = nameOfItem(store);
  return buckets
    .inNamespace(namespace)
    .some((bucket) => bucket.metadata.deletionTimestamp !== undefined && storeNameOf(bucket) === name);
}

/** What was made for a store says by its labels for which. */
function storeOf({ metadata }: KubeObject): string | undefined {
  const name = metadata.labels?.[LABELS.instance];
  const isStores = metadata.labels?.[LABELS.component] === "data-plane";
  return name === undefined || !isStores ? undefined : itemOf({ namespace: metadata.namespace ?? "", name });
}

function routeMade({ watches, queues, storePods, references }: RoutingNeeds): void {
  const made = [
    watches.serviceAccounts,
    watches.volumeClaims,
    watches.services,
    watches.networkPolicies,
    watches.disruptionBudgets,
    watches.statefulSets,
  ];
  // The account that logins of a namespace have in common is no store's.
  watches.serviceAccounts.listen(({ object: { metadata } }) => {
    const place = `ServiceAccount/${metadata.namespace ?? ""}/${metadata.name}`;
    for (const item of references.providers.referrers(place)) queues.providers.add(item);
  });
  for (const watch of made) {
    watch.listen(({ object }) => {
      const store = storeOf(object);
      if (store !== undefined) queues.stores.add(store);
    });
  }
  watches.pods.listen(({ object }) => {
    const store = storeOf(object);
    if (store !== undefined) storePods.poke(store);
  });
}
