// kill -9 of `npm start`, of its data plane, or of both, while a raised keyGeneration rotates the key and a new bucket enters
// the configuration: each raise gives one new version, and whatever was stored can be read at once.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { restObject } from "./clients.ts";
import { Draw } from "./draw.ts";
import { type Credentials, removeFolders, type Store, startStore, waitFor } from "./harness.ts";
import { isRunning } from "./processes.ts";

const RAISES = 12;
const KILLED_WITHIN_MS = 400;
const SETTLED_WITHIN_MS = 120_000;
const NAMES = Array.from({ length: 10 }, (_, at) => `before/${at}`);

const draw = new Draw();
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

type Victim = "both" | "npm start" | "the data plane";

async function kill(victim: Victim): Promise<void> {
  switch (victim) {
    case "both":
      await store.kill();
      return;
    case "npm start":
      process.kill(store.pid, "SIGKILL");
      await waitFor("its end", SETTLED_WITHIN_MS, () => !isRunning(store.pid));
      return;
    case "the data plane":
      process.kill(await store.dataPlanePid(), "SIGKILL");
  }
}

async function raise(generation: number): Promise<void> {
  const path = join(store.configDir, "kmsprovider.yaml");
  const text = await readFile(path, "utf8");
  await writeFile(path, text.replace(/keyGeneration: \d+/, `keyGeneration: ${generation}`));
}

async function addBucket(name: string): Promise<void> {
  const text = await readFile(join(store.configDir, "encryptedbucket.yaml"), "utf8");
  await writeFile(join(store.configDir, `${name}.yaml`), text.replace("name: photos", `name: ${name}`));
}

interface Status {
  readonly key?: { readonly version: string; readonly generation: number };
  readonly rotation?: object;
  readonly encryption?: { readonly keyVersion: string };
}

/** Of a resource; empty while there is none. */
async function statusOf(resource: string): Promise<Status> {
  const text = await readFile(join(store.dataDir, "status", `${resource}.json`), "utf8").catch(() => "{}");
  return (JSON.parse(text) as { status?: Status }).status ?? {};
}

async function versions(): Promise<readonly number[]> {
  const text = await readFile(join(store.secretsDir, "local-key-ring", "ring.json"), "utf8");
  return (JSON.parse(text) as { keys: readonly { version: number }[] }).keys.map(({ version }) => version);
}

async function isSettled(generation: number, buckets: readonly string[]): Promise<boolean> {
  const { key, rotation } = await statusOf("KmsProvider.local");
  const newest = String(generation + 1);
  if (key?.generation !== generation || key.version !== newest || rotation !== undefined) return false;
  const statuses = await Promise.all(buckets.map((bucket) => statusOf(`EncryptedBucket.${bucket}`)));
  return statuses.every(({ encryption }) => encryption?.keyVersion === newest);
}

async function isReady(): Promise<boolean> {
  return fetch(`${store.urls.admin}/readyz`).then(
    async (answer) => {
      await answer.arrayBuffer();
      return answer.ok;
    },
    () => false,
  );
}

async function expectAllReadable(): Promise<void> {
  for (const name of NAMES) {
    const answer = await restObject(credentials, name);
    expect([answer.status, await answer.text()]).toEqual([200, name]);
  }
}

test(`each of ${RAISES} raises gives one version, whoever is killed meanwhile`, { timeout: 900_000 }, async () => {
  const victims: readonly Victim[] = ["both", "npm start", "the data plane"];
  const buckets = ["photos"];
  for (let generation = 1; generation <= RAISES; generation += 1) {
    const victim = victims[generation % victims.length] ?? "both";
    const bucket = `bucket-${generation}`;
    await raise(generation);
    await sleep(draw.below(KILLED_WITHIN_MS / 2));
    await addBucket(bucket);
    buckets.push(bucket);
    await sleep(draw.below(KILLED_WITHIN_MS / 2));
    await kill(victim);
    if (victim !== "the data plane") {
      store = await startStore({ folders: store, urls: store.urls });
      await expectAllReadable();
    }
    const what = `generation ${generation}, with ${victim} killed (seed ${draw.seed})`;
    await waitFor(what, SETTLED_WITHIN_MS, async () => (await isReady()) && (await isSettled(generation, buckets)));
    expect(await versions()).toEqual(Array.from({ length: generation + 1 }, (_, at) => at + 1));
    await expectAllReadable();
    await waitFor(`${bucket} to serve`, SETTLED_WITHIN_MS, async () => {
      const own = await store.credentials(`${bucket}-app`).catch(() => undefined);
      return own !== undefined && (await restObject(own, "new", { method: "PUT", body: "new" })).ok;
    });
  }
});

test("raises that nobody saw while it was down rotate once", async () => {
  await store.kill();
  for (const generation of [RAISES + 1, RAISES + 2, RAISES + 3]) await raise(generation);
  store = await startStore({ folders: store, urls: store.urls });
  await waitFor("the rotation", SETTLED_WITHIN_MS, async () => {
    const { key } = await statusOf("KmsProvider.local");
    return key?.generation === RAISES + 3;
  });
  expect((await versions()).length).toBe(RAISES + 2);
  await expectAllReadable();
});
