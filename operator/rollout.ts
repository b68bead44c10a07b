// What pods say of themselves, as plain data, and what that means for an entry of their configuration. Pure; pods.ts
// asks them.

import { no, unknown, type Verdict, yes } from "./conditions.ts";

/** The answer of one pod; `ready` is false for one that does not answer. */
export interface PodFacts {
  readonly name: string;
  readonly ready: boolean;
  /** Why it is not ready, in its own words. */
  readonly reasons: readonly string[];
  /** Of the configuration that it runs; undefined: none yet. */
  readonly revision: number | undefined;
  /** Of a newer document that it refused. */
  readonly refused: string | undefined;
  readonly providers: readonly PodProvider[];
  readonly jobs: readonly PodJob[];
}

export interface PodProvider {
  readonly name: string;
  readonly canWrap: boolean;
  readonly canUnwrap: boolean;
  readonly failure: string | undefined;
}

/** What takes long, as its record says. `wish` is the entry's rewrapWish that it works for. */
export interface PodJob {
  readonly kind: string;
  readonly bucket: string;
  readonly wish: string;
  readonly state: "running" | "done" | "failed";
  readonly counts: JobCounts;
  readonly startedMs: number | undefined;
  readonly completedMs: number | undefined;
  readonly oldestKeyVersion: string | undefined;
  readonly failure: string | undefined;
}

export interface JobCounts {
  readonly scanned: number;
  readonly rewrapped: number;
  readonly current: number;
  readonly excluded: number;
  readonly conflict: number;
  readonly failed: number;
}

/** Whether every ready pod, and there is one, runs `revision` or a later one. */
export function isApplied(pods: readonly PodFacts[], revision: number): boolean {
  const ready = pods.filter((pod) => pod.ready);
  return ready.length > 0 && ready.every((pod) => pod.revision !== undefined && pod.revision >= revision);
}

/** ConfigurationApplied of an entry that last changed in `revision`. */
export function appliedVerdict(pods: readonly PodFacts[], revision: number): Verdict {
  const ready = pods.filter((pod) => pod.ready);
  if (isApplied(pods, revision)) {
    return yes("ConfigurationApplied", "ConfigApplied", "Every ready pod runs this configuration");
  }
  const refusing = pods.find((pod) => pod.refused !== undefined && (pod.revision ?? 0) < revision);
  if (refusing?.refused !== undefined) {
    return no(
      "ConfigurationApplied",
      "ConfigRejected",
      `${refusing.name} refuses the configuration: ${refusing.refused}`,
    );
  }
  if (ready.length === 0) {
    const why = pods.flatMap((pod) => pod.reasons)[0];
    const because = why === undefined ? "" : `: ${why}`;
    return no("ConfigurationApplied", "PodsNotReady", `No pod of the store is ready${because}`);
  }
  const behind = ready.filter((pod) => (pod.revision ?? 0) < revision).length;
  return no("ConfigurationApplied", "RolloutInProgress", `${behind} of ${ready.length} pods load the configuration`);
}

/** undefined: every ready pod that has an opinion can use the key. */
export function podWithoutKey(pods: readonly PodFacts[], provider: string): string | undefined {
  for (const pod of pods) {
    if (!pod.ready) continue;
    const use = pod.providers.find(({ name }) => name === provider);
    if (use === undefined || (use.canWrap && use.canUnwrap)) continue;
    return `${pod.name} cannot use the key: ${use.failure ?? (use.canUnwrap ? "it cannot wrap" : "it cannot unwrap")}`;
  }
  return undefined;
}

/** The newest record of the bucket's rewrap for that wish, whichever pod tells of it. */
export function rewrapOf(pods: readonly PodFacts[], bucket: string, wish: string): PodJob | undefined {
  const jobs = pods.flatMap((pod) => pod.jobs);
  const ours = jobs.filter((job) => job.kind === "rewrap" && job.bucket === bucket && job.wish === wish);
  return ours.find((job) => job.state === "done") ?? ours[0];
}

/** RewrapComplete. */
export function rewrapVerdict(job: PodJob | undefined): Verdict {
  if (job === undefined) {
    return unknown("RewrapComplete", "No pod has told yet how far the rewrap is");
  }
  const { scanned, rewrapped, failed, excluded } = job.counts;
  const done = `${scanned} records looked at, ${rewrapped} of them wrapped again`;
  if (job.state === "running") return no("RewrapComplete", "RewrapInProgress", `Under way: ${done}`);
  if (job.state === "failed" || failed > 0) {
    const why = job.failure === undefined ? "" : `: ${job.failure}`;
    return no("RewrapComplete", "RewrapFailed", `${failed} records could not be wrapped again${why}`);
  }
  if (excluded > 0) {
    return no("RewrapComplete", "RewrapFailed", `${excluded} records are wrapped by a key that no provider here has`);
  }
  return yes("RewrapComplete", "RewrapDone", `Done: ${done}`);
}
