import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { codeOf } from "../contract/subject.ts";
import type { Kms } from "../kms.ts";
import { systemTimers, type Timers } from "../timers.ts";
import { CERTIFICATE } from "./contract/certificate.ts";
import { createMovableTimers, failureOf, startWorld, type World, wrap } from "./contract/clients.ts";
import { INSTALL_TIMEOUT_MS, installOpenBao } from "./contract/installed.ts";
import { makeVaultKey, vaultOptions } from "./contract/keys.ts";
import { startTokenReviewer, type TokenReviewer } from "./contract/token-review.ts";

let world: World;

beforeAll(async () => {
  await installOpenBao();
  world = await startWorld();
}, INSTALL_TIMEOUT_MS);
afterAll(() => world.close());

describe("a Kubernetes ServiceAccount", () => {
  let reviewer: TokenReviewer;
  let folder: string;
  let tokenPath: string;
  const account = { namespace: "team", name: "coffer-store", audience: "vault" };

  beforeAll(async () => {
    reviewer = await startTokenReviewer();
    folder = await mkdtemp(join(tmpdir(), "coffer-kubernetes-"));
    tokenPath = join(folder, "token");
    await world.bao.admin("POST", "sys/auth/cluster", { type: "kubernetes" });
    await world.bao.admin("POST", "auth/cluster/config", config());
  });
  afterAll(async () => {
    await reviewer.close();
    await rm(folder, { recursive: true, force: true });
  });

  const config = () => ({
    kubernetes_host: reviewer.address,
    token_reviewer_jwt: reviewer.reviewerJwt,
    kubernetes_ca_cert: CERTIFICATE,
    disable_local_ca_jwt: true,
  });

  async function openByAccount(role: object = {}, timers: Timers = systemTimers): Promise<Kms> {
    const { bao } = world;
    const key = await makeVaultKey(bao);
    await bao.admin("POST", `auth/cluster/role/${key.name}`, {
      bound_service_account_names: [account.name],
      bound_service_account_namespaces: [account.namespace],
      audience: "vault",
      token_policies: [key.dataPlane],
      ...role,
    });
    const auth = { kubernetes: { role: key.name, mountPath: "cluster", tokenPath } };
    return world.open(vaultOptions(bao, key.name, { auth }), { timers });
  }

  test("logs in with the token that the kubelet wrote", async () => {
    await writeFile(tokenPath, `${reviewer.issue(account)}\n`);
    const before = reviewer.reviews();
    const kms = await openByAccount();
    await wrap(kms);
    await wrap(kms);
    expect(reviewer.reviews() - before).toBe(1);
  });

  test("reads the file anew for each login", async () => {
    await writeFile(tokenPath, reviewer.issue({ ...account, ttlSeconds: 10 }));
    const kms = await openByAccount({ token_ttl: "3s", token_type: "batch" });
    await wrap(kms);
    await sleep(10_100);
    while ((await failureOf(wrap(kms))) === undefined) await sleep(100);
    await writeFile(tokenPath, reviewer.issue(account));
    // A login that had read the file before may still be under way.
    while ((await failureOf(wrap(kms))) !== undefined) await sleep(100);
  });

  test("that is refused is tried at once when the kubelet has written another token", async () => {
    await writeFile(tokenPath, reviewer.issue({ ...account, ttlSeconds: -10 }));
    const kms = await openByAccount({}, { ...systemTimers, nowMs: () => 0 });
    const before = reviewer.reviews();
    for (let count = 0; count < 10; count += 1) expect(await codeOf(wrap(kms))).toBe("credentials");
    expect(reviewer.reviews() - before).toBeLessThanOrEqual(1);
    await writeFile(tokenPath, reviewer.issue(account));
    await expect(wrap(kms)).resolves.toBeDefined();
  });

  const refused: Readonly<Record<string, () => Promise<void>>> = {
    "for another audience": () => writeFile(tokenPath, reviewer.issue({ ...account, audience: "kubernetes" })),
    "of another ServiceAccount": () => writeFile(tokenPath, reviewer.issue({ ...account, name: "other" })),
    "of another namespace": () => writeFile(tokenPath, reviewer.issue({ ...account, namespace: "other" })),
    "that has ended": () => writeFile(tokenPath, reviewer.issue({ ...account, ttlSeconds: -10 })),
    "that was changed": () => writeFile(tokenPath, reviewer.issue(account).replace(/\.[^.]+$/, ".AAAA")),
    "that is no token": () => writeFile(tokenPath, "not a token"),
    "that is empty": () => writeFile(tokenPath, "\n"),
    "that is larger than any": () => writeFile(tokenPath, "x".repeat(70_000)),
    "that is not there": () => rm(tokenPath, { force: true }),
  };
  test.each(Object.entries(refused))("with a token %s fails by its credentials", async (_what, put) => {
    await put();
    const error = await failureOf(wrap(await openByAccount()));
    expect(error).toMatchObject({ name: "KmsError", code: "credentials" });
    expect((error as Error).message).not.toContain(folder);
  });

  test("cannot log in while Kubernetes does not answer Vault, which says no more than no, and can seconds afterwards", async () => {
    await writeFile(tokenPath, reviewer.issue(account));
    const timers = createMovableTimers();
    const kms = await openByAccount({}, timers);
    await world.bao.admin("POST", "auth/cluster/config", { ...config(), kubernetes_host: "http://127.0.0.1:1" });
    expect(await codeOf(wrap(kms))).toBe("credentials");
    await world.bao.admin("POST", "auth/cluster/config", config());
    timers.forward(5_000);
    await expect(wrap(kms)).resolves.toBeDefined();
  });
});
