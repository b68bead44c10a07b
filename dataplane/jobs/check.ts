/**
 * Compares records with bodies, once a day: a record without its body is a loss, a body without its record is only
 * space. It reports and repairs nothing.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { Storage } from "../storage/storage.ts";

export interface CheckNeeds {
  readonly storage: Pick<Storage, "check">;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "checked">;
  /** Until the first, and between two. */
  readonly firstMs: number;
  readonly everyMs: number;
}

/** More would fill the log; the count is in the metric. */
const NAMED_MAX = 20;

/** Runs until the signal aborts. */
export async function runChecks(needs: CheckNeeds, signal: AbortSignal): Promise<void> {
  let waitMs = needs.firstMs;
  while (await slept(waitMs, signal)) {
    waitMs = needs.everyMs;
    try {
      await check(needs, signal);
    } catch (error) {
      if (!signal.aborted) needs.log.warn("records and bodies cannot be compared", { cause: error });
    }
  }
}

async function check({ storage, log, metrics }: CheckNeeds, signal: AbortSignal): Promise<void> {
  const findings = await storage.check(signal);
  const lost = findings.filter(({ kind }) => kind === "record-without-body");
  const orphans = findings.length - lost.length;
  metrics.checked(lost.length, orphans);
  for (const { where } of lost.slice(0, NAMED_MAX)) log.error("a body is missing", { where });
  log.info("records and bodies compared", { bodiesMissing: lost.length, bodiesWithoutRecord: orphans });
}

/** Whether the time passed before the signal aborted. */
async function slept(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await sleep(ms, undefined, { signal, ref: false });
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}
