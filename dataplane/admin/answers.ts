/** What the admin pages say, made of what the process knows: pure, but for the records of jobs, which are read. */
import type { JobRecord } from "../jobs/jobs.ts";
import type { Live, Snapshot } from "../snapshot.ts";
import type { BucketState, ConfigAnswer, JobState, JobsAnswer, ProviderState, ReadyAnswer } from "./api.ts";

/** Where the answers come from; each is asked anew for every request. */
export interface AdminSources {
  readonly live: Pick<Live, "peek">;
  /** What came of the configuration documents. */
  readonly load: () => {
    readonly loadedAtMs: number | undefined;
    readonly refused: { readonly atMs: number; readonly problems: readonly string[] } | undefined;
  };
  /** Whether a provider's key could be used, when it was last tried; undefined: not tried yet. */
  readonly probe: (
    provider: string,
  ) => { readonly canUse: boolean; readonly code: string | undefined; readonly atMs: number } | undefined;
  readonly storageHealth: () => { readonly writable: boolean; readonly reason: string | undefined };
  readonly jobs: (signal: AbortSignal) => Promise<readonly JobRecord[]>;
  /** Whether clients can connect. */
  readonly serving: () => boolean;
  readonly draining: () => boolean;
}

const PROBLEMS_SHOWN = 20;

export function answerReady(sources: AdminSources): ReadyAnswer {
  const reasons: string[] = [];
  if (sources.live.peek() === undefined) reasons.push("no configuration has been loaded");
  else if (!sources.serving()) reasons.push("its ports are not open yet");
  const { writable, reason } = sources.storageHealth();
  if (!writable) reasons.push(`the storage takes no writes: ${reason ?? "it does not say why"}`);
  if (sources.draining()) reasons.push("shutting down");
  const ready = reasons.length === 0;
  // A full disk takes no body, but reads and deletes go on: pods behind a Service must stay there for those.
  if (writable && reason !== undefined) reasons.push(`the storage takes no bodies: ${reason}`);
  return { ready, reasons };
}

export function answerConfig(sources: AdminSources): ConfigAnswer {
  const snapshot = sources.live.peek();
  const { loadedAtMs, refused } = sources.load();
  const refusal =
    refused === undefined
      ? {}
      : {
          refused: {
            atMs: refused.atMs,
            problemsCount: refused.problems.length,
            problems: refused.problems.slice(0, PROBLEMS_SHOWN),
          },
        };
  if (snapshot === undefined) return { ...refusal, providers: [], buckets: [] };
  const { revision, ruledBy } = snapshot.config;
  return {
    revision,
    hash: snapshot.hash,
    ...(loadedAtMs === undefined ? {} : { loadedAtMs }),
    ruledBy,
    ...refusal,
    providers: providerStates(sources, snapshot),
    buckets: bucketStates(snapshot),
  };
}

export async function answerJobs(sources: AdminSources, signal: AbortSignal): Promise<JobsAnswer> {
  const records = await sources.jobs(signal);
  return { jobs: records.map(jobState) };
}

function providerStates(sources: AdminSources, snapshot: Snapshot): readonly ProviderState[] {
  return snapshot.config.providers.map(({ name, kmsKeyId, revision }) => {
    const probed = sources.probe(name);
    const failure = snapshot.openFailures.get(name) ?? probed?.code;
    return {
      name,
      kmsKeyId,
      revision,
      ...(probed === undefined ? {} : { canWrap: probed.canUse, canUnwrap: probed.canUse, checkedAtMs: probed.atMs }),
      ...(failure === undefined ? {} : { failure }),
    };
  });
}

function bucketStates(snapshot: Snapshot): readonly BucketState[] {
  return snapshot.config.buckets.map(({ name, revision, state }) => ({ name, revision, state }));
}

function jobState(record: JobRecord): JobState {
  const { kind, bucket, wish, state, counts, oldestKeyVersion, reason, startedMs, updatedMs, completedMs } = record;
  return {
    kind,
    bucket,
    wish,
    state,
    counts,
    ...(oldestKeyVersion === undefined ? {} : { oldestKeyVersion }),
    ...(reason === undefined ? {} : { reason }),
    startedMs,
    updatedMs,
    ...(completedMs === undefined ? {} : { completedMs }),
  };
}
