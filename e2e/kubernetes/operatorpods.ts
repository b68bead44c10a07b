// The operator as it runs on the cluster: its pods, what they print, and what may happen to them. Whatever it disturbs is
// shared with all tests, so only a *.serial.test.ts does anything but look.

import { waitFor } from "../harness.ts";
import { getObject, kubectl, listObjects, patchObject, sharedCluster } from "./cluster.ts";
import type { KubeObject } from "./objects.ts";

export const OPERATOR = "coffer-operator";

const READY_MS = 120_000;
const LABELS = "app.kubernetes.io/component=operator";

/** Those that are not on their way out. */
export async function operatorPods(): Promise<readonly KubeObject[]> {
  const pods = await listObjects("pods", sharedCluster().operatorNamespace, LABELS);
  return pods.filter((pod) => pod.metadata.deletionTimestamp === undefined);
}

/** What they have printed since they began, each line with the pod's name before it. */
export function operatorLogs(): Promise<string> {
  const { operatorNamespace } = sharedCluster();
  return kubectl(["logs", "--namespace", operatorNamespace, "--selector", LABELS, "--prefix", "--tail=-1"]);
}

/** A process that leads, and its pod: one that was killed and started again is another, in the same pod. */
export interface Leader {
  readonly pod: string;
  readonly identity: string;
}

/** Who holds the lease; undefined: nobody of a pod that is there. */
export async function leaseHolder(): Promise<Leader | undefined> {
  const lease = await getObject("leases", sharedCluster().operatorNamespace, OPERATOR);
  const identity = lease?.spec?.holderIdentity as string | undefined;
  const pod = (await operatorPods()).map(({ metadata }) => metadata.name).find((name) => identity?.startsWith(name));
  return identity === undefined || pod === undefined ? undefined : { pod, identity };
}

/** Resolves when as many are ready, and no other is left. */
export async function scaleOperator(replicas: number, withinMs = READY_MS): Promise<void> {
  await patchObject("deployments", sharedCluster().operatorNamespace, OPERATOR, { spec: { replicas } });
  await untilOperator(replicas, withinMs);
}

export async function untilOperator(replicas: number, withinMs = READY_MS): Promise<void> {
  await waitFor(`${replicas} operators`, withinMs, async () => {
    const pods = await listObjects("pods", sharedCluster().operatorNamespace, LABELS);
    return pods.length === replicas && pods.every(isReady);
  });
}

/** As `kubectl delete pod --force` does it: kill -9, with no time to say goodbye. */
export async function killPod(namespace: string, name: string): Promise<void> {
  await kubectl(["delete", "pod", name, "--namespace", namespace, "--grace-period=0", "--force"]);
}

export function isReady(pod: KubeObject): boolean {
  const conditions = (pod.status?.conditions ?? []) as readonly { type: string; status: string }[];
  return conditions.some(({ type, status }) => type === "Ready" && status === "True");
}
