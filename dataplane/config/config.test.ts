import { describe, expect, it } from "vitest";
import { ConfigError, configHash, type DataPlaneConfig, defaultSettings, parseConfig } from "./config.ts";
import { EXAMPLE_RING } from "./contract/entries.ts";

function valid(): DataPlaneConfig {
  const mark = { revision: 5, resource: "EncryptedBucket photos", madeFrom: ["1"] };
  const rules = {
    keys: [{ provider: "local", minEpoch: 1 }],
    rewrapWish: "",
    algorithm: "AES-256-GCM" as const,
    keyMode: "bucket" as const,
    chunkBytes: 65_536 as const,
    context: { team: "a" },
    allowCustomerKeys: false,
    allowPlaintext: false,
  };
  return {
    format: 1,
    revision: 5,
    ruledBy: "folder",
    region: "local",
    hostNames: [],
    settings: defaultSettings,
    providers: [
      {
        ...mark,
        name: "local",
        options: { type: "Local", ring: structuredClone(EXAMPLE_RING) },
        kmsKeyId: EXAMPLE_RING.id,
        timeoutMs: 5000,
        cache: { ttlMs: 300_000, maxEntries: 1000, negativeTtlMs: 10_000 },
      },
    ],
    buckets: [
      {
        ...mark,
        ...rules,
        name: "photos",
        state: "serve",
        credentials: [
          {
            entry: "app",
            generation: 1,
            accessKeyId: "AKTEST",
            secret: "very-secret-value",
            tokenSha256: "ab".repeat(32),
            permissions: ["Read"],
          },
        ],
      },
    ],
  };
}

type Edit = (config: Record<string, unknown> & DataPlaneConfig) => void;

function problemsOf(edit: Edit): readonly string[] {
  const config = valid() as Record<string, unknown> & DataPlaneConfig;
  edit(config);
  try {
    parseConfig(config);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe("parseConfig()", () => {
  it("accepts a whole document", () => {
    expect(parseConfig(valid())).toEqual(valid());
  });

  it.each<[string, Edit, RegExp]>([
    ["an unknown member", (config) => Object.assign(config, { extra: 1 }), /extra: is not known/],
    ["another format", (config) => Object.assign(config, { format: 2 }), /format/],
    ["a missing revision", (config) => Reflect.deleteProperty(config, "revision"), /revision: is missing/],
    [
      "a bucket name with capitals",
      (config) => Object.assign(config.buckets[0] ?? {}, { name: "Photos" }),
      /buckets\/0\/name/,
    ],
    ["two buckets of one name", (config) => config.buckets.push(...valid().buckets), /"photos" appears twice/],
    ["two providers of one name", (config) => config.providers.push(...valid().providers), /"local" appears twice/],
    [
      "a bucket whose provider is not there",
      (config) => Object.assign(config.buckets[0] ?? {}, { keys: [{ provider: "gone", minEpoch: 1 }] }),
      /provider "gone" is not in the configuration/,
    ],
    ["a bucket without any key", (config) => Object.assign(config.buckets[0] ?? {}, { keys: [] }), /buckets\/0\/keys/],
    [
      "a chunk size between powers of two",
      (config) => Object.assign(config.buckets[0] ?? {}, { chunkBytes: 70_000 }),
      /chunkBytes/,
    ],
    [
      "a ring whose key is too short",
      (config) => {
        const options = config.providers[0]?.options;
        if (options?.type === "Local") Object.assign(options.ring.keys[0] ?? {}, { key: "AAAA" });
      },
      /providers\/0\/options\/ring/,
    ],
  ])("refuses %s", (_sentence, edit, expected) => {
    expect(problemsOf(edit).join("\n")).toMatch(expected);
  });

  it("reports all problems at once", () => {
    const problems = problemsOf((config) => {
      Object.assign(config, { extra: 1, region: "", hostNames: "x" });
    });
    expect(problems.length).toBeGreaterThanOrEqual(3);
  });

  it("never repeats a value of the document, since it may be a secret", () => {
    const problems = problemsOf((config) => {
      Object.assign(config.buckets[0]?.credentials[0] ?? {}, { secret: 12_345_678, accessKeyId: "space here-marker" });
    });
    expect(problems.join("\n")).not.toMatch(/12345678|space here-marker/);
    expect(problems).toHaveLength(2);
  });

  it("takes an access key id once", () => {
    const problems = problemsOf((config) => {
      const [bucket] = config.buckets;
      if (bucket !== undefined) config.buckets.push({ ...bucket, name: "second" });
    });
    expect(problems).toEqual(["an accessKeyId appears twice"]);
  });
});

describe("configHash()", () => {
  it("is equal for equal documents and differs for others", () => {
    expect(configHash(valid())).toBe(configHash(valid()));
    expect(configHash({ ...valid(), revision: 6 })).not.toBe(configHash(valid()));
  });
});
