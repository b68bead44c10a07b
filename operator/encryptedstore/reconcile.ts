// EncryptedStores where there is a cluster: observes and acts. What a person is told is plan.ts's to say, what the objects
// are manifests.ts's, and what the configuration is the compiler's.

import type { EncryptedBucket } from "../../crds/encryptedbucket.ts";
import type { EncryptedStore, EncryptedStoreStatus } from "../../crds/encryptedstore.ts";
import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { ANNOTATIONS, storeConfigName, storeObjectName } from "../../crds/names.ts";
import type { DataPlaneConfig } from "../../dataplane/config/config.ts";
import type { Access } from "../access.ts";
import type { AccessSurroundings } from "../accesssecret.ts";
import type { Clock } from "../clock.ts";
import { nextRevision, storeNameOf } from "../compile/compile.ts";
import { blockedNotices, no, type Verdict } from "../conditions.ts";
import { type Controller, itemOf } from "../controller.ts";
import type { Entries } from "../entries.ts";
import type { Holders } from "../holders.ts";
import { inUseFinalizers, withDeletionBlocked } from "../inuse.ts";
import type { Notice, Plan, ResourceName } from "../kind.ts";
import type { Kube } from "../kube/client.ts";
import { isKubeError } from "../kube/failure.ts";
import { setFinalizers } from "../kube/finalizers.ts";
import type { OwnedObjects } from "../kube/ownedobjects.ts";
import type { References } from "../kube/references.ts";
import { type PodObject, RESOURCES, type SecretObject, type VolumeClaimObject } from "../kube/resources.ts";
import type { ScopedWatch } from "../kube/scopedwatch.ts";
import { writeStatus } from "../kube/status.ts";
import type { Materials } from "../materials.ts";
import { isTooLarge, type StoredConfig } from "../storeconfigs.ts";
import { factsOfStore, type StoreFacts, type StoreFactsNeeds } from "../storefacts.ts";
import {
  endedEntries,
  findSelfService,
  joinConfig,
  leftSecrets,
  type SelfServiceFound,
  selfServiceSecretName,
  selfServiceSecretNames,
} from "./joining.ts";
import { podSelector, type StoreSurroundings, storeObjects, storeUrls } from "./manifests.ts";
import {
  applyObjects,
  type LookedAt,
  lookAtObjects,
  type Refusals,
  resizeVerdict,
  resourcesVerdict,
  type StoreObjectTypes,
  volumeVerdict,
} from "./objects.ts";
import { type ObservedStore, planStore, type StoreAction } from "./plan.ts";

export interface StoreNeeds extends StoreFactsNeeds {
  readonly kube: Kube;
  readonly clock: Clock;
  readonly providers: ScopedWatch<KmsProvider>;
  readonly buckets: ScopedWatch<EncryptedBucket>;
  readonly podWatch: ScopedWatch<PodObject>;
  readonly secretWatch: ScopedWatch<SecretObject>;
  readonly types: StoreObjectTypes;
  readonly owned: OwnedObjects;
  readonly materials: Materials;
  readonly entries: Entries;
  readonly access: Access;
  readonly holders: Holders;
  readonly references: References;
  readonly around: StoreSurroundings;
  podsOf(store: string): readonly PodObject[];
  /** The configuration has changed: whoever waits for it looks again. */
  written(store: string, config: DataPlaneConfig): void;
  /** To be looked at again at once. */
  again(store: string): void;
  tell(store: EncryptedStore, notice: Notice): void;
  failed(name: ResourceName, error: unknown): void;
}

/** One that goes, and that nobody names any more, is not looked at. */
type Seen = Observed | { readonly store: EncryptedStore; readonly isLeaving: true };

interface Observed {
  readonly planned: ObservedStore;
  readonly store: EncryptedStore;
  readonly isLeaving: false;
  readonly users: readonly string[];
  readonly objects: LookedAt;
  readonly stored: StoredConfig;
  readonly config: DataPlaneConfig | undefined;
  /** Secrets of selfService entries that have gone. */
  readonly left: readonly string[];
  /** Pods that have not been told of the configuration. */
  readonly untold: readonly PodObject[];
  /** The configuration was lost, and not all that was in it has been compiled again: pods keep what they have. */
  readonly isPremature: boolean;
}

type Action =
  | { readonly kind: "finalizers"; readonly store: EncryptedStore; readonly users: readonly string[] }
  | { readonly kind: "writeConfig" | "applyObjects" | "tellPods" | "removeSecrets"; readonly observed: Observed }
  | { readonly kind: "planned"; readonly observed: Observed; readonly action: StoreAction };

export function createStoreController(needs: StoreNeeds): Controller<EncryptedStore, Seen, Action> {
  const refusals = new Map<string, Refusals>();
  return {
    kind: {
      async observe(name, signal) {
        const item = itemOf(name);
        const store = needs.stores.find(name);
        // In a namespace that goes, the right to read may have gone already: the end of it all must not depend on it.
        if (store?.metadata.deletionTimestamp !== undefined && usersOf(bucketsOf(needs, store)).length === 0) {
          return { store, isLeaving: true };
        }
        const facts = await factsOfStore(needs, name, needs.clock.now(), signal);
        if (facts !== undefined) return await observe(needs, facts, refusals.get(item), signal);
        needs.pods.forget(item);
        needs.references.set(item, []);
        refusals.delete(item);
        return undefined;
      },
      plan,
      act: async (action, signal) => await act(needs, refusals, action, signal),
    },
    resourceOf: ({ store }) => store,
    async writeStatus(store, status, signal) {
      needs.stores.note(await writeStatus(needs.kube, RESOURCES.encryptedStores, store, status, signal));
    },
    tell: needs.tell,
    failed: needs.failed,
  };
}

async function observe(
  needs: StoreNeeds,
  facts: StoreFacts,
  refused: Refusals | undefined,
  signal: AbortSignal,
): Promise<Observed> {
  const { store, pods, isStarting } = facts;
  const item = itemOf(store.metadata);
  const buckets = bucketsOf(needs, store);
  const stored = await needs.configs.find(store, signal);
  const { selfService, config } = await joined(needs, facts, stored, buckets, signal);
  rememberSecrets(needs, store);
  const wanted = storeObjects(store, needs.around);
  const objects = lookAtObjects(store, wanted, needs.types, needs.owned);
  const claim = needs.types.volumeClaim.watch.find(nameOf(store)) as VolumeClaimObject | undefined;
  const isTaken = stored.kind === "taken" || objects.taken.length > 0;
  const looked =
    stored.kind === "taken" ? { ...objects, taken: [`Secret "${storeConfigName(store.metadata.name)}"`] } : objects;
  return {
    store,
    isLeaving: false,
    users: usersOf(buckets),
    objects,
    stored,
    config,
    left: leftSecrets(store, needs.secretWatch.inNamespace(store.metadata.namespace ?? "")),
    untold: needs.podsOf(item).filter((pod) => isUntold(pod, pods, stored)),
    isPremature: isPremature(needs, stored, facts, buckets),
    planned: {
      store,
      refused: undefined,
      replicas: store.spec.replicas,
      pods,
      isStarting,
      revision: config?.selfService?.revision ?? 0,
      selfService: selfService.compiled,
      credentials: selfService.credentials,
      endpoints: storeUrls(storeName(store)),
      buckets: buckets.length,
      cluster: {
        resources: resourcesVerdict(looked, refused?.resources),
        volume: volumeVerdict(claim),
        resize: resizeVerdict(claim) ?? (objects.due.length > 0 ? refused?.volume : undefined),
        configuration: await sizeVerdict(stored, config),
        ended: endedEntries(store, stored.kind === "ours" ? stored.config : undefined),
        isUnderWay: !isTaken && refused === undefined && objects.due.length > 0,
        selector: podSelector(store.metadata.name),
      },
    },
  };
}

async function joined(
  needs: StoreNeeds,
  { store, pods }: StoreFacts,
  stored: StoredConfig,
  buckets: readonly EncryptedBucket[],
  signal: AbortSignal,
): Promise<{ readonly selfService: SelfServiceFound; readonly config: DataPlaneConfig | undefined }> {
  const { materials, access, clock } = needs;
  const namespace = store.metadata.namespace ?? "";
  const providers = needs.providers.inNamespace(namespace);
  const previous = stored.kind === "ours" ? stored.config : undefined;
  const nowMs = clock.now().getTime();
  const revision = nextRevision(previous, nowMs);
  const around = surroundingsOf(store);
  const selfServiceNeeds = { access, materials, around, providers, previous, pods, revision, nowMs };
  const selfService = await findSelfService(store, selfServiceNeeds, signal);
  if (stored.kind === "taken") return { selfService, config: undefined };
  const config = joinConfig({
    store,
    previous,
    revision,
    providers,
    materials,
    buckets: buckets.map(({ metadata }) => metadata.name),
    compiled: needs.entries.ofStore(itemOf(store.metadata)),
    selfService: selfService.compiled,
  });
  return { selfService, config };
}

function plan(observed: Seen, now: Date): Plan<Action, EncryptedStoreStatus> {
  if (observed.isLeaving) {
    const { store } = observed;
    const isHeld = inUseFinalizers(store, []) !== undefined;
    const actions: Action[] = isHeld ? [{ kind: "finalizers", store, users: [] }] : [];
    return { actions, status: store.status, events: [], againAfterMs: undefined };
  }
  const { store, users, objects, stored, config, left, untold, isPremature } = observed;
  const planned = planStore(observed.planned, now);
  const generation = store.metadata.generation ?? 0;
  const conditions = withDeletionBlocked(store, planned.status.conditions ?? [], users, generation, now);
  const actions: Action[] = [];
  if (inUseFinalizers(store, users) !== undefined) actions.push({ kind: "finalizers", store, users });
  const isLeftAlone = store.spec.suspend || store.metadata.deletionTimestamp !== undefined;
  const isTooLarge = observed.planned.cluster?.configuration !== undefined;
  const isNews = stored.kind === "ours" && config !== undefined && config !== stored.config;
  if (isNews && !store.spec.suspend && !isTooLarge && !isPremature) {
    actions.push({ kind: "writeConfig", observed });
  }
  if (!isLeftAlone && stored.kind === "ours" && objects.due.length + objects.unwanted.length > 0) {
    actions.push({ kind: "applyObjects", observed });
  }
  if (!isLeftAlone && left.length > 0) actions.push({ kind: "removeSecrets", observed });
  if (untold.length > 0) actions.push({ kind: "tellPods", observed });
  return {
    actions: [...actions, ...planned.actions.map((action) => ({ kind: "planned" as const, observed, action }))],
    status: { ...planned.status, conditions },
    events: [...planned.events, ...blockedNotices(store.status.conditions, conditions)],
    // Nobody tells when another's object goes.
    againAfterMs: planned.againAfterMs ?? (objects.taken.length > 0 ? TAKEN_AGAIN_MS : undefined),
  };
}

const TAKEN_AGAIN_MS = 15_000;

async function act(
  needs: StoreNeeds,
  refusals: Map<string, Refusals>,
  action: Action,
  signal: AbortSignal,
): Promise<void> {
  if (action.kind === "finalizers") return await keepFinalizers(needs, action.store, action.users, signal);
  const { observed } = action;
  const { store, stored, config } = observed;
  const item = itemOf(store.metadata);
  switch (action.kind) {
    case "writeConfig": {
      if (stored.kind !== "ours" || config === undefined) return;
      await needs.configs.write(store, config, stored.secret, signal);
      needs.written(item, config);
      return await tellPods(needs, needs.podsOf(item), config, signal);
    }
    case "applyObjects":
      return await keepObjects(needs, observed, refusals, signal);
    case "removeSecrets":
      for (const name of observed.left) await needs.access.remove(store, name, signal);
      return;
    case "tellPods":
      if (config !== undefined) await tellPods(needs, observed.untold, config, signal);
      return;
    case "planned": {
      const secretName = selfServiceSecretName(store, action.action.entry);
      return await needs.access.carryOut(store, secretName, action.action, surroundingsOf(store), signal);
    }
  }
}

/** Another's that was found only now is told by the next pass. */
async function keepObjects(
  needs: StoreNeeds,
  { store, objects }: Observed,
  refusals: Map<string, Refusals>,
  signal: AbortSignal,
): Promise<void> {
  const { types, owned } = needs;
  const item = itemOf(store.metadata);
  for (const which of objects.unwanted) await owned.remove(types[which], nameOf(store), signal);
  const applied = await applyObjects(store, objects.due, types, owned, signal);
  const { resources, volume } = applied.refusals;
  if (applied.failures.length === 0) refusals.delete(item);
  else if (resources !== undefined || volume !== undefined) refusals.set(item, applied.refusals);
  if (applied.isTaken && objects.taken.length === 0) needs.again(item);
  if (applied.failures.length > 0) throw applied.failures[0];
}

/** A change of its annotations makes the kubelet look at a pod's volumes at once, and not within a minute. */
async function tellPods(
  { kube, podWatch }: StoreNeeds,
  pods: readonly PodObject[],
  { revision }: DataPlaneConfig,
  signal: AbortSignal,
): Promise<void> {
  const patch = { metadata: { annotations: { [ANNOTATIONS.configRevision]: String(revision) } } };
  for (const { metadata } of pods) {
    const name = { namespace: metadata.namespace ?? "", name: metadata.name };
    try {
      podWatch.note(await kube.patch(RESOURCES.pods, name, patch, signal));
    } catch (error) {
      // One that went meanwhile has nothing to be told.
      if (!isKubeError(error, "not-found")) throw error;
    }
  }
}

/** A pod that was told, or runs the configuration already, is left alone. */
function isUntold(pod: PodObject, facts: StoreFacts["pods"], stored: StoredConfig): boolean {
  const revision = stored.kind === "ours" ? stored.config?.revision : undefined;
  if (revision === undefined || pod.metadata.deletionTimestamp !== undefined) return false;
  if (pod.metadata.annotations?.[ANNOTATIONS.configRevision] === String(revision)) return false;
  const runs = facts.find(({ name }) => name === pod.metadata.name)?.revision;
  return runs !== undefined && runs < revision;
}

function isPremature(
  { entries, holders }: StoreNeeds,
  stored: StoredConfig,
  { store, pods }: StoreFacts,
  buckets: readonly EncryptedBucket[],
): boolean {
  if (stored.kind === "taken" || stored.config !== undefined || pods.length === 0) return false;
  const compiled = entries.ofStore(itemOf(store.metadata));
  return buckets.some(({ metadata: { namespace = "", name } }) => {
    const isHolder = holders.holderOf({ namespace, name }) === undefined;
    return isHolder && !compiled.has(itemOf({ namespace, name }));
  });
}

async function sizeVerdict(stored: StoredConfig, config: DataPlaneConfig | undefined): Promise<Verdict | undefined> {
  if (stored.kind === "taken" || config === undefined || config === stored.config) return undefined;
  if (!(await isTooLarge(config))) return undefined;
  const message = `${config.buckets.length} buckets are more than one store can be told of: put further ones into another EncryptedStore`;
  return no("ConfigurationApplied", "TooManyBuckets", message);
}

function bucketsOf({ buckets }: StoreNeeds, { metadata: { namespace = "", name } }: EncryptedStore): EncryptedBucket[] {
  return buckets.inNamespace(namespace).filter((bucket) => storeNameOf(bucket) === name);
}

/** Those that are not going themselves, in words. */
function usersOf(buckets: readonly EncryptedBucket[]): string[] {
  const staying = buckets.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  return staying.map(({ metadata }) => `EncryptedBucket "${metadata.name}"`);
}

/** So that a change of one of them is noticed. */
function rememberSecrets({ references }: StoreNeeds, store: EncryptedStore): void {
  const { namespace = "" } = store.metadata;
  const names = [storeConfigName(store.metadata.name), ...selfServiceSecretNames(store)];
  references.set(
    itemOf(store.metadata),
    names.map((name) => `Secret/${namespace}/${name}`),
  );
}

/** Over what is there now: this pass has written the status itself. */
async function keepFinalizers(
  needs: StoreNeeds,
  store: EncryptedStore,
  users: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const now = needs.stores.find(storeName(store));
  const wanted = now === undefined ? undefined : inUseFinalizers(now, users);
  if (now === undefined || wanted === undefined) return;
  const written = await setFinalizers(needs.kube, RESOURCES.encryptedStores, now, wanted, signal);
  if (written !== undefined) needs.stores.note(written);
}

function surroundingsOf(store: EncryptedStore): AccessSurroundings {
  const { s3, rest } = storeUrls(storeName(store));
  return { s3Url: s3, restUrl: rest, bucketName: undefined };
}

function storeName({ metadata: { namespace = "", name } }: EncryptedStore): ResourceName {
  return { namespace, name };
}

function nameOf({ metadata: { namespace = "", name } }: EncryptedStore): ResourceName {
  return { namespace, name: storeObjectName(name) };
}
