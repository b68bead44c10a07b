import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { describeKmsContract } from "../contract/contract.ts";
import { CONTEXT, codeOf, PATIENT } from "../contract/subject.ts";
import type { KmsError } from "../kms.ts";
import { openKms } from "../open.ts";
import { failureOf, startWorld, type World, wrap } from "./contract/clients.ts";
import { INSTALL_TIMEOUT_MS, installOpenBao } from "./contract/installed.ts";
import { MEANS, makeVaultKey, startVaultSubject, TIMEOUT_MS, withToken } from "./contract/keys.ts";
import { createVaultKms } from "./vault.ts";

beforeAll(installOpenBao, INSTALL_TIMEOUT_MS);

describeKmsContract("Vault", () => startVaultSubject(async (options) => createVaultKms(options, MEANS)));

const SETTINGS = { timeoutMs: TIMEOUT_MS, negativeTtlMs: 10_000, observe: () => {} };

describeKmsContract("Vault, opened from options with resilience around it", () =>
  startVaultSubject(async (options) => await openKms(options, SETTINGS, PATIENT)),
);

describe("a transit key", () => {
  let world: World;

  beforeAll(async () => {
    world = await startWorld();
  });
  afterAll(() => world.close());

  test("that is not derived is refused before it wraps anything, since nothing would be bound", async () => {
    const key = await makeVaultKey(world.bao, {});
    const kms = world.open(await key.options(key.dataPlane));
    const error = (await failureOf(wrap(kms))) as KmsError;
    expect(error).toMatchObject({ code: "unsupported", action: "wrap" });
    expect(error.message).toMatch(/^KMS key "transit\/key-\d+" is not derived: make one with derived=true/);
    expect(await codeOf(kms.generate(CONTEXT, PATIENT))).toBe("unsupported");
  });

  test.each(["aes128-gcm96", "aes256-gcm96", "chacha20-poly1305", "xchacha20-poly1305"])(
    "of the type %s wraps and unwraps",
    async (type) => {
      const key = await makeVaultKey(world.bao, { derived: true, type });
      const kms = world.open(await key.options(key.dataPlane));
      const { plain, wrapped } = await kms.generate(CONTEXT, PATIENT);
      expect(await kms.unwrap(wrapped, CONTEXT, PATIENT)).toEqual(plain);
      expect(await kms.rewrap(wrapped, CONTEXT, PATIENT)).toMatchObject({ version: "1" });
    },
  );

  test("that does not exist is not found, and is not made even by a token that may make one", async () => {
    const { bao } = world;
    const key = await makeVaultKey(bao);
    const keyName = `${key.name}-missing`;
    await bao.admin("PUT", "sys/policies/acl/everything", {
      policy: 'path "transit/*" { capabilities = ["create", "read", "update", "delete", "list"] }',
    });
    const kms = world.open({ ...(await key.options("everything")), keyName });
    const wrapped = await wrap(world.open(await key.options(key.dataPlane)));
    const moved = { ...wrapped, kmsKeyId: `transit/${keyName}` };
    for (const call of [
      () => wrap(kms),
      () => kms.generate(CONTEXT, PATIENT),
      () => kms.unwrap(moved, CONTEXT, PATIENT),
      () => kms.rewrap(moved, CONTEXT, PATIENT),
    ]) {
      const error = await failureOf(call());
      expect(error).toMatchObject({ code: "not-found" });
      expect((error as Error).message).toBe(`KMS key "transit/${keyName}" does not exist (status 400)`);
    }
    const { data } = await bao.admin("LIST", "transit/keys");
    expect(data["keys"]).not.toContain(keyName);
  });

  test("that was deleted softly is disabled, and works again when it was restored", async () => {
    const key = await makeVaultKey(world.bao);
    const kms = world.open(await key.options(key.dataPlane));
    const wrapped = await wrap(kms);
    await world.bao.admin("DELETE", `transit/keys/${key.name}/soft-delete`);
    expect(await codeOf(wrap(kms))).toBe("disabled");
    expect(await codeOf(kms.unwrap(wrapped, CONTEXT, PATIENT))).toBe("disabled");
    await world.bao.admin("POST", `transit/keys/${key.name}/soft-delete-restore`);
    await expect(kms.unwrap(wrapped, CONTEXT, PATIENT)).resolves.toHaveLength(32);
  });

  test("of a version that it does not have yet is not found", async () => {
    const key = await makeVaultKey(world.bao);
    const kms = world.open(await key.options(key.dataPlane));
    const { bytes, ...wrapped } = await wrap(kms);
    const later = Buffer.from(Buffer.from(bytes).toString().replace("vault:v1:", "vault:v7:"));
    expect(await codeOf(kms.unwrap({ ...wrapped, version: "7", bytes: later }, CONTEXT, PATIENT))).toBe("not-found");
  });

  test("of a mount that is no transit engine is not found", async () => {
    const key = await makeVaultKey(world.bao);
    const token = await key.token({ policies: ["root"] });
    const options = withToken(await key.options(key.dataPlane), token);
    expect(await codeOf(wrap(world.open({ ...options, mount: "no-such-mount" })))).toBe("not-found");
  });

  test("in a namespace is named with it, and is another key than its namesake outside", async () => {
    const { bao } = world;
    await bao.admin("POST", "sys/namespaces/team");
    await bao.admin("POST", "sys/mounts/engines/transit", { type: "transit" }, "team");
    const key = await makeVaultKey(bao);
    await bao.admin("POST", `engines/transit/keys/${key.name}`, { derived: true }, "team");
    const token = await key.token({ policies: ["root"] });
    const options = withToken(await key.options(key.dataPlane), token);
    const kms = world.open({ ...options, namespace: "team", mount: "engines/transit" });
    const { plain, wrapped } = await kms.generate(CONTEXT, PATIENT);
    expect(wrapped.kmsKeyId).toBe(`team/engines/transit/${key.name}`);
    expect(await kms.unwrap(wrapped, CONTEXT, PATIENT)).toEqual(plain);
    const outside = world.open(options);
    expect(await codeOf(outside.unwrap(wrapped, CONTEXT, PATIENT))).toBe("rejected");
    expect(await codeOf(outside.unwrap({ ...wrapped, kmsKeyId: `transit/${key.name}` }, CONTEXT, PATIENT))).toBe(
      "rejected",
    );
  });

  test("that somebody else unwraps by hand opens with the context of the format", async () => {
    const key = await makeVaultKey(world.bao);
    const kms = world.open(await key.options(key.dataPlane));
    const { plain, wrapped } = await kms.generate({ "coffer:bucket": "photos", team: "a" }, PATIENT);
    const { data } = await world.bao.admin("POST", `transit/decrypt/${key.name}`, {
      ciphertext: Buffer.from(wrapped.bytes).toString(),
      context: "4IHi6jRktgbbajgeoC9qB2D0G2atKdoUh+VdtAJ7GFI=",
    });
    expect(data["plaintext"]).toBe(Buffer.from(plain).toString("base64"));
  });

  test("rejects every spelling of a wrapped key but the one that was written", async () => {
    const key = await makeVaultKey(world.bao);
    const kms = world.open(await key.options(key.dataPlane));
    const wrapped = await wrap(kms);
    const text = Buffer.from(wrapped.bytes).toString();
    const spellings = [` ${text}`, `${text}\n`, `${text}=`, text.toUpperCase(), text.replace("v1", "v01"), `x${text}`];
    for (const spelling of [...spellings, text.replaceAll("/", "_").replaceAll("+", "-").concat("-")]) {
      expect(await codeOf(kms.unwrap({ ...wrapped, bytes: Buffer.from(spelling) }, CONTEXT, PATIENT))).toBe("rejected");
    }
  });
});
