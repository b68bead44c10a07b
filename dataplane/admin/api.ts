/**
 * What the admin listener answers, as types alone: the operator, `npm start` and people read it. Nothing here is secret,
 * and nothing can be started by reading it. `…Ms` are milliseconds since 1970.
 */

/** GET /healthz: the process runs and answers. */
export interface HealthAnswer {
  readonly alive: true;
}

/** GET /readyz: 200 where `ready`, else 503. */
export interface ReadyAnswer {
  readonly ready: boolean;
  /** Why not, for people; where ready, what cannot be done all the same: a full disk takes no bodies. */
  readonly reasons: readonly string[];
}

/** GET /config: what is loaded, and what was refused since. */
export interface ConfigAnswer {
  /** Missing, as are hash, loadedAtMs and ruledBy, before the first configuration. */
  readonly revision?: number;
  readonly hash?: string;
  readonly loadedAtMs?: number;
  readonly ruledBy?: "operator" | "folder" | "nobody";
  /** Of a newer document, while the one above stays. */
  readonly refused?: RefusedConfig;
  readonly providers: readonly ProviderState[];
  readonly buckets: readonly BucketState[];
}

export interface RefusedConfig {
  readonly atMs: number;
  readonly problemsCount: number;
  /** The first of them, with their places; no value of the document. */
  readonly problems: readonly string[];
}

export interface ProviderState {
  readonly name: string;
  readonly kmsKeyId: string;
  /** In which the entry last changed. */
  readonly revision: number;
  /** By a real wrap and unwrap, now and then; missing until the first. */
  readonly canWrap?: boolean;
  readonly canUnwrap?: boolean;
  readonly checkedAtMs?: number;
  /** Why the key cannot be used, or why an older client of it goes on. */
  readonly failure?: string;
}

export interface BucketState {
  readonly name: string;
  readonly revision: number;
  readonly state: "serve" | "remove-if-empty" | "empty-and-remove";
}

/** GET /jobs: all that is recorded. */
export interface JobsAnswer {
  readonly jobs: readonly JobState[];
}

export interface JobState {
  readonly kind: string;
  readonly bucket: string;
  /** What it works for: the entry's rewrapWish, for a rewrap. */
  readonly wish: string;
  /** `blocked`: it waits for a person. */
  readonly state: "running" | "done" | "blocked";
  readonly counts: JobCounts;
  /** Of the KMS key, as far as the sweep has come. */
  readonly oldestKeyVersion?: string;
  /** A failure's code, or why it is blocked; missing while all is well. */
  readonly reason?: string;
  readonly startedMs: number;
  readonly updatedMs: number;
  readonly completedMs?: number;
}

/** scanned = rewrapped + current + excluded + conflict + failed */
export interface JobCounts {
  readonly scanned: number;
  readonly rewrapped: number;
  readonly current: number;
  readonly excluded: number;
  readonly conflict: number;
  readonly failed: number;
}

/** Any other answer. */
export interface AdminProblem {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly requestId: string;
}
