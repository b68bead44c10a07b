// `helm upgrade` with the same values changes nothing: neither what the chart made nor anything that the operator did.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { listObjects, sharedCluster } from "./cluster.ts";
import { bucket, localProvider } from "./manifests.ts";
import type { KubeObject, Resource } from "./objects.ts";
import { operatorPods } from "./operatorpods.ts";
import { changesBetween, photograph, untilAtRest } from "./photograph.ts";
import { upgrade } from "./release.ts";
import { createTeam, type Team } from "./team.ts";

const READY_MS = 120_000;
const CLUSTER_WIDE: readonly Resource[] = ["customresourcedefinitions", "clusterroles", "clusterrolebindings"];
const IN_NAMESPACE: readonly Resource[] = ["deployments", "serviceaccounts", "roles", "rolebindings"];

let team: Team;

beforeAll(async () => {
  team = await createTeam("upgraded");
  await team.apply([localProvider("local"), bucket("photos")]);
  await team.untilReady("encryptedbuckets", "photos", READY_MS);
  await upgrade({});
  await untilAtRest(team, READY_MS);
});

afterAll(async () => await team?.remove());

/** By kind and name: what a change of the spec, of a label or of anything else that was written moves. */
async function ofTheChart(): Promise<Readonly<Record<string, string>>> {
  const { operatorNamespace } = sharedCluster();
  const lists = [
    ...CLUSTER_WIDE.map((resource) => [resource, undefined] as const),
    ...IN_NAMESPACE.map((resource) => [resource, operatorNamespace] as const),
  ];
  const found: Record<string, string> = {};
  for (const [resource, namespace] of lists) {
    for (const object of await listObjects(resource, namespace, "app.kubernetes.io/name=coffer")) {
      found[`${resource}/${object.metadata.name}`] = stateOf(resource, object);
    }
  }
  return found;
}

/** A Deployment's status moves with its pods. */
function stateOf(resource: Resource, { metadata, spec }: KubeObject): string {
  const { uid, generation, resourceVersion, labels, annotations } = metadata;
  return resource === "deployments"
    ? JSON.stringify([uid, generation, labels, annotations, spec])
    : `${uid} ${generation} ${resourceVersion}`;
}

const uidsOf = (pods: readonly KubeObject[]) => pods.map(({ metadata }) => metadata.uid);

describe("helm upgrade with the same values", () => {
  it("changes neither resources, nor what was made of them, nor the operator", async () => {
    const chart = await ofTheChart();
    expect(Object.keys(chart).length).toBeGreaterThan(8);
    const operators = uidsOf(await operatorPods());
    const before = await photograph(team);
    await upgrade({});
    expect(await ofTheChart()).toEqual(chart);
    expect(uidsOf(await operatorPods())).toEqual(operators);
    expect(changesBetween(before, await photograph(team))).toEqual([]);
  });
});
