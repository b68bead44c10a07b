/**
 * What a person wants of a data plane that runs alone, from RustFS's names or ours: checked whole, all problems at once,
 * each with its place. What it takes besides to make a configuration of it (key ring, credentials) is standalone-config.ts.
 */
import { readFile } from "node:fs/promises";
import { parseKmsOptions } from "../../kms/options.ts";
import { defaultSettings, type Settings } from "./config.ts";
import { type Gathered, refuseProblems } from "./gather.ts";
import { NAMES, type Name, ROWS, type Values } from "./names.ts";
import { readBuckets } from "./standalone-buckets.ts";
import type { StandaloneWish, VaultJson, WishedCredential, WishedRules } from "./wish.ts";

const KEY_NAME = "coffer";
const MOUNT = "transit";
const APPROLE_MOUNT = "approle";
const TIMEOUT_MS = 5_000;
const CACHE = { ttlMs: 300_000, maxEntries: 1_000, negativeTtlMs: 10_000 };
const REGION = "local";

/** Throws ConfigError. `resource` is where it was gathered, as answers name it. */
export async function readWish(resource: string, gathered: Gathered): Promise<StandaloneWish> {
  const { values } = gathered;
  const problems = [...gathered.problems];
  if (!gathered.isGiven("provider")) {
    missing(gathered, problems).push(`${gathered.placeOf("provider")}: is missing: local or vault`);
  }
  const rules: WishedRules = {
    algorithm: values.algorithm ?? "AES-256-GCM",
    keyMode: values.keyMode ?? "bucket",
    chunkBytes: values.chunkBytes ?? 65_536,
  };
  const secrets = await readSecretFiles(gathered, problems);
  const { vault, notices } = vaultOf(gathered, secrets, problems);
  const admin = adminOf(gathered, problems);
  const buckets = readBuckets(gathered.buckets, rules, admin, problems);
  refuseProblems(problems);
  return {
    resource,
    region: values.region ?? REGION,
    hostNames: values.hostNames ?? [],
    settings: settingsOf(values),
    provider: values.provider ?? "local",
    vault,
    timeoutMs: values.kmsTimeoutMs ?? TIMEOUT_MS,
    attemptsMax: values.retriesMax === undefined ? undefined : values.retriesMax + 1,
    cache: {
      ttlMs: values.caching === false ? 0 : (values.cacheTtlMs ?? CACHE.ttlMs),
      maxEntries: values.cacheEntries ?? CACHE.maxEntries,
      negativeTtlMs: CACHE.negativeTtlMs,
    },
    rules,
    admin,
    buckets,
    notices: [...notices, ...withoutEffect(gathered)],
  };
}

/** Where a file could not be read, what is missing may stand there: that is no problem of its own. */
function missing({ isWhole }: Gathered, problems: string[]): string[] {
  return isWhole ? problems : [];
}

/** What is read besides: a change in one of them is a change of the wish. */
export function secretPathsOf({ values }: Gathered): readonly string[] {
  return SECRET_FILES.flatMap((name) => values[name] ?? []);
}

function settingsOf(values: Values): Settings {
  return {
    maxConcurrentRequests: values.requestsMax ?? defaultSettings.maxConcurrentRequests,
    logLevel: values.logLevel ?? defaultSettings.logLevel,
    audit: {
      enabled: values.audit ?? defaultSettings.audit.enabled,
      level: values.auditLevel ?? defaultSettings.audit.level,
    },
    ...(values.metrics === false ? { metrics: { enabled: false } } : {}),
  };
}

function adminOf(gathered: Gathered, problems: string[]): WishedCredential {
  const { values, isGiven, placeOf } = gathered;
  const absent = missing(gathered, problems);
  const { accessKey, secretKey, token, adminKeys } = values;
  if (isGiven("accessKey") && !isGiven("secretKey")) {
    absent.push(`${placeOf("accessKey")}: needs ${ROWS.secretKey.at} beside it`);
  }
  if (isGiven("secretKey") && !isGiven("accessKey")) {
    absent.push(`${placeOf("secretKey")}: needs ${ROWS.accessKey.at} beside it`);
  }
  const pair =
    accessKey === undefined || secretKey === undefined ? undefined : { accessKeyId: accessKey, secret: secretKey };
  const places = { accessKey: placeOf("accessKey"), token: placeOf("token") };
  return { entry: "admin", pair, token, places, permissions: [], keys: adminKeys ?? true };
}

const SECRET_FILES = ["kmsTokenFile", "secretIdFile", "caFile"] as const;

function isSecretFile(name: Name): boolean {
  return SECRET_FILES.some((one) => one === name);
}

type Secrets = ReadonlyMap<Name, { readonly path: string; readonly text: string }>;

/** Of a token or a secret id, the line end of its file is no part. */
async function readSecretFiles({ values, placeOf }: Gathered, problems: string[]): Promise<Secrets> {
  const secrets = new Map<Name, { path: string; text: string }>();
  for (const name of SECRET_FILES) {
    const path = values[name];
    if (path === undefined) continue;
    try {
      const text = await readFile(path, "utf8");
      secrets.set(name, { path, text: name === "caFile" ? text : text.trim() });
    } catch (error) {
      problems.push(`${placeOf(name)}: the file cannot be read: ${codeOf(error)}`);
    }
  }
  return secrets;
}

const VAULT_ONLY = [
  "endpoint",
  "kmsToken",
  "kmsTokenFile",
  "roleId",
  "secretId",
  "secretIdFile",
  "approleMount",
  "keyName",
  "mount",
  "namespace",
  "caFile",
  "tlsServerName",
  "allowInsecure",
] as const satisfies readonly Name[];

/** In place of the regular expression that an option of Vault does not match. */
const FORMS: Readonly<Partial<Record<Name, string>>> = {
  endpoint: "must be an address such as https://vault.example.com:8200, without a query",
  mount: "must be letters, digits, _ . ~ and -, with / between its parts",
  approleMount: "must be letters, digits, _ . ~ and -, with / between its parts",
  namespace: "must be letters, digits, _ . ~ and -, with / between its parts",
  kmsTokenFile: "must hold a token without spaces",
};

const LOGINS = ["kmsToken", "kmsTokenFile", "roleId"] as const satisfies readonly Name[];

interface VaultFound {
  readonly vault: VaultJson | undefined;
  readonly notices: readonly string[];
}

/** With the provider local, a Vault that can be asked stays, so that what it wrapped is opened and re-wrapped. */
function vaultOf(gathered: Gathered, secrets: Secrets, problems: string[]): VaultFound {
  const { values, placeOf } = gathered;
  const given = LOGINS.filter(gathered.isGiven);
  const isWanted = values.provider === "vault" || (values.endpoint !== undefined && given.length > 0);
  if (!isWanted) {
    const idle = VAULT_ONLY.filter(gathered.isGiven);
    return { vault: undefined, notices: idle.map((name) => `${placeOf(name)}: has no effect with the provider local`) };
  }
  const before = problems.length;
  const absent = missing(gathered, problems);
  if (!gathered.isGiven("endpoint")) {
    absent.push(`${placeOf("endpoint")}: is missing: the address of the Vault or OpenBao`);
  }
  if (given.length === 0) {
    absent.push(`${placeOf("kmsToken")}: is missing, as are kms.token_file and kms.role_id: one of them is needed`);
  }
  const [first, second] = given;
  if (first !== undefined && second !== undefined) {
    problems.push(`${placeOf(second)}: stands beside ${placeOf(first)}: leave one way to log in`);
  }
  if (given.includes("roleId") && gathered.isGiven("secretId") === gathered.isGiven("secretIdFile")) {
    absent.push(`${placeOf("roleId")}: needs kms.secret_id or kms.secret_id_file beside it, and not both`);
  }
  const options = vaultJson(values, secrets);
  refuseAddress(gathered, problems);
  const isRead = (name: Name) =>
    !gathered.isGiven(name) || (values[name] !== undefined && (!isSecretFile(name) || secrets.has(name)));
  if (!gathered.isWhole || problems.length > before || !VAULT_ONLY.every(isRead))
    return { vault: undefined, notices: [] };
  const parsed = parseKmsOptions(options);
  if ("problems" in parsed) {
    for (const { at, problem } of parsed.problems) {
      const name = nameOfOption(at, values);
      problems.push(
        `${placeOf(name)}: ${problem.startsWith("must match pattern") ? (FORMS[name] ?? "is not right") : problem}`,
      );
    }
  }
  return { vault: options, notices: [] };
}

function vaultJson(values: Values, secrets: Secrets): VaultJson {
  const { namespace, tlsServerName, roleId } = values;
  const token = values.kmsToken ?? secrets.get("kmsTokenFile")?.text;
  const secretId = values.secretId ?? secrets.get("secretIdFile")?.text ?? "";
  const caBundle = secrets.get("caFile")?.text;
  const mountPath = values.approleMount ?? APPROLE_MOUNT;
  return {
    type: "Vault",
    address: (values.endpoint ?? "").replace(/\/+$/, ""),
    ...(namespace === undefined ? {} : { namespace }),
    mount: values.mount ?? MOUNT,
    keyName: values.keyName ?? KEY_NAME,
    ...(tlsServerName === undefined ? {} : { tlsServerName }),
    ...(caBundle === undefined ? {} : { caBundle }),
    auth: token === undefined ? { appRole: { roleId: roleId ?? "", secretId, mountPath } } : { token },
  };
}

const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

function refuseAddress({ values, placeOf }: Gathered, problems: string[]): void {
  const { endpoint } = values;
  if (endpoint === undefined) return;
  if (!URL.canParse(endpoint)) {
    problems.push(`${placeOf("endpoint")}: must be a URL`);
    return;
  }
  const { protocol, hostname, username, password } = new URL(endpoint);
  if (username !== "" || password !== "") {
    problems.push(`${placeOf("endpoint")}: must not hold a user or a password: log in with kms.token or kms.role_id`);
  }
  if (protocol === "http:" && !LOOPBACK.test(hostname) && values.allowInsecure !== true) {
    problems.push(`${placeOf("endpoint")}: an http:// address needs kms.allow_insecure = true`);
  }
}

/** Which setting an option of Vault came from. */
function nameOfOption(at: string, values: Values): Name {
  if (at.startsWith("/auth/token")) return values.kmsToken === undefined ? "kmsTokenFile" : "kmsToken";
  if (at.startsWith("/auth/appRole/secretId")) return values.secretId === undefined ? "secretIdFile" : "secretId";
  if (at.startsWith("/auth/appRole/mountPath")) return "approleMount";
  if (at.startsWith("/auth")) return "roleId";
  const name = at.slice(1) === "caBundle" ? "caFile" : at.slice(1);
  return NAMES.find((one) => one === name) ?? "endpoint";
}

/** Accepted, since RustFS documents them, and without a meaning here. */
/** Names that others give a meaning, and that are taken so that their files need no change. */
const WITHOUT_EFFECT = {
  workerThreads: "bodies are encrypted where they are received, which is as fast",
  operationsMax: "a body is encrypted as it comes; server.max_concurrent_requests bounds requests",
  metricsIntervalMs: "metrics are counted at once and read when somebody asks",
} as const;

function withoutEffect({ values, placeOf }: Gathered): string[] {
  const names = Object.keys(WITHOUT_EFFECT) as (keyof typeof WITHOUT_EFFECT)[];
  return names
    .filter((name) => values[name] !== undefined)
    .map((name) => `${placeOf(name)}: has no effect, ${WITHOUT_EFFECT[name]}`);
}

function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : "unknown error";
}
