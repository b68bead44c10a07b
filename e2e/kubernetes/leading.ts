// Who leads of the operators, and who comes after.

import { setTimeout as sleep } from "node:timers/promises";
import { waitFor } from "../harness.ts";
import { type Leader, leaseHolder, untilOperator } from "./operatorpods.ts";

/** One that was killed more than once is kept waiting by its node before it is started again. */
const LEADS_MS = 120_000;
/** Whoever waits for the lease to run out need not look more often. */
const LOOK_AGAIN_MS = 200;

/** Waits until there is one. */
export async function leader(): Promise<Leader> {
  let found: Leader | undefined;
  await waitFor("an operator that leads", LEADS_MS, async () => {
    found = await leaseHolder();
    return found !== undefined;
  });
  return found as Leader;
}

/** The one of two that leads, when the other is there to follow it: one that was killed may come back late. */
export async function leaderOfTwo(): Promise<Leader> {
  await untilOperator(2, LEADS_MS);
  return await leader();
}

/** Until the lease is another process's, which may be one in the same pod that was started again. */
export async function untilAnotherLeads(than: Leader): Promise<void> {
  await waitFor(`another operator than ${than.identity} to lead`, LEADS_MS, async () => {
    const holder = await leaseHolder();
    if (holder !== undefined && holder.identity !== than.identity) return true;
    await sleep(LOOK_AGAIN_MS);
    return false;
  });
}
