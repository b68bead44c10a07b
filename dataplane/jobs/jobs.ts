/**
 * What takes long and must survive a crash. Nobody starts a job: the configuration calls for it, its record says how far
 * it is, and a lease in the record says which replica runs it. A lost event heals, because every look compares the two.
 */
import { createBackoff } from "./backoff.ts";
import { JOBS_PREFIX, type JobRecord, jobPath, parseRecord } from "./record.ts";
import { createRunner, type JobsNeeds, keyOf, type Wanted } from "./runner.ts";

export { runChecks } from "./check.ts";
export { createEmptyJob } from "./empty.ts";
export type { JobKind, JobStep } from "./kind.ts";
export type { JobRecord } from "./record.ts";
export { createRewrapJob } from "./rewrap.ts";
export type { JobsNeeds } from "./runner.ts";

export interface Jobs {
  /** Runs until the signal aborts; then resolves when the steps that run have ended. */
  run(signal: AbortSignal): Promise<void>;
  /** Looks again now: after a new configuration. */
  poke(): void;
  /** All records, as they stand in the storage. */
  list(signal: AbortSignal): Promise<readonly JobRecord[]>;
}

interface Running {
  readonly key: string;
  readonly ended: Promise<void>;
}

const AT_ONCE = 8;
const LOOK_AGAIN_MS = 15_000;
const PAGE = 500;

export function createJobs(needs: JobsNeeds): Jobs {
  const backoff = createBackoff(needs.nowMs);
  const runner = createRunner(needs, backoff);
  const bell = createBell();
  const running = new Map<string, Running>();
  let due: Wanted[] = [];

  async function list(signal: AbortSignal): Promise<readonly JobRecord[]> {
    const records: JobRecord[] = [];
    let after: string | undefined = "";
    while (after !== undefined) {
      const page = await needs.storage.documents(JOBS_PREFIX, after, PAGE, signal);
      for (const document of page.items) records.push(parseRecord(document.bytes, document.path));
      after = page.next;
    }
    return records;
  }

  async function look(signal: AbortSignal): Promise<void> {
    const pending = pendingOf(needs, await list(signal));
    backoff.keepOnly(new Set(pending.map(keyOf)));
    due = pending.filter((wanted) => {
      const key = keyOf(wanted);
      return backoff.isDue(key) && running.get(placeOf(wanted))?.key !== key;
    });
    startDue(signal);
  }

  /** What runs keeps nothing waiting but for its place: a long sweep of one bucket is no reason to leave another be. */
  function startDue(signal: AbortSignal): void {
    while (running.size < AT_ONCE && !signal.aborted) {
      const next = due.findIndex((wanted) => !running.has(placeOf(wanted)));
      const [wanted] = next < 0 ? [] : due.splice(next, 1);
      if (wanted === undefined) return;
      const place = placeOf(wanted);
      const ended = runner.run(wanted, signal).then(() => {
        running.delete(place);
        startDue(signal);
        const againMs = backoff.nextMs();
        if (againMs !== undefined) bell.ringIn(againMs);
      });
      running.set(place, { key: keyOf(wanted), ended });
    }
  }

  return {
    async run(signal) {
      signal.addEventListener("abort", bell.ring, { once: true });
      while (!signal.aborted) {
        try {
          await look(signal);
        } catch (error) {
          if (!signal.aborted) needs.log.warn("jobs cannot be looked up", { cause: error });
        }
        if (!signal.aborted) await bell.wait(Math.min(LOOK_AGAIN_MS, backoff.nextMs() ?? LOOK_AGAIN_MS));
      }
      await Promise.all([...running.values()].map(({ ended }) => ended));
    },
    poke: bell.ring,
    list,
  };
}

/** Where its record stands: of two wishes for one place the second waits until the first has given way. */
function placeOf({ kind, spec }: Wanted): string {
  return jobPath(kind.kind, spec.bucket);
}

/** What the configuration calls for and no record says is done. */
function pendingOf({ live, kinds }: JobsNeeds, records: readonly JobRecord[]): readonly Wanted[] {
  const snapshot = live.peek();
  if (snapshot === undefined) return [];
  const byPath = new Map(records.map((record) => [jobPath(record.kind, record.bucket), record]));
  return kinds.flatMap((kind) =>
    kind.wanted(snapshot).flatMap((spec) => {
      const record = byPath.get(jobPath(kind.kind, spec.bucket));
      const done = record?.wish === spec.wish && record.state === "done";
      return done ? [] : [{ kind, spec }];
    }),
  );
}

/** A ring that comes while nobody waits is heard by the next who does. */
function createBell(): { ring(): void; ringIn(ms: number): void; wait(ms: number): Promise<void> } {
  let rung = false;
  let wake: (() => void) | undefined;
  let later: NodeJS.Timeout | undefined;
  const ring = (): void => {
    rung = true;
    wake?.();
  };
  return {
    ring,
    /** In place of an earlier one. */
    ringIn(ms) {
      clearTimeout(later);
      later = setTimeout(ring, ms).unref();
    },
    async wait(ms) {
      if (!rung) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const timer = setTimeout(resolve, ms);
        wake = resolve;
        await promise;
        clearTimeout(timer);
      }
      clearTimeout(later);
      rung = false;
      wake = undefined;
    },
  };
}
