// A Vault that asks the cluster who is logging in: pods come with the token that the kubelet projects for them, the operator
// with one that it requests for `coffer-kms`. No secret is kept anywhere.

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { restObject } from "../clients.ts";
import { bucketUnder } from "./manifests.ts";
import { conditionOf } from "./objects.ts";
import { createTeam, type Team } from "./team.ts";
import { Vault } from "./vault.ts";

const READY_MS = 180_000;
const POD_ACCOUNT = "coffer-default";
const OPERATOR_ACCOUNT = "coffer-kms";

let vault: Vault;
let team: Team;

beforeAll(async () => {
  [vault, team] = await Promise.all([Vault.create(), createTeam("by-kubernetes")]);
  await vault.letIn(team, ["another-store"]);
  await team.apply([vault.provider(team), bucketUnder("vault", "photos")]);
});

afterAll(async () => {
  await team?.remove();
  await vault?.remove();
});

/** Whom Vault has given the tokens that are good now. */
async function accountsOfTokens(): Promise<ReadonlySet<string>> {
  const listed = JSON.parse(await vault.bao.shell("bao list -format=json auth/token/accessors")) as readonly string[];
  const accounts = new Set<string>();
  for (const accessor of listed) {
    // One that has ended meanwhile is nobody's.
    const printed = await vault.bao.shell(`bao token lookup -format=json -accessor ${accessor} || echo '{}'`);
    const { data } = JSON.parse(printed) as { data?: { meta?: Record<string, string> | null } };
    const { service_account_namespace: namespace, service_account_name: name } = data?.meta ?? {};
    if (namespace === team.name && name !== undefined) accounts.add(name);
  }
  return accounts;
}

describe("a Vault that pods log in to by Kubernetes", () => {
  it("is ready for the operator, and tells which pods it does not know", async () => {
    await team.untilReady("kmsproviders", "vault", READY_MS);
    expect((await team.get("serviceaccounts", OPERATOR_ACCOUNT))?.metadata.ownerReferences).toBeUndefined();
    const isTold = (reason: string | undefined) => reason === "PodsCannotUseKey";
    const bucket = await team.until(
      "encryptedbuckets",
      "photos",
      "to tell of pods that cannot log in",
      (object) => isTold(conditionOf(object, "ProviderReady")?.reason),
      READY_MS,
    );
    expect(conditionOf(bucket, "Ready")).toMatchObject({ status: "False", reason: "PodsCannotUseKey" });
    expect(conditionOf(bucket, "ProviderReady")?.message).toContain("coffer-default-0");
  });

  it("is used as soon as its role knows them, by itself", async () => {
    await vault.letIn(team);
    const beganMs = performance.now();
    await team.untilReady("encryptedbuckets", "photos", READY_MS);
    process.stdout.write(
      `A role that knows the pods, to Ready: ${((performance.now() - beganMs) / 1000).toFixed(1)} s\n`,
    );
    const credentials = await team.credentials("photos-app");
    expect((await restObject(credentials, "a.txt", { method: "PUT", body: "by Kubernetes" })).ok).toBe(true);
    expect(await (await restObject(credentials, "a.txt")).text()).toBe("by Kubernetes");
  });

  it("knows who was there, and nothing that opens it is kept in the namespace", async () => {
    await team.patch("kmsproviders", "vault", { spec: { keyRotation: { keyGeneration: 1 } } });
    await team.until(
      "kmsproviders",
      "vault",
      "to have version 2",
      (object) => object?.status?.key?.version === "2",
      READY_MS,
    );
    expect(await accountsOfTokens()).toContain(POD_ACCOUNT);
    const secrets = await team.list("secrets");
    expect(secrets.map(({ metadata }) => metadata.name).sort()).toEqual(["coffer-default-config", "photos-app"]);
  });

  it("refuses an operator whose role it does not know, which is told", async () => {
    const spec = { auth: { kubernetes: { role: `${team.name}-data-plane`, operatorRole: "nobody" } } };
    const { spec: known } = vault.provider(team) as { spec: { vault: object } };
    await team.apply({
      ...vault.provider(team, { vault: { ...known.vault, ...spec } }),
      metadata: { name: "unknown-role" },
    });
    const told = await team.untilReason("kmsproviders", "unknown-role", "CredentialsResolved", "LoginFailed", READY_MS);
    expect(conditionOf(told, "CredentialsResolved")).toMatchObject({ status: "False" });
    await team.untilCondition("kmsproviders", "unknown-role", "Ready", "False", READY_MS);
  });
});
