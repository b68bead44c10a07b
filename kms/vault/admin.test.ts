import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { CONTEXT, codeOf, PATIENT } from "../contract/subject.ts";
import { type OpenedKeyAdmin, openVaultAdmin } from "../open.ts";
import { startWorld, type World, wrap } from "./contract/clients.ts";
import { INSTALL_TIMEOUT_MS, installOpenBao } from "./contract/installed.ts";
import { makeVaultKey, TIMEOUT_MS, type VaultKey } from "./contract/keys.ts";

let world: World;
const opened: OpenedKeyAdmin[] = [];

beforeAll(async () => {
  await installOpenBao();
  world = await startWorld();
}, INSTALL_TIMEOUT_MS);
afterEach(async () => {
  for (const admin of opened.splice(0)) await admin.close();
});
afterAll(() => world.close());

async function openAdmin(key: VaultKey, timeoutMs = TIMEOUT_MS): Promise<OpenedKeyAdmin> {
  const admin = await openVaultAdmin(await key.options(key.operator), { timeoutMs });
  opened.push(admin);
  return admin;
}

async function makeKeyWithVersions(count: number): Promise<{ key: VaultKey; admin: OpenedKeyAdmin }> {
  const key = await makeVaultKey(world.bao);
  for (let version = 1; version < count; version += 1) await world.bao.admin("POST", `transit/keys/${key.name}/rotate`);
  return { key, admin: await openAdmin(key) };
}

describe("rotation", () => {
  test("that was asked for by one that crashed before it heard the answer is found done by the next", async () => {
    const { key, admin } = await makeKeyWithVersions(1);
    const { version } = await admin.describe(PATIENT);
    // The request arrives and is carried out; nobody is there any more to hear of it.
    const dying = new AbortController();
    const unheard = admin.rotate(version, dying.signal).catch((error: unknown) => error);
    const versionsThere = async () => (await world.bao.admin("GET", `transit/keys/${key.name}`)).data["latest_version"];
    while ((await versionsThere()) === 1) await new Promise((resolve) => setImmediate(resolve));
    dying.abort(new Error("crashed"));
    await unheard;

    const successor = await openAdmin(key);
    expect(await successor.rotate(version, PATIENT)).toBe("2");
    expect(await successor.describe(PATIENT)).toEqual({ version: "2", enabled: true, versions: ["1", "2"] });
  });

  test("that was asked for by one that crashed before it was sent is made by the next", async () => {
    const { key, admin } = await makeKeyWithVersions(1);
    const { version } = await admin.describe(PATIENT);
    await expect(admin.rotate(version, AbortSignal.abort(new Error("crashed")))).rejects.toThrow("crashed");
    expect(await (await openAdmin(key)).rotate(version, PATIENT)).toBe("2");
  });

  test("of a paused server fails in time, and asked again makes at most the versions that were asked for", async () => {
    const { key, admin } = await makeKeyWithVersions(1);
    const hasty = await openAdmin(key, 4_000);
    await hasty.describe(PATIENT);
    await world.bao.pause();
    try {
      expect(await codeOf(hasty.rotate("1", PATIENT))).toBe("unreachable");
    } finally {
      world.bao.resume();
    }
    expect(await admin.rotate("1", PATIENT)).toBe("2");
    expect((await admin.describe(PATIENT)).versions).toEqual(["1", "2"]);
  });

  test("leaves every wrapped key open, and brings those that are rewrapped to the newest version", async () => {
    const { key, admin } = await makeKeyWithVersions(3);
    const kms = world.open(await key.options(key.dataPlane));
    const old = await wrap(kms);
    expect(old.version).toBe("3");
    expect(await admin.rotate("3", PATIENT)).toBe("4");
    const moved = await kms.rewrap(old, CONTEXT, PATIENT);
    expect(moved.version).toBe("4");
    expect(await kms.unwrap(moved, CONTEXT, PATIENT)).toEqual(await kms.unwrap(old, CONTEXT, PATIENT));
  });

  test("is not for a data plane: its policy lets it neither look nor rotate", async () => {
    const key = await makeVaultKey(world.bao);
    const admin = await openVaultAdmin(await key.options(key.dataPlane), { timeoutMs: TIMEOUT_MS });
    opened.push(admin);
    expect(await codeOf(admin.describe(PATIENT))).toBe("denied");
    expect(await codeOf(admin.rotate("1", PATIENT))).toBe("denied");
    expect(await codeOf(admin.disable("1", PATIENT))).toBe("denied");
  });
});

describe("versions", () => {
  test("are disabled from the oldest on, since Vault knows only a lowest one", async () => {
    const { admin } = await makeKeyWithVersions(4);
    expect(await codeOf(admin.disable("2", PATIENT))).toBe("unsupported");
    expect((await admin.describe(PATIENT)).versions).toEqual(["1", "2", "3", "4"]);
    await admin.disable("1", PATIENT);
    await admin.disable("2", PATIENT);
    expect((await admin.describe(PATIENT)).versions).toEqual(["3", "4"]);
    await admin.disable("1", PATIENT);
    expect((await admin.describe(PATIENT)).versions).toEqual(["3", "4"]);
  });

  test("are disabled also where a lowest version to wrap with was set below", async () => {
    const { key, admin } = await makeKeyWithVersions(3);
    await world.bao.admin("POST", `transit/keys/${key.name}/config`, { min_encryption_version: 1 });
    await admin.disable("1", PATIENT);
    expect((await admin.describe(PATIENT)).versions).toEqual(["2", "3"]);
  });

  test.each(["0", "-1", "1.5", "01", "", "v1", "99", "1e1"])("disable() does not know %j", async (version) => {
    const { admin } = await makeKeyWithVersions(2);
    expect(await codeOf(admin.disable(version, PATIENT))).toBe("not-found");
    expect((await admin.describe(PATIENT)).versions).toEqual(["1", "2"]);
  });

  test("that somebody removed are not listed", async () => {
    const { key, admin } = await makeKeyWithVersions(3);
    const path = `transit/keys/${key.name}`;
    await world.bao.admin("POST", `${path}/config`, { min_decryption_version: 2, min_encryption_version: 2 });
    await world.bao.admin("POST", `${path}/trim`, { min_available_version: 2 });
    expect((await admin.describe(PATIENT)).versions).toEqual(["2", "3"]);
  });

  test("of a key that was deleted softly are not enabled", async () => {
    const { key, admin } = await makeKeyWithVersions(1);
    await world.bao.admin("DELETE", `transit/keys/${key.name}/soft-delete`);
    expect(await admin.describe(PATIENT)).toMatchObject({ enabled: false });
    expect(await codeOf(admin.rotate("1", PATIENT))).toBe("disabled");
  });

  test("of a key that is not derived are not for us", async () => {
    const key = await makeVaultKey(world.bao, {});
    expect(await codeOf((await openAdmin(key)).describe(PATIENT))).toBe("unsupported");
  });
});
