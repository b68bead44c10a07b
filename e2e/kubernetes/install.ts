// Puts the chart on a cluster, as a user does, and waits until the operator is ready.

import { askHelm, CHART, prepareHelm } from "../chart/helm.ts";
import type { BroughtImage, Cluster } from "./brought.ts";

export const RELEASE = "coffer";
export const OPERATOR_NAMESPACE = "coffer-system";

const WAIT = "3m";

export interface Installed {
  readonly helm: string;
  /** From the command to an operator that is ready. */
  readonly readyMs: number;
}

/** With the image at its default nothing is set, as in the README. An installation of before is brought up to date. */
export async function installChart(
  cluster: Cluster,
  { repository, tag, isDefault }: BroughtImage,
  say: (line: string) => void,
): Promise<Installed> {
  const helm = await prepareHelm(say);
  const image = isDefault ? [] : ["--set", `image.repository=${repository}`, "--set-string", `image.tag=${tag}`];
  const where = ["--namespace", OPERATOR_NAMESPACE, "--create-namespace"];
  const beganMs = performance.now();
  const flags = ["upgrade", "--install", RELEASE, CHART, ...where, ...image, "--wait", "--timeout", WAIT];
  const { code, errors } = await askHelm(helm, flags, cluster.kubeconfig);
  if (code !== 0) throw new Error(`The chart cannot be installed: ${errors.trim()}`);
  return { helm, readyMs: performance.now() - beganMs };
}
