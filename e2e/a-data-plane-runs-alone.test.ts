// Without an operator and without `npm start`: from RustFS's files, from one YAML file and from variables alone, as
// docs/standalone.md says.

import { execFile } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { AloneDataPlane } from "./alone.ts";
import { ROOT, waitFor } from "./harness.ts";

const run = promisify(execFile);
const ACTS_MS = 60_000;
const APP = "photos.app";

const RUSTFS_KMS = `[kms]
provider = "local"  # or "vault"
endpoint = "http://localhost:8200"
timeout_secs = 30
max_retries = 3
`;
const RUSTFS_ENCRYPTION = `[encryption]
default_algorithm = "AES256"
enable_caching = true
cache_ttl_seconds = 300
max_concurrent_operations = 4

[monitoring]
enable_metrics = true
enable_audit_log = true
metrics_interval_seconds = 60
audit_log_level = "INFO"
`;

let home = "";
let alone: AloneDataPlane;

beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), "coffer-alone-"));
  await cp(join(ROOT, "examples", "standalone"), home, { recursive: true });
  alone = await AloneDataPlane.create(home);
});
afterEach(async () => {
  await alone.end("SIGKILL");
  await rm(home, { recursive: true, force: true });
});

/** Of a start that fails. */
async function problemsOf(environment: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const [code] = await once(alone.launch(environment), "close");
  expect(code).toBe(1);
  const line = alone.output.split("\n").find((one) => one.includes("the configuration cannot be used"));
  return (JSON.parse(line ?? "{}") as { problems?: string[] }).problems ?? [];
}

/** The lines of the page that a person pastes after the start, in the folder where the program runs. */
async function pastedLines(): Promise<readonly string[]> {
  const page = await readFile(join(ROOT, "docs", "standalone.md"), "utf8");
  return [...page.matchAll(/```sh\n([\s\S]*?)```/g)].map(([, lines]) => lines ?? "");
}

/** Makes a bucket and an object, and reads it, each on a connection of its own; what was printed. */
async function askAsThePageSays(): Promise<string> {
  const lines = (await pastedLines()).find((one) => one.includes("admin.env")) ?? "";
  return (await run("bash", ["-ec", lines], { cwd: home })).stdout;
}

describe("a data plane alone", () => {
  test("starts from RustFS's two files, serves as the page says, rotates, re-wraps and starts again", async () => {
    await writeFile(join(home, "config", "kms.toml"), RUSTFS_KMS);
    await writeFile(join(home, "config", "encryption.toml"), RUSTFS_ENCRYPTION);
    await alone.start({ COFFER_CONFIG: "config" });
    expect(alone.output).toContain("config/kms.toml:3 kms.endpoint: has no effect with the provider local");
    expect(await askAsThePageSays()).toMatch(/\}hello\n$/);

    const who = await alone.credentials();
    const rotated = await alone.rest("keys/local/rotate?ifVersion=1", { method: "POST" });
    expect(rotated.status).toBe(202);
    expect(await rotated.json()).toMatchObject({ provider: "local", version: "2", rotated: true });
    expect(await alone.jobOf("photos", "local/0/2")).toMatchObject({ oldestKeyVersion: "2", counts: { rewrapped: 1 } });
    const again = await alone.rest("keys/local/rotate?ifVersion=1", { method: "POST" });
    expect(await again.json()).toMatchObject({ version: "2", rotated: false });
    expect((await alone.rest("keys/local/rewrap", { method: "POST" })).status).toBe(202);
    expect(await alone.jobOf("photos", "local/1/2")).toMatchObject({ oldestKeyVersion: "2" });
    expect(await (await alone.rest("buckets/photos/objects/hello.txt")).text()).toBe("hello\n");

    await alone.end("SIGTERM");
    await alone.start({ COFFER_CONFIG: "config" });
    expect(await alone.credentials()).toEqual(who);
    expect(await (await alone.rest("buckets/photos/objects/hello.txt")).text()).toBe("hello\n");
    const ring = JSON.parse(await readFile(join(home, "secrets", "local-key-ring", "ring.json"), "utf8"));
    expect(ring.keys).toHaveLength(2);
    expect(alone.output).not.toContain(who.secretAccessKey);
    expect(alone.output).not.toContain(who.token);
  });

  test("rotates by the page's lines", async () => {
    await alone.start({ COFFER_CONFIG: "config" });
    const [, rotation = ""] =
      /([\s\S]*keys\/local\/rewrap"\n)/.exec(
        (await pastedLines()).find((one) => one.includes("keys/local/rotate")) ?? "",
      ) ?? [];
    const { stdout } = await run("bash", ["-ec", `set -a; . secrets/access/admin.env; set +a\n${rotation}`], {
      cwd: home,
    });
    expect(stdout).toMatch(/"version":"2","rotated":true/);
  });

  test("starts from one YAML file, whose buckets have credentials of their own, and takes an edit", async () => {
    await alone.start({ COFFER_CONFIG: "coffer.yaml" });
    expect((await alone.rest("buckets/photos/objects/a", { method: "PUT", body: "for photos" }, APP)).status).toBe(200);
    expect(await (await alone.rest("buckets/photos/objects/a", {}, APP)).text()).toBe("for photos");
    expect((await alone.rest("buckets/music", { method: "PUT" }, APP)).status).toBe(403);
    expect((await alone.rest("keys/local/rotate", { method: "POST" }, APP)).status).toBe(403);
    expect((await alone.rest("buckets/photos/objects/a")).status).toBe(403);

    const yaml = await readFile(join(home, "coffer.yaml"), "utf8");
    await replace("coffer.yaml", yaml.replace("AES256", "marker"));
    await waitFor("the edit to be refused", ACTS_MS, async () => {
      const { refused } = (await (await alone.admin("/config")).json()) as { refused?: { problems: string[] } };
      return refused?.problems[0]?.startsWith("coffer.yaml:7 encryption.default_algorithm: must be one of ") === true;
    });
    // Keys can be rotated all the same, and the edit stays refused.
    expect(await (await alone.rest("keys/local/rotate", { method: "POST" })).json()).toMatchObject({ version: "2" });
    expect(await (await alone.admin("/config")).json()).toMatchObject({ refused: { problemsCount: 1 } });
    await alone.jobOf("photos", "local/0/2");
    await replace("coffer.yaml", `${yaml}  - name: music\n`);
    await waitFor("the new bucket", ACTS_MS, async () => {
      const { buckets } = (await (await alone.admin("/config")).json()) as { buckets: { name: string }[] };
      return buckets.some(({ name }) => name === "music");
    });
    expect(await (await alone.rest("buckets/photos/objects/a", {}, APP)).text()).toBe("for photos");
  });

  test("starts from variables alone, with RustFS's pair", async () => {
    await alone.start({
      RUSTFS_KMS_PROVIDER: "local",
      RUSTFS_CHUNK_SIZE: "1048576",
      RUSTFS_CACHE_SIZE: "1000",
      RUSTFS_WORKER_THREADS: "2",
      RUSTFS_ENABLE_METRICS: "false",
      RUSTFS_ENABLE_AUDIT_LOG: "false",
      RUSTFS_LOG_LEVEL: "warn",
      RUSTFS_ACCESS_KEY: "rustfsadmin",
      RUSTFS_SECRET_KEY: "rustfsadmin",
    });
    const who = await alone.credentials();
    expect(who).toMatchObject({ accessKeyId: "rustfsadmin", secretAccessKey: "rustfsadmin" });
    expect((await alone.rest("buckets/music", { method: "PUT" })).status).toBe(201);
    expect((await alone.rest("buckets/music/objects/a", { method: "PUT", body: "a" })).status).toBe(200);
    expect((await alone.admin("/metrics")).status).toBe(404);
    expect(alone.output).not.toContain('"audit"');
  });

  test("tells all that is wrong with files and variables at once, and opens nothing", async () => {
    await writeFile(
      join(home, "config", "encryption.toml"),
      'default_algorithm = "DES-marker"\n[kms]\nprovider = "vault"\n',
    );
    await writeFile(join(home, "config", "coffer.yaml"), "server:\n  colour: marker\n");
    const problems = await problemsOf({
      COFFER_CONFIG: "config",
      RUSTFS_CHUNK_SIZE: "70000",
      RUSTFS_VOLUMES: "/marker",
    });
    expect(problems).toEqual([
      "config/coffer.yaml:2 server.colour: is not known",
      "RUSTFS_VOLUMES: is not known: set COFFER_DATA_DIR to one folder",
      "config/kms.toml:3 kms.provider: contradicts config/encryption.toml:3 kms.provider: leave one of them",
      expect.stringMatching(/^config\/encryption\.toml:1 default_algorithm: must be one of AES256, /),
      expect.stringMatching(/^RUSTFS_CHUNK_SIZE: must be one of 16384, /),
    ]);
    expect(alone.output).not.toContain("marker");
    await expect(readFile(join(home, "data", "index.sqlite"))).rejects.toThrow(/ENOENT/);
  });

  test("says at once that it is going, and serves as before for as long as it was told", async () => {
    await alone.start({ COFFER_CONFIG: "config", COFFER_SHUTDOWN_DELAY_SECONDS: "60" });
    alone.signal("SIGTERM");
    const ready = async () => (await alone.admin("/readyz")).json();
    await waitFor("/readyz to say so", ACTS_MS, async () => (await alone.admin("/readyz")).status === 503);
    expect(await ready()).toEqual({ ready: false, reasons: ["shutting down"] });
    expect(await askAsThePageSays()).toMatch(/\}hello\n$/);
    expect(await ready()).toEqual({ ready: false, reasons: ["shutting down"] });
  });

  test("ends when that time is over", async () => {
    await alone.start({ COFFER_CONFIG: "config", COFFER_SHUTDOWN_DELAY_SECONDS: "1" });
    const beganMs = performance.now();
    expect(await alone.end("SIGTERM")).toBe(0);
    expect(performance.now() - beganMs).toBeGreaterThan(990);
  });

  test("does not start without the ring that its data need, and starts with it again", async () => {
    await alone.start({ COFFER_CONFIG: "config" });
    await alone.rest("buckets/photos", { method: "PUT" });
    await alone.rest("buckets/photos/objects/a", { method: "PUT", body: "a" });
    await alone.end("SIGTERM");
    const ring = join(home, "secrets", "local-key-ring", "ring.json");
    await rename(ring, join(home, "kept.json"));
    expect(await problemsOf({ COFFER_CONFIG: "config" })).toEqual([
      expect.stringMatching(
        /^KeyRingLost: the store needs key ring [0-9a-f]{32} in secrets\/local-key-ring\/ring\.json, and there is none/,
      ),
    ]);
    await rename(join(home, "kept.json"), ring);
    await alone.start({ COFFER_CONFIG: "config" });
    expect(await (await alone.rest("buckets/photos/objects/a")).text()).toBe("a");
  });
});

async function replace(name: string, text: string): Promise<void> {
  await writeFile(join(home, `${name}.new`), text);
  await rename(join(home, `${name}.new`), join(home, name));
}
