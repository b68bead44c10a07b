// Before all integration tests: one API server with our three kinds, which the test files share.

import type { TestProject } from "vitest/node";
import { startControlPlane } from "./controlplane.ts";
import { installDefinitions } from "./crds.ts";

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const controlPlane = await startControlPlane({ say: (line) => process.stdout.write(`${line}\n`) });
  try {
    await installDefinitions(controlPlane);
  } catch (error) {
    await controlPlane.stop();
    throw error;
  }
  const { url, caPem, token, kubeconfig } = controlPlane;
  project.provide("apiServer", { url, caPem, token, kubeconfig });
  return async () => await controlPlane.stop();
}
