import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CONTEXT, codeOf, PATIENT } from "../contract/subject.ts";
import type { Kms, KmsError, Wrapped } from "../kms.ts";
import type { KmsEvent } from "../observe.ts";
import { openKms, openVaultAdmin } from "../open.ts";
import { RESILIENCE_DEFAULTS } from "../resilience.ts";
import { Secret } from "../secret.ts";
import { failureOf, startWorld, type World, wrap } from "./contract/clients.ts";
import { INSTALL_TIMEOUT_MS, installOpenBao } from "./contract/installed.ts";
import { makeVaultKey, TIMEOUT_MS, withToken } from "./contract/keys.ts";
import { freePort, startOpenBao } from "./contract/openbao.ts";

beforeAll(installOpenBao, INSTALL_TIMEOUT_MS);

describe("a server that is out of order", () => {
  let world: World;

  beforeAll(async () => {
    world = await startWorld();
  });
  afterAll(() => world.close());

  async function openOne(timeoutMs: number): Promise<Kms> {
    const key = await makeVaultKey(world.bao);
    return world.open(await key.options(key.dataPlane), { timeoutMs });
  }

  test("is told as sealed while it is, and used again when it is not", async () => {
    const kms = await openOne(TIMEOUT_MS);
    const wrapped = await wrap(kms);
    await world.bao.seal();
    for (const verb of ["unwrap", "rewrap"] as const) {
      const error = await failureOf(kms[verb](wrapped, CONTEXT, PATIENT));
      expect(error).toMatchObject({ code: "sealed", action: verb, message: "Vault is sealed (status 503)" });
    }
    await world.bao.unseal();
    await expect(kms.unwrap(wrapped, CONTEXT, PATIENT)).resolves.toHaveLength(32);
  });

  test("is told as sealed to a login too", async () => {
    await world.bao.admin("POST", "sys/auth/approle", { type: "approle" });
    const key = await makeVaultKey(world.bao);
    const auth = { method: "appRole", roleId: "r", secretId: new Secret("s"), mountPath: "approle" } as const;
    const kms = world.open({ ...(await key.options(key.dataPlane)), auth });
    await world.bao.seal();
    expect(await codeOf(wrap(kms))).toBe("sealed");
    await world.bao.unseal();
  });

  test("that answers nothing is given up after the timeout, and used again when it answers", async () => {
    const kms = await openOne(6_000);
    await wrap(kms);
    await world.bao.pause();
    try {
      const beganMs = Date.now();
      const error = await failureOf(wrap(kms));
      expect(error).toMatchObject({ code: "unreachable", message: "Vault did not answer within 6000 ms" });
      expect(Date.now() - beganMs).toBeLessThan(20_000);
    } finally {
      world.bao.resume();
    }
    await expect(wrap(kms)).resolves.toBeDefined();
  });

  test("that answers nothing is left at once by a caller that gives up", async () => {
    const kms = await openOne(120_000);
    await wrap(kms);
    await world.bao.pause();
    try {
      const giving = new AbortController();
      const call = failureOf(wrap(kms, giving.signal));
      await sleep(50);
      const reason = new Error("the client has gone");
      giving.abort(reason);
      expect(await call).toBe(reason);
    } finally {
      world.bao.resume();
    }
  });

  test("that asks for fewer requests is told as throttled, with the pause that it asks for", async () => {
    const kms = await openOne(TIMEOUT_MS);
    await wrap(kms);
    await world.bao.admin("POST", "sys/quotas/config", { enable_rate_limit_response_headers: true });
    await world.bao.admin("POST", "sys/quotas/rate-limit/tight", { rate: 1, interval: "10s", path: "transit/" });
    try {
      let error: unknown;
      for (let count = 0; count < 5 && error === undefined; count += 1) error = await failureOf(wrap(kms));
      expect(error).toMatchObject({ code: "throttled", message: "Vault asks for fewer requests (status 429)" });
      expect((error as KmsError).retryAfterMs).toBeGreaterThan(0);
    } finally {
      await world.bao.admin("DELETE", "sys/quotas/rate-limit/tight");
    }
  });
});

describe("a server that goes", () => {
  test("fails every call that was under way, and is used again when it is back at its place", async () => {
    const token = "chosen-for-this-test";
    const first = await startWorld();
    const key = await makeVaultKey(first.bao);
    await key.token({ id: token, policies: [key.dataPlane] });
    const kms = first.open(withToken(await key.options(key.dataPlane), token));
    await wrap(kms);
    const load = Array.from({ length: 50 }, async () => {
      for (;;) {
        const error = await failureOf(wrap(kms));
        if (error !== undefined) return error as KmsError;
      }
    });
    await sleep(50);
    await first.bao.kill();
    for (const error of await Promise.all(load)) expect(error).toMatchObject({ name: "KmsError", code: "unreachable" });
    expect(await failureOf(wrap(kms))).toMatchObject({ message: "Vault cannot be reached (ECONNREFUSED)" });

    const second = await startOpenBao({ port: Number(new URL(first.bao.address).port) });
    try {
      const again = await makeVaultKey(second, { derived: true }, key.name);
      await again.token({ id: token, policies: [again.dataPlane] });
      await expect(wrap(kms)).resolves.toBeDefined();
    } finally {
      await second.stop();
      await first.close();
    }
  });

  test("under a name that nobody has is unreachable, and the message tells no address", async () => {
    const world = await startWorld();
    const key = await makeVaultKey(world.bao);
    const options = await key.options(key.dataPlane);
    for (const address of ["http://no-such-host.invalid", `http://127.0.0.1:${await freePort()}`]) {
      const error = (await failureOf(wrap(world.open({ ...options, address })))) as KmsError;
      expect(error.code).toBe("unreachable");
      // Who is asked for names may take longer than we wait.
      const why = /^Vault (cannot be reached \((ENOTFOUND|EAI_AGAIN|ECONNREFUSED)\)|did not answer within \d+ ms)$/;
      expect(error.message).toMatch(why);
    }
    await world.close();
  });
});

test("a role is not locked out by those who open its provider anew for each look", async () => {
  const world = await startWorld();
  const key = await makeVaultKey(world.bao);
  await world.bao.admin("POST", "sys/auth/approle", { type: "approle" });
  await world.bao.admin("POST", "auth/approle/role/r", { role_id: "r", token_policies: [key.dataPlane, key.operator] });
  const made = await world.bao.admin("POST", "auth/approle/role/r/secret-id");
  const options = await key.options(key.dataPlane);
  const look = async (secretId: string): Promise<unknown> => {
    const auth = { method: "appRole", roleId: "r", secretId: new Secret(secretId), mountPath: "approle" } as const;
    const settings = { timeoutMs: TIMEOUT_MS, negativeTtlMs: 0, observe: () => {} };
    const admin = await openVaultAdmin({ ...options, auth }, settings);
    const kms = await openKms({ ...options, auth }, settings, PATIENT);
    const errors = await Promise.all([failureOf(admin.describe(PATIENT)), failureOf(wrap(kms))]);
    await Promise.all([admin.close(), kms.close()]);
    return errors;
  };
  const wrong = await Promise.all(Array.from({ length: 10 }, () => look("wrong")));
  const isRefused = { code: "credentials", message: "Vault refuses the login by AppRole (status 400)" };
  for (const errors of wrong) expect(errors).toMatchObject([isRefused, isRefused]);
  expect(await look(made.data["secret_id"] as string)).toEqual([undefined, undefined]);
  await world.close();
});

describe("behind the resilience that openKms() puts around it", () => {
  const ATTEMPT_MS = 4_000;

  test("a caller hears of a paused server within the time that was set, however long an attempt may take", async () => {
    const world = await startWorld();
    const key = await makeVaultKey(world.bao);
    const settings = { timeoutMs: 120_000, answerWithinMs: 6_000, negativeTtlMs: 0, observe: () => {} };
    const kms = await openKms(await key.options(key.dataPlane), settings, PATIENT);
    await wrap(kms);
    await world.bao.pause();
    const beganMs = Date.now();
    expect(await codeOf(wrap(kms))).toBe("unreachable");
    expect(Date.now() - beganMs).toBeLessThan(20_000);
    world.bao.resume();
    await kms.close();
    await world.close();
  });

  test("a paused server is asked no more than the breaker allows, callers hear in time, and it recovers by itself", async () => {
    const world = await startWorld();
    const key = await makeVaultKey(world.bao);
    const events: KmsEvent[] = [];
    const settings = { timeoutMs: ATTEMPT_MS, negativeTtlMs: 0, observe: (event: KmsEvent) => void events.push(event) };
    const kms = await openKms(await key.options(key.dataPlane), settings, PATIENT);
    const keys = await Promise.all(Array.from({ length: 20 }, () => wrap(kms)));
    events.length = 0;
    await world.bao.pause();
    try {
      const endsMs = Date.now() + ATTEMPT_MS + 1_000;
      const slowestMs = await Promise.all(
        keys.map(async (wrapped) => {
          let slowest = 0;
          while (Date.now() < endsMs) {
            const beganMs = Date.now();
            const error = await failureOf(kms.unwrap(wrapped, CONTEXT, PATIENT));
            slowest = Math.max(slowest, Date.now() - beganMs);
            expect(error).toMatchObject({ name: "KmsError" });
            expect(["unreachable", "circuit-open"]).toContain((error as KmsError).code);
            await sleep(10);
          }
          return slowest;
        }),
      );
      expect(Math.max(...slowestMs)).toBeLessThan(20_000);
    } finally {
      world.bao.resume();
    }
    // Those that were under way when it opened; then none for four seconds at least, and a probe where that took long.
    const attempts = events.filter(({ kind }) => kind === "attempt").length;
    expect(attempts).toBeGreaterThanOrEqual(keys.length);
    expect(attempts).toBeLessThan(keys.length + RESILIENCE_DEFAULTS.breakerFailuresMax);
    expect(events).toContainEqual({ kind: "breaker", state: "open" });
    for (let tries = 0; ; tries += 1) {
      const error = await failureOf(kms.unwrap(keys[0] as Wrapped, CONTEXT, PATIENT));
      if (error === undefined) break;
      expect(tries).toBeLessThan(600);
      expect(["unreachable", "circuit-open"]).toContain((error as KmsError).code);
      await sleep(100);
    }
    expect(events.at(-1)).toMatchObject({ kind: "attempt", outcome: "ok" });
    await kms.close();
    await world.close();
  });
});
