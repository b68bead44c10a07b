// Resources that come back from a backup have no status, and counters that were raised since: they adopt them. No key is
// rotated and no credential is replaced for it; the next raise rotates once.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ANNOTATIONS, keyRingName, RING_KEY } from "../../crds/names.ts";
import { restObject } from "../clients.ts";
import { bucket, localProvider } from "./manifests.ts";
import { conditionOf, type KubeObject, type Resource } from "./objects.ts";
import { createTeam, type Team } from "./team.ts";
import { Vault } from "./vault.ts";

const READY_MS = 90_000;
const DONE_MS = 60_000;
const RING = keyRingName("local");

interface Counters {
  readonly keyGeneration: number;
  readonly credentialsGeneration: number;
}

describe("a cluster that was restored", () => {
  let team: Team;
  let elsewhere: Team;
  let vault: Vault;
  let ring: KubeObject;

  beforeAll(async () => {
    team = await createTeam("restored");
    elsewhere = await createTeam("elsewhere");
    vault = await Vault.create();
    await vault.letIn(team);
    await apply({ keyGeneration: 0, credentialsGeneration: 0 });
    await untilReady();
    const credentials = await team.credentials("photos-app");
    expect((await restObject(credentials, "kept", { method: "PUT", body: "kept" })).ok).toBe(true);
    await apply({ keyGeneration: 1, credentialsGeneration: 1 });
    for (const name of ["local", "vault"]) {
      await team.until("kmsproviders", name, "to be rotated", hasKey("2", 1), DONE_MS);
    }
    const hasNew = (object: KubeObject | undefined) =>
      object?.status?.access?.[0]?.credentialsGeneration === 1 && object.status.encryption?.keyVersion === "2";
    await team.until("encryptedbuckets", "photos", "to have new credentials and a new version", hasNew, DONE_MS);
    ring = await ringOf(team);
  });

  afterAll(async () => {
    await team?.remove();
    await elsewhere?.remove();
    await vault?.remove();
  });

  function local(keyGeneration: number): object {
    return localProvider("local", { keyRotation: { keyGeneration } });
  }

  async function apply({ keyGeneration, credentialsGeneration }: Counters): Promise<void> {
    const access = [{ name: "app", permissions: ["Read", "Write"], credentialsGeneration }];
    const photos = bucket("photos", { access });
    const rotated = vault.provider(team, { keyRotation: { keyGeneration } });
    await team.apply([local(keyGeneration), rotated, photos]);
  }

  async function untilReady(): Promise<void> {
    for (const name of ["local", "vault"]) await team.untilReady("kmsproviders", name, READY_MS);
    await team.untilReady("encryptedbuckets", "photos", READY_MS);
  }

  async function ringOf(of: Team): Promise<KubeObject> {
    const secret = await of.get("secrets", RING);
    if (secret === undefined) throw new Error(`There is no Secret ${RING} in ${of.name}`);
    return secret;
  }

  /** A pass that was asked for has been made: what was to happen has begun. */
  async function looked(of: Team, resource: Resource, name: string): Promise<KubeObject> {
    const at = new Date().toISOString();
    await of.patch(resource, name, { metadata: { annotations: { [ANNOTATIONS.reconcileRequestedAt]: at } } });
    const isHandled = (object: KubeObject | undefined) => object?.status?.lastHandledReconcileAt === at;
    return (await of.until(resource, name, "to be looked at", isHandled, DONE_MS)) as KubeObject;
  }

  async function reasonsTold(of: Team, { metadata }: KubeObject): Promise<readonly string[]> {
    const events = await of.list("events");
    return events.filter(({ regarding }) => regarding.uid === metadata.uid).map(({ reason }) => reason as string);
  }

  it("adopts the counters of every resource and acts on none", async () => {
    await team.delete("encryptedbuckets", "photos");
    await team.untilGone("encryptedbuckets", "photos", DONE_MS);
    for (const name of ["local", "vault"]) {
      await team.delete("kmsproviders", name);
      await team.untilGone("kmsproviders", name, DONE_MS);
    }
    await apply({ keyGeneration: 4, credentialsGeneration: 3 });
    await untilReady();
    for (const name of ["local", "vault"]) {
      const provider = await looked(team, "kmsproviders", name);
      expect(provider.status.key).toMatchObject({ version: "2", generation: 4 });
      expect(provider.status.rotation).toBeUndefined();
      expect(conditionOf(provider, "RotationCurrent")?.reason).toBe("UpToDate");
      expect(await reasonsTold(team, provider)).not.toContain("KeyRotated");
    }
    expect((await ringOf(team)).metadata.resourceVersion).toBe(ring.metadata.resourceVersion);
    expect(await vault.bao.shell(`bao read -field=latest_version transit/keys/${team.name}`)).toBe("2");
    const secret = await team.get("secrets", "photos-app");
    const found = await looked(team, "encryptedbuckets", "photos");
    expect(found.status.access).toMatchObject([{ name: "app", credentialsGeneration: 3 }]);
    expect(found.status.encryption).toMatchObject({ provider: "local", keyVersion: "2" });
    expect(await reasonsTold(team, found)).not.toContain("CredentialsRotated");
    expect((await team.get("secrets", "photos-app"))?.metadata.resourceVersion).toBe(secret?.metadata.resourceVersion);
  });

  it("reads what was stored before", async () => {
    const credentials = await team.credentials("photos-app");
    expect(await (await restObject(credentials, "kept")).text()).toBe("kept");
  });

  it("that is another one, with a restored key ring, rotates nothing either, and then once for the next raise", async () => {
    await elsewhere.apply({ apiVersion: "v1", kind: "Secret", metadata: { name: RING }, data: ring.data });
    const restored = await ringOf(elsewhere);
    await elsewhere.apply(local(9));
    await elsewhere.untilReady("kmsproviders", "local", READY_MS);
    const provider = await looked(elsewhere, "kmsproviders", "local");
    expect(provider.status.key).toMatchObject({ version: "2", generation: 9 });
    expect((await ringOf(elsewhere)).metadata.resourceVersion).toBe(restored.metadata.resourceVersion);
    await elsewhere.apply(local(10));
    await elsewhere.until("kmsproviders", "local", "to be rotated", hasKey("3", 10), DONE_MS);
    const after = await looked(elsewhere, "kmsproviders", "local");
    expect(after.status.key).toMatchObject({ version: "3", generation: 10 });
    const text = (await elsewhere.secret(RING))?.[RING_KEY] ?? "{}";
    expect((JSON.parse(text) as { keys: unknown[] }).keys).toHaveLength(3);
  });
});

function hasKey(version: string, generation: number): (object: KubeObject | undefined) => boolean {
  return (object) =>
    object?.status?.key?.version === version &&
    object.status.key.generation === generation &&
    object.status.rotation === undefined;
}
