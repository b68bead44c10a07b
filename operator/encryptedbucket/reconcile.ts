// EncryptedBuckets where there is a cluster: observes and acts. What is to be done is plan.ts's and deletion.ts's to say.
// A bucket compiles its own entry; its store joins it.

import type { EncryptedBucket, EncryptedBucketStatus } from "../../crds/encryptedbucket.ts";
import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { API_VERSION, accessSecretName, DEFAULT_STORE } from "../../crds/names.ts";
import type { BucketEntry } from "../../dataplane/config/config.ts";
import type { Access } from "../access.ts";
import type { AccessSurroundings } from "../accesssecret.ts";
import type { Clock } from "../clock.ts";
import {
  bucketNameOf,
  bucketResource,
  type CredentialsPlan,
  compileBucket,
  type Finding,
  isFinding,
  NO_CREDENTIALS,
  nextRevision,
  overlapMsOf,
  storeNameOf,
} from "../compile/compile.ts";
import { blockedNotices, conditionOf, withDeletion } from "../conditions.ts";
import { type Controller, itemOf } from "../controller.ts";
import type { Entries } from "../entries.ts";
import type { Holders } from "../holders.ts";
import type { Notice, Plan, ResourceName } from "../kind.ts";
import type { Kube } from "../kube/client.ts";
import { setFinalizers } from "../kube/finalizers.ts";
import type { References } from "../kube/references.ts";
import { RESOURCES } from "../kube/resources.ts";
import type { ScopedWatch } from "../kube/scopedwatch.ts";
import { writeStatus } from "../kube/status.ts";
import type { Materials } from "../materials.ts";
import { isApplied, sweptWishOf } from "../rollout.ts";
import { entryOf, factsOfStore, type StoreFacts, type StoreFactsNeeds } from "../storefacts.ts";
import { type DeletionObserved, planDeletion } from "./deletion.ts";
import { type BucketAction, type ObservedBucket, type ObservedBucketProvider, planBucket } from "./plan.ts";

export interface BucketNeeds extends StoreFactsNeeds {
  readonly kube: Kube;
  readonly clock: Clock;
  readonly providers: ScopedWatch<KmsProvider>;
  readonly buckets: ScopedWatch<EncryptedBucket>;
  readonly materials: Materials;
  readonly entries: Entries;
  readonly access: Access;
  readonly holders: Holders;
  /** By `itemOf` of the bucket: the Secrets that it wants, as `Secret/namespace/name`. */
  readonly references: References;
  urlsOf(store: ResourceName): { readonly s3: string; readonly rest: string };
  /** A store has something new to join. */
  join(store: string): void;
  tell(bucket: EncryptedBucket, notice: Notice): void;
  failed(name: ResourceName, error: unknown): void;
}

interface Observed {
  readonly planned: ObservedBucket;
  readonly deletion: DeletionObserved;
  readonly around: AccessSurroundings;
  /** The namespace's default store is wanted, and nobody has made it. */
  readonly needsDefaultStore: boolean;
}

type Action =
  | { readonly kind: "planned"; readonly observed: Observed; readonly action: BucketAction }
  | { readonly kind: "finalizers"; readonly observed: Observed }
  | { readonly kind: "makeDefaultStore"; readonly observed: Observed };

export function createBucketController(needs: BucketNeeds): Controller<EncryptedBucket, Observed, Action> {
  return {
    kind: {
      async observe(name, signal) {
        const bucket = needs.buckets.find(name);
        if (bucket !== undefined) return await observe(needs, bucket, signal);
        needs.references.set(itemOf(name), []);
        const store = needs.entries.forget(itemOf(name));
        if (store !== undefined) needs.join(store);
        return undefined;
      },
      plan,
      act: async (action, signal) => await act(needs, action, signal),
    },
    resourceOf: ({ planned }) => planned.bucket,
    async writeStatus(bucket, status, signal) {
      needs.buckets.note(await writeStatus(needs.kube, RESOURCES.encryptedBuckets, bucket, status, signal));
    },
    tell: needs.tell,
    failed: needs.failed,
  };
}

async function observe(needs: BucketNeeds, bucket: EncryptedBucket, signal: AbortSignal): Promise<Observed> {
  const { namespace = "", name } = bucket.metadata;
  const storeName = { namespace, name: storeNameOf(bucket) };
  const urls = needs.urlsOf(storeName);
  const around = { s3Url: urls.s3, restUrl: urls.rest, bucketName: bucketNameOf(bucket) };
  const isLeaving = bucket.metadata.deletionTimestamp !== undefined && isStoreGone(needs, storeName);
  // In a namespace that goes, the right to read may have gone already: the end of it all must not depend on it.
  const facts = isLeaving ? undefined : await factsOfStore(needs, storeName, needs.clock.now(), signal);
  const holder = needs.holders.holderOf({ namespace, name });
  const previous = entryOf(facts?.config, bucketResource(name));
  const isServed = facts !== undefined && holder === undefined;
  const credentials = isServed ? await planCredentials(needs, bucket, facts, previous, around, signal) : NO_CREDENTIALS;
  const compiled = isServed
    ? compile(needs, bucket, facts, previous, credentials)
    : ({ finding: "StoreNotFound", message: "There is no store that serves it" } as const);
  const secretNames = new Map((bucket.spec.access ?? []).map((one) => [one.name, accessSecretName(name, one)]));
  const secrets = [...secretNames.values()].map((secret) => `Secret/${namespace}/${secret}`);
  needs.references.set(itemOf(bucket.metadata), secrets);
  handOver(needs, bucket, storeName, isServed ? compiled : undefined, previous);
  return {
    planned: {
      bucket,
      store: storeOf(storeName, facts, urls.s3, isLeaving),
      provider: providerOf(needs, bucket),
      holder,
      compiled: asGiven(compiled, previous),
      credentials,
      secretNames,
    },
    deletion: {
      bucket,
      bucketName: bucketNameOf(bucket),
      isHeldByAnother: holder !== undefined,
      isServable: previous !== undefined || !isFinding(compiled),
      isStoreGone: isStoreGone(needs, storeName),
      pods: facts?.pods ?? [],
      withoutReadyPodMs: facts?.withoutReadyPodMs ?? 0,
      revision: previous?.state === "serve" ? undefined : previous?.revision,
    },
    around,
    needsDefaultStore:
      facts === undefined && storeName.name === DEFAULT_STORE && bucket.metadata.deletionTimestamp === undefined,
  };
}

/** Or going itself. */
function isStoreGone({ stores }: BucketNeeds, name: ResourceName): boolean {
  const store = stores.find(name);
  return store === undefined || store.metadata.deletionTimestamp !== undefined;
}

/** The entry as pods are given it. One that no configuration has yet has a revision that no pod can run. */
function asGiven(compiled: BucketEntry | Finding, previous: BucketEntry | undefined): BucketEntry | Finding {
  if (isFinding(compiled) || compiled.revision === previous?.revision) return compiled;
  return { ...compiled, revision: Number.MAX_SAFE_INTEGER };
}

async function planCredentials(
  { access, clock }: BucketNeeds,
  bucket: EncryptedBucket,
  { pods }: StoreFacts,
  previous: BucketEntry | undefined,
  around: AccessSurroundings,
  signal: AbortSignal,
): Promise<CredentialsPlan> {
  const holder = {
    owner: bucket,
    entries: (bucket.spec.access ?? []).map(({ name, permissions, credentialsGeneration = 0, secretName }) => ({
      name,
      permissions,
      generation: credentialsGeneration,
      ...(secretName === undefined ? {} : { secretName }),
    })),
    published: new Map(bucket.status.access?.map((one) => [one.name, one.credentialsGeneration])),
    before: previous?.credentials ?? [],
    isApplied: previous !== undefined && isApplied(pods, previous.revision),
    overlapMs: overlapMsOf(bucket),
    around,
  };
  return await access.plan(holder, clock.now().getTime(), signal);
}

function compile(
  { clock, providers, materials }: BucketNeeds,
  bucket: EncryptedBucket,
  { config, pods }: StoreFacts,
  previous: BucketEntry | undefined,
  credentials: CredentialsPlan,
): BucketEntry | Finding {
  const { namespace = "", name, generation, deletionTimestamp } = bucket.metadata;
  const wanted = bucket.spec.encryption.kmsProviderRef.name;
  const provider = providers.find({ namespace, name: wanted });
  const usable = (of: string) => {
    const material = materials.find(itemOf({ namespace, name: of }));
    return material !== undefined && !isFinding(material);
  };
  const known = providers.inNamespace(namespace).map(({ metadata }) => metadata.name);
  // A deletion ends, also of what is suspended.
  const awake = deletionTimestamp === undefined ? bucket : { ...bucket, spec: { ...bucket.spec, suspend: false } };
  return compileBucket({
    bucket: awake,
    provider:
      provider === undefined
        ? undefined
        : { name: wanted, keyVersion: usable(wanted) ? provider.status.key?.version : undefined },
    providersWithEntry: new Set([...(config?.providers ?? []).map((entry) => entry.name), ...known.filter(usable)]),
    sweptWish: sweptWishOf(pods, bucketNameOf(bucket)),
    credentials: credentials.configured,
    madeFrom: [`${bucketResource(name)}@${generation}`],
    previous,
    revision: nextRevision(config, clock.now().getTime()),
  });
}

/** The store joins what differs from its configuration. undefined: there is nothing to join, and nothing to keep. */
function handOver(
  { entries, join }: BucketNeeds,
  bucket: EncryptedBucket,
  storeName: ResourceName,
  compiled: BucketEntry | Finding | undefined,
  previous: BucketEntry | undefined,
): void {
  const item = itemOf(bucket.metadata);
  const store = itemOf(storeName);
  if (compiled === undefined) entries.forget(item);
  else entries.set(item, { uid: bucket.metadata.uid ?? "", store, outcome: compiled });
  const isNews =
    compiled === undefined ? previous !== undefined : !isFinding(compiled) && compiled.revision !== previous?.revision;
  if (isNews) join(store);
}

function storeOf(
  storeName: ResourceName,
  facts: StoreFacts | undefined,
  endpoint: string,
  isLeaving: boolean,
): ObservedBucket["store"] {
  if (facts !== undefined) {
    const { pods, isStarting, withoutReadyPodMs } = facts;
    return { kind: "found", endpoint, pods, isStarting, withoutReadyPodMs };
  }
  const { name } = storeName;
  if (isLeaving) return { kind: "missing", message: `EncryptedStore "${name}" has gone` };
  if (name === DEFAULT_STORE) {
    return { kind: "missing", message: `EncryptedStore "${name}" is being made`, isBeingMade: true };
  }
  const message = `EncryptedStore "${name}" does not exist: make it, or leave storeRef out of a new EncryptedBucket`;
  return { kind: "missing", message };
}

function providerOf({ providers }: BucketNeeds, bucket: EncryptedBucket): ObservedBucketProvider | undefined {
  const { name } = bucket.spec.encryption.kmsProviderRef;
  const provider = providers.find({ namespace: bucket.metadata.namespace ?? "", name });
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

function plan(observed: Observed, now: Date): Plan<Action, EncryptedBucketStatus> {
  const { bucket } = observed.planned;
  const planned = planBucket(observed.planned, now);
  const deletion = planDeletion(observed.deletion, now);
  const generation = bucket.metadata.generation ?? 0;
  const { conditions: judged = [] } = planned.status;
  const conditions = withDeletion(bucket, judged, deletion.blocked, generation, now);
  const waits = [planned.againAfterMs, deletion.againAfterMs].filter((ms) => ms !== undefined);
  return {
    actions: [
      ...(deletion.finalizers === undefined ? [] : [{ kind: "finalizers" as const, observed }]),
      ...(observed.needsDefaultStore ? [{ kind: "makeDefaultStore" as const, observed }] : []),
      ...planned.actions.map((action) => ({ kind: "planned" as const, observed, action })),
    ],
    status: { ...planned.status, conditions },
    events: [...planned.events, ...deletion.events, ...blockedNotices(bucket.status.conditions, conditions)],
    againAfterMs: waits.length === 0 ? undefined : Math.min(...waits),
  };
}

async function act(needs: BucketNeeds, action: Action, signal: AbortSignal): Promise<void> {
  const { planned, around } = action.observed;
  const { bucket } = planned;
  switch (action.kind) {
    case "finalizers":
      return await keepFinalizers(needs, action.observed, signal);
    case "makeDefaultStore":
      return await makeDefaultStore(needs, bucket.metadata.namespace ?? "", signal);
    case "planned": {
      const { action: wanted } = action;
      if (wanted.kind === "remove") return await needs.access.remove(bucket, wanted.secretName, signal);
      return await needs.access.carryOut(bucket, wanted.secretName, wanted, around, signal);
    }
  }
}

/** Over what is there now: this pass has written the status itself. */
async function keepFinalizers(needs: BucketNeeds, { deletion }: Observed, signal: AbortSignal): Promise<void> {
  const { namespace = "", name } = deletion.bucket.metadata;
  const bucket = needs.buckets.find({ namespace, name });
  if (bucket === undefined) return;
  const { finalizers } = planDeletion({ ...deletion, bucket }, needs.clock.now());
  if (finalizers === undefined) return;
  const written = await setFinalizers(needs.kube, RESOURCES.encryptedBuckets, bucket, finalizers, signal);
  if (written !== undefined) needs.buckets.note(written);
}

/** Once, without force, and nothing more than it takes: from then on it is its users' own. */
async function makeDefaultStore({ kube }: BucketNeeds, namespace: string, signal: AbortSignal): Promise<void> {
  const there = await kube.read(RESOURCES.encryptedStores, { namespace, name: DEFAULT_STORE }, signal);
  if (there !== undefined) return;
  const store = {
    apiVersion: API_VERSION,
    kind: "EncryptedStore",
    metadata: { namespace, name: DEFAULT_STORE },
    spec: { backend: { type: "Filesystem" } } satisfies Partial<EncryptedStore["spec"]>,
  };
  await kube.apply(RESOURCES.encryptedStores, store, { force: false }, signal);
}
