// The example with Vault works as its page says, and a bucket moves from a key ring to Vault and back while it serves.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { restObject } from "./clients.ts";
import { removeFolders, type Store, startStore, waitFor } from "./harness.ts";
import { OpenBao } from "./openbao.ts";
import { filesWith } from "./search.ts";
import { Clients, createFoldersWithBoth, createVaultFolders, editFile, readPage } from "./vaultstore.ts";

/** OpenBao comes over the network the first time. */
const INSTALL_MS = 600_000;
const SOON_MS = 60_000;

interface Status {
  readonly key?: { readonly id: string; readonly version: string };
  readonly encryption?: { readonly provider: string; readonly keyId: string; readonly keyVersion: string };
  readonly conditions: readonly { readonly type: string; readonly status: string }[];
}

async function statusOf({ dataDir }: Store, resource: string): Promise<Status> {
  return (JSON.parse(await readFile(join(dataDir, "status", `${resource}.json`), "utf8")) as { status: Status }).status;
}

describe("the example", () => {
  let bao: OpenBao;
  let store: Store;
  beforeAll(async () => {
    bao = await OpenBao.create();
    store = await startStore({ folders: await createVaultFolders(bao), byNpm: true });
  }, INSTALL_MS);
  afterAll(async () => {
    await store?.stop();
    if (store !== undefined) await removeFolders(store);
    await bao?.remove();
  });

  test("begins with a server that a person can start, and ends with npm start", async () => {
    const { server, start } = await readPage();
    expect(server).toMatch(/^bao server -dev /);
    expect(start).toBe("npm start -- examples/vault\n");
  });

  test("serves with keys that Vault wraps", async () => {
    const credentials = await store.credentials();
    expect((await restObject(credentials, "hello", { method: "PUT", body: "hello" })).status).toBe(200);
    expect(await (await restObject(credentials, "hello")).text()).toBe("hello");
    const status = await statusOf(store, "KmsProvider.vault");
    expect(status.key).toMatchObject({ id: "transit/photos", version: "1" });
    expect(await statusOf(store, "EncryptedBucket.photos")).toMatchObject({
      encryption: { provider: "vault", keyId: "transit/photos", keyVersion: "1" },
    });
  });

  test("makes no key ring", async () => {
    expect(await readdir(store.secretsDir)).not.toContain("vault-key-ring");
  });

  test("rotates the key in Vault by a raised keyGeneration, and brings its records to the new version", async () => {
    const credentials = await store.credentials();
    await restObject(credentials, "before", { method: "PUT", body: "before" });
    const clients = new Clients(credentials);
    await editFile(join(store.configDir, "kmsprovider.yaml"), (yaml) =>
      yaml.replace("keyGeneration: 0", "keyGeneration: 1"),
    );
    await waitFor("the new version", SOON_MS, async () => {
      return (await statusOf(store, "EncryptedBucket.photos")).encryption?.keyVersion === "2";
    });
    await clients.stop();
    expect(clients.unexplained()).toEqual([]);
    expect(await bao.shell("bao read -field=latest_version transit/keys/photos")).toBe("2");
    // What the first version wrapped is not needed any more.
    await bao.shell("bao write transit/keys/photos/config min_decryption_version=2");
    await store.kill();
    store = await startStore({ folders: store, urls: store.urls });
    expect(await (await restObject(credentials, "before")).text()).toBe("before");
  });

  test("shows the secret of its login to nobody", async () => {
    const secretId = (await readFile(join(store.secretsDir, "coffer-vault", "secret-id"), "utf8")).trim();
    expect(secretId.length).toBeGreaterThan(20);
    expect(store.printed()).not.toContain(secretId);
    expect((await filesWith(store.dataDir, [Buffer.from(secretId)])).found).toEqual([]);
    for (const path of ["/config", "/metrics", "/jobs", "/readyz"]) {
      expect(await (await fetch(store.urls.admin + path)).text()).not.toContain(secretId);
    }
  });
});

describe("a bucket", () => {
  test("moves from a key ring to Vault and back, while every read and write is served", async () => {
    const bao = await OpenBao.create();
    const folders = await createFoldersWithBoth(bao);
    // So that every second asks a KMS.
    for (const file of ["vault.yaml", "kmsprovider.yaml"]) {
      await editFile(join(folders.configDir, file), (yaml) => `${yaml.trimEnd()}\n  cache:\n    ttl: 1s\n`);
    }
    const store = await startStore({ folders });
    const clients = new Clients(await store.credentials());
    const moveTo = async (from: string, to: string) => {
      const acknowledged = clients.acknowledged;
      await editFile(join(store.configDir, "encryptedbucket.yaml"), (yaml) =>
        yaml.replace(`name: ${from}`, `name: ${to}`),
      );
      await waitFor(`the bucket to be ${to}'s`, SOON_MS, async () => {
        const { encryption, conditions } = await statusOf(store, "EncryptedBucket.photos");
        const isReady = conditions.some(({ type, status }) => type === "Ready" && status === "True");
        return encryption?.provider === to && isReady;
      });
      await waitFor("more to be written", SOON_MS, () => clients.acknowledged > acknowledged + 50);
    };
    await waitFor("something to be written", SOON_MS, () => clients.acknowledged > 50);
    await moveTo("local", "vault");
    await moveTo("vault", "local");
    await bao.seal();
    await clients.stop();
    await bao.unseal();
    expect(clients.unexplained()).toEqual([]);
    expect((await statusOf(store, "EncryptedBucket.photos")).encryption?.provider).toBe("local");
    await store.stop();
    await removeFolders(store);
    await bao.remove();
  });
});
