// Stores whose pods are being replaced by newer ones, because their StatefulSet has changed: for a while that is a rollout
// and no outage.

import { storeObjectName } from "../crds/names.ts";
import type { Clock } from "./clock.ts";
import { itemOf } from "./controller.ts";
import type { ResourceName } from "./kind.ts";
import type { KubeObject, ObjectName } from "./kube/resources.ts";

/** A new volume, an image that is pulled: how long a start may take before it is told as an outage. */
export const START_MS = 3 * 60_000;
/** The StatefulSet may be known to have changed a moment before its pods are known to be ready. */
const SETTLED_MS = 5000;

interface Sets {
  find(name: ObjectName): KubeObject | undefined;
}

interface Rollout {
  readonly observedGeneration?: number;
  readonly currentRevision?: string;
  readonly updateRevision?: string;
}

/** When a change of one store was first seen, and when last. */
interface Change {
  readonly firstMs: number;
  readonly lastMs: number;
}

export class Replacing {
  readonly #sets: Sets;
  readonly #clock: Clock;
  readonly #changes = new Map<string, Change>();

  constructor(sets: Sets, clock: Clock) {
    this.#sets = sets;
    this.#clock = clock;
  }

  /** For so long at most: pods that have not come by then do not come by themselves. */
  isUnderWay(store: ResourceName): boolean {
    const set = this.#sets.find({ namespace: store.namespace, name: storeObjectName(store.name) });
    const nowMs = this.#clock.monotonicMs();
    const { firstMs, lastMs } = this.#changes.get(itemOf(store)) ?? {
      firstMs: nowMs,
      lastMs: Number.NEGATIVE_INFINITY,
    };
    const isInTime = nowMs - firstMs < START_MS;
    if (set !== undefined && isChanging(set)) {
      this.#changes.set(itemOf(store), { firstMs, lastMs: nowMs });
      return isInTime;
    }
    if (set !== undefined && isInTime && nowMs - lastMs < SETTLED_MS) return true;
    this.forget(store);
    return false;
  }

  forget(store: ResourceName): void {
    this.#changes.delete(itemOf(store));
  }
}

/** Its controller makes both revisions the same when the last pod is a new one, and ready. */
function isChanging({ metadata, ...set }: KubeObject): boolean {
  const { status } = set as { readonly status?: Rollout };
  if (status?.observedGeneration === undefined) return false;
  return status.observedGeneration < (metadata.generation ?? 0) || status.currentRevision !== status.updateRevision;
}
