// One type over several places: the whole cluster, a fixed list of namespaces, or namespaces that come and go. To its
// users it is one store.

import type { Clock } from "../clock.ts";
import type { Kube } from "./client.ts";
import { Reflector, type ReflectorProblem } from "./reflector.ts";
import type { KubeObject, ObjectName, ResourceType } from "./resources.ts";
import type { Change } from "./store.ts";

export interface WatchNeeds<Shape extends KubeObject> {
  readonly kube: Kube;
  readonly type: ResourceType<Shape>;
  readonly clock: Clock;
  readonly labelSelector?: string;
  report(problem: ReflectorProblem): void;
}

/** undefined: the whole cluster. */
export type Place = string | undefined;

interface Running<Shape extends KubeObject> {
  readonly reflector: Reflector<Shape>;
  readonly stop: () => void;
  readonly ended: Promise<void>;
}

export class ScopedWatch<Shape extends KubeObject> {
  readonly #needs: WatchNeeds<Shape>;
  readonly #signal: AbortSignal;
  readonly #listeners: ((change: Change<Shape>) => void)[] = [];
  readonly #running = new Map<Place, Running<Shape>>();

  /** Every watch ends with the signal. */
  constructor(needs: WatchNeeds<Shape>, signal: AbortSignal) {
    this.#needs = needs;
    this.#signal = signal;
  }

  listen(listener: (change: Change<Shape>) => void): void {
    this.#listeners.push(listener);
  }

  /** Begins to watch there; nothing, if it does already. */
  open(place: Place): void {
    if (this.#running.has(place)) return;
    const { labelSelector, ...needs } = this.#needs;
    const scope = { namespace: place, ...(labelSelector === undefined ? {} : { labelSelector }) };
    const reflector = new Reflector({ ...needs, scope });
    for (const listener of this.#listeners) reflector.listen(listener);
    const ending = new AbortController();
    const ended = reflector.run(AbortSignal.any([this.#signal, ending.signal]));
    this.#running.set(place, { reflector, ended, stop: () => ending.abort(new Error("Nobody watches it any more")) });
  }

  /** What was there is no longer known. */
  close(place: Place): void {
    this.#running.get(place)?.stop();
    this.#running.delete(place);
  }

  /** Resolves when all that is watched now is known. */
  async whenSynced(signal: AbortSignal): Promise<void> {
    for (const { reflector } of [...this.#running.values()]) await reflector.whenSynced(signal);
  }

  /** Resolves when all is known that may be: one namespace that the API server refuses to tell of holds up no other. */
  async whenSettled(signal: AbortSignal): Promise<void> {
    for (const [place, { reflector }] of [...this.#running]) {
      await (place === undefined ? reflector.whenSynced(signal) : reflector.whenSettled(signal));
    }
  }

  /** Whether what is known of that namespace is all that there is. */
  hasSynced(namespace: string): boolean {
    return this.#of(namespace)?.hasSynced() ?? false;
  }

  find(name: ObjectName): Shape | undefined {
    return this.#of(name.namespace)?.store.find(name);
  }

  inNamespace(namespace: string): readonly Shape[] {
    return this.#of(namespace)?.store.inNamespace(namespace) ?? [];
  }

  all(): readonly Shape[] {
    return [...this.#running.values()].flatMap(({ reflector }) => reflector.store.all());
  }

  /** What the API server answered to a write: known before the watch tells of it. */
  note(object: Shape): void {
    this.#of(object.metadata.namespace ?? "")?.note(object);
  }

  /** Resolves when every watch has ended. */
  async ended(): Promise<void> {
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  #of(namespace: string): Reflector<Shape> | undefined {
    return (this.#running.get(undefined) ?? this.#running.get(namespace))?.reflector;
  }
}
