// One term as leader: everything is made here, given what it needs, and ends with the lease. Wiring only; who looks again
// when something has changed is routing.ts's.

import { Access } from "./access.ts";
import type { Clock } from "./clock.ts";
import type { Config } from "./config.ts";
import { runController } from "./controller.ts";
import { createBucketController } from "./encryptedbucket/reconcile.ts";
import { PLACES, storeUrls } from "./encryptedstore/manifests.ts";
import { createStoreController } from "./encryptedstore/reconcile.ts";
import { Entries } from "./entries.ts";
import { Holders } from "./holders.ts";
import type { Notice, ResourceName } from "./kind.ts";
import { createLooks, createProviderController } from "./kmsprovider/reconcile.ts";
import type { Kube } from "./kube/client.ts";
import { createEvents } from "./kube/events.ts";
import { fenced } from "./kube/fence.ts";
import type { Leadership } from "./kube/lease.ts";
import { NamedReader } from "./kube/namedreader.ts";
import { OwnedObjects } from "./kube/ownedobjects.ts";
import { createReferences } from "./kube/references.ts";
import type { ReflectorProblem } from "./kube/reflector.ts";
import { type KubeObject, RESOURCES } from "./kube/resources.ts";
import type { Log } from "./log.ts";
import { Materials } from "./materials.ts";
import type { Metrics } from "./metrics.ts";
import { createPendings } from "./pendings.ts";
import type { Pods } from "./pods.ts";
import { WorkQueue } from "./queue.ts";
import { Replacing } from "./replacing.ts";
import { isBucketGoing, podsOfStore, type Routing, route } from "./routing.ts";
import { StoreConfigs } from "./storeconfigs.ts";
import { StorePods } from "./storepods.ts";
import { Tokens } from "./tokens.ts";
import { createWatches, openWatches, type Watches, watchesEnded } from "./watches.ts";

export interface TermNeeds {
  readonly kube: Kube;
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly pods: Pods;
}

/** Passes at a time of each kind, and how its controller is called where things are counted. */
const CONTROLLERS = {
  providers: { name: "kmsprovider", workers: 8 },
  buckets: { name: "encryptedbucket", workers: 8 },
  stores: { name: "encryptedstore", workers: 4 },
} as const;

/** Runs until the lease is lost, and resolves when nothing of it runs any more. */
export async function runTerm(needs: TermNeeds, leadership: Leadership): Promise<void> {
  const { config, clock, log } = needs;
  const { signal } = leadership;
  const parts = makeParts({ ...needs, kube: fenced(needs.kube, leadership) }, signal);
  const { watches, queues, looks, storePods, events, tokens } = parts;
  const controllers = makeControllers(parts, config, leadership);
  try {
    await openWatches(watches, config.watchNamespaces, signal);
    log.info("all is known; work begins", {
      providers: watches.providers.all().length,
      buckets: watches.buckets.all().length,
    });
    const run = (kind: keyof typeof CONTROLLERS) => {
      const { name, workers } = CONTROLLERS[kind];
      return { queue: queues[kind], clock, workers, counts: needs.metrics.passes(name, workers) };
    };
    await Promise.all([
      runController(controllers.providers, run("providers"), signal),
      runController(controllers.buckets, run("buckets"), signal),
      runController(controllers.stores, run("stores"), signal),
    ]);
  } catch (error) {
    // The signal's own reason is how a term ends.
    if (!signal.aborted) throw error;
  } finally {
    for (const queue of Object.values(queues)) queue.close();
    await Promise.all([watchesEnded(watches), storePods.ended(), looks.ended(), events.flush()]);
    needs.metrics.looks.allGone();
    await tokens.close();
  }
}

type Parts = ReturnType<typeof makeParts>;

/** What the controllers share. */
function makeParts({ kube, config, clock, log, metrics, pods }: TermNeeds, signal: AbortSignal) {
  const report = ({ doing, plural, error }: ReflectorProblem) => {
    metrics.watchFailed(plural);
    log.warn(`${doing} ${plural} failed, and is tried again`, { error });
  };
  const queueOf = (kind: keyof typeof CONTROLLERS) => new WorkQueue(clock, metrics.queue(CONTROLLERS[kind].name));
  const watches = createWatches({ kube, clock, report }, signal);
  const secrets = new NamedReader(kube, RESOURCES.secrets, watches.secrets);
  const queues = { providers: queueOf("providers"), buckets: queueOf("buckets"), stores: queueOf("stores") };
  const references = { providers: createReferences(), buckets: createReferences(), stores: createReferences() };
  const materials = new Materials();
  const tokens = new Tokens(kube, clock);
  // Before whoever asks for a new one.
  watches.serviceAccounts.listen(({ kind, object: { metadata } }) => {
    if (kind === "removed") tokens.forget({ namespace: metadata.namespace ?? "", name: metadata.name });
  });
  const pendings = createPendings();
  const storePods: StorePods = new StorePods(
    {
      pods,
      clock,
      list: (store) => podsOfStore(watches, store),
      isPending: pendings.isPending,
      isWaitedFor: (store) => isBucketGoing(watches, store),
      changed(store) {
        queues.stores.add(store);
        routing.bucketsOf(store);
      },
    },
    signal,
  );
  const routing: Routing = route({ watches, queues, references, materials, storePods });
  const events = createEvents({
    kube,
    clock,
    instance: config.podName,
    signal,
    report: (error) => log.warn("an event could not be written", { error }),
  });
  return {
    kube,
    clock,
    watches,
    secrets,
    configMaps: new NamedReader(kube, RESOURCES.configMaps, watches.configMaps),
    queues,
    references,
    materials,
    entries: new Entries(),
    holders: new Holders(watches.buckets),
    configs: new StoreConfigs(kube, secrets),
    replacing: new Replacing(watches.statefulSets, clock),
    access: new Access(kube, secrets),
    tokens,
    looks: createLooks(clock, (provider) => queues.providers.add(provider), metrics.looks, signal),
    pendings,
    storePods,
    routing,
    events,
    tell(about: KubeObject, notice: Notice) {
      const { namespace = "", name } = about.metadata;
      log.info(notice.message, { kind: about.kind, namespace, name, reason: notice.reason });
      events.tell(about, notice);
    },
    failed(name: ResourceName, error: unknown) {
      log.warn("a pass failed, and is tried again", { ...name, error });
    },
  };
}

function makeControllers(parts: Parts, config: Config, leadership: Leadership) {
  const { kube, watches, queues, references, routing, storePods, pendings, tokens } = parts;
  const types = typesOf(watches);
  const { providers, buckets, stores } = watches;
  const owned = new OwnedObjects(kube, Object.values(types));
  const common = { ...parts, providers, buckets, stores, pods: storePods, owned };
  return {
    providers: createProviderController({
      ...common,
      references: references.providers,
      serviceAccounts: types.serviceAccount,
      podTokenPath: `${PLACES.vaultToken}/${PLACES.vaultTokenFile}`,
      tokenFile: async (serviceAccount, audience, signal) => await tokens.file(serviceAccount, audience, signal),
      remainingMs: leadership.remainingMs,
    }),
    buckets: createBucketController({
      ...common,
      references: references.buckets,
      urlsOf: storeUrls,
      join: routing.join,
    }),
    stores: createStoreController({
      ...common,
      references: references.stores,
      podWatch: watches.pods,
      secretWatch: watches.secrets,
      podsOf: (store) => podsOfStore(watches, store),
      types,
      again: (store) => queues.stores.add(store),
      around: { image: config.image, operatorNamespace: config.namespace },
      written(store, { revision }) {
        pendings.written(store, revision);
        storePods.poke(store);
        routing.bucketsOf(store);
      },
    }),
  };
}

function typesOf(watches: Watches) {
  return {
    serviceAccount: { type: RESOURCES.serviceAccounts, watch: watches.serviceAccounts },
    volumeClaim: { type: RESOURCES.volumeClaims, watch: watches.volumeClaims },
    service: { type: RESOURCES.services, watch: watches.services },
    networkPolicy: { type: RESOURCES.networkPolicies, watch: watches.networkPolicies },
    disruptionBudget: { type: RESOURCES.disruptionBudgets, watch: watches.disruptionBudgets },
    statefulSet: { type: RESOURCES.statefulSets, watch: watches.statefulSets },
  };
}
