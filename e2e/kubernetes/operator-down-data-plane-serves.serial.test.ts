// Nobody is left to look after the store: it serves, also after its pod began anew, with all that it was told before. And
// whoever comes back to look after it disturbs nothing.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ANNOTATIONS } from "../../crds/names.ts";
import type { KubeObject, Resource } from "./objects.ts";
import { operatorPods, scaleOperator } from "./operatorpods.ts";
import { untilAtRest } from "./photograph.ts";
import { quickstart } from "./quickstart.ts";
import { Signals } from "./signals.ts";
import { markOf, STORE_POD, untilAnotherRun } from "./storepods.ts";
import { createTeam, type Team } from "./team.ts";
import { Traffic } from "./traffic.ts";

const READY_MS = 180_000;
const SERVED = 60;
const OWN_KINDS = { kmsproviders: "local", encryptedbuckets: "photos", encryptedstores: "default" } as const;
const MADE: readonly Resource[] = [
  "secrets",
  "serviceaccounts",
  "services",
  "networkpolicies",
  "persistentvolumeclaims",
  "poddisruptionbudgets",
];

let team: Team;
let signals: Signals;
let replicas: number;

beforeAll(async () => {
  team = await createTeam("operator-down");
  [signals] = await Promise.all([Signals.create(team), quickstart(team, READY_MS)]);
  replicas = (await operatorPods()).length;
});

afterAll(async () => {
  if (replicas !== undefined) await scaleOperator(replicas);
  await team?.remove();
});

/** What must be the same: of our kinds what they say, of others that nobody has written them. */
async function whatThereIs() {
  const own = Object.entries(OWN_KINDS).map(async ([resource, name]) => {
    const object = await team.get(resource as Resource, name);
    return { name, generation: object?.metadata.generation, status: { ...object?.status, lastHandledReconcileAt: "" } };
  });
  const made = MADE.map(async (resource) => {
    const objects = await team.list(resource);
    return objects.map(({ kind, metadata }) => [kind, metadata.name, metadata.uid, versionOf(metadata)]);
  });
  const [set] = await team.list("statefulsets");
  return { own: await Promise.all(own), made: await Promise.all(made), set: set?.metadata.generation };
}

/** The controller of disruption budgets counts pods in their status. */
function versionOf({ generation, resourceVersion }: KubeObject["metadata"]): unknown {
  return generation ?? resourceVersion;
}

/** Until whoever looks after them now has looked at all three. */
async function untilLookedAt(): Promise<void> {
  const requested = new Date().toISOString();
  for (const [resource, name] of Object.entries(OWN_KINDS)) {
    const annotations = { [ANNOTATIONS.reconcileRequestedAt]: requested };
    await team.patch(resource as Resource, name, { metadata: { annotations } });
  }
  for (const [resource, name] of Object.entries(OWN_KINDS)) {
    const isDone = (object: KubeObject | undefined) => object?.status?.lastHandledReconcileAt === requested;
    await team.until(resource as Resource, name, "to be looked at", isDone, READY_MS);
  }
}

describe("a store whose operator is down", () => {
  let traffic: Traffic;
  let before: Awaited<ReturnType<typeof whatThereIs>>;

  it("serves without a request that fails", async () => {
    await untilAtRest(team, READY_MS);
    await untilLookedAt();
    before = await whatThereIs();
    traffic = new Traffic(await team.credentials("photos-app"));
    await traffic.served(SERVED);
    await scaleOperator(0);
    await traffic.served(SERVED);
    expect(traffic.refused).toEqual([]);
  });

  it("serves again after its program was killed, and after its pod was deleted", async () => {
    const first = markOf(await team.get("pods", STORE_POD));
    await signals.send("KILL", team.name, STORE_POD);
    const second = markOf(await untilAnotherRun(team, first));
    await traffic.served(SERVED);
    await team.delete("pods", STORE_POD);
    await untilAnotherRun(team, second);
    await traffic.served(SERVED);
    await traffic.stop();
  });

  it("is disturbed by nothing when its operator comes back", async () => {
    const pod = await team.get("pods", STORE_POD);
    traffic = new Traffic(await team.credentials("photos-app"));
    await traffic.served(SERVED);
    await scaleOperator(replicas);
    await untilLookedAt();
    await traffic.served(SERVED);
    await traffic.stop();
    expect(traffic.refused).toEqual([]);
    expect(markOf(await team.get("pods", STORE_POD))).toEqual(markOf(pod));
    expect(await whatThereIs()).toEqual(before);
  });
});
