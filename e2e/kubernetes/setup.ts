// Before all tests on the cluster: the cluster and the chart on it, once for all of them, and who writes down what happens.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { bringCluster } from "./bring.ts";
import type {} from "./cluster.ts";
import { installChart, OPERATOR_NAMESPACE } from "./install.ts";
import { startRecorder } from "./recorder.ts";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const say = (line: string) => process.stdout.write(`${line}\n`);
  const { cluster, image, stop } = await bringCluster(say);
  say(`${cluster.what}.`);
  try {
    const { helm, readyMs, uninstall } = await installChart(cluster, image, say);
    say(`The operator was ready ${(readyMs / 1000).toFixed(1)} s after helm install.`);
    const name = `${image.repository}:${image.tag}`;
    const more = { helm, operatorNamespace: OPERATOR_NAMESPACE, image: name, installMs: readyMs };
    project.provide("cluster", { ...cluster, ...more });
    const folder = await mkdtemp(join(tmpdir(), "coffer-recording-"));
    const recording = join(folder, "states.jsonl");
    project.provide("recording", recording);
    const recorder = await startRecorder(cluster, recording);
    return async () => {
      await recorder.stop();
      await rm(folder, { recursive: true, force: true });
      // Others end with all that is in them, or are to stay as they are.
      if (cluster.kind === "given") await uninstall();
      await stop();
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
