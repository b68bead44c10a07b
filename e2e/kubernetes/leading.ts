// Who leads of the operators, and who comes after.

import { waitFor } from "../harness.ts";
import { getObject, sharedCluster } from "./cluster.ts";
import type { KubeObject } from "./objects.ts";
import { leadingPod } from "./operatorpods.ts";

const LEADS_MS = 60_000;

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

/** How long it took, from now on, until the lease was another pod's. */
export async function untilAnotherLeads(than: string): Promise<number> {
  const beganMs = performance.now();
  await waitFor(`another operator than ${than} to lead`, LEADS_MS, async () => {
    const name = await leadingPod();
    return name !== undefined && name !== than;
  });
  return performance.now() - beganMs;
}
