// Who leads of the operators, and who comes after.

import { setTimeout as sleep } from "node:timers/promises";
import { waitFor } from "../harness.ts";
import { getObject, sharedCluster } from "./cluster.ts";
import type { KubeObject } from "./objects.ts";
import { leadingPod, untilOperator } from "./operatorpods.ts";

const LEADS_MS = 60_000;
/** Whoever waits for the lease to run out need not look more often. */
const LOOK_AGAIN_MS = 200;

/** Waits until there is one. */
export async function leader(): Promise<KubeObject> {
  let pod: KubeObject | undefined;
  await waitFor("an operator that leads", LEADS_MS, async () => {
    const name = await leadingPod();
    pod = name === undefined ? undefined : await getObject("pods", sharedCluster().operatorNamespace, name);
    return pod !== undefined;
  });
  return pod as KubeObject;
}

/** The one of two that leads, when the other is there to follow it: one that was killed may come back late. */
export async function leaderOfTwo(): Promise<KubeObject> {
  await untilOperator(2, LEADS_MS);
  return await leader();
}

/** Until the lease is another pod's. */
export async function untilAnotherLeads(than: string): Promise<void> {
  await waitFor(`another operator than ${than} to lead`, LEADS_MS, async () => {
    const name = await leadingPod();
    if (name !== undefined && name !== than) return true;
    await sleep(LOOK_AGAIN_MS);
    return false;
  });
}
