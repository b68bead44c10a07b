// What disturbs the operator itself: it is uninstalled, and it looks after a few namespaces alone. Deletions end there too,
// and what serves goes on serving.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { restObject } from "../clients.ts";
import { type Credentials, waitFor } from "../harness.ts";
import { getObject, listObjects, sharedCluster } from "./cluster.ts";
import { finalizersIn, untilNamespaceGone } from "./leftovers.ts";
import { bucket, localProvider } from "./manifests.ts";
import type { KubeObject } from "./objects.ts";
import { untilOperator } from "./operatorpods.ts";
import { changesBetween, photograph } from "./photograph.ts";
import { helm, upgrade } from "./release.ts";
import { createTeam, type Team } from "./team.ts";

const READY_MS = 120_000;
const HELM_MS = 240_000;
/** What the hook may take at most, and the deletions after it. */
const UNINSTALL_MS = 90_000;
const IF_EMPTY = { deletionPolicy: "DeleteIfEmpty" };

const teams: Team[] = [];

afterAll(async () => {
  for (const team of teams) await team.remove();
});

/** With a bucket that holds an object, and all finalizers that there are. */
async function busyTeam(what: string): Promise<Team> {
  const team = await createTeam(what);
  teams.push(team);
  await team.apply([localProvider("local"), bucket("photos", IF_EMPTY)]);
  await team.untilReady("encryptedbuckets", "photos", READY_MS);
  await team.until("encryptedstores", "default", "to be held", isHeld, READY_MS);
  await team.until("kmsproviders", "local", "to be held", isHeld, READY_MS);
  await put(team);
  return team;
}

/** A pod is ready a moment before its Service leads to it: until then connections are refused. */
async function put(team: Team): Promise<void> {
  const credentials = await team.credentials("photos-app");
  const answer = () => restObject(credentials, "a", { method: "PUT", body: "a" }).catch(() => undefined);
  await waitFor("the object to be written", READY_MS, async () => (await answer())?.ok === true);
}

function isHeld(object: KubeObject | undefined): boolean {
  return (object?.metadata.finalizers ?? []).some((finalizer) => finalizer.startsWith("coffer.dev/"));
}

describe("an operator that looks after one namespace alone", () => {
  let team: Team;
  let other: Team;

  beforeAll(async () => {
    team = await createTeam("alone");
    other = await createTeam("beside");
    teams.push(team, other);
    await upgrade({ operator: { watchNamespaces: [team.name] } });
  }, HELM_MS);

  afterAll(async () => await upgrade({}), HELM_MS);

  it("does its work there, and touches no other", async () => {
    await other.apply([localProvider("local"), bucket("photos")]);
    await team.apply([
      localProvider("local"),
      bucket("photos", IF_EMPTY),
      bucket("asleep", { ...IF_EMPTY, suspend: true }),
    ]);
    await team.untilReady("encryptedbuckets", "photos", READY_MS);
    await team.until("encryptedbuckets", "asleep", "to be held", isHeld, READY_MS);
    await put(team);
    expect((await other.get("encryptedbuckets", "photos"))?.status).toEqual({ observedGeneration: -1 });
    expect(await other.get("encryptedstores", "default")).toBeUndefined();
  });

  it("lets the namespace go when it is deleted, though its roles go first", async () => {
    await team.remove();
    await untilNamespaceGone(team.name);
  });
});

describe("helm uninstall", () => {
  let team: Team;
  let credentials: Credentials;
  let podsBefore: readonly KubeObject[];

  beforeAll(async () => {
    team = await busyTeam("uninstalled");
    credentials = await team.credentials("photos-app");
    podsBefore = await team.list("pods");
  });

  it(
    "ends within its time, and takes the finalizers off",
    async () => {
      const beganMs = performance.now();
      await helm(["uninstall"]);
      const tookMs = performance.now() - beganMs;
      process.stdout.write(`helm uninstall: ${(tookMs / 1000).toFixed(1)} s\n`);
      expect(tookMs).toBeLessThan(UNINSTALL_MS);
      expect(await finalizersIn(undefined)).toEqual([]);
    },
    HELM_MS,
  );

  it("leaves definitions, resources, pods and volumes, and what serves goes on serving", async () => {
    const definitions = await listObjects("customresourcedefinitions", undefined);
    const ours = definitions.filter(({ spec }) => spec.group === "coffer.dev");
    expect(ours.map(({ spec }) => spec.names.kind).sort()).toEqual([
      "EncryptedBucket",
      "EncryptedStore",
      "KmsProvider",
    ]);
    for (const [resource, name] of [
      ["kmsproviders", "local"],
      ["encryptedbuckets", "photos"],
      ["encryptedstores", "default"],
    ] as const) {
      expect((await team.get(resource, name))?.metadata.deletionTimestamp).toBeUndefined();
    }
    const uids = (pods: readonly KubeObject[]) => pods.map(({ metadata }) => metadata.uid);
    expect(uids(await team.list("pods"))).toEqual(uids(podsBefore));
    expect((await team.get("persistentvolumeclaims", "coffer-default"))?.status?.phase).toBe("Bound");
    expect(await (await restObject(credentials, "a")).text()).toBe("a");
    expect((await restObject(credentials, "b", { method: "PUT", body: "b" })).ok).toBe(true);
  });

  it("leaves nothing of itself running", async () => {
    const { operatorNamespace } = sharedCluster();
    expect(await getObject("deployments", operatorNamespace, "coffer-operator")).toBeUndefined();
    await untilOperator(0);
    const jobs = async () => await listObjects("jobs", operatorNamespace);
    await waitFor("the hook's job to go", READY_MS, async () => (await jobs()).length === 0);
  });

  it("lets a namespace go afterwards, with nobody there to look after it", async () => {
    const orphan = await createTeam("orphan");
    await orphan.apply([localProvider("local"), bucket("photos", IF_EMPTY)]);
    await orphan.remove();
    await untilNamespaceGone(orphan.name);
  });

  it(
    "is taken back by the next installation, which takes everything up as it is",
    async () => {
      const before = await photograph(team);
      await upgrade({});
      await team.until("encryptedstores", "default", "to be held", isHeld, READY_MS);
      await team.until("encryptedbuckets", "photos", "to be held", isHeld, READY_MS);
      const held = await team.until("kmsproviders", "local", "to be held", isHeld, READY_MS);
      expect(held?.status?.key?.version).toBe("1");
      for (const name of ["a", "b"]) expect(await (await restObject(credentials, name)).text()).toBe(name);
      // Nothing is made anew, and no pod restarts.
      const written = / was written$/;
      expect(changesBetween(before, await photograph(team)).filter((change) => !written.test(change))).toEqual([]);
      await team.apply(bucket("more"));
      await team.untilReady("encryptedbuckets", "more", READY_MS);
    },
    HELM_MS,
  );
});
