// All that is watched while we lead. Our own kinds and what is made for them everywhere, or in the namespaces of the
// configuration; Secrets and ConfigMaps, their metadata alone, only where one of our resources is.

import type { EncryptedBucket } from "../crds/encryptedbucket.ts";
import type { EncryptedStore } from "../crds/encryptedstore.ts";
import type { KmsProvider } from "../crds/kmsprovider.ts";
import { LABELS } from "../crds/names.ts";
import type { Clock } from "./clock.ts";
import type { Kube } from "./kube/client.ts";
import type { ReflectorProblem } from "./kube/reflector.ts";
import {
  type ConfigMapObject,
  type KubeObject,
  type PodObject,
  RESOURCES,
  type ResourceType,
  type SecretObject,
} from "./kube/resources.ts";
import { ScopedWatch } from "./kube/scopedwatch.ts";
import { MANAGED_BY } from "./manifest.ts";

export interface Watches {
  readonly providers: ScopedWatch<KmsProvider>;
  readonly buckets: ScopedWatch<EncryptedBucket>;
  readonly stores: ScopedWatch<EncryptedStore>;
  readonly secrets: ScopedWatch<SecretObject>;
  readonly configMaps: ScopedWatch<ConfigMapObject>;
  readonly pods: ScopedWatch<PodObject>;
  readonly serviceAccounts: ScopedWatch<KubeObject>;
  readonly volumeClaims: ScopedWatch<KubeObject>;
  readonly services: ScopedWatch<KubeObject>;
  readonly networkPolicies: ScopedWatch<KubeObject>;
  readonly disruptionBudgets: ScopedWatch<KubeObject>;
  readonly statefulSets: ScopedWatch<KubeObject>;
}

export interface WatchesNeeds {
  readonly kube: Kube;
  readonly clock: Clock;
  report(problem: ReflectorProblem): void;
}

const OURS = `${LABELS.managedBy}=${MANAGED_BY}`;

/** Nothing is opened yet, so that listeners hear everything. */
export function createWatches(needs: WatchesNeeds, signal: AbortSignal): Watches {
  const all = <Shape extends KubeObject>(type: ResourceType<Shape>) => new ScopedWatch({ ...needs, type }, signal);
  const made = <Shape extends KubeObject>(type: ResourceType<Shape>) =>
    new ScopedWatch({ ...needs, type, labelSelector: OURS }, signal);
  return {
    providers: all(RESOURCES.kmsProviders),
    buckets: all(RESOURCES.encryptedBuckets),
    stores: all(RESOURCES.encryptedStores),
    secrets: all(RESOURCES.secrets),
    configMaps: all(RESOURCES.configMaps),
    pods: made(RESOURCES.pods),
    serviceAccounts: made<KubeObject>(RESOURCES.serviceAccounts),
    volumeClaims: made<KubeObject>(RESOURCES.volumeClaims),
    services: made<KubeObject>(RESOURCES.services),
    networkPolicies: made<KubeObject>(RESOURCES.networkPolicies),
    disruptionBudgets: made<KubeObject>(RESOURCES.disruptionBudgets),
    statefulSets: made<KubeObject>(RESOURCES.statefulSets),
  };
}

/** Resolves when all is known that decisions are made of. `namespaces` undefined: everywhere. In a list of them one may
 *  have lost its roles, with or before itself: what is done in it fails at the first Secret, and the others are served. */
export async function openWatches(
  watches: Watches,
  namespaces: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { providers, buckets, stores, secrets, configMaps, ...made } = watches;
  const ours = [providers, buckets, stores];
  const places = namespaces ?? [undefined];
  for (const watch of [...ours, ...Object.values(made)]) for (const place of places) watch.open(place);
  for (const watch of ours) await watch.whenSynced(signal);
  for (const watch of [...Object.values(made), secrets, configMaps]) await watch.whenSettled(signal);
}

export async function watchesEnded(watches: Watches): Promise<void> {
  await Promise.all(Object.values(watches).map((watch: ScopedWatch<never>) => watch.ended()));
}
