/** Runs one job: takes its lease, steps, and writes down how far it is after each step. */
import { randomUUID } from "node:crypto";
import type { Call } from "../call.ts";
import { type Failure, failureOf } from "../failure.ts";
import type { Log } from "../log.ts";
import type { Live } from "../snapshot.ts";
import { type Storage, StorageError } from "../storage/storage.ts";
import type { Backoff } from "./backoff.ts";
import type { JobKind, JobSpec, JobStep } from "./kind.ts";
import { addCounts, type JobRecord, jobPath, newRecord, oldestVersion, parseRecord, printRecord } from "./record.ts";

export interface JobsNeeds {
  readonly storage: Storage;
  readonly live: Live;
  readonly kinds: readonly JobKind[];
  readonly log: Log;
  readonly nowMs: () => number;
  /** Told of every step's call, until what it gives is called. */
  readonly inFlight: { enter(call: Call): () => void };
}

/** A job that the configuration calls for. */
export interface Wanted {
  readonly kind: JobKind;
  readonly spec: JobSpec;
}

/** The record of a job that is ours, and the tag that holds it. */
interface Taken {
  readonly path: string;
  readonly record: JobRecord;
  readonly tag: string;
}

export interface Runner {
  /** Never rejects: what goes wrong is logged, noted in the record, and tried again later. */
  run(wanted: Wanted, signal: AbortSignal): Promise<void>;
}

const LEASE_MS = 30_000;
const BLOCKED_AGAIN_MS = 5_000;
const WAITS_AGAIN_MS = 1_000;

export function createRunner(needs: JobsNeeds, backoff: Backoff): Runner {
  const { nowMs } = needs;
  const holder = randomUUID();
  const leaseOf = (record: JobRecord): JobRecord["lease"] =>
    record.state === "running" ? { holder, untilMs: nowMs() + LEASE_MS } : undefined;

  /** Steps until the job is done, blocked, no longer ours or no longer wanted. */
  async function runJob(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const taken = await takeJob(needs, holder, wanted, signal);
    if (taken === undefined) return;
    let record: JobRecord = taken.record;
    let tag = taken.tag;
    while (record.state !== "done" && !signal.aborted && isStillWanted(needs, wanted)) {
      const step = await runStep(needs, wanted, record.cursor, signal);
      const next = advance(record, step, nowMs());
      tag = await needs.storage.putDocument(taken.path, printRecord({ ...next, lease: leaseOf(next) }), tag, signal);
      record = next;
      const isStopped = step.waits !== undefined || next.state === "blocked";
      if (isStopped || (next.state === "running" && next.cursor === undefined)) {
        backoff.failed(keyOf(wanted), againAfterMs(step));
        return;
      }
    }
    if (record.state === "done") {
      backoff.succeeded(keyOf(wanted));
      needs.log.info("job done", { job: wanted.kind.kind, bucket: wanted.spec.bucket, ...record.counts });
    }
  }

  return {
    async run(wanted, signal) {
      try {
        await runJob(wanted, signal);
      } catch (error) {
        if (signal.aborted) return;
        // Another replica was faster, or took the job over after a pause of ours.
        if (error instanceof StorageError && error.code === "changed") return;
        const failure = failureOf(error, `run the job ${wanted.kind.kind} of "${wanted.spec.bucket}"`);
        backoff.failed(keyOf(wanted));
        needs.log.warn("job step failed", {
          job: wanted.kind.kind,
          bucket: wanted.spec.bucket,
          code: failure.code,
          cause: failure,
        });
        await note(needs, wanted, failure, signal);
      }
    },
  };
}

/** The record with our lease in it, or undefined if another replica holds it, or it is done. */
async function takeJob(
  { storage, nowMs }: JobsNeeds,
  holder: string,
  { kind, spec }: Wanted,
  signal: AbortSignal,
): Promise<Taken | undefined> {
  const path = jobPath(kind.kind, spec.bucket);
  const document = await storage.document(path, signal);
  const before = document === undefined ? undefined : parseRecord(document.bytes, path);
  // It ended since it was looked up.
  if (before?.wish === spec.wish && before.state === "done") return undefined;
  const lease = before?.lease;
  const taken = lease !== undefined && lease.holder !== holder && lease.untilMs > nowMs();
  // Where one process owns the storage, another holder is one that died.
  if (taken && !storage.traits.exclusive) return undefined;
  const record = before?.wish === spec.wish ? before : newRecord(kind.kind, spec.bucket, spec.wish, nowMs());
  const ours = { ...record, lease: { holder, untilMs: nowMs() + LEASE_MS } };
  const tag = await storage.putDocument(path, printRecord(ours), document?.tag ?? "absent", signal);
  return { path, record: ours, tag };
}

async function runStep(
  { live, inFlight, nowMs }: JobsNeeds,
  { kind, spec }: Wanted,
  cursor: string | undefined,
  signal: AbortSignal,
): Promise<JobStep> {
  const snapshot = live.enter();
  const call: Call = {
    id: randomUUID(),
    operation: kind.kind,
    principal: { kind: "job", job: kind.kind },
    snapshot,
    facts: { tls: false, address: "" },
    signal,
    startedMs: nowMs(),
    bucket: spec.bucket,
    name: undefined,
    doneBytes: 0,
    totalBytes: undefined,
  };
  const leave = inFlight.enter(call);
  try {
    return await kind.step(call, spec, cursor);
  } finally {
    leave();
    live.leave(snapshot);
  }
}

function isStillWanted({ live }: JobsNeeds, { kind, spec }: Wanted): boolean {
  const snapshot = live.peek();
  return (
    snapshot !== undefined && kind.wanted(snapshot).some((one) => one.bucket === spec.bucket && one.wish === spec.wish)
  );
}

/** Leaves the failure's code in the record, for whoever asks how far the job is. */
async function note(
  { storage, log, nowMs }: JobsNeeds,
  { kind, spec }: Wanted,
  failure: Failure,
  signal: AbortSignal,
): Promise<void> {
  const path = jobPath(kind.kind, spec.bucket);
  try {
    const document = await storage.document(path, signal);
    if (document === undefined) return;
    const record = { ...parseRecord(document.bytes, path), reason: failure.code, updatedMs: nowMs() };
    await storage.putDocument(path, printRecord(record), document.tag, signal);
  } catch (error) {
    log.debug("the failure of a job could not be noted", { cause: error });
  }
}

export function keyOf({ kind, spec }: Wanted): string {
  return `${kind.kind} ${spec.bucket} ${spec.wish}`;
}

/** undefined: as long as failures make it. */
function againAfterMs({ blocked, waits }: JobStep): number | undefined {
  if (blocked !== undefined) return BLOCKED_AGAIN_MS;
  return waits === undefined ? undefined : WAITS_AGAIN_MS;
}

/** What a step makes of the record: pure. A sweep that ends with conflicts or failures begins again. */
function advance(record: JobRecord, step: JobStep, nowMs: number): JobRecord {
  const begins = record.cursor === undefined;
  const counts = begins ? step.counts : addCounts(record.counts, step.counts);
  const before = begins || record.oldestKeyVersion === undefined ? [] : [record.oldestKeyVersion];
  const next = {
    ...record,
    counts,
    cursor: step.cursor,
    oldestKeyVersion: oldestVersion([...before, ...step.keyVersions]),
    updatedMs: nowMs,
  };
  if (step.blocked !== undefined) return { ...next, state: "blocked", reason: step.blocked };
  if (step.cursor !== undefined) return { ...next, state: "running", reason: step.waits };
  if (counts.conflict + counts.failed > 0) return { ...next, state: "running", reason: "Incomplete" };
  return { ...next, state: "done", reason: undefined, completedMs: nowMs };
}
