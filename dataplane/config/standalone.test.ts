import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, test } from "vitest";
import { ConfigError } from "./config.ts";
import { type Environment, gather, type SourceFile } from "./gather.ts";
import { HINTS, NAMES, type Name, ROWS } from "./names.ts";
import { readWish, secretPathsOf } from "./standalone.ts";
import type { Syntax } from "./syntax.ts";
import type { StandaloneWish } from "./wish.ts";

/** What a file says, what a variable says, what comes of both; and what neither may say, though the last is right nowhere. */
type Sample = readonly [inFile: unknown, inVariable: string, read: unknown, bad: unknown, badInVariable: string];

const LONG = "x".repeat(9000);
const SAMPLES: Readonly<Record<Name, Sample>> = {
  provider: ["vault", "Vault", "vault", "marker", "marker"],
  endpoint: ["https://vault.test", "https://vault.test", "https://vault.test", 1, "mark er"],
  kmsToken: ["s.token", "s.token", "s.token", "mark er", "mark er"],
  kmsTokenFile: ["/run/token", "/run/token", "/run/token", 7, "\0marker"],
  roleId: ["role", "role", "role", "mark er", "mark er"],
  secretId: ["secret", "secret", "secret", "mark er", "mark er"],
  secretIdFile: ["/run/id", "/run/id", "/run/id", true, "\0marker"],
  approleMount: ["auth2", "auth2", "auth2", "mark er", "mark er"],
  keyName: ["photos", "photos", "photos", "mark/er", "mark/er"],
  mount: ["transit2", "transit2", "transit2", "mark er", "mark er"],
  namespace: ["team/a", "team/a", "team/a", "mark er", "mark er"],
  caFile: ["/etc/ca.pem", "/etc/ca.pem", "/etc/ca.pem", 5, "\0marker"],
  tlsServerName: ["vault.test", "vault.test", "vault.test", "mark/er", "mark/er"],
  allowInsecure: [true, "true", true, "marker", "marker"],
  kmsTimeoutMs: [30, "0.5", [30_000, 500], 61, "marker"],
  retriesMax: [3, "3", 3, 1.5, "11"],
  algorithm: ["AES256", "chacha20poly1305", ["AES-256-GCM", "ChaCha20-Poly1305"], "marker", "AES128"],
  chunkBytes: [1_048_576, "16384", [1_048_576, 16_384], 70_000, "1MiB"],
  keyMode: ["Object", "bucket", ["object", "bucket"], "marker", "marker"],
  caching: [false, "0", false, 0, "marker"],
  cacheTtlMs: [300, "0", [300_000, 0], -1, "-1"],
  cacheEntries: [1000, "1", [1000, 1], 0, "100001"],
  workerThreads: [4, "64", [4, 64], 65, "4.5"],
  operationsMax: [4, "4", 4, 0, "marker"],
  metrics: [false, "off", false, "marker", "marker"],
  metricsIntervalMs: [60, "60", 60_000, 0, "marker"],
  audit: [true, "1", true, "marker", "marker"],
  auditLevel: ["INFO", "writes", ["All", "Writes"], "marker", "ERROR"],
  logLevel: ["info", "WARN", ["Info", "Warn"], "marker", "trace"],
  region: ["eu-1", "eu-1", "eu-1", "mark er", "mark er"],
  hostNames: [["a.test", "b.test"], "a.test, b.test", ["a.test", "b.test"], "marker", "mark/er"],
  requestsMax: [10, "10", 10, 0, "marker"],
  accessKey: ["rustfsadmin", "rustfsadmin", "rustfsadmin", "mark er", "mark er"],
  secretKey: ["rustfsadmin", "rustfsadmin", "rustfsadmin", "short", "mark er marker"],
  token: ["t".repeat(16), "t".repeat(16), "t".repeat(16), "marker", LONG],
  adminKeys: [false, "false", false, 1, "marker"],
};

/** Values that the table tells apart by where they come from. */
const TOLD_APART: ReadonlySet<Name> = new Set(
  NAMES.filter((name) => name !== "hostNames" && Array.isArray(SAMPLES[name][2])),
);
const inFile = (name: Name) => (TOLD_APART.has(name) ? (SAMPLES[name][2] as unknown[])[0] : SAMPLES[name][2]);
const inVariable = (name: Name) => (TOLD_APART.has(name) ? (SAMPLES[name][2] as unknown[])[1] : SAMPLES[name][2]);

function file(at: string, value: unknown, syntax: Syntax): SourceFile {
  const [section = "", member = ""] = at.split(".");
  const printed = JSON.stringify(value);
  const texts: Readonly<Record<Syntax, string>> = {
    toml: `# a comment\n[${section}]\n${member} = ${printed}\n`,
    yaml: `# a comment\n${section}:\n  ${member}: ${printed}\n`,
    json: JSON.stringify({ [section]: { [member]: value } }, undefined, 1),
  };
  return { shown: `config/coffer.${syntax}`, text: texts[syntax], syntax };
}

const SYNTAXES: readonly Syntax[] = ["toml", "yaml", "json"];

describe("every setting", () => {
  describe.each(NAMES)("%s", (name) => {
    const { at, also, variable, rustfs } = ROWS[name];
    const [value, text, , bad, badText] = SAMPLES[name];
    test.each(SYNTAXES.flatMap((syntax) => [at, ...also].map((one) => [syntax, one] as const)))(
      "is read from %s as %s",
      (syntax, one) => {
        const { values, problems } = gather([file(one, value, syntax)], {});
        expect(problems).toEqual([]);
        expect(values).toEqual({ [name]: inFile(name) });
      },
    );

    test.each([`COFFER_${variable}`, ...(rustfs ? [`RUSTFS_${variable}`] : [])])("is read from %s", (full) => {
      const { values, problems, placeOf } = gather([], { [full]: text });
      expect(problems).toEqual([]);
      expect(values).toEqual({ [name]: inVariable(name) });
      expect(placeOf(name)).toBe(full);
    });

    test("stands in a variable above the file", () => {
      const { values } = gather([file(at, value, "toml")], { [`COFFER_${variable}`]: text });
      expect(values).toEqual({ [name]: inVariable(name) });
    });

    test.each(SYNTAXES)("is refused from %s with its place, unquoted, if it is not right", (syntax) => {
      const { values, problems } = gather([file(at, bad, syntax)], {});
      expect(values).toEqual({});
      expect(problems).toHaveLength(1);
      expect(problems[0]?.startsWith(`config/coffer.${syntax}:3 ${at}: must be `)).toBe(true);
      expect(problems[0]).not.toMatch(/marker|mark er|mark\/er/);
    });

    test("is refused from the environment with its name, unquoted, if it is not right", () => {
      const { values, problems } = gather([], { [`COFFER_${variable}`]: badText });
      expect(values).toEqual({});
      expect(problems).toHaveLength(1);
      expect(problems[0]).toMatch(new RegExp(`^COFFER_${variable}: must be `));
      expect(problems[0]).not.toMatch(/marker|mark er|mark\/er/);
    });
  });
});

test.each(NAMES.filter((name) => ROWS[name].at.startsWith("encryption.")))(
  "%s may stand without its section",
  (name) => {
    const member = ROWS[name].at.slice("encryption.".length);
    const text = `${member} = ${JSON.stringify(SAMPLES[name][0])}`;
    expect(gather([{ shown: "encryption.toml", text, syntax: "toml" }], {}).values).toEqual({ [name]: inFile(name) });
  },
);

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

[kms]
provider = "vault"
endpoint = "https://vault.example.com"
timeout_seconds = 30
max_retries = 3

[monitoring]
enable_metrics = true
enable_audit_log = true
metrics_interval_seconds = 60
audit_log_level = "INFO"
`;

function toml(text: string, shown = "config/coffer.toml"): SourceFile {
  return { shown, text, syntax: "toml" };
}

function yaml(text: string): SourceFile {
  return { shown: "coffer.yaml", text, syntax: "yaml" };
}

function wishOf(files: readonly SourceFile[], environment: Environment = {}): Promise<StandaloneWish> {
  return readWish("config", gather(files, environment));
}

async function problemsOf(files: readonly SourceFile[], environment: Environment = {}): Promise<readonly string[]> {
  try {
    await wishOf(files, environment);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

const LOCAL = { COFFER_KMS_PROVIDER: "local" };
const VAULT = {
  RUSTFS_KMS_PROVIDER: "vault",
  RUSTFS_KMS_ENDPOINT: "https://vault.test/",
  RUSTFS_KMS_TOKEN: "s.token",
};

describe("readWish()", () => {
  it("takes RustFS's kms.toml as it stands in its documentation", async () => {
    const wish = await wishOf([toml(RUSTFS_KMS, "config/kms.toml")]);
    expect(wish).toMatchObject({ provider: "local", vault: undefined, timeoutMs: 30_000, attemptsMax: 4 });
    expect(wish.notices).toEqual(["config/kms.toml:3 kms.endpoint: has no effect with the provider local"]);
  });

  it("takes RustFS's encryption.toml as it stands in its documentation, and the token of the environment", async () => {
    const wish = await wishOf([toml(RUSTFS_ENCRYPTION, "config/encryption.toml")], { RUSTFS_KMS_TOKEN: "s.token" });
    expect(wish).toMatchObject({
      provider: "vault",
      vault: {
        type: "Vault",
        address: "https://vault.example.com",
        mount: "transit",
        keyName: "coffer",
        auth: { token: "s.token" },
      },
      cache: { ttlMs: 300_000 },
      rules: { algorithm: "AES-256-GCM" },
      settings: { audit: { enabled: true, level: "All" } },
    });
    expect(wish.notices).toEqual([
      expect.stringMatching(/^config\/encryption\.toml:5 encryption\.max_concurrent_operations: has no effect/),
      expect.stringMatching(/^config\/encryption\.toml:16 monitoring\.metrics_interval_seconds: has no effect/),
    ]);
  });

  it("takes RustFS's variables as they stand in its documentation", async () => {
    const wish = await wishOf([], {
      RUSTFS_KMS_PROVIDER: "vault",
      RUSTFS_KMS_ENDPOINT: "https://vault.example.com",
      RUSTFS_KMS_TOKEN: "s.token",
      RUSTFS_CACHE_SIZE: "1000",
      RUSTFS_WORKER_THREADS: "4",
      RUSTFS_CHUNK_SIZE: "1048576",
      RUSTFS_ENABLE_METRICS: "true",
      RUSTFS_ENABLE_AUDIT_LOG: "true",
      RUSTFS_LOG_LEVEL: "info",
    });
    expect(wish).toMatchObject({
      provider: "vault",
      cache: { maxEntries: 1000 },
      rules: { chunkBytes: 1_048_576 },
      settings: { logLevel: "Info", audit: { enabled: true } },
    });
    expect(wish.settings.metrics).toBeUndefined();
  });

  it("says where two files contradict each other, and nothing that follows from it", async () => {
    const problems = await problemsOf([toml(RUSTFS_KMS, "kms.toml"), toml(RUSTFS_ENCRYPTION, "encryption.toml")]);
    expect(problems).toEqual([
      "encryption.toml:8 kms.provider: contradicts kms.toml:2 kms.provider: leave one of them",
      "encryption.toml:9 kms.endpoint: contradicts kms.toml:3 kms.endpoint: leave one of them",
    ]);
  });

  it("says which variables contradict each other", async () => {
    expect(await problemsOf([], { ...LOCAL, RUSTFS_KMS_PROVIDER: "vault" })).toEqual([
      "RUSTFS_KMS_PROVIDER: contradicts COFFER_KMS_PROVIDER: leave one of them",
    ]);
  });

  it("takes digits alone for a whole number in a variable", async () => {
    expect(await problemsOf([], { ...LOCAL, COFFER_KMS_MAX_RETRIES: "3.0", COFFER_CACHE_SIZE: "0x10" })).toEqual([
      "COFFER_KMS_MAX_RETRIES: must be a whole number from 0 to 10",
      "COFFER_CACHE_SIZE: must be a whole number from 1 to 100000",
    ]);
  });

  it.each<[string, SourceFile[], Environment]>([
    ["two variables", [], { COFFER_KMS_PROVIDER: "Local", RUSTFS_KMS_PROVIDER: "local", RUSTFS_CHUNK_SIZE: "" }],
    [
      "two files",
      [
        toml('default_algorithm = "aes256"\nchunk_size = "65536"'),
        yaml("encryption: {default_algorithm: AES-256-GCM, chunk_size: 65536}"),
      ],
      LOCAL,
    ],
  ])("takes %s for no contradiction that mean the same", async (_what, files, environment) => {
    expect(await problemsOf(files, environment)).toEqual([]);
  });

  it("judges what a variable stands above, and each of two that contradict each other", async () => {
    expect(
      await problemsOf([toml("[kms]\nprovider = 'aws'\n[server]\nregion = ''", "c.toml")], {
        ...LOCAL,
        COFFER_REGION: "eu",
        COFFER_CACHE_SIZE: "abc",
        RUSTFS_CACHE_SIZE: "1000",
      }),
    ).toEqual([
      "c.toml:2 kms.provider: must be one of local, vault",
      "RUSTFS_CACHE_SIZE: contradicts COFFER_CACHE_SIZE: leave one of them",
      "COFFER_CACHE_SIZE: must be a whole number from 1 to 100000",
      expect.stringMatching(/^c\.toml:4 server\.region: must be /),
    ]);
  });

  it("tells all problems of all places at once", async () => {
    const problems = await problemsOf(
      [
        toml('[kms]\nprovider = "aws"\nvault_address = "marker"\n[server]\nregion = ""', "kms.toml"),
        yaml("nonsense: 1\nbuckets: 3\n"),
      ],
      { RUSTFS_CHUNK_SIZE: "70000", RUSTFS_VOLUMES: "marker", COFFER_BLA: "marker", COFFER_S3_PORT: "1" },
    );
    expect(problems).toEqual([
      "kms.toml:3 kms.vault_address: is not known: write kms.endpoint",
      "coffer.yaml:1 nonsense: is not known",
      "coffer.yaml:2 buckets: must be a list",
      "COFFER_BLA: is not known",
      "RUSTFS_VOLUMES: is not known: set COFFER_DATA_DIR to one folder",
      "kms.toml:2 kms.provider: must be one of local, vault",
      expect.stringMatching(/^RUSTFS_CHUNK_SIZE: must be one of 16384, /),
      expect.stringMatching(/^kms\.toml:5 server\.region: must be /),
    ]);
  });

  it("knows no name that a hint tells to replace", () => {
    const known = new Set(NAMES.flatMap((name) => [ROWS[name].at, `RUSTFS_${ROWS[name].variable}`]));
    expect(Object.keys(HINTS).filter((name) => known.has(name) && name !== "RUSTFS_KMS_TOKEN")).toEqual([]);
    expect(
      gather([], Object.fromEntries(Object.keys(HINTS).map((name) => [name, "x"]))).problems.every((one) =>
        /: is not known: /.test(one),
      ),
    ).toBe(true);
  });

  it.each(["constructor", "toString", "__proto__"])("has no hint for %s, which every object has", async (name) => {
    expect(await problemsOf([toml(`"${name}" = 2`, "c.toml")], LOCAL)).toEqual([`c.toml:1 ${name}: is not known`]);
  });

  it("leaves alone what a cluster, a client's file and a starter put into the environment", async () => {
    const environment = {
      ...LOCAL,
      COFFER_STORE_SERVICE_HOST: "10.0.0.1",
      COFFER_STORE_SERVICE_PORT_S3: "9000",
      COFFER_STORE_PORT: "tcp://10.0.0.1:9000",
      COFFER_STORE_PORT_9000_TCP_ADDR: "10.0.0.1",
      COFFER_TOKEN: "x",
      COFFER_REST_URL: "x",
      COFFER_CONFIG: "config",
      COFFER_LISTEN: "::",
      PATH: "/bin",
      RUSTFS_CHUNK_SIZE: "",
    };
    expect(await problemsOf([], environment)).toEqual([]);
  });

  it("has defaults for everything but the provider", async () => {
    expect(await wishOf([yaml("kms: {provider: local}")])).toEqual({
      resource: "config",
      region: "local",
      hostNames: [],
      settings: {
        maxConcurrentRequests: 1000,
        logLevel: "Info",
        audit: { enabled: true, level: "All" },
      },
      provider: "local",
      vault: undefined,
      timeoutMs: 5000,
      attemptsMax: undefined,
      cache: { ttlMs: 300_000, maxEntries: 1000, negativeTtlMs: 10_000 },
      rules: { algorithm: "AES-256-GCM", keyMode: "bucket", chunkBytes: 65_536 },
      admin: {
        entry: "admin",
        pair: undefined,
        token: undefined,
        places: {
          accessKey: "admin.access_key (COFFER_ACCESS_KEY)",
          token: "admin.token (COFFER_ADMIN_TOKEN)",
        },
        permissions: [],
        keys: true,
      },
      buckets: [],
      notices: [],
    });
    expect(await problemsOf([])).toEqual(["kms.provider (COFFER_KMS_PROVIDER): is missing: local or vault"]);
  });

  it.each<[string, Environment, Partial<StandaloneWish> | object]>([
    [
      "no caching is a cache that keeps nothing",
      { COFFER_ENABLE_CACHING: "false", COFFER_CACHE_TTL_SECONDS: "9" },
      { cache: { ttlMs: 0 } },
    ],
    [
      "threads and operations at once are taken, and said to have no effect",
      { RUSTFS_WORKER_THREADS: "8", COFFER_MAX_CONCURRENT_OPERATIONS: "4" },
      {
        notices: [
          expect.stringMatching(/^RUSTFS_WORKER_THREADS: has no effect/),
          expect.stringMatching(/^COFFER_MAX_CONCURRENT_OPERATIONS: has no effect/),
        ],
      },
    ],
    ["no retries are one attempt", { COFFER_KMS_MAX_RETRIES: "0" }, { attemptsMax: 1 }],
    ["metrics can be switched off", { RUSTFS_ENABLE_METRICS: "false" }, { settings: { metrics: { enabled: false } } }],
    [
      "the audit log can be switched off",
      { RUSTFS_ENABLE_AUDIT_LOG: "false" },
      { settings: { audit: { enabled: false } } },
    ],
    [
      "RustFS's pair is the administrator's",
      { RUSTFS_ACCESS_KEY: "rustfsadmin", RUSTFS_SECRET_KEY: "rustfssecret" },
      { admin: { pair: { accessKeyId: "rustfsadmin", secret: "rustfssecret" } } },
    ],
  ])("%s", async (_sentence, environment, expected) => {
    expect(await wishOf([], { ...LOCAL, ...environment })).toMatchObject(expected);
  });

  it("needs both halves of a pair", async () => {
    expect(await problemsOf([], { ...LOCAL, RUSTFS_ACCESS_KEY: "rustfsadmin" })).toEqual([
      "RUSTFS_ACCESS_KEY: needs admin.secret_key beside it",
    ]);
    expect(await problemsOf([], { ...LOCAL, RUSTFS_SECRET_KEY: "rustfsadmin" })).toEqual([
      "RUSTFS_SECRET_KEY: needs admin.access_key beside it",
    ]);
  });
});

describe("the Vault of a wish", () => {
  let folder = "";
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "coffer-wish-"));
    await writeFile(join(folder, "token"), "s.file\n");
    await writeFile(join(folder, "id"), "id-of-a-file\n");
    await writeFile(join(folder, "no.pem"), "marker");
  });
  afterEach(() => rm(folder, { recursive: true }));

  it("logs in by the token of a file, without its line end", async () => {
    const environment = { ...VAULT, RUSTFS_KMS_TOKEN: "", COFFER_KMS_TOKEN_FILE: join(folder, "token") };
    expect((await wishOf([], environment)).vault?.auth).toEqual({ token: "s.file" });
    expect(secretPathsOf(gather([], environment))).toEqual([join(folder, "token")]);
  });

  it("logs in by AppRole, its secret id in a file", async () => {
    const environment = {
      ...VAULT,
      RUSTFS_KMS_TOKEN: "",
      COFFER_KMS_ROLE_ID: "role",
      COFFER_KMS_SECRET_ID_FILE: join(folder, "id"),
    };
    expect((await wishOf([], environment)).vault?.auth).toEqual({
      appRole: { roleId: "role", secretId: "id-of-a-file", mountPath: "approle" },
    });
  });

  it("stays, with the provider local, to open what it wrapped", async () => {
    const wish = await wishOf([], { ...VAULT, RUSTFS_KMS_PROVIDER: "local" });
    expect(wish).toMatchObject({ provider: "local", vault: { address: "https://vault.test" }, notices: [] });
  });

  it.each<[string, Environment, readonly (string | RegExp)[]]>([
    ["no address", { RUSTFS_KMS_ENDPOINT: "" }, [/^kms\.endpoint \(COFFER_KMS_ENDPOINT\): is missing/]],
    ["no way to log in", { RUSTFS_KMS_TOKEN: "" }, [/^kms\.token \(COFFER_KMS_TOKEN\): is missing, as are/]],
    [
      "two ways to log in",
      { COFFER_KMS_ROLE_ID: "r", COFFER_KMS_SECRET_ID: "s" },
      [/^COFFER_KMS_ROLE_ID: stands beside RUSTFS_KMS_TOKEN/],
    ],
    ["a role without a secret id", { RUSTFS_KMS_TOKEN: "", COFFER_KMS_ROLE_ID: "r" }, [/^COFFER_KMS_ROLE_ID: needs/]],
    [
      "two secret ids",
      {
        RUSTFS_KMS_TOKEN: "",
        COFFER_KMS_ROLE_ID: "r",
        COFFER_KMS_SECRET_ID: "s",
        COFFER_KMS_SECRET_ID_FILE: "FOLDER/id",
      },
      [/^COFFER_KMS_ROLE_ID: needs/],
    ],
    [
      "plain http across a network",
      { RUSTFS_KMS_ENDPOINT: "http://vault.test" },
      [/^RUSTFS_KMS_ENDPOINT: an http:\/\/ address needs/],
    ],
    ["what is no address", { RUSTFS_KMS_ENDPOINT: "marker" }, [/^RUSTFS_KMS_ENDPOINT: must be a URL/]],
    [
      "an address with a query",
      { RUSTFS_KMS_ENDPOINT: "https://vault.test/?marker" },
      [/^RUSTFS_KMS_ENDPOINT: must be an address such as/],
    ],
    [
      "an address with a user",
      { RUSTFS_KMS_ENDPOINT: "https://marker:marker@vault.test" },
      [/^RUSTFS_KMS_ENDPOINT: must not hold a user or a password: log in with kms\.token or kms\.role_id$/],
    ],
    [
      "paths that are none",
      { COFFER_KMS_MOUNT: "a//marker", COFFER_KMS_NAMESPACE: "a:marker" },
      [/^COFFER_KMS_NAMESPACE: must be letters, digits, /, /^COFFER_KMS_MOUNT: must be letters, digits, /],
    ],
    ["a mount that climbs", { COFFER_KMS_MOUNT: "../marker" }, [/^COFFER_KMS_MOUNT: must not hold/]],
    [
      "a file that is not there",
      { RUSTFS_KMS_TOKEN: "", COFFER_KMS_TOKEN_FILE: "/nowhere/marker" },
      [/^COFFER_KMS_TOKEN_FILE: the file cannot be read: ENOENT/],
    ],
    [
      "a file that holds no certificate",
      { COFFER_KMS_CA_FILE: "FOLDER/no.pem" },
      [/^COFFER_KMS_CA_FILE: must be one or more certificates/],
    ],
  ])("is refused with %s", async (_sentence, change, expected) => {
    const environment = Object.fromEntries(
      Object.entries({ ...VAULT, ...change }).map(([name, value]) => [name, value?.replace("FOLDER", folder)]),
    );
    const problems = await problemsOf([], environment);
    expect(problems).toEqual(expected.map((one) => expect.stringMatching(one)));
    expect(problems.join()).not.toContain("marker");
  });

  it.each(["http://localhost:8200", "http://127.0.0.1:8200", "http://[::1]:8200"])("may be at %s", async (endpoint) => {
    expect((await wishOf([], { ...VAULT, RUSTFS_KMS_ENDPOINT: endpoint })).vault?.address).toBe(endpoint);
  });

  it("may be reached by plain http where a person says so", async () => {
    const environment = { ...VAULT, RUSTFS_KMS_ENDPOINT: "http://vault.test", COFFER_KMS_ALLOW_INSECURE: "true" };
    expect((await wishOf([], environment)).vault?.address).toBe("http://vault.test");
  });
});

describe("the buckets of a file", () => {
  const BUCKETS = `
[kms]
provider = "local"
[encryption]
chunk_size = 16384
[[buckets]]
name = "photos"
algorithm = "ChaCha20Poly1305"
key_mode = "Object"
context = { team = "a" }
[[buckets.access]]
name = "app"
[[buckets.access]]
name = "reader"
access_key = "READER"
secret_key = "reader-secret"
token = "reader-token-1234"
permissions = ["Read", "List"]
[[buckets]]
name = "music"
chunk_size = 1048576
`;

  it("have the rules of the file where they have none of their own", async () => {
    expect((await wishOf([toml(BUCKETS)])).buckets).toEqual([
      {
        name: "photos",
        rules: { algorithm: "ChaCha20-Poly1305", keyMode: "object", chunkBytes: 16_384 },
        context: { team: "a" },
        contextPlace: "config/coffer.toml:10 buckets.0.context",
        access: [
          {
            entry: "app",
            pair: undefined,
            token: undefined,
            places: {
              accessKey: "config/coffer.toml:11 buckets.0.access.0.access_key",
              token: "config/coffer.toml:11 buckets.0.access.0.token",
            },
            permissions: ["Read", "Write", "List", "Delete"],
            keys: false,
          },
          {
            entry: "reader",
            pair: { accessKeyId: "READER", secret: "reader-secret" },
            token: "reader-token-1234",
            places: {
              accessKey: "config/coffer.toml:15 buckets.0.access.1.access_key",
              token: "config/coffer.toml:17 buckets.0.access.1.token",
            },
            permissions: ["Read", "List"],
            keys: false,
          },
        ],
      },
      {
        name: "music",
        rules: { algorithm: "AES-256-GCM", keyMode: "bucket", chunkBytes: 1_048_576 },
        context: {},
        contextPlace: "config/coffer.toml:19 buckets.1.context",
        access: [],
      },
    ]);
  });

  it.each<[string, string, string]>([
    ["no name", "- algorithm: AES256", "coffer.yaml buckets.0.name: is missing"],
    ["a bad name", "- name: Marker", "coffer.yaml:2 buckets.0.name: must be 3 to 63 small letters, digits, . and -"],
    ["a name twice", "- name: abc\n- name: abc", "coffer.yaml:3 buckets.1.name: appears twice"],
    ["what is no bucket", "- marker", "coffer.yaml:2 buckets.0: must hold the settings of a bucket"],
    ["a member that is not known", "- {name: abc, quota: marker}", "coffer.yaml:2 buckets.0.quota: is not known"],
    ["an inherited member", "- {name: abc, toString: marker}", "coffer.yaml:2 buckets.0.toString: is not known"],
    [
      "a bad context",
      "- {name: abc, context: {team: 1}}",
      "coffer.yaml:2 buckets.0.context: must be at most 16 names, each with a text",
    ],
    [
      "a reserved context",
      '- {name: abc, context: {"coffer:a": b}}',
      "coffer.yaml:2 buckets.0.context: a name has 1 to 128 characters and does not begin with coffer:",
    ],
    ["access that is no list", "- {name: abc, access: marker}", "coffer.yaml:2 buckets.0.access: must be a list"],
    ["access without a name", "- {name: abc, access: [{}]}", "coffer.yaml buckets.0.access.0.name: is missing"],
    [
      "two entries of one name",
      "- {name: abc, access: [{name: a}, {name: a}]}",
      "coffer.yaml:2 buckets.0.access.1.name: appears twice",
    ],
    [
      "half a pair",
      "- {name: abc, access: [{name: a, access_key: abc}]}",
      "coffer.yaml:2 buckets.0.access.0: needs access_key and secret_key, or neither of them",
    ],
    [
      "the administrator's access key",
      "- {name: abc, access: [{name: a, access_key: ADMIN, secret_key: secret-key}]}",
      "coffer.yaml:2 buckets.0.access.0.access_key: appears twice",
    ],
    [
      "a token that is another's",
      "- name: abc\n  access:\n  - {name: a, token: chosen-token-1234}\n  - {name: b, token: chosen-token-1234}",
      "coffer.yaml:5 buckets.0.access.1.token: appears twice",
    ],
    [
      "a permission that is none",
      "- {name: abc, access: [{name: a, permissions: [Own]}]}",
      "coffer.yaml:2 buckets.0.access.0.permissions: must be a list of Read, Write, List and Delete",
    ],
  ])("are refused with %s", async (_sentence, text, problem) => {
    const environment = { ...LOCAL, COFFER_ACCESS_KEY: "ADMIN", COFFER_SECRET_KEY: "admin-secret" };
    expect(await problemsOf([yaml(`buckets:\n${text}\n`)], environment)).toEqual([problem]);
  });

  it.each<[Syntax, string, string[]]>([
    [
      "toml",
      '[kms]\nprovider = "local"\n[[buckets]]\nname = "abc"\n[[buckets]]\nname = "X"\n[[buckets.access]]\nname = "B"\n',
      ["6 buckets.1.name", "8 buckets.1.access.0.name"],
    ],
    [
      "toml",
      '[[buckets]]\nname = "abc"\n[[buckets.access]]\nname = "a"\n[[buckets.access]]\nname = "B"\n# [[buckets]]\n[[buckets.access]]\ntoken = """\nname = 1\n[[buckets]]"""\nname = "c"\n[[ buckets ]]\n"name" = "X"\n',
      ["6 buckets.0.access.1.name", "9 buckets.0.access.2.token", "14 buckets.1.name"],
    ],
    [
      "toml",
      'buckets = [\n  { name = "abc", access = [{ name = "a" }, # }]\n    { name = "B" },\n  ] },\n  { name = "X", context.team = 1 },\n]\n',
      ["3 buckets.0.access.1.name", "5 buckets.1.context", "5 buckets.1.name"],
    ],
    ["toml", '[[buckets]]\nname = "abc"\ncontext.team = "a"\ncontext.size = 1\n', ["3 buckets.0.context"]],
    [
      "json",
      '{\n"buckets": [\n{"name": "abc"},\n{"name": "X",\n"access": [{"name":\n"B"}]}]}',
      ["4 buckets.1.name", "6 buckets.1.access.0.name"],
    ],
    [
      "yaml",
      "buckets:\n- name: abc\n- name: X\n  access:\n  - name: a\n  - name: B\n",
      ["3 buckets.1.name", "6 buckets.1.access.1.name"],
    ],
  ])("have their lines in %s: %j", async (syntax, text, places) => {
    const problems = await problemsOf([{ shown: "c", text, syntax }], LOCAL);
    expect(problems.map((problem) => /^c:(.*?): must be /.exec(problem)?.[1]).sort()).toEqual(places.sort());
  });
});
