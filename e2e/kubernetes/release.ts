// The chart's release as whoever runs the cluster treats it. Shared by all tests: for a *.serial.test.ts alone.

import { CHART, withValues } from "../chart/helm.ts";
import { sharedCluster } from "./cluster.ts";
import { RELEASE } from "./install.ts";
import { untilOperator } from "./operatorpods.ts";

const WAIT = "3m";
/** Longer than Helm waits itself, so that it says what it waited for. */
const LIMIT_MS = 240_000;
const READY_MS = 120_000;

/** A verb on the release. Fails with what Helm says. */
export async function helm(verbs: readonly string[], values: object = {}): Promise<string> {
  const { helm: program, kubeconfig, operatorNamespace } = sharedCluster();
  const [verb = "", ...more] = verbs;
  const flags = [verb, RELEASE, ...more, "--namespace", operatorNamespace, "--wait", "--timeout", WAIT];
  const takesValues = more.includes(CHART) ? ["--values", "-"] : [];
  const { code, output, errors } = await withValues(program, [...flags, ...takesValues], values, kubeconfig, LIMIT_MS);
  if (code !== 0) throw new Error(`helm ${verb} failed: ${errors.trim()}`);
  return output;
}

/** Brings the release to these values and no others, beside the image that the run has; it is installed if it is not
 *  there. Resolves when the operator is ready, and none of before is left. */
export async function upgrade(values: object): Promise<void> {
  const { image } = sharedCluster();
  const [, repository, tag] = /^(.*):([^:]+)$/.exec(image) ?? [];
  await helm(["upgrade", CHART, "--install"], { ...values, image: { repository, tag } });
  await untilOperator(1, READY_MS);
}
