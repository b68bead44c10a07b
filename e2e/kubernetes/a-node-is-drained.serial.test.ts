// A node is drained under load, as before it is serviced: the store's budget lets its one pod go, the drain ends, what is
// to be done is told meanwhile, and nothing that was acknowledged is lost.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { kubectl } from "./cluster.ts";
import { conditionOf, type KubeObject } from "./objects.ts";
import { operatorPods, untilOperator } from "./operatorpods.ts";
import { quickstart } from "./quickstart.ts";
import { markOf, STORE_POD, untilAnotherRun } from "./storepods.ts";
import { createTeam, type Team } from "./team.ts";
import { Traffic } from "./traffic.ts";

const READY_MS = 180_000;
const SERVED = 60;
/** A pod has 45 s to end in; ours needs some of them. */
const DRAINED_WITHIN = "100s";
/** Of the pods that are drained. */
const LABEL = "here";

let team: Team;
let pod: KubeObject;
let replicas: number;

beforeAll(async () => {
  team = await createTeam("drained");
  await team.apply({
    apiVersion: "coffer.dev/v1alpha1",
    kind: "EncryptedStore",
    metadata: { name: "default" },
    spec: { backend: { type: "Filesystem" }, pod: { labels: { drained: LABEL } } },
  });
  await quickstart(team, READY_MS);
  pod = (await team.get("pods", STORE_POD)) as KubeObject;
  replicas = (await operatorPods()).length;
});

afterAll(async () => {
  if (pod !== undefined) await kubectl(["uncordon", pod.spec.nodeName]);
  await untilOperator(replicas, READY_MS);
  await team?.remove();
});

describe("a store on a node that is drained", () => {
  let traffic: Traffic;

  it("ends in order, and holds the drain up no longer than it takes to end", async () => {
    traffic = new Traffic(await team.credentials("photos-app"));
    await traffic.served(SERVED);
    const beganMs = performance.now();
    // Namespaces of other tests may be on their way out, and a pod there is not evicted but deleted.
    const ours = `--pod-selector=drained=${LABEL}`;
    const flags = ["--ignore-daemonsets", "--delete-emptydir-data", "--force", ours, `--timeout=${DRAINED_WITHIN}`];
    await kubectl(["drain", pod.spec.nodeName, ...flags]);
    process.stdout.write(`A drained node: ${((performance.now() - beganMs) / 1000).toFixed(1)} s\n`);
    const after = await team.get("pods", STORE_POD);
    expect(after?.metadata.uid).not.toBe(pod.metadata.uid);
  });

  it("comes back when a node takes it, with all that was acknowledged", async () => {
    await kubectl(["uncordon", pod.spec.nodeName]);
    await untilAnotherRun(team, markOf(pod));
    await traffic.served(SERVED);
    await traffic.stop();
    await untilOperator(replicas, READY_MS);
    const store = await team.untilReady("encryptedstores", "default", READY_MS);
    expect(conditionOf(store, "Available")).toMatchObject({ status: "True" });
  });
});
