import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { codeOf } from "../contract/subject.ts";
import type { Kms, KmsError } from "../kms.ts";
import { failureOf, startWorld, type World, wrap } from "./contract/clients.ts";
import { INSTALL_TIMEOUT_MS, installOpenBao } from "./contract/installed.ts";
import { makeVaultKey, withToken } from "./contract/keys.ts";

let world: World;

beforeAll(async () => {
  await installOpenBao();
  world = await startWorld();
}, INSTALL_TIMEOUT_MS);
afterAll(() => world.close());

/** By a token that may use a new key, unless `json` says otherwise. */
async function openByToken(json: object = {}): Promise<{ kms: Kms; token: string; reopen(): Promise<Kms> }> {
  const key = await makeVaultKey(world.bao);
  const token = await key.token({ policies: [key.dataPlane], ...json });
  const reopen = async () => world.open(withToken(await key.options(key.dataPlane), token));
  return { token, kms: await reopen(), reopen };
}

describe.concurrent("a token that was given", () => {
  test("is prolonged before it ends, without being asked for anything", async () => {
    // Each time a third of it is left.
    const { kms } = await openByToken({ ttl: "12s" });
    await wrap(kms);
    await sleep(21_000);
    await expect(wrap(kms)).resolves.toBeDefined();
  });

  test("that may not be prolonged any more fails by its credentials once it has ended", async () => {
    const { kms } = await openByToken({ ttl: "10s", explicit_max_ttl: "13s" });
    await wrap(kms);
    await sleep(15_000);
    expect(await codeOf(wrap(kms))).toBe("credentials");
  });

  test("that may not look itself up works for as long as it lives", async () => {
    const { kms } = await openByToken({ no_default_policy: true, ttl: "10s" });
    await wrap(kms);
    await wrap(kms);
    await sleep(12_000);
    expect(await codeOf(wrap(kms))).toBe("credentials");
  });

  test("that was revoked fails by its credentials", async () => {
    const { kms, token } = await openByToken();
    await wrap(kms);
    await world.bao.admin("POST", "auth/token/revoke", { token });
    expect(await codeOf(wrap(kms))).toBe("credentials");
  });

  test("that has been used up fails by its credentials", async () => {
    const { kms } = await openByToken({ num_uses: 4 });
    const codes = new Set<unknown>();
    for (let count = 0; count < 4; count += 1) {
      codes.add(((await failureOf(wrap(kms))) as KmsError | undefined)?.code);
    }
    expect(codes).toEqual(new Set([undefined, "credentials"]));
  });

  test("that nobody ever gave fails by its credentials", async () => {
    const key = await makeVaultKey(world.bao);
    const kms = world.open(withToken(await key.options(key.dataPlane), "s.nonsense"));
    expect(await codeOf(wrap(kms))).toBe("credentials");
  });

  test("that is good for something else is denied, and the message names the action and shows no token", async () => {
    const { kms, token } = await openByToken({ policies: ["default"] });
    const error = (await failureOf(wrap(kms))) as KmsError;
    expect(error).toMatchObject({ name: "KmsError", code: "denied", action: "wrap" });
    expect(error.message).toMatch(/^Vault does not permit to wrap with KMS key "transit\/key-\d+" \(status 403\)$/);
    expect(`${error.message}${String(error.cause)}`).not.toContain(token);
  });

  test("is not revoked when the Kms is closed, since it is not ours", async () => {
    const { kms, reopen } = await openByToken();
    await wrap(kms);
    await kms.close();
    await expect(wrap(await reopen())).resolves.toBeDefined();
  });
});
