import { afterEach, describe, expect, test } from "vitest";
import { createRing, printRing } from "../../kms/ring.ts";
import { defaultSettings } from "../config/config.ts";
import { Failure } from "../failure.ts";
import { createListener, type Listener } from "../http/listener.ts";
import { emptyConfig, rawClient, recordedPorts } from "../http/rawclient.ts";
import type { JobRecord } from "../jobs/jobs.ts";
import { createMetrics } from "../metrics.ts";
import { createLive, type Live } from "../snapshot.ts";
import { type AdminNeeds, createAdmin, createAdminEntrance } from "./routes.ts";

const opened: Listener[] = [];
afterEach(async () => {
  await Promise.all(opened.splice(0).map((listener) => listener.drain(0)));
});

const SECRET = "a-very-secret-thing";

const provider = {
  revision: 3,
  resource: "KmsProvider default/local",
  madeFrom: [],
  name: "local",
  options: { type: "Local", ring: printRing(createRing(new Date(0))) },
  kmsKeyId: "ring-1",
  timeoutMs: 1000,
  cache: { ttlMs: 1000, maxEntries: 10, negativeTtlMs: 0 },
};

const bucket = {
  revision: 4,
  resource: "EncryptedBucket default/photos",
  madeFrom: [],
  name: "photos",
  keys: [{ provider: "local", minEpoch: 1 }],
  rewrapWish: "wish-1",
  algorithm: "AES-256-GCM",
  keyMode: "bucket",
  chunkBytes: 65_536,
  context: {},
  allowCustomerKeys: false,
  allowPlaintext: false,
  state: "serve",
  credentials: [
    {
      entry: "app",
      generation: 0,
      accessKeyId: "KEY_app",
      secret: SECRET,
      tokenSha256: "0".repeat(64),
      permissions: ["Read"],
    },
  ],
};

interface Admin {
  readonly live: Live;
  readonly port: number;
  readonly lines: readonly unknown[];
  ask(path: string, method?: string): Promise<Response>;
}

async function openAdmin(needs: Partial<AdminNeeds> = {}): Promise<Admin> {
  const live = createLive(
    () => Promise.reject(new Error("cannot be opened now")),
    () => undefined,
  );
  const protocol = createAdmin({
    live,
    load: () => ({ loadedAtMs: undefined, refused: undefined }),
    probe: () => undefined,
    storageHealth: () => ({ writable: true, reason: undefined }),
    jobs: () => Promise.resolve([]),
    serving: () => true,
    draining: () => false,
    metrics: createMetrics(),
    ...needs,
  });
  const recorded = await recordedPorts(protocol);
  const listener = createListener({ ...recorded, live: createAdminEntrance(live), protocol });
  opened.push(listener);
  const { port } = await listener.listen(0, "127.0.0.1");
  return {
    live,
    port,
    lines: recorded.lines,
    ask: (path, method = "GET") => fetch(`http://127.0.0.1:${port}${path}`, { method }),
  };
}

function loadConfig(live: Live): Promise<unknown> {
  return live.offer(
    emptyConfig({ revision: 7, providers: [provider], buckets: [bucket] }),
    AbortSignal.timeout(60_000),
  );
}

describe("the admin listener", () => {
  test("is alive before it has a configuration, and not ready", async () => {
    const { ask } = await openAdmin();
    expect(await (await ask("/healthz")).json()).toEqual({ alive: true });
    const ready = await ask("/readyz");
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({ ready: false, reasons: ["no configuration has been loaded"] });
    expect(await (await ask("/config")).json()).toEqual({ providers: [], buckets: [] });
  });

  test("is ready with a configuration", async () => {
    const { ask, live } = await openAdmin();
    await loadConfig(live);
    const ready = await ask("/readyz");
    expect(ready.status).toBe(200);
    expect(await ready.json()).toEqual({ ready: true, reasons: [] });
  });

  test("is not ready before clients can connect", async () => {
    const { ask, live } = await openAdmin({ serving: () => false });
    await loadConfig(live);
    const ready = await ask("/readyz");
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({ ready: false, reasons: ["its ports are not open yet"] });
  });

  test("stays ready on a full disk, which takes no bodies but reads and deletes, and says so", async () => {
    const { ask, live } = await openAdmin({ storageHealth: () => ({ writable: true, reason: "the disk is full" }) });
    await loadConfig(live);
    const ready = await ask("/readyz");
    expect(ready.status).toBe(200);
    expect(await ready.json()).toEqual({ ready: true, reasons: ["the storage takes no bodies: the disk is full"] });
  });

  test("says each reason why it is not ready", async () => {
    const { ask, live } = await openAdmin({
      storageHealth: () => ({ writable: false, reason: "the disk is full" }),
      draining: () => true,
    });
    await loadConfig(live);
    const ready = await ask("/readyz");
    expect(ready.status).toBe(503);
    expect(await ready.json()).toEqual({
      ready: false,
      reasons: ["the storage takes no writes: the disk is full", "shutting down"],
    });
  });

  test("tells what is loaded, what was refused and which keys can be used, and no secret", async () => {
    const problems = Array.from({ length: 30 }, (_, index) => `buckets/${index}: bad`);
    const { ask, live } = await openAdmin({
      load: () => ({ loadedAtMs: 1000, refused: { atMs: 2000, problems } }),
      probe: () => ({ canUse: false, code: "denied", atMs: 3000 }),
    });
    await loadConfig(live);
    const text = await (await ask("/config")).text();
    expect(JSON.parse(text)).toEqual({
      revision: 7,
      hash: live.peek()?.hash,
      loadedAtMs: 1000,
      ruledBy: "folder",
      refused: { atMs: 2000, problemsCount: 30, problems: problems.slice(0, 20) },
      providers: [
        {
          name: "local",
          kmsKeyId: "ring-1",
          revision: 3,
          canWrap: false,
          canUnwrap: false,
          checkedAtMs: 3000,
          failure: "cannot be opened now",
        },
      ],
      buckets: [{ name: "photos", revision: 4, state: "serve" }],
    });
    expect(text).not.toContain(SECRET);
    const kept = JSON.stringify(provider.options.ring).match(/[A-Za-z0-9+/_-]{20,}/g) ?? [];
    expect(kept.length).toBeGreaterThan(0);
    for (const secret of kept) expect(text).not.toContain(secret);
  });

  test("has no opinion of a key that it has not tried", async () => {
    const { ask, live } = await openAdmin();
    await loadConfig(live);
    const config = await (await ask("/config")).json();
    expect(config).toMatchObject({ providers: [{ name: "local" }] });
    expect(JSON.stringify(config)).not.toMatch(/canWrap|canUnwrap/);
  });

  test("tells how far jobs are, without their leases", async () => {
    const counts = { scanned: 5, rewrapped: 2, current: 2, excluded: 0, conflict: 0, failed: 1 };
    const record: JobRecord = {
      kind: "rewrap",
      bucket: "photos",
      wish: "wish-1",
      state: "running",
      cursor: "somewhere",
      counts,
      oldestKeyVersion: "1",
      reason: undefined,
      startedMs: 10,
      updatedMs: 20,
      completedMs: undefined,
      lease: { holder: "pod", untilMs: 30 },
    };
    const { ask } = await openAdmin({ jobs: () => Promise.resolve([record]) });
    expect(await (await ask("/jobs")).json()).toEqual({
      jobs: [
        {
          kind: "rewrap",
          bucket: "photos",
          wish: "wish-1",
          state: "running",
          counts,
          oldestKeyVersion: "1",
          startedMs: 10,
          updatedMs: 20,
        },
      ],
    });
  });

  test("says that records of jobs cannot be read", async () => {
    const { ask } = await openAdmin({
      jobs: () => Promise.reject(new Failure("ServiceUnavailable", "not now", { retryAfterSeconds: 5 })),
    });
    const response = await ask("/jobs");
    expect(response.status).toBe(503);
    expect(response.headers.get("retry-after")).toBe("5");
    expect(await response.json()).toMatchObject({ code: "ServiceUnavailable", detail: "not now" });
  });

  test("prints metrics", async () => {
    const metrics = createMetrics();
    metrics.configRefused();
    const { ask } = await openAdmin({ metrics });
    const response = await ask("/metrics");
    expect(response.headers.get("content-type")).toMatch(/^text\/plain; version=/);
    expect(await response.text()).toContain("coffer_config_refused_total 1");
  });

  test("prints no metrics where the configuration says so", async () => {
    const { ask, live } = await openAdmin();
    const settings = { ...defaultSettings, metrics: { enabled: false } };
    await live.offer(emptyConfig({ settings }), AbortSignal.timeout(60_000));
    expect((await ask("/metrics")).status).toBe(404);
  });

  test.each(["HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])("answers no %s", async (method) => {
    const { ask } = await openAdmin();
    for (const path of ["/healthz", "/readyz", "/metrics", "/config", "/jobs", "/nothing"]) {
      const response = await ask(path, method);
      expect(response.status).toBe(405);
      expect(response.headers.get("allow")).toBe("GET");
    }
  });

  test("has no other page", async () => {
    const { ask } = await openAdmin();
    for (const path of ["/", "/healthz/", "/HEALTHZ", "/config/x", "/%68ealthz"]) {
      const response = await ask(path);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ code: "NotFound", requestId: expect.any(String) });
    }
  });

  test("answers with a query, and not from a cache", async () => {
    const { ask } = await openAdmin();
    const response = await ask("/healthz?now");
    expect(response.status).toBe(200);
    expect(response.headers.get("cache-control")).toBe("no-store");
  });

  test("refuses what is not HTTP in JSON", async () => {
    const { port } = await openAdmin();
    const client = rawClient(port);
    client.send("nonsense\r\n\r\n");
    const text = await client.closed();
    expect(JSON.parse(text.slice(text.indexOf("\r\n\r\n") + 4))).toMatchObject({ status: 400, code: "BadRequest" });
  });
});
