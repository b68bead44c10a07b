// Whatever is deleted first, and whatever has gone already: a deletion ends by itself, or says for whom it waits. Data and
// keys stay unless somebody asked for their end.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { restObject } from "../clients.ts";
import { waitFor } from "../harness.ts";
import { untilNamespaceGone } from "./leftovers.ts";
import { bucket, bucketUnder, localProvider, store } from "./manifests.ts";
import { conditionOf, type KubeObject, type Resource } from "./objects.ts";
import { createTeam, type Team } from "./team.ts";
import { Vault } from "./vault.ts";

const READY_MS = 120_000;
const GONE_MS = 120_000;
const WITH_OBJECTS = { deletionPolicy: "DeleteWithObjects" };
const IF_EMPTY = { deletionPolicy: "DeleteIfEmpty" };

let team: Team;
let vault: Vault;

beforeAll(async () => {
  team = await createTeam("deletion");
  vault = await Vault.create();
  await vault.letIn(team);
  await team.apply([
    localProvider("local"),
    localProvider("first"),
    localProvider("ringless"),
    vault.provider(team),
    bucket("kept"),
    bucket("full", IF_EMPTY),
    bucketUnder("first", "provider-first", WITH_OBJECTS),
    bucketUnder("ringless", "secret-first", WITH_OBJECTS),
    bucketUnder("vault", "kms-gone", WITH_OBJECTS),
  ]);
  for (const name of ["kept", "full", "provider-first", "secret-first", "kms-gone"]) {
    await team.untilReady("encryptedbuckets", name, READY_MS);
    await put(team, name);
  }
});

afterAll(async () => {
  await vault?.remove();
  await team?.remove();
});

async function put(of: Team, name: string): Promise<void> {
  const credentials = await of.credentials(`${name}-app`);
  // A pod is ready a moment before its Service leads to it: until then connections are refused.
  await waitFor(`an answer to ${name}`, GONE_MS, async () => {
    const answer = await restObject(credentials, "a", { method: "PUT", body: "a" }).catch(() => undefined);
    // A Vault on a busy machine may take longer to answer than a client is kept waiting.
    if (answer === undefined || answer.status === 503) return false;
    expect([name, answer.ok, answer.status]).toEqual([name, true, answer.status]);
    return true;
  });
}

/** What it says of who holds it up. */
async function untilBlocked(resource: Resource, name: string): Promise<string> {
  const object = await team.untilCondition(resource, name, "DeletionBlocked", "True", GONE_MS);
  return conditionOf(object, "DeletionBlocked")?.message ?? "";
}

async function tellings(of: Team, name: string): Promise<readonly string[]> {
  const events = await of.list("events");
  return events.filter(({ regarding }) => regarding.name === name).map(({ reason }) => reason as string);
}

describe("a deletion ends", () => {
  it("when the provider was deleted first: it waits for its bucket, says so, and goes with it", async () => {
    await team.delete("kmsproviders", "first");
    expect(await untilBlocked("kmsproviders", "first")).toContain('EncryptedBucket "provider-first"');
    await put(team, "provider-first");
    await team.delete("encryptedbuckets", "provider-first");
    await team.untilGone("encryptedbuckets", "provider-first", GONE_MS);
    await team.untilGone("kmsproviders", "first", GONE_MS);
    await team.untilGone("secrets", "provider-first-app", GONE_MS);
    // The key ring outlives its provider.
    expect(Object.keys((await team.secret("first-key-ring")) ?? {})).toEqual(["ring.json"]);
  });

  it("when the Secrets were deleted first, that of the key and that of the credentials", async () => {
    await team.delete("secrets", "ringless-key-ring");
    await team.delete("secrets", "secret-first-app");
    await team.delete("encryptedbuckets", "secret-first");
    await team.untilGone("encryptedbuckets", "secret-first", GONE_MS);
    await team.delete("kmsproviders", "ringless");
    await team.untilGone("kmsproviders", "ringless", GONE_MS);
  });

  it("when the KMS has gone for good", async () => {
    await vault.bao.kill();
    await team.delete("kmsproviders", "vault");
    await team.delete("encryptedbuckets", "kms-gone");
    await team.untilGone("encryptedbuckets", "kms-gone", GONE_MS);
    await team.untilGone("kmsproviders", "vault", GONE_MS);
  });

  it("when a bucket is not empty: it waits for a person, and goes on as its message says", async () => {
    await team.delete("encryptedbuckets", "full");
    const message = await untilBlocked("encryptedbuckets", "full");
    expect(message).toContain("spec.deletionPolicy to DeleteWithObjects, or to Retain to keep them");
    await put(team, "full");
    await team.patch("encryptedbuckets", "full", { spec: WITH_OBJECTS });
    await team.untilGone("encryptedbuckets", "full", GONE_MS);
  });

  it("when the store was deleted first: it waits for the buckets, and its volume stays", async () => {
    await team.delete("encryptedstores", "default");
    expect(await untilBlocked("encryptedstores", "default")).toContain('EncryptedBucket "kept"');
    await put(team, "kept");
    const credentials = await team.credentials("kept-app");
    await team.delete("encryptedbuckets", "kept");
    await team.untilGone("encryptedbuckets", "kept", GONE_MS);
    await team.untilGone("encryptedstores", "default", GONE_MS);
    await team.untilGone("statefulsets", "coffer-default", GONE_MS);
    await team.untilGone("pods", "coffer-default-0", GONE_MS);
    await expect(restObject(credentials, "a", { signal: AbortSignal.timeout(2000) })).rejects.toThrow();
    expect((await team.get("persistentvolumeclaims", "coffer-default"))?.status?.phase).toBe("Bound");
  });

  it("when the store has gone already: the objects are kept, and an Event says so", async () => {
    await team.apply([
      store("brief", { suspend: true }),
      bucket("left", { storeRef: { name: "brief" }, ...WITH_OBJECTS }),
    ]);
    await team.until("encryptedbuckets", "left", "to be held", isHeld, GONE_MS);
    await team.until("encryptedstores", "brief", "to be held", isHeld, GONE_MS);
    await team.delete("encryptedstores", "brief");
    await team.patch("encryptedstores", "brief", { metadata: { finalizers: null } });
    await team.untilGone("encryptedstores", "brief", GONE_MS);
    await team.delete("encryptedbuckets", "left");
    await team.untilGone("encryptedbuckets", "left", GONE_MS);
    await waitFor("the Event", GONE_MS, async () => (await tellings(team, "left")).includes("DataKept"));
  });
});

describe("a namespace", () => {
  it("that is deleted with all that is in it goes", async () => {
    const doomed = await createTeam("doomed");
    await doomed.apply([
      localProvider("local"),
      bucket("retained"),
      bucket("full", IF_EMPTY),
      bucket("emptied", WITH_OBJECTS),
      bucket("asleep", { ...IF_EMPTY, suspend: true }),
    ]);
    for (const name of ["retained", "full", "emptied"]) {
      await doomed.untilReady("encryptedbuckets", name, READY_MS);
      await put(doomed, name);
    }
    await doomed.remove();
    await untilNamespaceGone(doomed.name);
  });
});

function isHeld(object: KubeObject | undefined): boolean {
  return (object?.metadata.finalizers ?? []).some((finalizer) => finalizer.startsWith("coffer.dev/"));
}
