import { inspect } from "node:util";
import { Check } from "typebox/value";
import { describe, expect, test } from "vitest";
import { type KmsOptionsJson, KmsOptionsSchema, kmsKeyIdOf, parseKmsOptions, printKmsOptions } from "./options.ts";
import { CERTIFICATE } from "./vault/contract/certificate.ts";

const TOKEN = "s.a-token-that-nobody-should-see";
const SECRET_ID = "a-secret-id-that-nobody-should-see";

const withToken = {
  type: "Vault",
  address: "https://vault.example.com:8200",
  mount: "transit",
  keyName: "photos",
  auth: { token: TOKEN },
};
const withAppRole = {
  ...withToken,
  namespace: "team/a",
  mount: "engines/transit",
  tlsServerName: "vault.internal",
  caBundle: CERTIFICATE,
  auth: { appRole: { roleId: "role", secretId: SECRET_ID, mountPath: "approle" } },
};
const withKubernetes = {
  ...withToken,
  address: "http://127.0.0.1:8200/behind/a/path",
  caBundle: CERTIFICATE + CERTIFICATE,
  auth: { kubernetes: { role: "coffer", mountPath: "clusters/one", tokenPath: "/var/run/secrets/vault/token" } },
};

const good: Readonly<Record<string, unknown>> = {
  "a token": withToken,
  "an AppRole, a namespace, a deep mount, a server name and a bundle": withAppRole,
  "a Kubernetes role, a path in the address and two certificates": withKubernetes,
};

const bad: Readonly<Record<string, [change: object, ...places: string[]]>> = {
  "no address": [{ address: undefined }, "/o/address"],
  "an address of another scheme": [{ address: "ftp://vault" }, "/o/address"],
  "an address with a user and a password": [{ address: "https://me:secret@vault" }, "/o/address"],
  "an address with a query": [{ address: "https://vault/?x=1" }, "/o/address"],
  "an address that is no URL": [{ address: "https://[::1" }, "/o/address"],
  "an empty namespace": [{ namespace: "" }, "/o/namespace"],
  "a namespace that ends with a slash": [{ namespace: "team/" }, "/o/namespace"],
  "a namespace that climbs": [{ namespace: "a/../b" }, "/o/namespace"],
  "a mount with a space": [{ mount: "my transit" }, "/o/mount"],
  "a mount with an escape": [{ mount: "tran%2Fsit" }, "/o/mount"],
  "a mount that is longer than any": [{ mount: "m".repeat(256) }, "/o/mount"],
  "a key name with a slash": [{ keyName: "a/b" }, "/o/keyName"],
  "a key name that climbs": [{ keyName: ".." }, "/o/keyName"],
  "a server name with a port": [{ tlsServerName: "vault:8200" }, "/o/tlsServerName"],
  "a bundle that is no certificate": [{ caBundle: "certificate" }, "/o/caBundle"],
  "a bundle with a damaged certificate": [{ caBundle: CERTIFICATE + CERTIFICATE.replace("MII", "AAA") }, "/o/caBundle"],
  "a token with a line break at its end": [{ auth: { token: `${TOKEN}\n` } }, "/o/auth/token"],
  "no way to log in": [{ auth: {} }, "/o/auth"],
  "two ways to log in": [{ auth: { ...withToken.auth, ...withAppRole.auth } }, "/o/auth"],
  "an auth mount that climbs": [
    { auth: { kubernetes: { ...withKubernetes.auth.kubernetes, mountPath: "../sys" } } },
    "/o/auth/kubernetes/mountPath",
  ],
  "a token file without a full path": [
    { auth: { kubernetes: { ...withKubernetes.auth.kubernetes, tokenPath: "token" } } },
    "/o/auth/kubernetes/tokenPath",
  ],
  "an AppRole without its secret": [{ auth: { appRole: { roleId: "r", mountPath: "m" } } }, "/o/auth/appRole/secretId"],
  "a member that is not known": [{ keyname: "photos" }, "/o/keyname"],
  "several mistakes at once": [{ namespace: ".", mount: "..", auth: {} }, "/o/namespace", "/o/mount", "/o/auth"],
};

describe("the options of Vault", () => {
  test.each(Object.entries(good))("with %s are parsed, and printed as they were", (_what, json) => {
    const parsed = parseKmsOptions(structuredClone(json), "/o");
    expect("options" in parsed && printKmsOptions(parsed.options)).toEqual(json);
    expect(Check(KmsOptionsSchema, json)).toBe(true);
  });

  test.each(Object.entries(bad))("are refused with %s", (_what, [change, ...places]) => {
    const json = Object.entries({ ...withToken, ...change }).filter(([, value]) => value !== undefined);
    const parsed = parseKmsOptions(Object.fromEntries(json), "/o");
    expect("problems" in parsed && parsed.problems.map(({ at }) => at)).toEqual(places);
  });

  test("quote nothing of what they found in a problem", () => {
    const parsed = parseKmsOptions({ ...withToken, auth: { token: `${TOKEN}\n` } });
    expect(JSON.stringify(parsed)).not.toContain(TOKEN);
  });

  test.each([
    ["token", withToken, TOKEN],
    ["secret id", withAppRole, SECRET_ID],
  ])("show no %s", (_what, json, secret) => {
    const parsed = parseKmsOptions(json);
    expect("options" in parsed).toBe(true);
    expect(inspect(parsed, { depth: null, showHidden: true }) + JSON.stringify(parsed)).not.toContain(secret);
  });

  test("name a key by namespace, mount and name, and not by the address", () => {
    const idOf = (json: object) => {
      const parsed = parseKmsOptions(json as KmsOptionsJson);
      return "options" in parsed ? kmsKeyIdOf(parsed.options) : undefined;
    };
    expect(idOf(withToken)).toBe("transit/photos");
    expect(idOf({ ...withToken, address: "https://elsewhere" })).toBe("transit/photos");
    expect(idOf(withAppRole)).toBe("team/a/engines/transit/photos");
  });
});
