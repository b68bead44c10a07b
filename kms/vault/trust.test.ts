import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { VaultOptions } from "../options.ts";
import { CERTIFICATE } from "./contract/certificate.ts";
import { failureOf, startWorld, type World, wrap } from "./contract/clients.ts";
import { INSTALL_TIMEOUT_MS, installOpenBao } from "./contract/installed.ts";
import { makeVaultKey } from "./contract/keys.ts";

/** By a certificate for `localhost` and 127.0.0.1 of an authority of its own. */
let tls: World;
let elsewhere: World;
let plain: World;

beforeAll(async () => {
  await installOpenBao();
  [tls, elsewhere, plain] = await Promise.all([
    startWorld({ tls: true }),
    startWorld({ tls: true, host: "127.0.0.2" }),
    startWorld(),
  ]);
}, INSTALL_TIMEOUT_MS);
afterAll(() => Promise.all([tls.close(), elsewhere.close(), plain.close()]));
afterEach(() => {
  vi.unstubAllEnvs();
});

async function failureWith(world: World, change: Partial<VaultOptions>): Promise<unknown> {
  const key = await makeVaultKey(world.bao);
  return await failureOf(wrap(world.open({ ...(await key.options(key.dataPlane)), ...change })));
}

describe("a server with TLS", () => {
  test("is trusted by the authority that the options name", async () => {
    expect(await failureWith(tls, {})).toBeUndefined();
  });

  test("is trusted if its authority is one of several", async () => {
    expect(await failureWith(tls, { caBundle: CERTIFICATE + (tls.bao.caBundle ?? "") })).toBeUndefined();
  });

  test("is trusted under the name that the options give, whatever the host of the address", async () => {
    expect(await failureWith(elsewhere, { tlsServerName: "localhost" })).toBeUndefined();
  });

  const refused: Readonly<Record<string, [() => World, Partial<VaultOptions>, why: RegExp]>> = {
    "by an authority that only the system could know": [() => tls, { caBundle: undefined }, /UNABLE_TO|SELF_SIGNED/],
    "by another authority": [() => tls, { caBundle: CERTIFICATE }, /UNABLE_TO|SELF_SIGNED/],
    "under another name": [() => tls, { tlsServerName: "vault.example.com" }, /ERR_TLS_CERT_ALTNAME_INVALID/],
    "at an address that its certificate does not name": [() => elsewhere, {}, /ERR_TLS_CERT_ALTNAME_INVALID/],
  };

  test.each(Object.entries(refused))("is not trusted %s", async (_what, [world, change, why]) => {
    const error = await failureWith(world(), change);
    expect(error).toMatchObject({ name: "KmsError", code: "tls" });
    expect((error as Error).message).toMatch(/^There is no trusted TLS connection to Vault \([A-Z_]+\)$/);
    expect((error as Error).message).toMatch(why);
  });

  test("is not trusted any more for what the environment says", async () => {
    vi.stubEnv("VAULT_SKIP_VERIFY", "1");
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    expect(await failureWith(tls, { caBundle: CERTIFICATE })).toMatchObject({ code: "tls" });
  });

  test("asked without TLS is told as that", async () => {
    const error = await failureWith(tls, { address: tls.bao.address.replace("https:", "http:") });
    expect(error).toMatchObject({
      code: "tls",
      message: "Vault expects TLS: the address must begin with https:// (status 400)",
    });
  });
});

describe("a server without TLS", () => {
  test("asked with TLS is told as that", async () => {
    const error = await failureWith(plain, { address: plain.bao.address.replace("http:", "https:") });
    expect(error).toMatchObject({ code: "tls" });
  });

  test("is asked as the options say, whatever the environment says", async () => {
    vi.stubEnv("VAULT_ADDR", "http://127.0.0.1:1");
    vi.stubEnv("VAULT_TOKEN", "s.of-somebody-else");
    vi.stubEnv("VAULT_NAMESPACE", "nowhere");
    vi.stubEnv("VAULT_PREFIX", "/nowhere");
    vi.stubEnv("HTTP_PROXY", "http://127.0.0.1:1");
    vi.stubEnv("http_proxy", "http://127.0.0.1:1");
    vi.stubEnv("DEBUG", "*");
    expect(await failureWith(plain, {})).toBeUndefined();
  });
});
