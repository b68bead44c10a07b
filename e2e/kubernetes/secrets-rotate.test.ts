// What a KmsProvider refers to is changed: it acts within seconds, without a restart and without a request that fails; what
// is wrong is told, and what worked goes on working. Every request asks Vault here, since pods keep no key in memory.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { bucketUnder } from "./manifests.ts";
import { conditionOf } from "./objects.ts";
import { operatorLogs } from "./operatorpods.ts";
import { adminAnswer, markOf, STORE_POD } from "./storepods.ts";
import { createTeam, type Team } from "./team.ts";
import { type Authority, createAuthority, TlsFront } from "./tlsfront.ts";
import { Traffic } from "./traffic.ts";
import { Vault } from "./vault.ts";

const READY_MS = 180_000;
/** What "within seconds" is, and what a busy machine is given beside it. */
const ACTS_MS = 5_000;
const PATIENCE = 12;
const LOOK_AGAIN_MS = 50;
const SERVED = 40;
/** Of a role that lets as many logins in with one secret. */
const USES = 1000;

let vault: Vault;
let team: Team;
let front: TlsFront;
/** All that opened a door, or tried to. */
const used = new Set<string>();
const authorities: Record<"first" | "second" | "stranger", Authority> = {} as never;

beforeAll(async () => {
  [vault, team] = await Promise.all([Vault.create(), createTeam("secrets-rotate")]);
  await vault.letIn(team);
  for (const name of ["first", "second", "stranger"] as const) authorities[name] = await createAuthority(vault, name);
  front = await TlsFront.create(vault, authorities.first);
  await team.apply([
    secret("token", await newToken()),
    secret("front-token", await newToken()),
    secret("secret-id", await makeAppRole()),
    bundle(authorities.first),
    provider("token", { auth: { tokenSecretRef: { name: "token", key: "value" } } }),
    provider("app-role", {
      auth: { appRole: { roleId: await roleId(), secretIdSecretRef: { name: "secret-id", key: "value" } } },
    }),
    provider("authority", {
      address: front.address,
      allowInsecure: false,
      caBundleRef: { name: "authority" },
      auth: { tokenSecretRef: { name: "front-token", key: "value" } },
    }),
    ...["token", "app-role", "authority"].map((name) => bucketUnder(name, name)),
  ]);
});

afterAll(async () => {
  await team?.remove();
  await front?.close();
  await vault?.remove();
});

function secret(name: string, value: string): object {
  used.add(value);
  return { apiVersion: "v1", kind: "Secret", metadata: { name }, stringData: { value } };
}

function bundle(...trusted: readonly Authority[]): object {
  const data = { "ca.crt": trusted.map(({ caPem }) => caPem).join("") };
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "authority" }, data };
}

/** Looked at so seldom that no look of its own can be what notices a change. */
function provider(name: string, how: object): object {
  const { spec, ...rest } = vault.provider(team) as { readonly spec: { readonly vault: object } };
  const health = { interval: "1h" };
  const more = { vault: { ...spec.vault, ...how }, healthCheck: health, cache: { ttl: "0s" } };
  return { ...rest, metadata: { name }, spec: { ...spec, ...more } };
}

function policies(): string {
  return `${team.name}-data-plane,${team.name}-operator`;
}

async function newToken(): Promise<string> {
  const [first, second] = policies().split(",");
  return (
    await vault.bao.shell(`bao token create -orphan -field=token -ttl=1h -policy=${first} -policy=${second}`)
  ).trim();
}

/** Its first secret id. */
async function makeAppRole(): Promise<string> {
  await vault.bao.shell(`
    bao auth enable approle
    bao write auth/approle/role/coffer token_policies=${policies()} token_ttl=1h secret_id_num_uses=${USES}
  `);
  return await newSecretId();
}

async function roleId(): Promise<string> {
  return (await vault.bao.shell("bao read -field=role_id auth/approle/role/coffer/role-id")).trim();
}

async function newSecretId(): Promise<string> {
  return (await vault.bao.shell("bao write -f -field=secret_id auth/approle/role/coffer/secret-id")).trim();
}

async function loginsWith(secretId: string): Promise<number> {
  const lookUp = `bao write -field=secret_id_num_uses auth/approle/role/coffer/secret-id/lookup secret_id=${secretId}`;
  return USES - Number(await vault.bao.shell(lookUp));
}

/** In which the pod's options of a provider last changed. */
async function revisionOf(name: string): Promise<number> {
  interface ConfigAnswer {
    readonly providers: readonly { readonly name: string; readonly revision: number }[];
  }
  const { providers } = await adminAnswer<ConfigAnswer>(team, "/config");
  const found = providers.find((one) => one.name === name);
  if (found === undefined) throw new Error(`The pod knows no provider "${name}"`);
  return found.revision;
}

/** Until the pod has loaded a later one. */
async function untilActing(name: string, before: number): Promise<void> {
  const endMs = performance.now() + ACTS_MS * PATIENCE;
  while ((await revisionOf(name)) <= before) {
    if (performance.now() > endMs) throw new Error(`The pod goes on with the old options of "${name}"`);
    await sleep(LOOK_AGAIN_MS);
  }
}

function tell(what: string, tookMs: number): void {
  process.stdout.write(`${what}: ${(tookMs / 1000).toFixed(1)} s\n`);
  expect(tookMs).toBeLessThan(ACTS_MS * PATIENCE);
}

/** Works with a bucket all the while, and no request of it is refused. */
async function whileServed(name: string, work: (traffic: Traffic) => Promise<void>): Promise<void> {
  const traffic = new Traffic(await team.credentials(`${name}-app`));
  try {
    await traffic.served(SERVED);
    await work(traffic);
    await traffic.served(SERVED);
  } finally {
    await traffic.stop();
  }
  expect(traffic.unexplained()).toEqual([]);
}

/** Applied, it acts in the pod; how long that took. */
async function acts(name: string, change: object): Promise<void> {
  const before = await revisionOf(name);
  const beganMs = performance.now();
  await team.apply(change);
  await untilActing(name, before);
  tell(`A change that "${name}" refers to, until its pod works with it`, performance.now() - beganMs);
}

/** Applied, it is told in a condition, and nothing of it is given to the pod. */
async function isRefused(
  name: string,
  change: object,
  type: string,
  reason: string,
  traffic: Traffic,
): Promise<string> {
  const before = await revisionOf(name);
  const beganMs = performance.now();
  await team.apply(change);
  const told = await team.untilReason("kmsproviders", name, type, reason, READY_MS);
  tell(`A wrong change that "${name}" refers to, until it is told`, performance.now() - beganMs);
  expect(conditionOf(told, type)).toMatchObject({ status: "False" });
  await team.untilCondition("kmsproviders", name, "Ready", "False", READY_MS);
  await traffic.served(SERVED);
  expect(await revisionOf(name)).toBe(before);
  return conditionOf(told, type)?.message ?? "";
}

describe("a store whose keys are in a Vault", () => {
  let before: ReturnType<typeof markOf>;

  beforeEach(async () => {
    for (const name of ["token", "app-role", "authority"]) await team.untilReady("encryptedbuckets", name, READY_MS);
    before ??= markOf(await team.get("pods", STORE_POD));
  });

  it("goes over to another token within seconds, and needs the old one no more", async () => {
    const old = (await team.secret("token"))?.["value"];
    await whileServed("token", async (traffic) => {
      await acts("token", secret("token", await newToken()));
      await traffic.served(SERVED);
      await vault.bao.shell(`bao token revoke ${old}`);
    });
    await team.untilReady("kmsproviders", "token", READY_MS);
  });

  it("tells of a token that is wrong, and works on with the one that is right", async () => {
    const right = (await team.secret("token"))?.["value"] ?? "";
    const wrong = "hvs.AAAAAAAAAAAAAAAAAAAAAAAA";
    await whileServed("token", async (traffic) => {
      const message = await isRefused("token", secret("token", wrong), "CredentialsResolved", "LoginFailed", traffic);
      expect(message).not.toContain(wrong);
      await team.apply(secret("token", right));
      await team.untilReady("kmsproviders", "token", READY_MS);
    });
  });

  it("goes over to another secret id of its AppRole within seconds", async () => {
    const fresh = await newSecretId();
    await whileServed("app-role", async () => {
      await acts("app-role", secret("secret-id", fresh));
    });
    // The operator, to try it, and the pod.
    expect(await loginsWith(fresh)).toBeGreaterThanOrEqual(2);
  });

  it("tells of a secret id that is wrong, and works on with the one that is right", async () => {
    const right = (await team.secret("secret-id"))?.["value"] ?? "";
    const wrong = "00000000-0000-0000-0000-000000000000";
    await whileServed("app-role", async (traffic) => {
      const change = secret("secret-id", wrong);
      const message = await isRefused("app-role", change, "CredentialsResolved", "LoginFailed", traffic);
      expect(message).not.toContain(wrong);
      await team.apply(secret("secret-id", right));
      await team.untilReady("kmsproviders", "app-role", READY_MS);
    });
  });

  it("trusts another authority within seconds, before the server is its", async () => {
    await whileServed("authority", async () => {
      await acts("authority", bundle(authorities.first, authorities.second));
      front.show(authorities.second);
      await acts("authority", bundle(authorities.second));
    });
  });

  it("tells of an authority that is not the server's, and works on with the one that is", async () => {
    await whileServed("authority", async (traffic) => {
      await isRefused("authority", bundle(authorities.stranger), "Reachable", "TLSFailed", traffic);
      await team.apply(bundle(authorities.second));
      await team.untilReady("kmsproviders", "authority", READY_MS);
    });
  });

  it("tells of a Secret that has gone, and works on without it", async () => {
    const value = (await team.secret("token"))?.["value"] ?? "";
    await whileServed("token", async (traffic) => {
      await team.delete("secrets", "token");
      const told = await team.untilReason("kmsproviders", "token", "CredentialsResolved", "SecretNotFound", READY_MS);
      expect(conditionOf(told, "CredentialsResolved")).toMatchObject({ status: "False" });
      await traffic.served(SERVED);
      await team.apply(secret("token", value));
      await team.untilReady("kmsproviders", "token", READY_MS);
    });
  });

  it("has told none of these secrets to anybody", async () => {
    const statuses = await Promise.all((["kmsproviders", "encryptedbuckets"] as const).map((kind) => team.list(kind)));
    const told = [
      await operatorLogs(),
      await team.logs(STORE_POD),
      JSON.stringify([statuses, await team.list("events")]),
    ];
    const found = [...used].filter((value) => told.some((text) => text.includes(value)));
    expect(used.size).toBeGreaterThan(5);
    expect(found).toEqual([]);
  });

  it("has been restarted for none of that", async () => {
    expect(markOf(await team.get("pods", STORE_POD))).toEqual(before);
  });
});
