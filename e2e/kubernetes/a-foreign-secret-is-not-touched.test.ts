// Secrets of somebody else stand where ours would: they stay as they are, byte for byte, a condition says so and what to do,
// and everything goes on by itself once they are out of the way.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { restObject } from "../clients.ts";
import { bucket, localProvider } from "./manifests.ts";
import { conditionOf, type KubeObject } from "./objects.ts";
import { createTeam, type Team } from "./team.ts";

const READY_MS = 180_000;

let team: Team;

beforeAll(async () => {
  team = await createTeam("foreign-secret");
});

afterAll(async () => await team?.remove());

/** Somebody's Secret; what it is now. */
async function makeForeign(where: Team, name: string): Promise<KubeObject> {
  await where.kubectl(["create", "secret", "generic", name, "--from-literal=password=theirs"]);
  return (await where.get("secrets", name)) as KubeObject;
}

async function isAsItWas(where: Team, before: KubeObject): Promise<void> {
  const { metadata, data } = (await where.get("secrets", before.metadata.name)) as KubeObject;
  expect({ metadata, data }).toEqual({ metadata: before.metadata, data: before.data });
}

describe("a Secret of somebody else", () => {
  it("in the place of an access Secret stays, is told, and gives way when its owner takes it away", async () => {
    const foreign = await makeForeign(team, "photos-app");
    await team.apply([localProvider("local"), bucket("photos")]);
    const told = await team.untilReason("encryptedbuckets", "photos", "AccessReady", "SecretConflict", READY_MS);
    expect(conditionOf(told, "AccessReady")).toMatchObject({ status: "False" });
    const stalled = await team.untilCondition("encryptedbuckets", "photos", "Stalled", "True", READY_MS);
    const message = conditionOf(stalled, "Stalled")?.message;
    expect(message).toContain(
      'Secret "photos-app" is there already and not ours: remove it, or give access entry "app"',
    );
    await team.untilCondition("encryptedbuckets", "photos", "StoreReady", "True", READY_MS);
    await isAsItWas(team, foreign);

    await team.delete("secrets", "photos-app");
    await team.untilReady("encryptedbuckets", "photos", READY_MS);
    const credentials = await team.credentials("photos-app");
    expect((await restObject(credentials, "a.txt", { method: "PUT", body: "a" })).ok).toBe(true);
  });

  it("stays when the entry that wanted its name goes, and when the bucket goes", async () => {
    const foreign = await makeForeign(team, "wanted");
    const access = [
      { name: "app", permissions: ["Read"] },
      { name: "second", permissions: ["Read"], secretName: "wanted" },
    ];
    await team.apply(bucket("notes", { access }));
    await team.untilCondition("encryptedbuckets", "notes", "Stalled", "True", READY_MS);
    await team.apply(bucket("notes", { access: access.slice(0, 1) }));
    await team.untilReady("encryptedbuckets", "notes", READY_MS);
    await isAsItWas(team, foreign);
    await team.apply(bucket("notes", { access }));
    await team.untilCondition("encryptedbuckets", "notes", "Stalled", "True", READY_MS);
    await team.delete("encryptedbuckets", "notes");
    await team.untilGone("secrets", "notes-app", READY_MS);
    await isAsItWas(team, foreign);
  });

  it("in the place of a store's configuration keeps the store from being made, until it is taken away", async () => {
    const other = await createTeam("foreign-config");
    try {
      const foreign = await makeForeign(other, "coffer-default-config");
      await other.apply([localProvider("local"), bucket("photos")]);
      const told = await other.untilReason("encryptedstores", "default", "Stalled", "NameTaken", READY_MS);
      expect(conditionOf(told, "Stalled")).toMatchObject({ status: "True" });
      expect(conditionOf(told, "Stalled")?.message).toContain('Secret "coffer-default-config"');
      expect(await other.list("pods")).toEqual([]);
      await isAsItWas(other, foreign);
      await other.delete("secrets", "coffer-default-config");
      await other.untilCondition("encryptedstores", "default", "ResourcesApplied", "True", READY_MS);
    } finally {
      await other.remove();
    }
  });

  it("in the place of a key ring is no key ring, and is not made into one", async () => {
    const foreign = await makeForeign(team, "second-key-ring");
    await team.apply(localProvider("second"));
    const told = await team.untilReason("kmsproviders", "second", "Ready", "KeyRingInvalid", READY_MS);
    expect(conditionOf(told, "Ready")).toMatchObject({ status: "False" });
    expect(conditionOf(told, "Ready")?.message).toContain("second-key-ring");
    await isAsItWas(team, foreign);
    await team.delete("secrets", "second-key-ring");
    await team.untilReady("kmsproviders", "second", READY_MS);
  });
});
