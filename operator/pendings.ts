// Whether something is on its way to the pods of a store, so that they are asked more often.

import type { PodFacts } from "./rollout.ts";

export interface Pendings {
  /** A configuration was written, or found. */
  written(store: string, revision: number): void;
  isPending(store: string, pods: readonly PodFacts[]): boolean;
}

export function createPendings(): Pendings {
  const revisions = new Map<string, number>();
  return {
    written(store, revision) {
      revisions.set(store, revision);
    },
    isPending(store, pods) {
      const revision = revisions.get(store) ?? 0;
      const isBehind = pods.some((pod) => !pod.ready || (pod.refused === undefined && (pod.revision ?? 0) < revision));
      const isTrying = pods.some(({ ready, untried = [] }) => ready && untried.length > 0);
      return isBehind || isTrying || pods.some(({ jobs }) => jobs.some(({ state }) => state === "running"));
    },
  };
}
