// The real thing: `npm start` over a folder of its own, driven by editing files and by requests.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { ConfigAnswer } from "../../dataplane/admin/api.ts";
import { freePorts } from "../../e2e/ports.ts";
import { isRunning } from "../../e2e/processes.ts";

const MAIN = fileURLToPath(new URL("./main.ts", import.meta.url));
const HEAD = "apiVersion: coffer.dev/v1alpha1";
const PROVIDER = (keyGeneration: number) => `${HEAD}
kind: KmsProvider
metadata:
  name: local
spec:
  type: Local
  keyRotation:
    keyGeneration: ${keyGeneration}
`;
const BUCKET = (name: string, generation = 0) => `${HEAD}
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
      credentialsGeneration: ${generation}
`;

/** What a quiet machine is promised, and what a busy one is given beside it. */
const PROMISED_MS = 2000;
const PATIENCE = 40;
/** How long a file may be empty or away before that counts. */
const GONE_AFTER_MS = 1000;

interface Place {
  readonly folder: string;
  readonly data: string;
  readonly secrets: string;
  readonly environment: Record<string, string>;
  readonly adminUrl: string;
}

interface Started {
  readonly process: ChildProcess;
  output(): string;
}

const folders: string[] = [];
const started = new Set<ChildProcess>();

async function newPlace(files: Record<string, string>): Promise<Place> {
  const top = await mkdtemp(join(tmpdir(), "coffer-local-"));
  folders.push(top);
  const folder = await mkdtemp(join(top, "folder-"));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  const [s3, rest, admin] = await freePorts(3);
  const data = join(top, "data");
  const secrets = join(top, "secrets");
  const environment = {
    COFFER_DATA_DIR: data,
    COFFER_SECRETS_DIR: secrets,
    COFFER_S3_PORT: String(s3),
    COFFER_REST_PORT: String(rest),
    COFFER_ADMIN_PORT: String(admin),
  };
  return { folder, data, secrets, environment, adminUrl: `http://127.0.0.1:${admin}` };
}

function start(place: Place): Started {
  const child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", MAIN, place.folder], {
    env: { ...process.env, ...place.environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.add(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  return { process: child, output: () => output };
}

async function startReady(place: Place): Promise<Started> {
  const runtime = start(place);
  await says(runtime, "Try it:");
  return runtime;
}

/** Resolves with the exit code. */
async function stop({ process: child }: Started, signal: NodeJS.Signals = "SIGTERM"): Promise<number | null> {
  started.delete(child);
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = once(child, "close");
  child.kill(signal);
  const [code] = await ended;
  return code as number | null;
}

async function until<Value>(
  what: string,
  look: () => Promise<Value | undefined | false> | Value | undefined | false,
  withinMs = PROMISED_MS * PATIENCE,
): Promise<Value> {
  const endMs = Date.now() + withinMs;
  for (;;) {
    const value = await Promise.resolve(look()).catch(() => undefined);
    if (value !== undefined && value !== false) return value;
    if (Date.now() > endMs) throw new Error(`Not within ${withinMs} ms: ${what}`);
    await sleep(25);
  }
}

async function says(runtime: Started, text: string, withinMs?: number): Promise<void> {
  await until(`"${text}" in ${runtime.output()}`, () => runtime.output().includes(text), withinMs).catch((error) => {
    throw new Error(`${(error as Error).message}; it said ${runtime.output()}`);
  });
}

async function credentials(place: Place, bucket: string): Promise<Record<string, string>> {
  const text = await readFile(join(place.data, "access", `${bucket}-app.env`), "utf8");
  return Object.fromEntries(
    text
      .trim()
      .split("\n")
      .map((line) => line.split(/=(.*)/s).slice(0, 2)),
  );
}

async function put(access: Record<string, string>, name: string, body: string): Promise<number> {
  return (await request(access, name, { method: "PUT", body })).status;
}

async function get(access: Record<string, string>, name: string): Promise<string | number> {
  const answer = await request(access, name, {});
  return answer.ok ? await answer.text() : answer.status;
}

async function request(access: Record<string, string>, name: string, init: RequestInit): Promise<Response> {
  const headers = { authorization: `Bearer ${access["COFFER_TOKEN"]}`, connection: "close" };
  const url = `${access["COFFER_REST_URL"]}/api/v1/buckets/${access["BUCKET_NAME"]}/objects/${name}`;
  return await fetch(url, { ...init, headers });
}

async function shell(lines: string): Promise<string> {
  return (await promisify(execFile)("sh", ["-ec", lines])).stdout;
}

async function status(place: Place, name: string) {
  const { status: found } = JSON.parse(await readFile(join(place.data, "status", `${name}.json`), "utf8"));
  return found;
}

async function reasonOf(place: Place, name: string, type = "Ready"): Promise<string> {
  const { conditions } = await status(place, name);
  const condition = conditions.find((one: { type: string }) => one.type === type);
  return `${condition?.status} ${condition?.reason}`;
}

async function loaded(place: Place): Promise<ConfigAnswer> {
  return (await (await fetch(`${place.adminUrl}/config`)).json()) as ConfigAnswer;
}

afterAll(async () => {
  for (const child of started) child.kill("SIGKILL");
  for (const folder of folders) await rm(folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
});

describe("npm start, while files are edited", () => {
  let place: Place;
  let runtime: Started;

  beforeAll(async () => {
    place = await newPlace({ "provider.yaml": PROVIDER(0), "photos.yaml": BUCKET("photos") });
    runtime = await startReady(place);
  });

  afterAll(async () => {
    expect(await stop(runtime)).toBe(0);
    expect(await fetch(`${place.adminUrl}/healthz`).catch(() => "gone")).toBe("gone");
  });

  test("serves what its credentials file opens, and keeps secrets from everybody else", async () => {
    const access = await credentials(place, "photos");
    expect(await put(access, "a.txt", "hello")).toBeLessThan(300);
    expect(await get(access, "a.txt")).toBe("hello");
    expect((await stat(join(place.data, "access", "photos-app.env"))).mode & 0o777).toBe(0o600);
    expect((await stat(join(place.secrets, "config.json"))).mode & 0o777).toBe(0o600);
    expect((await stat(join(place.secrets, "local-key-ring", "ring.json"))).mode & 0o777).toBe(0o600);
    expect((await stat(place.secrets)).mode & 0o777).toBe(0o700);
    expect(runtime.output()).not.toContain(access["AWS_SECRET_ACCESS_KEY"]);
    expect(runtime.output()).not.toContain(access["COFFER_TOKEN"]);
  });

  test("prints lines that work as they are pasted", async () => {
    await shell("curl --version").catch(() =>
      expect.fail("curl was not found. On Debian and Ubuntu: apt install curl"),
    );
    const [, printed = ""] = runtime.output().split("Try it:\n");
    const [prepare = "", ...lines] = printed.trim().split("\n");
    expect(lines).toHaveLength(4);
    const results: string[] = [];
    for (const line of lines) results.push(await shell(`${prepare}\n${line}`));
    expect(results[1]).toBe("hello\n");
    expect(results[2]).toBe("hello\n");
    expect(results[3]).toContain("Key: 'hello.txt'");
  });

  test("serves a new bucket within two seconds", async () => {
    await writeFile(join(place.folder, "more.yaml"), BUCKET("more"));
    const access = await until("credentials of more", () => credentials(place, "more"));
    await until("more serves", async () => (await put(access, "b.txt", "more")) < 300);
    await says(runtime, "bucket more: ready");
  });

  test("rotates for a raised keyGeneration, wraps the bucket's keys again, and keeps every object readable", async () => {
    await writeFile(join(place.folder, "provider.yaml"), PROVIDER(1));
    await says(runtime, "KmsProvider local: rotated to version 2");
    await says(runtime, "bucket photos: its keys are wrapped by KmsProvider local, version 2");
    expect(await get(await credentials(place, "photos"), "a.txt")).toBe("hello");
    expect(await status(place, "EncryptedBucket.photos")).toMatchObject({ encryption: { keyVersion: "2" } });
    expect((await status(place, "KmsProvider.local")).rotation).toBeUndefined();
    const { keys } = JSON.parse(await readFile(join(place.secrets, "local-key-ring", "ring.json"), "utf8"));
    expect(keys).toHaveLength(2);
  });

  test("refuses a broken file with its line and reason, and goes on with the rest", async () => {
    const broken = BUCKET("photos").replace("kmsProviderRef:", "kmsProviderRef: [");
    await writeFile(join(place.folder, "photos.yaml"), broken);
    await says(runtime, "refused photos.yaml:9: Flow sequence");
    const wrong = BUCKET("more").replace("spec:", "spec:\n  colour: red");
    await writeFile(join(place.folder, "more.yaml"), wrong);
    await says(runtime, "refused more.yaml:6: spec.colour");
    await writeFile(join(place.folder, "third.yaml"), BUCKET("third"));
    await says(runtime, "bucket third: ready");
    expect(await get(await credentials(place, "photos"), "a.txt")).toBe("hello");
    await writeFile(join(place.folder, "photos.yaml"), BUCKET("photos"));
    await writeFile(join(place.folder, "more.yaml"), BUCKET("more"));
    await says(runtime, "the folder is in order again");
  });

  test("keeps the data of a bucket whose file goes, serves it no longer, and serves it when it is back", async () => {
    const access = await credentials(place, "photos");
    await rename(join(place.folder, "photos.yaml"), join(place.folder, "photos.off"));
    await says(runtime, "bucket photos: gone from the folder");
    await until("photos is refused", async () => (await get(access, "a.txt")) !== "hello");
    await rename(join(place.folder, "photos.off"), join(place.folder, "photos.yaml"));
    await until("photos is back", async () => (await get(access, "a.txt")) === "hello");
  });

  test("does not lose a bucket to an editor that truncates and then writes", async () => {
    for (let tookMs = GONE_AFTER_MS; tookMs >= GONE_AFTER_MS; ) {
      const before = runtime.output().length;
      const beganMs = performance.now();
      await writeFile(join(place.folder, "third.yaml"), "");
      await sleep(300);
      await writeFile(join(place.folder, "third.yaml"), BUCKET("third"));
      tookMs = performance.now() - beganMs;
      await sleep(1500);
      // On a busy machine the editor may have taken longer than anybody waits for it.
      if (tookMs < GONE_AFTER_MS) expect(runtime.output().slice(before)).not.toContain("bucket third: gone");
    }
  });

  test("moves a bucket to another provider, and keeps every object readable", async () => {
    await writeFile(join(place.folder, "second.yaml"), PROVIDER(0).replace("name: local", "name: second"));
    await writeFile(join(place.folder, "more.yaml"), BUCKET("more").replace("name: local", "name: second"));
    await says(runtime, "bucket more: its keys are wrapped by KmsProvider second, version 1");
    const entry = async () => {
      const { buckets } = JSON.parse(await readFile(join(place.secrets, "config.json"), "utf8"));
      return buckets.find(({ name }: { name: string }) => name === "more");
    };
    await until("the old provider is left", async () => (await entry()).keys.length === 1);
    expect((await entry()).keys[0].provider).toBe("second");
    expect(await get(await credentials(place, "more"), "b.txt")).toBe("more");
  });

  test("goes on serving a bucket whose provider's file goes", async () => {
    await rename(join(place.folder, "second.yaml"), join(place.folder, "second.off"));
    await says(runtime, "KmsProvider second: gone from the folder");
    await says(runtime, 'bucket more: KmsProvider "second" does not exist');
    expect(await put(await credentials(place, "more"), "c.txt", "still")).toBeLessThan(300);
    await rename(join(place.folder, "second.off"), join(place.folder, "second.yaml"));
    await until("ready again", async () => (await reasonOf(place, "EncryptedBucket.more")) === "True Ready");
  });

  test("gives new credentials for a raised credentialsGeneration, and lets the old ones go on", async () => {
    const old = await credentials(place, "photos");
    await writeFile(join(place.folder, "photos.yaml"), BUCKET("photos", 1));
    const fresh = await until("new credentials", async () => {
      const now = await credentials(place, "photos");
      return now["AWS_ACCESS_KEY_ID"] !== old["AWS_ACCESS_KEY_ID"] && now;
    });
    expect(await get(fresh, "a.txt")).toBe("hello");
    expect(await get(old, "a.txt")).toBe("hello");
    await says(runtime, "bucket photos: new credentials for access entry app");
  });

  test("gives new credentials where the file was deleted, and ends the old ones at once", async () => {
    const old = await credentials(place, "photos");
    await rm(join(place.data, "access", "photos-app.env"));
    const fresh = await until("new credentials", () => credentials(place, "photos"));
    expect(fresh["AWS_ACCESS_KEY_ID"]).not.toBe(old["AWS_ACCESS_KEY_ID"]);
    await until("the new ones serve", async () => (await get(fresh, "a.txt")) === "hello");
    expect(await get(old, "a.txt")).toBe(401);
  });

  test("refuses a second store, and a second npm start, in words", async () => {
    const store = (name: string) =>
      `${HEAD}\nkind: EncryptedStore\nmetadata:\n  name: ${name}\nspec:\n  backend:\n    type: Filesystem\n`;
    await writeFile(join(place.folder, "store.yaml"), store("second"));
    await says(runtime, "store second: npm start runs one store");
    await rm(join(place.folder, "store.yaml"));
    const second = start(place);
    await once(second.process, "close");
    expect(await stop(second)).toBe(1);
    expect(second.output()).toContain("Another npm start uses");
  });

  test("starts the data plane again when it dies", async () => {
    const { loadedAtMs } = await loaded(place);
    const pid = await dataPlaneOf(runtime);
    process.kill(pid, "SIGKILL");
    await says(runtime, "the data plane was ended by SIGKILL");
    await until("it is back", async () => ((await loaded(place)).loadedAtMs ?? 0) > (loadedAtMs ?? 0));
    const access = await credentials(place, "photos");
    await until("photos serves", async () => (await get(access, "a.txt")) === "hello");
  });

  test("never makes a ring again where one has gone, and goes on serving", async () => {
    const ring = join(place.secrets, "local-key-ring", "ring.json");
    await rename(ring, `${ring}.away`);
    await until("KeyRingLost", async () => (await reasonOf(place, "KmsProvider.local")) === "False KeyRingLost");
    await says(runtime, "ring.json has gone. Restore key ring");
    expect(await get(await credentials(place, "photos"), "a.txt")).toBe("hello");
    expect(await readdir(join(place.secrets, "local-key-ring"))).toEqual(["ring.json.away"]);
    await rename(`${ring}.away`, ring);
    await until("ready again", async () => (await reasonOf(place, "KmsProvider.local")) === "True Ready");
  });
});

describe("npm start, after it was killed", () => {
  afterEach(async () => {
    for (const child of started) child.kill("SIGKILL");
  });

  test("takes its data plane along, and goes on where it was", async () => {
    const place = await newPlace({ "all.yaml": `${PROVIDER(0)}---\n${BUCKET("photos")}` });
    const first = await startReady(place);
    const access = await credentials(place, "photos");
    expect(await put(access, "a.txt", "hello")).toBeLessThan(300);
    const pid = await dataPlaneOf(first);
    await stop(first, "SIGKILL");
    await until("the data plane has gone", () => !isRunning(pid));
    await writeFile(join(place.folder, "all.yaml"), `${PROVIDER(0)}---\n${BUCKET("photos")}  broken: [`);
    const second = await startReady(place);
    expect(second.output()).toContain("refused all.yaml:");
    expect(await credentials(place, "photos")).toEqual(access);
    expect(await get(access, "a.txt")).toBe("hello");
    expect(await stop(second)).toBe(0);
  });

  test("finishes a rotation that it was killed in, once", async () => {
    const place = await newPlace({ "all.yaml": `${PROVIDER(0)}---\n${BUCKET("photos")}` });
    const first = await startReady(place);
    expect(await put(await credentials(place, "photos"), "a.txt", "hello")).toBeLessThan(300);
    await writeFile(join(place.folder, "all.yaml"), `${PROVIDER(1)}---\n${BUCKET("photos")}`);
    await sleep(60 + 40 * Math.floor(Date.now() % 4));
    await stop(first, "SIGKILL");
    const second = await startReady(place);
    await until(
      "version 2",
      async () => (await status(place, "EncryptedBucket.photos")).encryption?.keyVersion === "2",
    );
    expect(await get(await credentials(place, "photos"), "a.txt")).toBe("hello");
    const { keys } = JSON.parse(await readFile(join(place.secrets, "local-key-ring", "ring.json"), "utf8"));
    expect(keys).toHaveLength(2);
    expect(await stop(second)).toBe(0);
  });
});

/** The process that the runtime started. */
async function dataPlaneOf({ process: runtime }: Started): Promise<number> {
  const children = await readFile(`/proc/${runtime.pid}/task/${runtime.pid}/children`, "utf8");
  const [pid] = children.trim().split(/\s+/).map(Number);
  if (pid === undefined || Number.isNaN(pid)) throw new Error("There is no data plane");
  return pid;
}
