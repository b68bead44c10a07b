// Before all tests on the cluster: the cluster and the chart on it, once for all of them.

import type { TestProject } from "vitest/node";
import { bringCluster } from "./bring.ts";
import type {} from "./cluster.ts";
import { installChart, OPERATOR_NAMESPACE } from "./install.ts";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  const { cluster, image, stop } = await bringCluster(say);
  say(`${cluster.what}.`);
  try {
    const { helm, readyMs } = await installChart(cluster, image, say);
    say(`The operator was ready ${(readyMs / 1000).toFixed(1)} s after helm install.`);
    const name = `${image.repository}:${image.tag}`;
    const more = { helm, operatorNamespace: OPERATOR_NAMESPACE, image: name, installMs: readyMs };
    project.provide("cluster", { ...cluster, ...more });
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}
