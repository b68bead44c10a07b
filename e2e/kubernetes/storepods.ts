// The pod of a team's default store, and what may happen to it.

import { mustAsk } from "../cluster/apiserver.ts";
import { sharedCluster } from "./cluster.ts";
import type { KubeObject } from "./objects.ts";
import { isReady } from "./operatorpods.ts";
import type { Team } from "./team.ts";

export const STORE_POD = "coffer-default-0";

const READY_MS = 120_000;

export interface PodMark {
  readonly uid: string;
  readonly restarts: number;
}

/** Which pod it is, and how often its program has begun anew. */
export function markOf(pod: KubeObject | undefined): PodMark {
  const [status] = (pod?.status?.containerStatuses ?? []) as readonly { readonly restartCount: number }[];
  return { uid: pod?.metadata.uid ?? "", restarts: status?.restartCount ?? 0 };
}

/** Ready, and neither the pod nor the run that it was. */
export async function untilAnotherRun(team: Team, before: PodMark, withinMs = READY_MS): Promise<KubeObject> {
  const isAnother = (pod: KubeObject | undefined) => {
    const { uid, restarts } = markOf(pod);
    return pod !== undefined && isReady(pod) && (uid !== before.uid || restarts !== before.restarts);
  };
  return (await team.until("pods", STORE_POD, "to be ready anew", isAnother, withinMs)) as KubeObject;
}

/** What its admin listener says, asked through the API server. */
export async function adminAnswer<Answer>({ name }: Team, path: string): Promise<Answer> {
  const pod = `/api/v1/namespaces/${name}/pods/${STORE_POD}:9090/proxy${path}`;
  return (await mustAsk(sharedCluster(), "GET", pod)) as Answer;
}
