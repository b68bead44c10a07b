// What the pods of every store say of themselves: asked every 30 s, and twice a second while something is on its way.

import { PORTS } from "../crds/names.ts";
import { type Clock, sleep } from "./clock.ts";
import type { PodObject } from "./kube/resources.ts";
import type { Pods } from "./pods.ts";
import { isWithoutKey, type PodFacts } from "./rollout.ts";

/** What is known of a store's pods. */
export interface StoreFacts {
  readonly pods: readonly PodFacts[];
  /** 0 while one is ready. */
  readonly withoutReadyPodMs: number;
  /** Whether one has been ready since we look. */
  readonly wasReady: boolean;
}

export interface StorePodsNeeds {
  readonly pods: Pods;
  readonly clock: Clock;
  /** The pods of a store, by `itemOf`. */
  list(store: string): readonly PodObject[];
  /** Whether something is on its way to these pods, so that looking soon makes sense. */
  isPending(store: string, pods: readonly PodFacts[]): boolean;
  /** Whether somebody waits for what its pods do in their own time, and tell nobody of. */
  isWaitedFor(store: string): boolean;
  /** What they say has changed. */
  changed(store: string): void;
}

const REST_MS = 30_000;
const HURRY_MS = 500;
const LATER_MS = 5000;
const WAITED_FOR_MS = 2000;
/** How long it makes sense to look that often. */
const HURRYING_MS = 60_000;

interface Looking {
  readonly stop: () => void;
  /** Resolves when it was looked at once, or is not looked at any more. */
  readonly first: Promise<void>;
  facts: readonly PodFacts[];
  /** What they said, as text. */
  said: string;
  lastReadyMs: number;
  wasReady: boolean;
  hurrySinceMs: number | undefined;
  /** Since its pods were last listed, which may have been a moment too early. */
  isPoked: boolean;
  wake: () => void;
}

export class StorePods {
  readonly #needs: StorePodsNeeds;
  readonly #signal: AbortSignal;
  readonly #looking = new Map<string, Looking>();
  readonly #ended = new Set<Promise<void>>();

  constructor(needs: StorePodsNeeds, signal: AbortSignal) {
    this.#needs = needs;
    this.#signal = signal;
  }

  /** A store that nobody has looked at yet is looked at from now on; the first look is waited for, so that pods which serve
   *  are not taken for missing. Rejects with the signal's reason. */
  async facts(store: string, signal: AbortSignal): Promise<StoreFacts> {
    const looking = this.#of(store);
    await looking.first;
    signal.throwIfAborted();
    const { facts, lastReadyMs, wasReady } = looking;
    const isReady = facts.some(({ ready }) => ready);
    const withoutReadyPodMs = isReady ? 0 : this.#needs.clock.monotonicMs() - lastReadyMs;
    return { pods: facts, withoutReadyPodMs, wasReady };
  }

  /** Something may have changed: it is looked at now. */
  poke(store: string): void {
    const looking = this.#looking.get(store);
    if (looking === undefined) return;
    looking.hurrySinceMs = this.#needs.clock.monotonicMs();
    looking.isPoked = true;
    looking.wake();
  }

  forget(store: string): void {
    this.#looking.get(store)?.stop();
    this.#looking.delete(store);
  }

  async ended(): Promise<void> {
    await Promise.all(this.#ended);
  }

  #of(store: string): Looking {
    const known = this.#looking.get(store);
    if (known !== undefined) return known;
    const ending = new AbortController();
    const nowMs = this.#needs.clock.monotonicMs();
    const first = Promise.withResolvers<void>();
    const looking: Looking = {
      first: first.promise,
      stop: () => ending.abort(new Error("The store has gone")),
      facts: [],
      said: "[]",
      lastReadyMs: nowMs,
      wasReady: false,
      hurrySinceMs: nowMs,
      isPoked: false,
      wake: () => undefined,
    };
    this.#looking.set(store, looking);
    const ended = this.#look(store, looking, first.resolve, AbortSignal.any([this.#signal, ending.signal]));
    this.#ended.add(ended);
    void ended.finally(() => {
      first.resolve();
      this.#ended.delete(ended);
    });
    return looking;
  }

  async #look(store: string, looking: Looking, looked: () => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      looking.isPoked = false;
      const asked = this.#needs.list(store).map((pod) => this.#ask(pod, signal));
      const facts = await Promise.all(asked).catch(() => undefined);
      if (facts === undefined) return;
      this.#take(store, looking, facts);
      looked();
      if (looking.isPoked) continue;
      const waking = new AbortController();
      looking.wake = () => waking.abort(new Error("Somebody wants to know"));
      const until = AbortSignal.any([signal, waking.signal]);
      await sleep(this.#waitMs(store, looking), this.#needs.clock, until).catch(() => undefined);
      looking.wake = () => undefined;
    }
  }

  #take(store: string, looking: Looking, facts: readonly PodFacts[]): void {
    if (facts.some(({ ready }) => ready)) {
      looking.lastReadyMs = this.#needs.clock.monotonicMs();
      looking.wasReady = true;
    }
    looking.facts = facts;
    // A job tells that it is alive by a time, which is no news.
    const said = JSON.stringify(facts, (name, value: unknown) => (name === "updatedMs" ? undefined : value));
    if (said === looking.said) return;
    looking.said = said;
    this.#needs.changed(store);
  }

  #waitMs(store: string, looking: Looking): number {
    const { clock } = this.#needs;
    const restMs = REST_MS * (0.9 + clock.random() / 5);
    if (!this.#needs.isPending(store, looking.facts)) {
      looking.hurrySinceMs = undefined;
      const isWaited = this.#needs.isWaitedFor(store) || looking.facts.some(isWithoutKey);
      return isWaited ? WAITED_FOR_MS : restMs;
    }
    looking.hurrySinceMs ??= clock.monotonicMs();
    return clock.monotonicMs() - looking.hurrySinceMs < HURRYING_MS ? HURRY_MS : LATER_MS;
  }

  async #ask(pod: PodObject, signal: AbortSignal): Promise<PodFacts> {
    const { name } = pod.metadata;
    const ip = pod.status?.podIP;
    if (ip === undefined || ip === "") return notRunning(name, whyNot(pod));
    const host = ip.includes(":") ? `[${ip}]` : ip;
    const facts = await this.#needs.pods.ask({ name, adminUrl: `http://${host}:${PORTS.admin}` }, signal);
    const why = whyNot(pod);
    if (facts.ready) return isServed(pod) ? facts : unserved(facts);
    // A pod has its address before its image: that it does not answer is the lesser news.
    return why === "" ? facts : { ...facts, reasons: [why, ...facts.reasons] };
  }
}

function notRunning(name: string, why: string): PodFacts {
  const reasons = [why === "" ? `${name} has not been started` : why];
  return { name, ready: false, reasons, revision: undefined, refused: undefined, providers: [], jobs: [] };
}

/** Whether its Service leads to it: that begins a moment after it could answer. */
function isServed({ status }: PodObject): boolean {
  return status?.conditions?.find(({ type }) => type === "Ready")?.status !== "False";
}

function unserved(facts: PodFacts): PodFacts {
  const reasons = [`${facts.name} answers, and its Service does not lead to it yet`];
  return { ...facts, ready: false, isUnserved: true, reasons };
}

const IMAGE = /Image|^RegistryUnavailable$/;
const IMAGE_ADVICE = ": check spec.pod.image and spec.pod.imagePullSecrets of the store, and the registry";

/** What the cluster says keeps a pod from running. */
function whyNot({ metadata, status }: PodObject): string {
  if (metadata.deletionTimestamp !== undefined) return `${metadata.name} is going`;
  const waiting = (status?.containerStatuses ?? []).map(({ state }) => state?.waiting).find((one) => one !== undefined);
  const reason = waiting?.reason;
  if (reason !== undefined && reason !== "ContainerCreating" && reason !== "PodInitializing") {
    const said = waiting?.message === undefined ? "" : ` (${waiting.message})`;
    return `${metadata.name} does not run: ${reason}${said}${IMAGE.test(reason) ? IMAGE_ADVICE : ""}`;
  }
  const scheduled = status?.conditions?.find(({ type }) => type === "PodScheduled");
  if (scheduled?.status === "False") return `${metadata.name} cannot be scheduled: ${scheduled.message ?? ""}`;
  const isStarting = status?.containerStatuses?.some(({ started, state }) => started === false && state?.running);
  return isStarting ? `${metadata.name} is starting` : "";
}
