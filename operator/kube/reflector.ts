// Keeps a store equal to what the API server has of one type: a list in pages, then a watch from there on. It never gives
// up: whatever fails is reported, waited for and tried again, until its signal aborts; then nothing is left open.

import { backoffMs } from "../backoff.ts";
import { type Clock, sleep } from "../clock.ts";
import type { Kube, Scope } from "./client.ts";
import { isKubeError } from "./failure.ts";
import type { KubeObject, ResourceType } from "./resources.ts";
import { type Change, createStore, type ObjectStore, type WritableStore } from "./store.ts";
import type { WatchEvent } from "./watching.ts";

export interface ReflectorNeeds<Shape extends KubeObject> {
  readonly kube: Kube;
  readonly type: ResourceType<Shape>;
  readonly scope: Scope;
  readonly clock: Clock;
  /** A list or watch that failed and is tried again, or a listener that threw. */
  report(problem: ReflectorProblem): void;
}

export interface ReflectorProblem {
  readonly doing: "listing" | "watching" | "telling";
  readonly plural: string;
  readonly error: unknown;
}

const PAGE_OBJECTS = 500;
/** How long the API server keeps a watch open; up to twice as long, so that many do not end together. */
const WATCH_SECONDS = 240;
/** A bookmark comes about every minute. */
const SILENCE_MS = 150_000;
/** One that held so long did not fail. */
const HELD_MS = 10_000;
/** A resourceVersion that cannot be watched from, whatever the reason, is given up. */
const WATCH_FAILURES_MAX = 4;
const BACKOFF = { firstMs: 400, mostMs: 30_000 };

export class Reflector<Shape extends KubeObject> {
  readonly #needs: ReflectorNeeds<Shape>;
  readonly #store: WritableStore<Shape> = createStore<Shape>();
  readonly #listeners: ((change: Change<Shape>) => void)[] = [];
  readonly #synced = Promise.withResolvers<void>();
  readonly #settled = Promise.withResolvers<void>();
  #hasSynced = false;
  /** To watch from; undefined: all is to be listed first. */
  #resourceVersion: string | undefined;
  /** In a row. */
  #failures = 0;
  #watchFailures = 0;

  constructor(needs: ReflectorNeeds<Shape>) {
    this.#needs = needs;
  }

  get store(): ObjectStore<Shape> {
    return this.#store;
  }

  /** Whether the store has been whole at least once. */
  hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** Rejects with the signal's reason. */
  async whenSynced(signal: AbortSignal): Promise<void> {
    await untilOr(this.#synced.promise, signal);
  }

  /** Also resolves when the API server has refused to tell: then nobody knows what there is, until it does tell. */
  async whenSettled(signal: AbortSignal): Promise<void> {
    await untilOr(Promise.race([this.#synced.promise, this.#settled.promise]), signal);
  }

  /** Told of every change, in order, once the store has it. What a listener throws is reported; the others are told all
   *  the same. */
  listen(listener: (change: Change<Shape>) => void): void {
    this.#listeners.push(listener);
  }

  /** What the API server answered to a write of ours: known, and told, before the watch tells of it. Never makes anything
   *  older, or brings back what has gone. */
  note(object: Shape): void {
    const known = this.#store.find({ namespace: object.metadata.namespace ?? "", name: object.metadata.name });
    if (known?.metadata.uid === object.metadata.uid) this.#tell(this.#store.put(slim(object)));
  }

  /** Runs until the signal aborts. Never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#needs;
    while (!signal.aborted) {
      const waitMs = await this.#step(signal);
      // An abort while it waits is the end that the loop looks for.
      if (waitMs > 0) await sleep(waitMs, clock, signal).catch(() => undefined);
    }
  }

  /** How long to wait before the next. */
  async #step(signal: AbortSignal): Promise<number> {
    const from = this.#resourceVersion;
    try {
      if (from === undefined) {
        this.#resourceVersion = await this.#list(signal);
        return 0;
      }
      const heldMs = await this.#watch(from, signal);
      // One that ended at once, and in peace: a server that does so for ever is not asked without a pause.
      return heldMs >= HELD_MS ? 0 : this.#nextBackoffMs();
    } catch (error) {
      return signal.aborted ? 0 : this.#failed(from === undefined ? "listing" : "watching", error);
    }
  }

  #failed(doing: "listing" | "watching", error: unknown): number {
    const isExpired = isKubeError(error, "expired");
    if (doing === "watching") this.#watchFailures += 1;
    if (isKubeError(error, "denied")) this.#settled.resolve();
    if (isExpired || this.#watchFailures >= WATCH_FAILURES_MAX) {
      this.#resourceVersion = undefined;
      this.#watchFailures = 0;
    }
    // That a version has become too old is the way of things.
    if (!isExpired) this.#needs.report({ doing, plural: this.#needs.type.plural, error });
    const wantedMs = isKubeError(error, "throttled", "server") ? (error.retryAfterMs ?? 0) : 0;
    return Math.max(wantedMs, this.#nextBackoffMs());
  }

  #nextBackoffMs(): number {
    this.#failures += 1;
    return backoffMs(this.#failures, BACKOFF, this.#needs.clock.random);
  }

  /** The resourceVersion to watch from. */
  async #list(signal: AbortSignal): Promise<string> {
    const { kube, type, scope } = this.#needs;
    const objects: Shape[] = [];
    let after: string | undefined;
    for (;;) {
      const page = await kube.page(type, scope, { limit: PAGE_OBJECTS, after }, signal);
      for (const object of page.items) objects.push(slim(object));
      after = page.next;
      if (after !== undefined) continue;
      this.#tell(this.#store.replaceAll(objects));
      this.#hasSynced = true;
      this.#synced.resolve();
      return page.resourceVersion;
    }
  }

  /** How long it was open. Rejects when it breaks; how far it came is known then too. */
  async #watch(resourceVersion: string, signal: AbortSignal): Promise<number> {
    const { kube, type, scope, clock } = this.#needs;
    const timeoutSeconds = Math.round(WATCH_SECONDS * (1 + clock.random()));
    const beganMs = clock.monotonicMs();
    const heldMs = () => clock.monotonicMs() - beganMs;
    try {
      const from = { resourceVersion, timeoutSeconds, silenceMs: SILENCE_MS };
      for await (const event of kube.watch(type, scope, from, signal)) {
        this.#works();
        this.#take(event);
      }
      return heldMs();
    } finally {
      if (heldMs() >= HELD_MS) this.#works();
    }
  }

  #works(): void {
    this.#failures = 0;
    this.#watchFailures = 0;
  }

  #take(event: WatchEvent<Shape>): void {
    if (event.type === "BOOKMARK") {
      this.#resourceVersion = event.resourceVersion;
      return;
    }
    const object = slim(event.object);
    this.#tell(event.type === "DELETED" ? this.#store.drop(object) : this.#store.put(object));
    this.#resourceVersion = object.metadata.resourceVersion ?? this.#resourceVersion;
  }

  #tell(changes: readonly Change<Shape>[]): void {
    for (const change of changes) {
      for (const listener of this.#listeners) {
        try {
          listener(change);
        } catch (error) {
          this.#needs.report({ doing: "telling", plural: this.#needs.type.plural, error });
        }
      }
    }
  }
}

/** What nobody reads takes a third of an object. */
function slim<Shape extends KubeObject>(object: Shape): Shape {
  const { managedFields: _, ...metadata } = object.metadata as Shape["metadata"] & { managedFields?: unknown };
  return { ...object, metadata };
}

/** The promise, or the signal's reason. */
async function untilOr(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  const aborted = Promise.withResolvers<never>();
  const giveUp = () => aborted.reject(signal.reason);
  if (signal.aborted) giveUp();
  else signal.addEventListener("abort", giveUp, { once: true });
  try {
    await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", giveUp);
  }
}
