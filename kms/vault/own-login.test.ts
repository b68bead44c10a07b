import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { codeOf } from "../contract/subject.ts";
import type { Kms, KmsError } from "../kms.ts";
import type { Timers } from "../timers.ts";
import {
  createMovableTimers,
  failureOf,
  startWorld,
  tokensNow,
  tokensSince,
  type World,
  wrap,
} from "./contract/clients.ts";
import { INSTALL_TIMEOUT_MS, installOpenBao } from "./contract/installed.ts";
import { makeVaultKey, vaultOptions } from "./contract/keys.ts";

let world: World;

beforeAll(async () => {
  await installOpenBao();
  world = await startWorld();
  await world.bao.admin("POST", "sys/auth/approle", { type: "approle" });
}, INSTALL_TIMEOUT_MS);
afterAll(() => world.close());

interface ByRole {
  readonly kms: Kms;
  /** With other credentials than the right ones. */
  reopen(change: object): Kms;
  setRole(json: object): Promise<void>;
  readonly policy: string;
  readonly roleId: string;
}

const opened: Kms[] = [];

/** By a role that may use a new key, unless `role` says otherwise. */
async function openByRole(role: object = {}, secret: object = {}, timers?: Timers): Promise<ByRole> {
  const { bao } = world;
  const key = await makeVaultKey(bao);
  const path = `auth/approle/role/${key.name}`;
  const setRole = async (json: object) => void (await bao.admin("POST", path, json));
  await setRole({ token_policies: [key.dataPlane], ...role });
  const roleId = (await bao.admin("GET", `${path}/role-id`)).data["role_id"] as string;
  const secretId = (await bao.admin("POST", `${path}/secret-id`, secret)).data["secret_id"];
  const reopen = (change: object) => {
    const auth = { appRole: { roleId, secretId, mountPath: "approle", ...change } };
    const kms = world.open(vaultOptions(bao, key.name, { auth }), timers === undefined ? {} : { timers });
    opened.push(kms);
    return kms;
  };
  return { kms: reopen({}), reopen, setRole, policy: key.dataPlane, roleId };
}

/** A server that comes too late with what it does to its own tokens answers 500: nobody's credentials are refused by that. */
async function wrapPatiently(kms: Kms): Promise<void> {
  for (;;) {
    const error = await failureOf(wrap(kms));
    if (error === undefined) return;
    expect(error).toMatchObject({ code: "unreachable" });
    await sleep(100);
  }
}

async function wrapForAWhile(kms: Kms, forMs: number): Promise<number> {
  const endsMs = Date.now() + forMs;
  let count = 0;
  for (; Date.now() < endsMs; count += 1) {
    await wrapPatiently(kms);
    await sleep(50);
  }
  return count;
}

describe.concurrent("as time passes an AppRole", () => {
  // They would log in anew while others count tokens.
  afterAll(async () => void (await Promise.all(opened.splice(0).map((kms) => kms.close()))));

  test("prolongs its token instead of logging in, where it may log in only once", async () => {
    const { kms } = await openByRole({ token_ttl: "12s", token_max_ttl: "1h" }, { num_uses: 1 });
    await wrapPatiently(kms);
    await sleep(21_000);
    await wrapPatiently(kms);
  });

  test("logs in anew before a token reaches its greatest age, so that no call ever fails", async () => {
    const { kms } = await openByRole({ token_ttl: "4s", token_max_ttl: "8s" });
    expect(await wrapForAWhile(kms, 18_000)).toBeGreaterThan(2);
  });

  test("logs in anew for tokens that cannot be prolonged", async () => {
    const { kms } = await openByRole({ token_ttl: "4s", token_type: "batch" });
    expect(await wrapForAWhile(kms, 10_000)).toBeGreaterThan(1);
  });

  test("logs in anew when its token has been used up", async () => {
    const { kms } = await openByRole({ token_ttl: "4s", token_num_uses: 3 });
    await wrapPatiently(kms);
    await sleep(6_000);
    await wrapPatiently(kms);
  });
});

describe("an AppRole", () => {
  test("logs in once, however many calls begin at the same time", async () => {
    const { kms } = await openByRole();
    const before = await tokensNow(world.bao);
    await Promise.all(Array.from({ length: 20 }, () => wrap(kms)));
    expect(await tokensSince(world.bao, before)).toHaveLength(1);
  });

  test("goes on when the caller that began the login has left", async () => {
    const { kms } = await openByRole();
    const leaving = new AbortController();
    const left = wrap(kms, leaving.signal);
    const staying = wrap(kms);
    leaving.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    await expect(staying).resolves.toBeDefined();
  });

  test("logs in anew at once after its token was revoked, once for all who are refused", async () => {
    const { kms } = await openByRole();
    const before = await tokensNow(world.bao);
    await wrap(kms);
    const [accessor] = await tokensSince(world.bao, before);
    await world.bao.admin("POST", "auth/token/revoke-accessor", { accessor });
    const revoked = await tokensNow(world.bao);
    await Promise.all(Array.from({ length: 10 }, () => wrap(kms)));
    expect(await tokensSince(world.bao, revoked)).toHaveLength(1);
  });

  test("that lacks a permission is denied, without a login for every call", async () => {
    const { kms } = await openByRole({ token_policies: ["default"] });
    const before = await tokensNow(world.bao);
    for (let count = 0; count < 5; count += 1) expect(await codeOf(wrap(kms))).toBe("denied");
    expect(await tokensSince(world.bao, before)).toHaveLength(1);
  });

  test("that gets the permission later works a minute after its login", async () => {
    const timers = createMovableTimers();
    const { kms, setRole, policy } = await openByRole({ token_policies: ["default"] }, {}, timers);
    expect(await codeOf(wrap(kms))).toBe("denied");
    await setRole({ token_policies: [policy] });
    expect(await codeOf(wrap(kms))).toBe("denied");
    timers.forward(61_000);
    await expect(wrap(kms)).resolves.toBeDefined();
  });

  const wrong: Readonly<Record<string, object>> = {
    "a wrong secret id": { secretId: "wrong" },
    "a wrong role id": { roleId: "wrong" },
    "an auth method that is mounted elsewhere": { mountPath: "no-such-mount" },
  };
  test.each(Object.entries(wrong))(
    "with %s fails by its credentials, and shows nothing of them",
    async (_what, change) => {
      const { reopen } = await openByRole();
      const error = await failureOf(wrap(reopen(change)));
      expect(error).toMatchObject({ name: "KmsError", code: "credentials" });
      expect((error as Error).message).toMatch(/^Vault refuses the login by AppRole \(status 40[034]\)$/);
    },
  );

  test("with a wrong secret id logs in so seldom that its role is not locked out, and another id is tried at once", async () => {
    const { kms, reopen } = await openByRole();
    const wrong = reopen({ secretId: "wrong" });
    for (let count = 0; count < 30; count += 1) {
      const error = (await failureOf(wrap(wrong))) as KmsError;
      expect(error).toMatchObject({ code: "credentials", message: "Vault refuses the login by AppRole (status 400)" });
      expect(error.retryAfterMs).toBeGreaterThan(0);
    }
    await expect(wrap(kms)).resolves.toBeDefined();
  });

  test("of a role that was locked out goes on within a minute after it was unlocked", async () => {
    const timers = createMovableTimers();
    const { kms, roleId } = await openByRole({}, {}, timers);
    const wrong = { role_id: roleId, secret_id: "wrong" };
    for (let count = 0; count < 5; count += 1) await world.bao.request("POST", "auth/approle/login", wrong, {});
    for (let count = 0; count < 10; count += 1) {
      expect(await failureOf(wrap(kms))).toMatchObject({ message: "Vault refuses the login by AppRole (status 403)" });
      timers.forward(60_000);
    }
    const { data } = await world.bao.admin("GET", "sys/auth");
    const { accessor } = data["approle/"] as { accessor: string };
    await world.bao.admin("POST", `sys/locked-users/${accessor}/unlock/${roleId}`);
    await expect(wrap(kms)).resolves.toBeDefined();
  });

  test("gives its token back when the Kms is closed", async () => {
    let left: readonly string[] = [];
    // It has a second for that, which a busy machine may take away.
    for (let tries = 0; tries === 0 || (left.length > 0 && tries < 5); tries += 1) {
      const { kms } = await openByRole();
      const before = await tokensNow(world.bao);
      await wrap(kms);
      expect(await tokensSince(world.bao, before)).toHaveLength(1);
      await kms.close();
      left = await tokensSince(world.bao, before);
    }
    expect(left).toEqual([]);
  });
});
