// What pods say of themselves, as plain data, and what that means for an entry of their configuration. Pure; pods.ts
// asks them.

import type { JobState } from "../dataplane/admin/api.ts";
import { no, unknown, type Verdict, yes } from "./conditions.ts";

/** The answer of one pod; `ready` is false for one that does not answer. */
export interface PodFacts {
  readonly name: string;
  readonly ready: boolean;
  /** It says that it is ready, and its Service does not lead to it yet: it does not count as ready. */
  readonly isUnserved?: true;
  /** Why it is not ready, in its own words. */
  readonly reasons: readonly string[];
  /** Of the configuration that it runs; undefined: none yet. */
  readonly revision: number | undefined;
  /** Of a newer document that it refused. */
  readonly refused: string | undefined;
  readonly providers: readonly PodProvider[];
  /** Names of providers whose key it has not tried yet, and so has no opinion of. */
  readonly untried?: readonly string[];
  readonly jobs: readonly JobState[];
}

export interface PodProvider {
  readonly name: string;
  readonly canWrap: boolean;
  readonly canUnwrap: boolean;
  readonly failure: string | undefined;
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

/** Ready pods that have not tried the key yet. */
export function podsThatTry(pods: readonly PodFacts[], provider: string): number {
  return pods.filter(({ ready, untried }) => ready && untried?.includes(provider) === true).length;
}

/** Whether a pod serves and cannot use a key: it tries it again by itself, and tells nobody. */
export function isWithoutKey({ ready, providers }: PodFacts): boolean {
  return ready && providers.some(({ canWrap, canUnwrap }) => !canWrap || !canUnwrap);
}

/** undefined: every ready pod that has an opinion can use the key. */
export function podWithoutKey(pods: readonly PodFacts[], provider: string): string | undefined {
  for (const pod of pods) {
    if (!pod.ready) continue;
    const use = pod.providers.find(({ name }) => name === provider);
    if (use === undefined || (use.canWrap && use.canUnwrap)) continue;
    const why = use.failure ?? (use.canUnwrap ? "it cannot wrap" : "it cannot unwrap");
    return `${pod.name} cannot use the key: ${FAILURES[why] ?? why}`;
  }
  return undefined;
}

/** What a person may look at, by the code that a pod tells. */
const FAILURES: Readonly<Record<string, string>> = {
  credentials: "the KMS refuses its login. Check that the role or secret that pods log in with is good for them",
  denied: "the KMS forbids it. Whoever pods log in as must be allowed to encrypt and decrypt with the key",
  "not-found": "the KMS has no such key",
  disabled: "the key is disabled",
  unreachable: "it does not reach the KMS. Check the network between them",
  "circuit-open": "the KMS has failed several times in a row, and is asked again in a moment",
  tls: "it does not trust the certificate of the KMS",
  sealed: "the KMS is sealed",
  throttled: "the KMS is asked too often",
  mismatch: "the KMS gave back another key than it was given",
};

/** The newest record of the bucket's rewrap for that wish, whichever pod tells of it. */
export function rewrapOf(pods: readonly PodFacts[], bucket: string, wish: string): JobState | undefined {
  const jobs = pods.flatMap((pod) => pod.jobs);
  const ours = jobs.filter((job) => job.kind === "rewrap" && job.bucket === bucket && job.wish === wish);
  return ours.find((job) => job.state === "done") ?? ours[0];
}

/** Whether the sweep brought every record over, so that nothing needs what the bucket is leaving. */
export function isCompleteSweep(job: JobState): boolean {
  return job.state === "done" && job.counts.failed === 0 && job.counts.excluded === 0;
}

/** The wish of the bucket's last complete sweep, as far as a pod tells of one. */
export function sweptWishOf(pods: readonly PodFacts[], bucket: string): string | undefined {
  const jobs = pods.flatMap((pod) => pod.jobs);
  return jobs.find((job) => job.kind === "rewrap" && job.bucket === bucket && isCompleteSweep(job))?.wish;
}

/** RewrapComplete. */
export function rewrapVerdict(job: JobState | undefined): Verdict {
  if (job === undefined) {
    return unknown("RewrapComplete", "No pod has told yet how far the rewrap is");
  }
  const { scanned, rewrapped, failed, excluded } = job.counts;
  const done = `${scanned} records looked at, ${rewrapped} of them wrapped again`;
  if (job.state === "blocked") return no("RewrapComplete", "RewrapFailed", `It cannot go on: ${job.reason ?? done}`);
  if (job.state === "running") {
    if (failed > 0) {
      return no("RewrapComplete", "RewrapFailed", `${failed} records could not be wrapped again, and are tried again`);
    }
    if (job.reason === undefined) return no("RewrapComplete", "RewrapInProgress", `Under way: ${done}`);
    return no("RewrapComplete", "RewrapWaiting", `It is tried again: ${job.reason}; ${done}`);
  }
  if (excluded > 0) {
    return no("RewrapComplete", "RewrapFailed", `${excluded} records are wrapped by a key that no provider here has`);
  }
  return yes("RewrapComplete", "RewrapDone", `Done: ${done}`);
}
