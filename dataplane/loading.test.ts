import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfigError } from "./config/config.ts";
import { bucketEntry, storeConfig } from "./config/contract/entries.ts";
import { openSource } from "./config/sources.ts";
import { createLoading, documentsOf, type Loading } from "./loading.ts";
import type { Log } from "./log.ts";
import { createMetrics, type Metrics } from "./metrics.ts";
import { createLive, type Live } from "./snapshot.ts";

let folder = "";
let path = "";
let live: Live;
let metrics: Metrics;
let loading: Loading;
let prepared: string[];
let published: number[];
let said: string[];
let stopping: AbortController;

async function replaceFile(text: string): Promise<void> {
  await writeFile(`${path}.tmp`, text);
  await rename(`${path}.tmp`, path);
}

async function until(holds: () => boolean): Promise<void> {
  for (let tries = 0; tries < 12_000; tries += 1) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("it did not come about in time");
}

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "coffer-loading-"));
  path = join(folder, "config.json");
  live = createLive(
    async () => ({ close: async () => undefined }) as never,
    () => undefined,
  );
  metrics = createMetrics();
  prepared = [];
  published = [];
  said = [];
  stopping = new AbortController();
  const say = (message: string, fields?: unknown) => void said.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const log: Log = { error: say, warn: say, info: say, debug: say, setLevel() {} };
  loading = createLoading({
    source: documentsOf(openSource(path, {})),
    live,
    log,
    metrics,
    nowMs: () => 1000,
    prepare: async (buckets) => void prepared.push(...buckets.map(({ name }) => name)),
    onPublished: (snapshot) => void published.push(snapshot.config.revision),
  });
});

afterEach(async () => {
  stopping.abort();
  await rm(folder, { recursive: true });
});

describe("createLoading()", () => {
  it("prepares the buckets that serve, publishes, and says what it loaded", async () => {
    await replaceFile(
      JSON.stringify(
        storeConfig({
          revision: 7,
          buckets: [bucketEntry("photos"), bucketEntry("going", { state: "empty-and-remove" })],
        }),
      ),
    );
    await loading.loadFirst(stopping.signal);
    expect(prepared).toEqual(["photos"]);
    expect(published).toEqual([7]);
    expect(live.peek()?.config.revision).toBe(7);
    expect(loading.state()).toEqual({ loadedAtMs: 1000, refused: undefined });
    expect(await metrics.print()).toMatch(/^coffer_config_revision 7$/m);
  });

  it("does not start on a document that cannot be used", async () => {
    await replaceFile("{}");
    await expect(loading.loadFirst(stopping.signal)).rejects.toThrow(ConfigError);
  });

  it("refuses a bad file while running: the last good one stays, and state, metric and log say so", async () => {
    await replaceFile(JSON.stringify(storeConfig()));
    await loading.loadFirst(stopping.signal);
    const watching = loading.watch(stopping.signal);
    await replaceFile('{"format": 1, "secret": "marker');
    await until(() => loading.state().refused !== undefined);
    expect(live.peek()?.config.revision).toBe(1);
    expect(loading.state().refused?.problems).toEqual([`${path}:1: the file is not JSON`]);
    expect(await metrics.print()).toMatch(/^coffer_config_refused_total 1$/m);
    expect(said.join("\n")).toMatch(/configuration refused, the last good one stays/);
    expect(said.join("\n")).not.toMatch(/marker/);
    await replaceFile(JSON.stringify(storeConfig({ revision: 2 })));
    await until(() => live.peek()?.config.revision === 2);
    expect(loading.state().refused).toBeUndefined();
    stopping.abort();
    await watching;
  });
});
