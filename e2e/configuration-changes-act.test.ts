// Editing a file of the folder is `kubectl apply`: it acts within two seconds, and what is wrong with it is said.

import { appendFile, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { restObject } from "./clients.ts";
import { type Credentials, readCredentials, removeFolders, type Store, startStore, waitFor } from "./harness.ts";

/** What a quiet machine is promised, and what a busy one is given beside it. */
const PROMISED_MS = 2000;
const PATIENCE = 30;
const WITHIN_MS = PROMISED_MS * PATIENCE;

let store: Store;
let credentials: Credentials;
beforeAll(async () => {
  store = await startStore();
  credentials = await store.credentials();
  for (const name of NAMES) expect((await restObject(credentials, name, { method: "PUT", body: name })).ok).toBe(true);
});
afterAll(async () => {
  await store?.stop();
  if (store !== undefined) await removeFolders(store);
});

const NAMES = Array.from({ length: 50 }, (_, at) => `before/${at}`);

async function edit(file: string, change: (text: string) => string): Promise<void> {
  const path = join(store.configDir, file);
  await writeFile(path, change(await readFile(path, "utf8")));
}

async function expectAllReadable(): Promise<void> {
  for (const name of NAMES) expect(await (await restObject(credentials, name)).text()).toBe(name);
}

interface Status {
  readonly status: {
    readonly key?: { readonly version: string };
    readonly encryption?: { readonly keyVersion: string };
    readonly conditions: readonly { readonly type: string; readonly status: string; readonly message: string }[];
  };
}

async function statusOf(resource: string): Promise<Status["status"]> {
  const text = await readFile(join(store.dataDir, "status", `${resource}.json`), "utf8");
  return (JSON.parse(text) as Status).status;
}

async function isTrue(resource: string, type: string): Promise<boolean> {
  const { conditions } = await statusOf(resource);
  return conditions.some((condition) => condition.type === type && condition.status === "True");
}

function bucketYaml(name: string): string {
  return `apiVersion: coffer.dev/v1alpha1
kind: EncryptedBucket
metadata:
  name: ${name}
spec:
  encryption:
    kmsProviderRef:
      name: local
  access:
    - name: app
      permissions: [Read, Write, List, Delete]
`;
}

/** Puts and gets with the credentials of a bucket's file. */
async function serves(bucket: string): Promise<boolean> {
  const path = join(store.dataDir, "access", `${bucket}-app.env`);
  const found = await readCredentials(path).catch(() => undefined);
  if (found === undefined) return false;
  const put = await restObject(found, "hello", { method: "PUT", body: "hello" });
  return put.ok && (await (await restObject(found, "hello")).text()) === "hello";
}

describe("within two seconds", () => {
  test("a new bucket serves, with credentials of its own", async () => {
    await writeFile(join(store.configDir, "music.yaml"), bucketYaml("music"));
    await waitFor("the new bucket", WITHIN_MS, () => serves("music"));
    const music = await store.credentials("music-app");
    expect(music.accessKeyId).not.toBe(credentials.accessKeyId);
    const foreign = await restObject({ ...credentials, bucket: "music" }, "hello");
    expect(foreign.status).toBe(403);
  });

  test("a raised keyGeneration rotates the key and re-wraps, while every object stays readable", async () => {
    const before = (await statusOf("KmsProvider.local")).key?.version;
    const reading = expectAllReadable();
    await edit("kmsprovider.yaml", (text) => text.replace("keyGeneration: 0", "keyGeneration: 1"));
    await waitFor("the rotation and the rewrap", WITHIN_MS, async () => {
      const [provider, bucket] = await Promise.all([statusOf("KmsProvider.local"), statusOf("EncryptedBucket.photos")]);
      const version = provider.key?.version;
      const isNew = version !== before && bucket.encryption?.keyVersion === version;
      return isNew && (await isTrue("EncryptedBucket.photos", "Ready"));
    });
    await reading;
    await expectAllReadable();
    expect((await statusOf("KmsProvider.local")).key?.version).toBe("2");
  });

  test("a broken file is refused with its line and its reason, and the rest goes on", async () => {
    const from = store.printed().length;
    await edit("music.yaml", (text) => text.replace("      name: local", "      name: [local"));
    await writeFile(join(store.configDir, "video.yaml"), bucketYaml("video"));
    await waitFor("the bucket beside the broken file", WITHIN_MS, () => serves("video"));
    await waitFor("the complaint", WITHIN_MS, () => /music\.yaml:\d+/.test(store.printed().slice(from)));
    expect(await serves("music")).toBe(true);
    await expectAllReadable();
  });

  test("a field that is none is refused with its line and its reason", async () => {
    const from = store.printed().length;
    await writeFile(join(store.configDir, "music.yaml"), `${bucketYaml("music")}  colour: red\n`);
    await waitFor("the complaint", WITHIN_MS, () => /music\.yaml:\d+.*colour/.test(store.printed().slice(from)));
    expect(await serves("music")).toBe(true);
  });

  test("the file that is whole again acts", async () => {
    await writeFile(join(store.configDir, "music.yaml"), bucketYaml("music"));
    await appendFile(join(store.configDir, "music.yaml"), `---\n${bucketYaml("poems")}`);
    await waitFor("the second bucket of the file", WITHIN_MS, () => serves("poems"));
    expect(await serves("music")).toBe(true);
  });

  test("a file that has gone deletes nothing, and a line says so", async () => {
    const from = store.printed().length;
    await rm(join(store.configDir, "video.yaml"));
    await waitFor("the line", WITHIN_MS, () => /video/.test(store.printed().slice(from)));
    await writeFile(join(store.configDir, "video.yaml"), bucketYaml("video"));
    await waitFor("the bucket with what it had", WITHIN_MS, async () => {
      const video = await store.credentials("video-app").catch(() => undefined);
      return video !== undefined && (await (await restObject(video, "hello")).text()) === "hello";
    });
  });

  test("a credentials file that was deleted comes back with a new pair, and the old one ends", async () => {
    const old = await store.credentials("music-app");
    await rm(join(store.dataDir, "access", "music-app.env"));
    await waitFor("the new pair", WITHIN_MS, () => serves("music"));
    expect((await store.credentials("music-app")).accessKeyId).not.toBe(old.accessKeyId);
    await waitFor(
      "the end of the old pair",
      WITHIN_MS,
      async () => (await restObject(old, "hello")).status === 401 || (await restObject(old, "hello")).status === 403,
    );
  });
});
