// `helm test`: whoever has installed the chart learns by one command whether all of it works, and finds nothing left of
// it but what is never thrown away.

import { beforeAll, describe, expect, it } from "vitest";
import { LABELS } from "../../crds/names.ts";
import { askHelm, type HelmAnswer } from "../chart/helm.ts";
import { waitFor } from "../harness.ts";
import { listObjects, sharedCluster } from "./cluster.ts";
import { RELEASE } from "./install.ts";
import type { Resource } from "./objects.ts";

const TEST_MS = 270_000;
const NAME = `${RELEASE}-test`;
const MADE: readonly Resource[] = [
  "kmsproviders",
  "encryptedstores",
  "encryptedbuckets",
  "statefulsets",
  "services",
  "pods",
  "persistentvolumeclaims",
  "secrets",
];

async function helmTest(): Promise<HelmAnswer> {
  const { helm, kubeconfig, operatorNamespace } = sharedCluster();
  const flags = ["test", RELEASE, "--namespace", operatorNamespace, "--timeout", "4m"];
  return await askHelm(helm, flags, kubeconfig, TEST_MS);
}

/** RESOURCE/NAME of what belongs to the test, in the namespace of the release. */
async function left(resources: readonly Resource[]): Promise<readonly string[]> {
  const { operatorNamespace } = sharedCluster();
  const lists = await Promise.all(
    resources.map(async (resource) => {
      const found = await listObjects(resource, operatorNamespace);
      const ours = found.filter(
        ({ metadata }) => metadata.name.startsWith(NAME) || metadata.labels?.[LABELS.instance] === NAME,
      );
      return ours.map(({ metadata }) => `${resource}/${metadata.name}`);
    }),
  );
  return lists.flat();
}

describe("helm test", () => {
  let answer: HelmAnswer;

  beforeAll(async () => {
    const beganMs = performance.now();
    answer = await helmTest();
    process.stdout.write(`helm test: ${((performance.now() - beganMs) / 1000).toFixed(1)} s\n`);
  });

  it("says that an object came back as it was written", () => {
    expect(answer).toMatchObject({ code: 0 });
    expect(answer.output).toMatch(/^TEST SUITE: +coffer-test$/m);
    expect(answer.output).toMatch(/^Phase: +Succeeded$/m);
    expect(answer.output).not.toMatch(/^Phase: +Failed$/m);
  });

  it("leaves nothing but the volume and the key ring", async () => {
    const stay = [`persistentvolumeclaims/coffer-${NAME}`, `secrets/${NAME}-key-ring`];
    let found: readonly string[] = [];
    // What was made for the store is collected after it, and its pod is given time to end what it has begun.
    await waitFor("what was made to go", TEST_MS, async () => {
      found = await left(MADE);
      return found.length <= stay.length;
    }).catch(() => undefined);
    expect(found).toEqual(stay);
  });

  it("succeeds again, with the volume and the key ring that the first one left", async () => {
    const claims = await listObjects("persistentvolumeclaims", sharedCluster().operatorNamespace);
    expect((await helmTest()).code).toBe(0);
    const after = await listObjects("persistentvolumeclaims", sharedCluster().operatorNamespace);
    expect(after.map(({ metadata }) => metadata.uid)).toEqual(claims.map(({ metadata }) => metadata.uid));
  });
});
