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

const AT_ONCE = 8;
const LOOK_AGAIN_MS = 15_000;
const PAGE = 500;

export function createJobs(needs: JobsNeeds): Jobs {
  const backoff = createBackoff(needs.nowMs);
  const runner = createRunner(needs, backoff);
  const bell = createBell();

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
    const due = pending.filter((wanted) => backoff.isDue(keyOf(wanted)));
    for (let from = 0; from < due.length && !signal.aborted; from += AT_ONCE) {
      await Promise.all(due.slice(from, from + AT_ONCE).map((wanted) => runner.run(wanted, signal)));
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
    },
    poke: bell.ring,
    list,
  };
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
function createBell(): { ring(): void; wait(ms: number): Promise<void> } {
  let rung = false;
  let wake: (() => void) | undefined;
  return {
    ring() {
      rung = true;
      wake?.();
    },
    async wait(ms) {
      if (!rung) {
        const { promise, resolve } = Promise.withResolvers<void>();
        const timer = setTimeout(resolve, ms);
        wake = resolve;
        await promise;
        clearTimeout(timer);
      }
      rung = false;
      wake = undefined;
    },
  };
}
