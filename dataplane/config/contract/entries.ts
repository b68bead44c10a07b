/** What tests configure: entries that are whole, and the same wherever a test does not say otherwise. */
import { type BucketEntry, type DataPlaneConfig, defaultSettings, type ProviderEntry } from "../config.ts";

/** Of a Local provider; its one key is no secret. */
export const EXAMPLE_RING = {
  format: "coffer-ring-1" as const,
  id: "01".repeat(16),
  keys: [
    {
      version: 1,
      key: Buffer.alloc(32, 7).toString("base64"),
      created: "2026-01-01T00:00:00Z",
      state: "enabled" as const,
    },
  ],
};

export function bucketEntry(name: string, more: Partial<BucketEntry> = {}): BucketEntry {
  return {
    revision: 1,
    resource: `EncryptedBucket ${name}`,
    madeFrom: [],
    name,
    keys: [{ provider: "local", minEpoch: 1 }],
    rewrapWish: "",
    algorithm: "AES-256-GCM",
    keyMode: "bucket",
    chunkBytes: 65_536,
    context: {},
    allowCustomerKeys: false,
    allowPlaintext: false,
    state: "serve",
    credentials: [],
    ...more,
  };
}

/** Nothing of its keys is kept, unless told otherwise. */
export function providerEntry(name: string, more: Partial<ProviderEntry> = {}): ProviderEntry {
  return {
    revision: 1,
    resource: `KmsProvider ${name}`,
    madeFrom: [],
    name,
    options: { type: "Local", ring: EXAMPLE_RING },
    kmsKeyId: EXAMPLE_RING.id,
    timeoutMs: 1000,
    cache: { ttlMs: 0, maxEntries: 1, negativeTtlMs: 0 },
    ...more,
  };
}

export function storeConfig(more: Partial<DataPlaneConfig> = {}): DataPlaneConfig {
  return {
    format: 1,
    revision: 1,
    ruledBy: "folder",
    region: "local",
    hostNames: [],
    settings: defaultSettings,
    providers: [providerEntry("local")],
    buckets: [],
    ...more,
  };
}
