import { describe, expect, it } from "vitest";
import type { Buckets } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { bucketEntry, storeConfig } from "../config/contract/entries.ts";
import { Failure } from "../failure.ts";
import { noCounts } from "../keys/keys.ts";
import type { Log } from "../log.ts";
import type { ObjectStore } from "../objects/objects.ts";
import { createLive, type Live } from "../snapshot.ts";
import { createMemoryStorage } from "../storage/memory.ts";
import type { Storage } from "../storage/storage.ts";
import { createEmptyJob, createJobs, type JobKind, type JobStep, type Jobs } from "./jobs.ts";
import { JOBS_PREFIX, newRecord, oldestVersion, parseRecord, printRecord } from "./record.ts";

const forever = new AbortController().signal;
const quiet: Log = { error() {}, warn() {}, info() {}, debug() {}, setLevel() {} };

async function liveWith(buckets: BucketEntry[]): Promise<Live> {
  const live = createLive(
    async () => ({ close: async () => undefined }) as never,
    () => undefined,
  );
  await live.offer(storeConfig({ buckets }), forever);
  return live;
}

interface Engine {
  readonly jobs: Jobs;
  stop(): Promise<void>;
}

function start(storage: Storage, live: Live, kinds: JobKind[], nowMs: () => number = Date.now): Engine {
  const stopping = new AbortController();
  const inFlight = { enter: () => () => undefined };
  const jobs = createJobs({ storage, live, kinds, log: quiet, nowMs, inFlight });
  const running = jobs.run(stopping.signal);
  return {
    jobs,
    async stop() {
      stopping.abort();
      await running;
    },
  };
}

async function until(holds: () => Promise<boolean> | boolean): Promise<void> {
  const endMs = performance.now() + 30_000;
  while (performance.now() < endMs) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error("it did not come about in time");
}

/** Counts to `steps`, one number a step, and writes down what it did. */
function countingJob(steps: number, did: string[], fail?: (cursor: string | undefined) => Error | undefined): JobKind {
  return {
    kind: "count",
    wanted: (snapshot) =>
      snapshot.config.buckets
        .filter((one) => one.rewrapWish !== "")
        .map((one) => ({ bucket: one.name, wish: one.rewrapWish })),
    async step(call: Call, spec, cursor): Promise<JobStep> {
      const error = fail?.(cursor);
      if (error !== undefined) throw error;
      const at = Number(cursor ?? 0);
      did.push(`${spec.bucket} ${at}`);
      expect(call.principal).toEqual({ kind: "job", job: "count" });
      const counts = { ...noCounts, scanned: 1, rewrapped: 1 };
      return {
        cursor: at + 1 < steps ? String(at + 1) : undefined,
        counts,
        keyVersions: [String(9 - at)],
        blocked: undefined,
      };
    },
  };
}

describe("createJobs()", () => {
  it("runs what the configuration wants to its end, once per wish, and counts", async () => {
    const storage = createMemoryStorage();
    const did: string[] = [];
    const live = await liveWith([bucketEntry("photos", { rewrapWish: "v2" }), bucketEntry("music")]);
    const engine = start(storage, live, [countingJob(3, did)]);
    await until(async () => (await engine.jobs.list(forever))[0]?.state === "done");
    const [record] = await engine.jobs.list(forever);
    expect(record).toMatchObject({ kind: "count", bucket: "photos", wish: "v2", counts: { scanned: 3, rewrapped: 3 } });
    expect(record).toMatchObject({ oldestKeyVersion: "7", lease: undefined });
    engine.jobs.poke();
    await engine.stop();
    expect(did).toEqual(["photos 0", "photos 1", "photos 2"]);
  });

  it("does it again for another wish, from the beginning", async () => {
    const storage = createMemoryStorage();
    const did: string[] = [];
    const live = await liveWith([bucketEntry("photos", { rewrapWish: "v2" })]);
    const engine = start(storage, live, [countingJob(1, did)]);
    await until(() => did.length === 1);
    await live.offer(storeConfig({ buckets: [bucketEntry("photos", { rewrapWish: "v3" })] }), forever);
    engine.jobs.poke();
    await until(async () => (await engine.jobs.list(forever))[0]?.wish === "v3" && did.length > 1);
    await engine.stop();
    expect(did).toEqual(["photos 0", "photos 0"]);
  });

  it("goes on where a killed replica stopped, once its lease has ended", async () => {
    const storage = createMemoryStorage();
    const did: string[] = [];
    const live = await liveWith([bucketEntry("photos", { rewrapWish: "v2" })]);
    const left = { ...newRecord("count", "photos", "v2", 1), cursor: "2", lease: { holder: "dead", untilMs: 1000 } };
    await storage.putDocument(`${JOBS_PREFIX}count/photos`, printRecord(left), "absent", forever);
    let nowMs = 999;
    const engine = start(storage, live, [countingJob(4, did)], () => nowMs);
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(did).toEqual([]);
    nowMs = 1001;
    engine.jobs.poke();
    await until(() => did.length === 2);
    await engine.stop();
    expect(did).toEqual(["photos 2", "photos 3"]);
  });

  it("leaves a failing job alone for a while, says why in its record, and then goes on", async () => {
    const storage = createMemoryStorage();
    const did: string[] = [];
    let nowMs = 0;
    let failing = true;
    const live = await liveWith([bucketEntry("photos", { rewrapWish: "v2" })]);
    const kind = countingJob(2, did, () =>
      failing ? new Failure("ServiceUnavailable", "the KMS is away") : undefined,
    );
    const engine = start(storage, live, [kind], () => nowMs);
    await until(async () => (await engine.jobs.list(forever))[0]?.reason === "ServiceUnavailable");
    failing = false;
    engine.jobs.poke();
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(did).toEqual([]);
    nowMs = 1000;
    engine.jobs.poke();
    await until(async () => (await engine.jobs.list(forever))[0]?.state === "done");
    await engine.stop();
    expect((await engine.jobs.list(forever))[0]?.reason).toBeUndefined();
  });

  it("sweeps again after a sweep with conflicts, and is done only after a clean one", async () => {
    const storage = createMemoryStorage();
    let nowMs = 0;
    let sweeps = 0;
    const live = await liveWith([bucketEntry("photos", { rewrapWish: "v2" })]);
    const kind: JobKind = {
      ...countingJob(1, []),
      async step() {
        sweeps += 1;
        const counts = { ...noCounts, scanned: 1, ...(sweeps === 1 ? { conflict: 1 } : { rewrapped: 1 }) };
        return { cursor: undefined, counts, keyVersions: [], blocked: undefined };
      },
    };
    const engine = start(storage, live, [kind], () => nowMs);
    await until(async () => (await engine.jobs.list(forever))[0]?.reason === "Incomplete");
    nowMs = 5000;
    engine.jobs.poke();
    await until(async () => (await engine.jobs.list(forever))[0]?.state === "done");
    await engine.stop();
    expect((await engine.jobs.list(forever))[0]?.counts).toMatchObject({ scanned: 1, rewrapped: 1, conflict: 0 });
  });

  it("looks again soon at a job that has to wait, says why, and goes on where it was", async () => {
    const storage = createMemoryStorage();
    const cursors: (string | undefined)[] = [];
    let nowMs = 0;
    let waits = true;
    const live = await liveWith([bucketEntry("photos", { rewrapWish: "v2" })]);
    const kind: JobKind = {
      ...countingJob(1, []),
      async step(_call, _spec, cursor) {
        cursors.push(cursor);
        const step = { counts: noCounts, keyVersions: [], blocked: undefined };
        if (cursor === undefined) return { ...step, cursor: "next" };
        return waits ? { ...step, cursor, waits: "NotYet" } : { ...step, cursor: undefined };
      },
    };
    const engine = start(storage, live, [kind], () => nowMs);
    await until(async () => (await engine.jobs.list(forever))[0]?.reason === "NotYet");
    expect((await engine.jobs.list(forever))[0]).toMatchObject({ state: "running", cursor: "next" });
    waits = false;
    await until(async () => {
      nowMs += 1000;
      engine.jobs.poke();
      return (await engine.jobs.list(forever))[0]?.state === "done";
    });
    await engine.stop();
    expect(cursors).toEqual([undefined, "next", "next"]);
    expect((await engine.jobs.list(forever))[0]?.reason).toBeUndefined();
  });

  it("begins one job while another takes long, and the next wish for a place once the one before has given way", async () => {
    const storage = createMemoryStorage();
    const began: string[] = [];
    const gate = Promise.withResolvers<void>();
    const kind: JobKind = {
      ...countingJob(1, []),
      async step(_call, { bucket, wish }) {
        began.push(`${bucket} ${wish}`);
        if (bucket === "photos" && wish === "v2") await gate.promise;
        return { cursor: wish === "v2" ? "more" : undefined, counts: noCounts, keyVersions: [], blocked: undefined };
      },
    };
    const live = await liveWith([bucketEntry("photos", { rewrapWish: "v2" })]);
    const engine = start(storage, live, [kind]);
    await until(() => began.length === 1);
    const buckets = [bucketEntry("photos", { rewrapWish: "v3" }), bucketEntry("music", { rewrapWish: "v3" })];
    await live.offer(storeConfig({ buckets }), forever);
    engine.jobs.poke();
    await until(() => began.length === 2);
    expect(began).toEqual(["photos v2", "music v3"]);
    gate.resolve();
    await until(async () => (await engine.jobs.list(forever)).every(({ state }) => state === "done"));
    await engine.stop();
    expect(began).toEqual(["photos v2", "music v3", "photos v3"]);
    expect((await engine.jobs.list(forever)).map(({ wish }) => wish)).toEqual(["v3", "v3"]);
  });

  it("tries a job again that failed while another takes long", async () => {
    const storage = createMemoryStorage();
    const gate = Promise.withResolvers<void>();
    let tries = 0;
    const kind: JobKind = {
      ...countingJob(1, []),
      async step(_call, { bucket }) {
        if (bucket === "photos") await gate.promise;
        else tries += 1;
        if (tries === 1) throw new Failure("ServiceUnavailable", "the KMS is away");
        return { cursor: undefined, counts: noCounts, keyVersions: [], blocked: undefined };
      },
    };
    const live = await liveWith(["photos", "music"].map((name) => bucketEntry(name, { rewrapWish: "v2" })));
    const engine = start(storage, live, [kind]);
    await until(() => tries === 2);
    gate.resolve();
    await engine.stop();
  });

  it("gives a job to one of two replicas", async () => {
    const storage = createMemoryStorage();
    const did: string[] = [];
    const live = await liveWith([bucketEntry("photos", { rewrapWish: "v2" })]);
    const engines = [start(storage, live, [countingJob(5, did)]), start(storage, live, [countingJob(5, did)])];
    await until(async () => (await engines[0]?.jobs.list(forever))?.[0]?.state === "done");
    await Promise.all(engines.map((engine) => engine.stop()));
    expect(did).toHaveLength(5);
  });
});

describe("createEmptyJob()", () => {
  const source = {
    whole: () => ({ envelope: Buffer.from("e"), tail: undefined }),
    early: () => Buffer.from("e"),
    tail: () => Buffer.from(""),
  };

  async function filled(count: number): Promise<Storage> {
    const storage = createMemoryStorage();
    await storage.createBucket("photos", forever);
    await storage.putDocument("bucket/photos", Buffer.from("{}"), "absent", forever);
    await storage.putDocument("bucket/photos/key/00", Buffer.from("k"), "absent", forever);
    await storage.putDocument("bucket/photos-2", Buffer.from("{}"), "absent", forever);
    for (let index = 0; index < count; index += 1) {
      await storage.draft({ bucket: "photos", name: `o${index}` }, source, forever).commit();
    }
    return storage;
  }

  /** Removes from the storage, as the real one does, without its audit. */
  function removing(storage: Storage): ObjectStore {
    return {
      remove: (call: Call, ref: never) => storage.remove(ref, undefined, call.signal),
    } as unknown as ObjectStore;
  }

  /** Whatever is to be removed may go. */
  const going: Pick<Buckets, "removing"> = { removing: (_bucket, step) => step() };

  async function run(storage: Storage, state: BucketEntry["state"], settled: string) {
    const live = await liveWith([bucketEntry("photos", { state })]);
    const engine = start(storage, live, [createEmptyJob(storage, removing(storage), going)]);
    await until(async () => (await engine.jobs.list(forever))[0]?.state === settled);
    await engine.stop();
    const [record] = await engine.jobs.list(forever);
    return record;
  }

  it("removes everything in a bucket, then the bucket, then its keys and its name, and no other bucket's", async () => {
    const storage = await filled(250);
    await run(storage, "empty-and-remove", "done");
    const left = await storage.documents("bucket/", "", 10, forever);
    expect(left.items.map(({ path }) => path)).toEqual(["bucket/photos-2"]);
    await expect(storage.find({ bucket: "photos", name: "o1" }, forever)).rejects.toMatchObject({ code: "no-bucket" });
  });

  it("leaves a bucket with objects alone where it may go only if it is empty, and says so", async () => {
    const storage = await filled(1);
    const record = await run(storage, "remove-if-empty", "blocked");
    expect(record?.reason).toBe("BucketNotEmpty");
    expect(await storage.find({ bucket: "photos", name: "o0" }, forever)).toBeDefined();
    expect(await storage.document("bucket/photos/key/00", forever)).toBeDefined();
  });

  it("removes an empty bucket", async () => {
    const storage = await filled(0);
    await run(storage, "remove-if-empty", "done");
    expect(await storage.document("bucket/photos", forever)).toBeUndefined();
  });

  it("removes nothing of a bucket that is about to be served again, and is not done either", async () => {
    const storage = await filled(1);
    const live = await liveWith([bucketEntry("photos", { state: "empty-and-remove" })]);
    const served: Pick<Buckets, "removing"> = { removing: async () => undefined };
    const engine = start(storage, live, [createEmptyJob(storage, removing(storage), served)]);
    await until(async () => (await engine.jobs.list(forever))[0]?.reason === "ServedAgain");
    await engine.stop();
    expect((await engine.jobs.list(forever))[0]?.state).toBe("running");
    expect(await storage.find({ bucket: "photos", name: "o0" }, forever)).toBeDefined();
    expect(await storage.document("bucket/photos/key/00", forever)).toBeDefined();
  });

  it("ends well when a crash had removed the bucket already, but not its documents", async () => {
    const storage = await filled(0);
    await storage.removeBucket("photos", forever);
    await run(storage, "empty-and-remove", "done");
    expect(await storage.document("bucket/photos/key/00", forever)).toBeUndefined();
  });
});

describe("parseRecord()", () => {
  it("gives back what was printed", () => {
    const record = { ...newRecord("rewrap", "photos", "v2", 5), cursor: "c", lease: { holder: "h", untilMs: 9 } };
    expect(parseRecord(printRecord(record), "job/rewrap/photos")).toEqual(record);
  });

  it.each([
    ["no JSON", "x"],
    ["another format", '{"format":2}'],
    ["the record of another job", JSON.stringify({ format: 1, ...newRecord("rewrap", "music", "v", 1) })],
  ])("refuses %s", (_sentence, text) => {
    expect(() => parseRecord(Buffer.from(text), "job/rewrap/photos")).toThrow(/cannot be read/);
  });
});

describe("oldestVersion()", () => {
  it.each([
    [[], undefined],
    [["10", "9"], "9"],
    [["b", "a"], "a"],
    [["2", "x"], "2"],
  ])("of %j is %s", (versions, oldest) => {
    expect(oldestVersion(versions)).toBe(oldest);
  });
});
