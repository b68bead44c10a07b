// A store's pod ends in every way that a pod ends, under load: nothing that was acknowledged is lost, clients meet nothing
// but what they may try again, and no two programs ever write on one volume. A drained node is a test of its own.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { sharedCluster } from "./cluster.ts";
import type { KubeObject } from "./objects.ts";
import { killPod } from "./operatorpods.ts";
import { quickstart } from "./quickstart.ts";
import { Signals } from "./signals.ts";
import { markOf, STORE_POD, untilAnotherRun } from "./storepods.ts";
import { createTeam, type Team } from "./team.ts";
import { Traffic } from "./traffic.ts";

const READY_MS = 180_000;
const SERVED = 60;
/** A client that is left without an answer waits for 20 s. Beside it what a busy machine takes for what is done at once elsewhere. */
const SLACK_MS = 30_000;

let team: Team;
let signals: Signals;
let pod: KubeObject;
let traffic: Traffic;

beforeAll(async () => {
  team = await createTeam("pods-die");
  [signals] = await Promise.all([Signals.create(team), quickstart(team, READY_MS)]);
});

beforeEach(async () => {
  pod = (await team.get("pods", STORE_POD)) as KubeObject;
  traffic = new Traffic(await team.credentials("photos-app"));
  await traffic.served(SERVED);
});

afterEach(async () => await traffic?.stop());

afterAll(async () => await team?.remove());

/**
 * All that was acknowledged is looked for by `traffic.stop`. Nodes refuse few connections a second, and let the others
 * try again at intervals that double: who began to when the pod went is through after twice the time that it was away.
 */
async function untilServedAgain(what: string): Promise<void> {
  await untilAnotherRun(team, markOf(pod));
  const readyAtMs = performance.now();
  await traffic.served(SERVED);
  await traffic.stop();
  const { fromMs, ms } = traffic.longestGap;
  const met = [...new Set(traffic.refused.map(({ why }) => why))].join(", ");
  process.stdout.write(`${what}: ${(ms / 1000).toFixed(1)} s without an answer, met ${met || "nothing"}\n`);
  expect(ms).toBeLessThan(2 * Math.max(readyAtMs - fromMs, 0) + SLACK_MS);
}

describe("a store under load", () => {
  it("loses nothing when its program is killed, and goes on in the same pod", async () => {
    await signals.send("KILL", team.name, STORE_POD);
    await untilServedAgain("kill -9");
    const after = await team.get("pods", STORE_POD);
    expect(after?.metadata.uid).toBe(pod.metadata.uid);
    expect(after?.status.containerStatuses[0].lastState.terminated).toMatchObject({ exitCode: 137 });
  });

  it("loses nothing when its pod is deleted", async () => {
    await team.delete("pods", STORE_POD);
    await untilServedAgain("A deleted pod");
  });

  it("loses nothing when its pod is deleted by force, while the program may still run", async () => {
    await killPod(team.name, STORE_POD);
    await untilServedAgain("A pod deleted by force");
  });

  it("lets no other program onto its volume", async () => {
    await team.apply(intruderOf(pod));
    const isOver = (found: KubeObject | undefined) => found?.status?.phase === "Failed";
    await team.until("pods", "intruder", "to give up", isOver, READY_MS);
    expect(await team.logs("intruder")).toContain("another process uses this data folder");
    await traffic.served(SERVED);
    expect(traffic.refused).toEqual([]);
    expect(markOf(await team.get("pods", STORE_POD))).toEqual(markOf(pod));
  });
});

/** The same pod once more, beside it, as somebody makes who knows no better. */
function intruderOf({ spec }: KubeObject): object {
  const [container] = spec.containers;
  const { startupProbe, livenessProbe, readinessProbe, ...program } = container;
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "intruder" },
    spec: {
      restartPolicy: "Never",
      nodeName: spec.nodeName,
      enableServiceLinks: false,
      serviceAccountName: spec.serviceAccountName,
      automountServiceAccountToken: false,
      securityContext: spec.securityContext,
      containers: [{ ...program, image: sharedCluster().image }],
      volumes: spec.volumes,
    },
  };
}
