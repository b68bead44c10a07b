// Puts the chart on a cluster, as a user does, and waits until the operator is ready.

import { GROUP } from "../../crds/names.ts";
import { askHelm, CHART, prepareHelm } from "../chart/helm.ts";
import { askApiServer, mustAsk } from "../cluster/apiserver.ts";
import { waitFor } from "../harness.ts";
import type { BroughtImage, Cluster } from "./brought.ts";
import { pathOf } from "./objects.ts";

export const RELEASE = "coffer";
export const OPERATOR_NAMESPACE = "coffer-system";

const WAIT = "3m";
const SERVED_MS = 60_000;
const KINDS = ["kmsproviders", "encryptedbuckets", "encryptedstores"] as const;
const LIMIT_MS = 200_000;

export interface Installed {
  readonly helm: string;
  /** From the command to an operator that is ready. */
  readonly readyMs: number;
  /** Takes all of it away again, with what was made by it; nothing where an installation was there before. */
  uninstall(): Promise<void>;
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
  const before = await askHelm(helm, ["status", RELEASE, "--namespace", OPERATOR_NAMESPACE], cluster.kubeconfig);
  const beganMs = performance.now();
  const flags = ["upgrade", "--install", RELEASE, CHART, ...where, ...image, "--wait", "--timeout", WAIT];
  const { code, errors } = await askHelm(helm, flags, cluster.kubeconfig, LIMIT_MS);
  if (code !== 0) throw new Error(`The chart cannot be installed: ${errors.trim()}`);
  const readyMs = performance.now() - beganMs;
  await waitFor("our kinds", SERVED_MS, () => areServed(cluster));
  const uninstall = async () => {
    if (before.code !== 0) await uninstallChart(helm, cluster);
  };
  return { helm, readyMs, uninstall };
}

/** The definitions too, which a user's `helm uninstall` keeps. */
async function uninstallChart(helm: string, cluster: Cluster): Promise<void> {
  const flags = ["uninstall", RELEASE, "--namespace", OPERATOR_NAMESPACE, "--wait", "--timeout", WAIT];
  const { code, errors } = await askHelm(helm, flags, cluster.kubeconfig, LIMIT_MS);
  if (code !== 0) throw new Error(`The chart cannot be uninstalled: ${errors.trim()}`);
  const definitions = KINDS.map((kind) => pathOf("customresourcedefinitions", undefined, `${kind}.${GROUP}`));
  for (const path of [...definitions, pathOf("namespaces", undefined, OPERATOR_NAMESPACE)]) {
    await mustAsk(cluster, "DELETE", path);
  }
}

/** For a moment after a definition has changed the API server answers 429. */
async function areServed(cluster: Cluster): Promise<boolean> {
  const answers = await Promise.all(KINDS.map((kind) => askApiServer(cluster, "GET", pathOf(kind, undefined))));
  return answers.every(({ status }) => status === 200);
}
