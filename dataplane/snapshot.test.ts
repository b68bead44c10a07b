import { describe, expect, it } from "vitest";
import type { Kms } from "../kms/kms.ts";
import { ConfigError, type DataPlaneConfig, defaultSettings, type ProviderEntry } from "./config/config.ts";
import { createLive } from "./snapshot.ts";

const signal = new AbortController().signal;

function provider(name: string, timeoutMs = 5000): ProviderEntry {
  return {
    revision: 1,
    resource: `KmsProvider ${name}`,
    madeFrom: [],
    name,
    options: {
      type: "Local",
      ring: {
        format: "coffer-ring-1",
        id: "01".repeat(16),
        keys: [
          {
            version: 1,
            key: Buffer.alloc(32, 7).toString("base64"),
            created: "2026-01-01T00:00:00Z",
            state: "enabled",
          },
        ],
      },
    },
    kmsKeyId: "01".repeat(16),
    timeoutMs,
    cache: { ttlMs: 1000, maxEntries: 10, negativeTtlMs: 0 },
  };
}

function config(revision: number, providers: ProviderEntry[]): DataPlaneConfig {
  return {
    format: 1,
    revision,
    ruledBy: "folder",
    region: "local",
    hostNames: [],
    settings: defaultSettings,
    providers,
    buckets: [],
  };
}

/** Opens clients that only know whether they were closed. */
function opener() {
  const opened: string[] = [];
  const closed: string[] = [];
  const failing = new Set<string>();
  return {
    opened,
    closed,
    failing,
    open: async (entry: ProviderEntry): Promise<Kms> => {
      if (failing.has(entry.name)) throw new Error("cannot be reached");
      const label = `${entry.name}@${entry.timeoutMs}`;
      opened.push(label);
      return { close: async () => void closed.push(label) } as unknown as Kms;
    },
  };
}

function fail(error: unknown): never {
  throw error;
}

describe("createLive()", () => {
  it("keeps the client of a provider that did not change, and opens one that did", async () => {
    const kms = opener();
    const live = createLive(kms.open, fail);
    const first = await live.offer(config(1, [provider("a"), provider("b")]), signal);
    const second = await live.offer(config(2, [provider("a"), provider("b", 9000)]), signal);
    expect(kms.opened).toEqual(["a@5000", "b@5000", "b@9000"]);
    expect(second.kms.get("a")).toBe(first.kms.get("a"));
    expect(kms.closed).toEqual(["b@5000"]);
  });

  it("closes what no newer snapshot uses when the last call that entered with it leaves", async () => {
    const kms = opener();
    const live = createLive(kms.open, fail);
    await live.offer(config(1, [provider("a")]), signal);
    const one = live.enter();
    const two = live.enter();
    await live.offer(config(2, []), signal);
    expect(live.enter().config.revision).toBe(2);
    live.leave(one);
    expect(kms.closed).toEqual([]);
    live.leave(two);
    expect(kms.closed).toEqual(["a@5000"]);
  });

  it("refuses a document that does not parse, and the last good one stays", async () => {
    const live = createLive(opener().open, fail);
    await live.offer(config(1, []), signal);
    await expect(live.offer({ format: 1 }, signal)).rejects.toThrow(ConfigError);
    expect(live.peek()?.config.revision).toBe(1);
  });

  it("publishes a configuration with a provider that cannot be opened, and says why", async () => {
    const kms = opener();
    kms.failing.add("bad");
    const live = createLive(kms.open, fail);
    const snapshot = await live.offer(config(1, [provider("good"), provider("bad")]), signal);
    expect([...snapshot.kms.keys()]).toEqual(["good"]);
    expect(snapshot.openFailures.get("bad")).toBe("cannot be reached");
  });

  it("goes on with the client before where a changed provider cannot be opened", async () => {
    const kms = opener();
    const live = createLive(kms.open, fail);
    const first = await live.offer(config(1, [provider("a")]), signal);
    kms.failing.add("a");
    const second = await live.offer(config(2, [provider("a", 9000)]), signal);
    expect(second.kms.get("a")).toBe(first.kms.get("a"));
    expect(second.openFailures.has("a")).toBe(true);
    expect(kms.closed).toEqual([]);
  });

  it("publishes offers in their order, however long each takes to open", async () => {
    const order: number[] = [];
    const live = createLive(async (entry) => {
      await new Promise((resolve) => setTimeout(resolve, entry.name === "slow" ? 20 : 0));
      return { close: async () => undefined } as unknown as Kms;
    }, fail);
    await Promise.all([
      live.offer(config(1, [provider("slow")]), signal).then((snapshot) => order.push(snapshot.config.revision)),
      live.offer(config(2, [provider("fast")]), signal).then((snapshot) => order.push(snapshot.config.revision)),
    ]);
    expect(order).toEqual([1, 2]);
    expect(live.peek()?.config.revision).toBe(2);
  });

  it("has no configuration before the first", () => {
    expect(() => createLive(opener().open, fail).enter()).toThrow(/no configuration/);
  });
});
