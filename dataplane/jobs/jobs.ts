/**
 * What takes long and must survive a crash. Nobody starts a job: the configuration calls for it, its record says how far
 * it is, and a lease in the record says which replica runs it. A lost event heals, because every look compares the two.
 */
import { randomUUID } from "node:crypto";
import type { Call } from "../call.ts";
import { type Failure, failureOf } from "../failure.ts";
import type { Log } from "../log.ts";
import type { Live, Snapshot } from "../snapshot.ts";
import { type Storage, StorageError } from "../storage/storage.ts";
import { createBackoff } from "./backoff.ts";
import type { JobKind, JobSpec, JobStep } from "./kind.ts";
import {
  addCounts,
  JOBS_PREFIX,
  type JobRecord,
  jobPath,
  newRecord,
  oldestVersion,
  parseRecord,
  printRecord,
} from "./record.ts";

export { createEmptyJob } from "./empty.ts";
export type { JobKind, JobSpec, JobStep } from "./kind.ts";
export type { JobRecord } from "./record.ts";
export { createRewrapJob } from "./rewrap.ts";

export interface JobsNeeds {
  readonly storage: Storage;
  readonly live: Live;
  readonly kinds: readonly JobKind[];
  readonly log: Log;
  readonly nowMs: () => number;
  /** Told of every step's call while it runs. */
  readonly inFlight: { enter(call: Call): void; leave(call: Call): void };
}

export interface Jobs {
  /** Runs until the signal aborts; then resolves when the steps that run have ended. */
  run(signal: AbortSignal): Promise<void>;
  /** Looks again now: after a new configuration. */
  poke(): void;
  /** All records, as they stand in the storage. */
  list(signal: AbortSignal): Promise<readonly JobRecord[]>;
}

const LEASE_MS = 30_000;
const AT_ONCE = 8;
const LOOK_AGAIN_MS = 15_000;
const PAGE = 500;

interface Wanted {
  readonly kind: JobKind;
  readonly spec: JobSpec;
}

export function createJobs(needs: JobsNeeds): Jobs {
  const { storage, live, nowMs } = needs;
  const holder = randomUUID();
  const backoff = createBackoff(nowMs);
  let wake: (() => void) | undefined;
  let poked = false;

  async function list(signal: AbortSignal): Promise<readonly JobRecord[]> {
    const records: JobRecord[] = [];
    let after: string | undefined = "";
    while (after !== undefined) {
      const page = await storage.documents(JOBS_PREFIX, after, PAGE, signal);
      for (const document of page.items) records.push(parseRecord(document.bytes, document.path));
      after = page.next;
    }
    return records;
  }

  function pending(snapshot: Snapshot, records: readonly JobRecord[]): Wanted[] {
    const byPath = new Map(records.map((record) => [jobPath(record.kind, record.bucket), record]));
    return needs.kinds.flatMap((kind) =>
      kind.wanted(snapshot).flatMap((spec) => {
        const record = byPath.get(jobPath(kind.kind, spec.bucket));
        const done = record?.wish === spec.wish && record.state === "done";
        return done ? [] : [{ kind, spec }];
      }),
    );
  }

  /** The record with our lease in it, or undefined if another replica holds it. */
  async function take({ kind, spec }: Wanted, signal: AbortSignal) {
    const path = jobPath(kind.kind, spec.bucket);
    const document = await storage.document(path, signal);
    const before = document === undefined ? undefined : parseRecord(document.bytes, path);
    const lease = before?.lease;
    if (lease !== undefined && lease.holder !== holder && lease.untilMs > nowMs()) return undefined;
    const record = before?.wish === spec.wish ? before : newRecord(kind.kind, spec.bucket, spec.wish, nowMs());
    const taken = { ...record, lease: { holder, untilMs: nowMs() + LEASE_MS } };
    const tag = await storage.putDocument(path, printRecord(taken), document?.tag ?? "absent", signal);
    return { path, record: taken, tag };
  }

  async function runStep({ kind, spec }: Wanted, cursor: string | undefined, signal: AbortSignal): Promise<JobStep> {
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
    needs.inFlight.enter(call);
    try {
      return await kind.step(call, spec, cursor);
    } finally {
      needs.inFlight.leave(call);
      live.leave(snapshot);
    }
  }

  /** Steps until the job is done, blocked, no longer ours or no longer wanted. */
  async function runJob(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const taken = await take(wanted, signal);
    if (taken === undefined) return;
    let record: JobRecord = taken.record;
    let tag = taken.tag;
    while (record.state !== "done" && !signal.aborted && isStillWanted(wanted)) {
      const step = await runStep(wanted, record.cursor, signal);
      const next = advance(record, step, nowMs());
      tag = await storage.putDocument(taken.path, printRecord({ ...next, lease: leaseOf(next) }), tag, signal);
      record = next;
      if (next.state === "blocked" || (next.state === "running" && next.cursor === undefined)) {
        backoff.failed(keyOf(wanted));
        return;
      }
    }
    if (record.state === "done") {
      backoff.succeeded(keyOf(wanted));
      needs.log.info("job done", { job: wanted.kind.kind, bucket: wanted.spec.bucket, ...record.counts });
    }
  }

  function leaseOf(record: JobRecord): JobRecord["lease"] {
    return record.state === "running" ? { holder, untilMs: nowMs() + LEASE_MS } : undefined;
  }

  function isStillWanted({ kind, spec }: Wanted): boolean {
    const snapshot = live.peek();
    return (
      snapshot !== undefined &&
      kind.wanted(snapshot).some((one) => one.bucket === spec.bucket && one.wish === spec.wish)
    );
  }

  async function runGuarded(wanted: Wanted, signal: AbortSignal): Promise<void> {
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
      await note(wanted, failure, signal);
    }
  }

  /** Leaves the failure's code in the record, for whoever asks how far the job is. */
  async function note({ kind, spec }: Wanted, failure: Failure, signal: AbortSignal): Promise<void> {
    const path = jobPath(kind.kind, spec.bucket);
    try {
      const document = await storage.document(path, signal);
      if (document === undefined) return;
      const record = { ...parseRecord(document.bytes, path), reason: failure.code, updatedMs: nowMs() };
      await storage.putDocument(path, printRecord(record), document.tag, signal);
    } catch (error) {
      needs.log.debug("the failure of a job could not be noted", { cause: error });
    }
  }

  async function look(signal: AbortSignal): Promise<void> {
    const snapshot = live.peek();
    if (snapshot === undefined) return;
    const due = pending(snapshot, await list(signal)).filter((wanted) => backoff.isDue(keyOf(wanted)));
    for (let from = 0; from < due.length && !signal.aborted; from += AT_ONCE) {
      await Promise.all(due.slice(from, from + AT_ONCE).map((wanted) => runGuarded(wanted, signal)));
    }
  }

  async function rest(signal: AbortSignal): Promise<void> {
    if (!poked && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, Math.min(LOOK_AGAIN_MS, backoff.nextMs() ?? LOOK_AGAIN_MS));
      wake = resolve;
      await promise;
      clearTimeout(timer);
    }
    poked = false;
  }

  function poke(): void {
    poked = true;
    wake?.();
  }

  return {
    async run(signal) {
      signal.addEventListener("abort", poke, { once: true });
      while (!signal.aborted) {
        try {
          await look(signal);
        } catch (error) {
          if (!signal.aborted) needs.log.warn("jobs cannot be looked up", { cause: error });
        }
        await rest(signal);
      }
    },
    poke,
    list,
  };
}

function keyOf({ kind, spec }: Wanted): string {
  return `${kind.kind} ${spec.bucket} ${spec.wish}`;
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
  if (step.cursor !== undefined) return { ...next, state: "running", reason: undefined };
  if (counts.conflict + counts.failed > 0) return { ...next, state: "running", reason: "Incomplete" };
  return { ...next, state: "done", reason: undefined, completedMs: nowMs };
}
