/**
 * Every setting of a data plane that runs alone: its name in files, its variable `COFFER_…`, whether RustFS documents it
 * as `RUSTFS_…`, and what may stand for it. docs/standalone.md lists the same names, and a test holds it to that.
 */
import { choice, flag, integer, list, pairs, type Reader, seconds, text, type ValueOf } from "./readers.ts";

/** A name in files is `section.name`; `encryption` may be left out. */
export interface Row<Value> {
  readonly at: string;
  /** Other names for the same. */
  readonly also: readonly string[];
  /** Behind `COFFER_`. */
  readonly variable: string;
  /** `RUSTFS_` is as good. */
  readonly rustfs: boolean;
  readonly reads: Reader<Value>;
}

interface Names {
  readonly also?: readonly string[];
  readonly rustfs?: true;
}

function row<Value>(at: string, variable: string, reads: Reader<Value>, { also = [], rustfs }: Names = {}): Row<Value> {
  return { at, also, variable, rustfs: rustfs === true, reads };
}

const RUSTFS = { rustfs: true } as const;

const algorithm = choice({
  AES256: "AES-256-GCM",
  ChaCha20Poly1305: "ChaCha20-Poly1305",
  Auto: "Auto",
  "AES-256-GCM": "AES-256-GCM",
  "ChaCha20-Poly1305": "ChaCha20-Poly1305",
});
const chunkSize = choice({
  "16384": 16_384,
  "32768": 32_768,
  "65536": 65_536,
  "131072": 131_072,
  "262144": 262_144,
  "524288": 524_288,
  "1048576": 1_048_576,
});
const keyMode = choice({ Bucket: "bucket", Object: "object" });
const accessKey = text(/^[A-Za-z0-9_-]{3,128}$/, "3 to 128 letters, digits, _ and -");
const secretKey = text(/^[!-~]{8,256}$/, "8 to 256 visible characters without spaces");
const token = text(/^[A-Za-z0-9._~+/=-]{16,512}$/, "16 to 512 letters, digits and . _ ~ + / = -");
const path = text(/^[^\0]{1,4096}$/, "the path of a file");
const entryName = text(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "1 to 63 small letters, digits and -");

/** The names of the values, here and in what is made of them, are the program's own. */
export const ROWS = {
  provider: row("kms.provider", "KMS_PROVIDER", choice({ local: "local", vault: "vault" }), RUSTFS),
  endpoint: row("kms.endpoint", "KMS_ENDPOINT", text(/^\S{1,2048}$/, "the address of a Vault or OpenBao"), RUSTFS),
  kmsToken: row("kms.token", "KMS_TOKEN", text(/^[!-~]{1,8192}$/, "a token without spaces"), RUSTFS),
  kmsTokenFile: row("kms.token_file", "KMS_TOKEN_FILE", path),
  roleId: row("kms.role_id", "KMS_ROLE_ID", text(/^[!-~]{1,255}$/, "1 to 255 characters without spaces")),
  secretId: row("kms.secret_id", "KMS_SECRET_ID", text(/^[!-~]{1,1024}$/, "1 to 1024 characters without spaces")),
  secretIdFile: row("kms.secret_id_file", "KMS_SECRET_ID_FILE", path),
  approleMount: row("kms.approle_mount", "KMS_APPROLE_MOUNT", text(/^\S{1,255}$/, "a mount path")),
  keyName: row("kms.key_name", "KMS_KEY_NAME", text(/^[A-Za-z0-9_.-]{1,255}$/, "letters, digits, _ . and -")),
  mount: row("kms.mount", "KMS_MOUNT", text(/^\S{1,255}$/, "a mount path")),
  namespace: row("kms.namespace", "KMS_NAMESPACE", text(/^\S{1,255}$/, "a namespace of Vault")),
  caFile: row("kms.ca_file", "KMS_CA_FILE", path),
  tlsServerName: row("kms.tls_server_name", "KMS_TLS_SERVER_NAME", text(/^[A-Za-z0-9_.-]{1,253}$/, "a host name")),
  allowInsecure: row("kms.allow_insecure", "KMS_ALLOW_INSECURE", flag()),
  kmsTimeoutMs: row("kms.timeout_seconds", "KMS_TIMEOUT_SECONDS", seconds(0.1, 60), { also: ["kms.timeout_secs"] }),
  retriesMax: row("kms.max_retries", "KMS_MAX_RETRIES", integer(0, 10)),
  algorithm: row("encryption.default_algorithm", "DEFAULT_ALGORITHM", algorithm),
  chunkBytes: row("encryption.chunk_size", "CHUNK_SIZE", chunkSize, RUSTFS),
  keyMode: row("encryption.key_mode", "KEY_MODE", keyMode),
  caching: row("encryption.enable_caching", "ENABLE_CACHING", flag()),
  cacheTtlMs: row("encryption.cache_ttl_seconds", "CACHE_TTL_SECONDS", seconds(0, 86_400)),
  cacheEntries: row("encryption.cache_size", "CACHE_SIZE", integer(1, 100_000), RUSTFS),
  workerThreads: row("encryption.worker_threads", "WORKER_THREADS", integer(0, 64), RUSTFS),
  operationsMax: row("encryption.max_concurrent_operations", "MAX_CONCURRENT_OPERATIONS", integer(1, 100_000)),
  metrics: row("monitoring.enable_metrics", "ENABLE_METRICS", flag(), RUSTFS),
  metricsIntervalMs: row("monitoring.metrics_interval_seconds", "METRICS_INTERVAL_SECONDS", seconds(1, 86_400)),
  audit: row("monitoring.enable_audit_log", "ENABLE_AUDIT_LOG", flag(), RUSTFS),
  auditLevel: row(
    "monitoring.audit_log_level",
    "AUDIT_LOG_LEVEL",
    choice({ INFO: "All", DEBUG: "All", All: "All", Writes: "Writes", Keys: "Keys" }),
  ),
  logLevel: row(
    "monitoring.log_level",
    "LOG_LEVEL",
    choice({ error: "Error", warn: "Warn", info: "Info", debug: "Debug" }),
    RUSTFS,
  ),
  region: row("server.region", "REGION", text(/^[A-Za-z0-9_-]{1,64}$/, "1 to 64 letters, digits, _ and -")),
  hostNames: row(
    "server.host_names",
    "HOST_NAMES",
    list(text(/^[A-Za-z0-9.-]{1,253}$/, "a host name"), 64, "a list of at most 64 host names"),
  ),
  requestsMax: row("server.max_concurrent_requests", "MAX_CONCURRENT_REQUESTS", integer(1, 100_000)),
  accessKey: row("admin.access_key", "ACCESS_KEY", accessKey, RUSTFS),
  secretKey: row("admin.secret_key", "SECRET_KEY", secretKey, RUSTFS),
  token: row("admin.token", "ADMIN_TOKEN", token),
  adminKeys: row("admin.keys", "ADMIN_KEYS", flag()),
} as const;

export type Name = keyof typeof ROWS;
export type Values = { -readonly [N in Name]?: ValueOf<(typeof ROWS)[N]["reads"]> };
export const NAMES = Object.keys(ROWS) as readonly Name[];

/** The members of each `[[buckets]]`, and of each of its `[[buckets.access]]`. */
export const BUCKET = {
  name: text(/^[a-z0-9](?!.*\.\.)[a-z0-9.-]{1,61}[a-z0-9]$/, "3 to 63 small letters, digits, . and -"),
  algorithm,
  chunk_size: chunkSize,
  key_mode: keyMode,
  context: pairs(16, "at most 16 names, each with a text"),
} as const;
export const ACCESS = {
  name: entryName,
  access_key: accessKey,
  secret_key: secretKey,
  token,
  permissions: list(
    choice({ Read: "Read", Write: "Write", List: "List", Delete: "Delete" }),
    4,
    "a list of Read, Write, List and Delete",
  ),
} as const;

/** Of the environment, but no settings: where this process runs, and what its clients take from their files. */
export const WHEREABOUTS: ReadonlySet<string> = new Set([
  "COFFER_CONFIG",
  "COFFER_LISTEN",
  "COFFER_S3_PORT",
  "COFFER_REST_PORT",
  "COFFER_ADMIN_PORT",
  "COFFER_DATA_DIR",
  "COFFER_SECRETS_DIR",
  "COFFER_SHUTDOWN_DELAY_SECONDS",
  "COFFER_REST_URL",
  "COFFER_TOKEN",
]);

/** Names that RustFS knows and that mean something else here, or nothing: what to do in their place. */
export const HINTS: Readonly<Record<string, string>> = {
  RUSTFS_VOLUMES: "set COFFER_DATA_DIR to one folder",
  RUSTFS_ADDRESS: "set COFFER_LISTEN and COFFER_S3_PORT",
  RUSTFS_KMS_ENABLE: "take it out, encryption is always on",
  RUSTFS_KMS_BACKEND: "set RUSTFS_KMS_PROVIDER",
  RUSTFS_KMS_KEY_DIR: "set COFFER_SECRETS_DIR, where the key ring lies",
  RUSTFS_KMS_VAULT_ADDRESS: "set RUSTFS_KMS_ENDPOINT",
  RUSTFS_KMS_VAULT_TOKEN: "set RUSTFS_KMS_TOKEN",
  RUSTFS_KMS_DEFAULT_KEY_ID: "set COFFER_KMS_KEY_NAME",
  "kms.enabled": "take it out, encryption is always on",
  "kms.backend": "write kms.provider",
  "kms.key_dir": "set COFFER_SECRETS_DIR, where the key ring lies",
  "kms.vault_address": "write kms.endpoint",
  "kms.vault_token": "write kms.token",
  "kms.default_key_id": "write kms.key_name",
};
