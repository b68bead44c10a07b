import { access, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openKms } from "../../kms/open.ts";
import { parseKmsOptions } from "../../kms/options.ts";
import type { AuditEvent } from "../audit/audit.ts";
import type { Call } from "../call.ts";
import { ConfigError, type DataPlaneConfig, type ProviderEntry } from "../config/config.ts";
import { openSource } from "../config/sources.ts";
import { createBucketKeys, openStoreId } from "../keys/keys.ts";
import type { Log } from "../log.ts";
import { createLive, type Live } from "../snapshot.ts";
import { createMemoryStorage } from "../storage/memory.ts";
import { type Storage, StorageError } from "../storage/storage.ts";
import { createKeyDriver, createStandalone, type StandaloneSource } from "./standalone.ts";

const signal = new AbortController().signal;
const URLS = { s3: "http://127.0.0.1:9000", rest: "http://127.0.0.1:8080" };
const VAULT = {
  COFFER_KMS_PROVIDER: "vault",
  COFFER_KMS_ENDPOINT: "https://vault.test",
  COFFER_KMS_TOKEN: "s.token",
};

let folder = "";
let secretsDir = "";
let storage: Storage;
let said: string[];
let audited: AuditEvent[];
let live: Live;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "coffer-standalone-"));
  secretsDir = join(folder, "secrets");
  storage = createMemoryStorage(Date.now);
  said = [];
  audited = [];
  live = createLive(openEntry, () => undefined);
});
afterEach(async () => {
  await live.close();
  await rm(folder, { recursive: true });
});

async function openEntry({ options, timeoutMs }: ProviderEntry) {
  const parsed = parseKmsOptions(options);
  if ("problems" in parsed) throw new Error("these options are right");
  return openKms(parsed.options, { timeoutMs, negativeTtlMs: 0, observe: () => undefined }, signal);
}

const ringPath = () => join(secretsDir, "local-key-ring", "ring.json");
const adminPath = () => join(secretsDir, "access", "admin.env");

function standalone(environment: Record<string, string> = {}, path?: string): StandaloneSource {
  const say = (message: string, fields?: unknown) => void said.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const log: Log = { error: say, warn: say, info: say, debug: say, setLevel() {} };
  const source = openSource(path, { COFFER_KMS_PROVIDER: "local", ...environment });
  const dataDir = join(folder, "data");
  return createStandalone({ source, dataDir, secretsDir, urls: URLS, storage, log, nowMs: Date.now });
}

const filePath = () => join(folder, "coffer.yaml");

/** One that reads a file with these buckets. */
async function standaloneWith(buckets: string): Promise<StandaloneSource> {
  await writeFile(filePath(), `buckets:\n${buckets}`);
  return standalone({}, filePath());
}

async function load(source: StandaloneSource): Promise<DataPlaneConfig> {
  const { document } = await source.read(signal);
  await live.offer(document, signal);
  return document;
}

async function problemsOf(source: StandaloneSource): Promise<string> {
  try {
    await source.read(signal);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.join("\n");
    throw error;
  }
  return "";
}

function call(): Call {
  return {
    id: "call-1",
    operation: "DriveKeys",
    principal: { kind: "anonymous" },
    snapshot: live.enter(),
    facts: { tls: false, address: "" },
    signal,
    startedMs: 0,
    bucket: undefined,
    name: undefined,
    doneBytes: 0,
    totalBytes: undefined,
  };
}

/** As a first write to a bucket does. */
async function makeBucketKey(): Promise<void> {
  const one = call();
  const { selfService: rules, buckets } = one.snapshot.config;
  if (rules === undefined) throw new Error("a data plane alone has self-service");
  const audit = (): undefined => undefined;
  const keys = createBucketKeys({
    storage,
    storeId: await openStoreId(storage, [], signal),
    audit,
    nowMs: Date.now,
  });
  await storage.createBucket("photos", signal);
  const own = buckets.find(({ name }) => name === "photos");
  await keys.current(one, own ?? { ...rules, name: "photos", state: "serve", credentials: [] });
  live.leave(one.snapshot);
}

/** As a bucket gets it that somebody makes, by request or in a file. */
async function makeBucketDocument(madeBy: "configuration" | "self-service"): Promise<void> {
  const document = Buffer.from(JSON.stringify({ format: 1, madeBy, createdMs: 1 }));
  await storage.putDocument("bucket/photos", document, "absent", signal);
}

async function permissions(path: string): Promise<string> {
  return ((await stat(path)).mode & 0o777).toString(8);
}

describe("createStandalone()", () => {
  it("makes ring and credentials once, for their owner alone", async () => {
    const first = await load(standalone());
    const [ring, admin] = [await readFile(ringPath(), "utf8"), await readFile(adminPath(), "utf8")];
    expect(await load(standalone())).toMatchObject({ providers: first.providers.map(({ options }) => ({ options })) });
    expect(await readFile(ringPath(), "utf8")).toBe(ring);
    expect(await readFile(adminPath(), "utf8")).toBe(admin);
    expect(await permissions(ringPath())).toBe("600");
    expect(await permissions(adminPath())).toBe("600");
    expect(await permissions(secretsDir)).toBe("700");
    expect(await readdir(join(secretsDir, "access"))).toEqual(["admin.env"]);
    expect(said.filter((line) => line.startsWith("credentials"))).toHaveLength(2);
    expect(said.join()).not.toContain(first.selfService?.credentials[0]?.secret);
  });

  it("writes a credential down as an application reads it", async () => {
    await load(standalone({ RUSTFS_ACCESS_KEY: "rustfsadmin", RUSTFS_SECRET_KEY: "rustfs secret".replace(" ", "-") }));
    expect(await readFile(adminPath(), "utf8")).toMatch(
      /^AWS_ENDPOINT_URL_S3=http:\/\/127\.0\.0\.1:9000\nAWS_REGION=local\nAWS_DEFAULT_REGION=local\nAWS_ACCESS_KEY_ID=rustfsadmin\nAWS_SECRET_ACCESS_KEY=rustfs-secret\nCOFFER_REST_URL=http:\/\/127\.0\.0\.1:8080\nCOFFER_TOKEN=[\w-]{43}\n$/,
    );
  });

  it("takes no other file for a credential, and leaves it as it is", async () => {
    await mkdir(join(secretsDir, "access"), { recursive: true });
    await writeFile(adminPath(), "somebody's own");
    expect(await problemsOf(standalone())).toMatch(/admin\.env: holds no pair of keys: restore it, or take it away/);
    expect(await readFile(adminPath(), "utf8")).toBe("somebody's own");
  });

  it("goes on where it cannot write down credentials that it was given, and not where it must make them", async () => {
    await symlink(join(folder, "nowhere", "at-all"), secretsDir);
    const given = { RUSTFS_ACCESS_KEY: "rustfsadmin", RUSTFS_SECRET_KEY: "rustfssecret" };
    await load(standalone({ ...VAULT, ...given }));
    expect(said.join("\n")).toMatch(/admin\.env \(COFFER_SECRETS_DIR\) cannot be written: E/);
    expect(await problemsOf(standalone(VAULT))).toMatch(/admin\.env \(COFFER_SECRETS_DIR\) cannot be written: E/);
    expect(await problemsOf(standalone(given))).toMatch(/the key ring cannot be made in .* \(COFFER_SECRETS_DIR\): E/);
  });

  it("writes nothing of what it refuses, so that what was made once stays", async () => {
    const source = await standaloneWith("  - name: photos\n");
    const { selfService } = await load(source);
    const admin = await readFile(adminPath(), "utf8");
    const token = /COFFER_TOKEN=(.*)/.exec(admin)?.[1];
    const pair = "access_key: chosen\n        secret_key: chosen-secret\n";
    for (const wrong of [
      `token: ${token}`,
      `access_key: ${selfService?.credentials[0]?.accessKeyId}\n        secret_key: x-secret`,
    ]) {
      await writeFile(
        filePath(),
        `server: {region: elsewhere}\nbuckets:\n  - name: photos\n    access:\n      - name: app\n        ${pair}      - name: copy\n        ${wrong}\n`,
      );
      expect(await problemsOf(source)).toMatch(/coffer\.yaml:9 buckets\.0\.access\.1\.\w+: is also that of admin/);
      expect(await readFile(adminPath(), "utf8")).toBe(admin);
      expect(await readdir(join(secretsDir, "access"))).toEqual(["admin.env"]);
    }
  });

  it("tells of all files at once that hold no pair", async () => {
    await mkdir(join(secretsDir, "access"), { recursive: true });
    for (const name of ["admin", "photos.app"]) await writeFile(join(secretsDir, "access", `${name}.env`), "own");
    const source = await standaloneWith("  - name: photos\n    access: [{name: app}]\n");
    expect((await problemsOf(source)).match(/holds no pair of keys/g)).toHaveLength(2);
  });

  it.each(["data/secrets", "data"])("keeps no ring on the data's volume: %s", (inside) => {
    secretsDir = join(folder, inside);
    expect(() => standalone()).toThrow(/COFFER_SECRETS_DIR: must not lie in COFFER_DATA_DIR/);
  });

  it.each<[string, string, string, string]>([
    ["a link to the data", "linked", "data", "linked"],
    ["a folder below a link to the data", "linked", "data", "linked/secrets"],
    ["a folder that a link leads to, yet to be made", "linked", "data/secrets", "linked"],
    ["a folder of the data, which are a link", "data", "elsewhere", "elsewhere/secrets"],
  ])("keeps no ring on the data's volume by a link: %s", async (_sentence, link, target, inside) => {
    if (link !== "data") await mkdir(join(folder, "data"));
    await mkdir(join(folder, "elsewhere"));
    await symlink(join(folder, target), join(folder, link));
    secretsDir = join(folder, inside);
    expect(() => standalone()).toThrow(/COFFER_SECRETS_DIR: must not lie in COFFER_DATA_DIR/);
  });

  it.each(["data..", "..data", "data-2"])("knows folders apart whose names begin alike: %s", (name) => {
    secretsDir = join(folder, name);
    expect(() => standalone()).not.toThrow();
  });

  it("takes a link that goes round in circles for a folder that cannot be used", async () => {
    await symlink(join(folder, "b"), join(folder, "a"));
    await symlink(join(folder, "a"), join(folder, "b"));
    secretsDir = join(folder, "a");
    expect(() => standalone()).toThrow(/COFFER_SECRETS_DIR: cannot be found, or COFFER_DATA_DIR cannot: ELOOP/);
  });

  it("says what has no effect, once", async () => {
    const source = standalone({ COFFER_METRICS_INTERVAL_SECONDS: "60" });
    await load(source);
    await load(source);
    expect(said.filter((line) => line.includes("COFFER_METRICS_INTERVAL_SECONDS: has no effect"))).toHaveLength(1);
  });

  it("is read anew where keys changed and no configuration could be made, until it can", async () => {
    const source = standalone();
    await load(source);
    const read = await source.fingerprint();
    const admin = await readFile(adminPath());
    await writeFile(adminPath(), "somebody's own");
    await expect(source.again(signal)).rejects.toThrow(ConfigError);
    expect(await source.fingerprint()).not.toBe(read);
    expect(await problemsOf(source)).toContain("holds no pair of keys");
    expect(await source.fingerprint()).not.toBe(read);
    await writeFile(adminPath(), admin);
    await load(source);
    expect(await source.fingerprint()).toBe(read);
  });

  it("makes no ring for Vault", async () => {
    const config = await load(standalone(VAULT));
    expect(config.providers.map(({ name }) => name)).toEqual(["vault"]);
    await expect(access(ringPath())).rejects.toThrow(/ENOENT/);
  });

  it("keeps the ring to open what it wrapped when Vault writes", async () => {
    await load(standalone());
    const config = await load(standalone(VAULT));
    expect(config.selfService).toMatchObject({
      keys: [{ provider: "vault" }, { provider: "local" }],
      rewrapWish: "vault/0/",
    });
  });
});

describe("the ring of a store that has been written to", () => {
  it("is made anew as long as nothing was wrapped by it", async () => {
    await load(standalone());
    await rm(ringPath());
    expect(await problemsOf(standalone())).toBe("");
  });

  it.each<[string, Record<string, string>]>([
    ["local", {}],
    ["vault", VAULT],
  ])("is lost when it has gone, and never made again (%s)", async (_provider, environment) => {
    const config = await load(standalone());
    await makeBucketKey();
    await rm(ringPath());
    const problems = await problemsOf(standalone(environment));
    expect(problems).toContain(`KeyRingLost: the store needs key ring ${config.providers[0]?.kmsKeyId}`);
    expect(problems).toMatch(/ring\.json, and there is none: restore it/);
    await expect(access(ringPath())).rejects.toThrow(/ENOENT/);
  });

  it("is lost when another stands in its place", async () => {
    await load(standalone());
    const other = await readFile(ringPath(), "utf8");
    await rm(ringPath());
    await load(standalone());
    await makeBucketKey();
    await writeFile(ringPath(), other);
    expect(await problemsOf(standalone())).toMatch(/KeyRingLost: .* and there is another: restore it/);
  });

  it("tells what is no ring, without what stands there", async () => {
    await mkdir(join(secretsDir, "local-key-ring"), { recursive: true });
    await writeFile(ringPath(), '{"id": "marker"}');
    expect(await problemsOf(standalone())).toMatch(/the key ring in .*ring\.json: \/format is missing/);
    expect(await problemsOf(standalone())).not.toContain("marker");
  });
});

describe("the context of a bucket", () => {
  const PHOTOS = "  - name: photos\n";
  const OF_A = `${PHOTOS}    context: {team: a}\n`;
  const OF_B = `${PHOTOS}    context: {team: b}\n`;

  it.each<[string, string, string, string]>([
    ["edited", OF_A, OF_B, "coffer.yaml:3 buckets.0.context"],
    ["added", PHOTOS, OF_A, "coffer.yaml:3 buckets.0.context"],
    ["taken out", OF_A, PHOTOS, "coffer.yaml:2 buckets.0.context"],
  ])("is refused with its place where it was %s, and at the next start too", async (_edit, before, after, place) => {
    await openStoreId(storage, [], signal);
    const source = await standaloneWith(before);
    const first = await load(source);
    await makeBucketKey();
    await writeFile(filePath(), `buckets:\n${after}`);
    const problem = expect.stringContaining(`${place}: cannot be changed: all that the bucket holds is bound to`);
    expect(await problemsOf(source)).toEqual(problem);
    expect((await source.again(signal)).document.buckets).toEqual(first.buckets);
    expect(await problemsOf(standalone({}, filePath()))).toEqual(problem);
    await standaloneWith(before);
    expect(await problemsOf(standalone({}, filePath()))).toBe("");
  });

  it("is remembered as soon as the store is open, and not before", async () => {
    const source = await standaloneWith(OF_A);
    await load(source);
    expect((await storage.documents("", "", 1, signal)).items).toEqual([]);
    await openStoreId(storage, [], signal);
    await load(source);
    expect(await problemsOf(await standaloneWith(OF_B))).toMatch(/cannot be changed/);
  });

  it("is not given to a bucket that was made by request, nor to one whose keys stayed", async () => {
    await load(standalone());
    await makeBucketKey();
    expect(await problemsOf(await standaloneWith(OF_A))).toMatch(
      /coffer\.yaml:3 buckets\.0\.context: cannot be changed/,
    );
    await makeBucketDocument("self-service");
    expect(await problemsOf(await standaloneWith(OF_A))).toMatch(
      /coffer\.yaml:3 buckets\.0\.context: cannot be changed/,
    );
    expect(await problemsOf(await standaloneWith(PHOTOS))).toBe("");
    await storage.removeDocument("bucket/photos", (await storage.document("bucket/photos", signal))?.tag ?? "", signal);
    await makeBucketDocument("configuration");
    expect(await problemsOf(await standaloneWith(OF_A))).toMatch(/cannot be changed/);
  });

  it("is taken as it stands, for as long as it stays so, where the bucket is older than what is remembered", async () => {
    await load(await standaloneWith(OF_A));
    await makeBucketKey();
    await makeBucketDocument("configuration");
    const source = await standaloneWith(OF_A);
    await load(source);
    await writeFile(filePath(), `buckets:\n${OF_B}`);
    expect(await problemsOf(source)).toMatch(/cannot be changed/);
  });

  it("does not keep a start from happening where the storage takes no write", async () => {
    await openStoreId(storage, [], signal);
    const full = new StorageError("full", "no space");
    Object.assign(storage, { putDocument: () => Promise.reject(full) });
    await load(await standaloneWith(OF_A));
    expect(said.join()).toContain("cannot be written down");
  });
});

describe("a bucket that was taken out of the file", () => {
  const warnings = () => said.filter((line) => line.includes("bucket photos holds data and stands nowhere"));

  async function putObject(): Promise<void> {
    await storage.createBucket("photos", signal);
    const envelope = Buffer.from("envelope");
    const source = {
      whole: () => ({ envelope, tail: undefined }),
      early: () => envelope,
      tail: () => new Uint8Array(),
    };
    await storage.draft({ bucket: "photos", name: "a" }, source, signal).commit();
  }

  it("is told of at once and at each start, if it holds data", async () => {
    const source = await standaloneWith("  - name: photos\n");
    await load(source);
    await makeBucketDocument("configuration");
    await putObject();
    await writeFile(filePath(), "buckets: []");
    await load(source);
    await load(source);
    expect(warnings()).toHaveLength(1);
    await load(standalone({}, filePath()));
    expect(warnings()).toHaveLength(2);
    await load(await standaloneWith("  - name: photos\n"));
    expect(warnings()).toHaveLength(2);
  });

  it("is not told of where it is empty, or was made by request", async () => {
    await makeBucketDocument("configuration");
    await load(standalone());
    await storage.removeDocument("bucket/photos", (await storage.document("bucket/photos", signal))?.tag ?? "", signal);
    await makeBucketDocument("self-service");
    await putObject();
    await load(standalone());
    expect(warnings()).toEqual([]);
  });
});

describe("createKeyDriver()", () => {
  async function driven(beforeReload: () => void = () => undefined) {
    const source = standalone();
    await load(source);
    const audit = (_call: Call, event: AuditEvent): undefined => void audited.push(event);
    const reload = async (): Promise<void> => {
      beforeReload();
      await live.offer((await source.again(signal)).document, signal);
    };
    const driver = createKeyDriver({ secretsDir, storage, audit, nowMs: Date.now, reload, signal });
    const provider = () => {
      const entry = live.peek()?.providers.get("local");
      if (entry === undefined) throw new Error("there is a ring");
      return entry;
    };
    return { driver, provider, wish: () => live.peek()?.config.selfService?.rewrapWish };
  }

  it("rotates: the ring has a version more, the configuration too, and a rewrap is wanted", async () => {
    const { driver, provider, wish } = await driven();
    const before = live.peek()?.config.revision ?? 0;
    expect(wish()).toBe("local/0/1");
    expect(await driver.rotate(call(), provider(), undefined)).toEqual({ version: "2", rotated: true });
    expect(wish()).toBe("local/0/2");
    expect(live.peek()?.config.revision).toBeGreaterThan(before);
    expect(JSON.parse(await readFile(ringPath(), "utf8")).keys).toHaveLength(2);
    expect(audited).toEqual([
      expect.objectContaining({ operation: "RotateKey", kind: "key", provider: "local", keyVersion: "2" }),
    ]);
  });

  it("rotates once from a version that is named, however often it is asked", async () => {
    const { driver, provider } = await driven();
    const answers = await Promise.all([1, 2, 3].map(() => driver.rotate(call(), provider(), "1")));
    expect(answers).toEqual([
      { version: "2", rotated: true },
      { version: "2", rotated: false },
      { version: "2", rotated: false },
    ]);
  });

  it.each(["abc", "", "0", "01", "1.0", "2", "99"])(
    "refuses to rotate from what is no version: %o",
    async (ifVersion) => {
      const { driver, provider, wish } = await driven();
      await expect(driver.rotate(call(), provider(), ifVersion)).rejects.toMatchObject({ code: "InvalidArgument" });
      expect(wish()).toBe("local/0/1");
    },
  );

  it("takes a version that no longer unwraps for one that was left", async () => {
    const { driver, provider } = await driven();
    await driver.rotate(call(), provider(), "1");
    await driver.rotate(call(), provider(), "2");
    const ring = await readFile(ringPath(), "utf8");
    await writeFile(ringPath(), ring.replace('"enabled"', '"disabled"'));
    expect(await driver.rotate(call(), provider(), "1")).toEqual({ version: "3", rotated: false });
  });

  it("rotates once for all who ask while a rotation is under way", async () => {
    const { driver, provider } = await driven();
    const answers = await Promise.all([1, 2, 3].map(() => driver.rotate(call(), provider(), undefined)));
    expect(answers.map(({ version }) => version)).toEqual(["2", "2", "2"]);
    expect((await driver.rotate(call(), provider(), undefined)).version).toBe("3");
  });

  it("wishes for a rewrap anew each time, and remembers it over a restart", async () => {
    const { driver, provider, wish } = await driven();
    await driver.rewrap(call(), provider());
    expect(wish()).toBe("local/1/1");
    await driver.rewrap(call(), provider());
    await load(standalone());
    expect(wish()).toBe("local/2/1");
    expect(audited.map(({ operation, failure }) => [operation, failure])).toEqual([
      ["RewrapKeys", undefined],
      ["RewrapKeys", undefined],
    ]);
  });

  it("refuses to re-wrap with a provider that nothing is written with, and audits it", async () => {
    const { driver, provider } = await driven();
    await load(standalone(VAULT));
    await expect(driver.rewrap(call(), provider())).rejects.toMatchObject({ code: "ConfigurationConflict" });
    expect(audited).toMatchObject([{ operation: "RewrapKeys", failure: { code: "ConfigurationConflict" } }]);
  });

  it.each(["rotate", "rewrap"] as const)("does nothing to %s while no configuration can be made", async (verb) => {
    const { driver, provider, wish } = await driven();
    await makeBucketKey();
    const admin = await readFile(adminPath());
    await writeFile(adminPath(), "somebody's own");
    await expect(driver[verb](call(), provider(), undefined)).rejects.toMatchObject({
      code: "ConfigurationConflict",
      message: expect.stringContaining("admin.env: holds no pair of keys"),
    });
    expect(JSON.parse(await readFile(ringPath(), "utf8")).keys).toHaveLength(1);
    expect(await storage.document("standalone", signal)).toBeUndefined();
    await writeFile(adminPath(), admin);
    await driver[verb](call(), provider(), undefined);
    expect(wish()).toBe(verb === "rotate" ? "local/0/2" : "local/1/1");
  });

  it("does not rotate where the storage takes no write", async () => {
    const { driver, provider } = await driven();
    Object.assign(storage, { putDocument: () => Promise.reject(new StorageError("full", "no space")) });
    await expect(driver.rotate(call(), provider(), undefined)).rejects.toMatchObject({ code: "InsufficientStorage" });
    expect(JSON.parse(await readFile(ringPath(), "utf8")).keys).toHaveLength(1);
  });

  it("answers that it rotated, and audits what failed, where the new version cannot be published", async () => {
    let reloads = 0;
    const { driver, provider } = await driven(() => {
      reloads += 1;
      if (reloads === 2) throw new ConfigError(["a file"]);
    });
    expect(await driver.rotate(call(), provider(), undefined)).toEqual({ version: "2", rotated: true });
    expect(audited.map(({ operation, keyVersion, failure }) => [operation, keyVersion, failure?.code])).toEqual([
      ["RotateKey", "2", undefined],
      ["PublishKey", "2", "InternalError"],
    ]);
  });

  it("says that the ring has gone, and goes on afterwards", async () => {
    const { driver, provider } = await driven();
    const ring = await readFile(ringPath());
    await rm(ringPath());
    const why = await driver.rotate(call(), provider(), undefined).catch((error: Error) => error);
    expect(why).toMatchObject({ code: "KMS.NotFoundException" });
    await expect(driver.rewrap(call(), provider())).rejects.toMatchObject({ code: "KMS.NotFoundException" });
    await expect(access(ringPath())).rejects.toThrow(/ENOENT/);
    await writeFile(ringPath(), ring);
    expect(await driver.rotate(call(), provider(), undefined)).toEqual({ version: "2", rotated: true });
  });
});
