// kill -9 of the data plane while six clients write, read and complete uploads and the key is rotated under them. The steps
// of one commit, each by itself, are dataplane/storage/filesystem/crash.test.ts's.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, expect, it } from "vitest";
import { BUCKET, DataPlane, withNewVersion } from "./dataplane.ts";
import { Draw } from "./draw.ts";
import { waitFor } from "./harness.ts";
import { Load } from "./load.ts";
import { misfits } from "./volume.ts";

const LANES = 2;
/** As many of them as the time allows, which on a very busy machine are fewer. */
const KILLS_A_LANE = 100;
const KILLS_MIN = 20;
const KILLED_WITHIN_MS = 480_000;
const LOAD_MS_MAX = 350;
const KILLED_AT_START_EACH = 10;
const LOOK_AT_VOLUME_EACH = 10;
const ROTATE_EACH = 3;
/** Far more than it takes: a start whose time grows with what is stored would be found out. */
const RESTART_MS_MAX = 60_000;
const REWRAPPED_WITHIN_MS = 120_000;

const planes: DataPlane[] = [];
const failed = new AbortController();

afterAll(async () => {
  for (const plane of planes) await plane.remove();
});

/** A new version of the KMS key, and the wish to have every bucket key under it. */
function rotate(plane: DataPlane): void {
  const { wish } = plane;
  const [ring, bucket] = [wish.rings["local"], wish.buckets[BUCKET]];
  if (ring === undefined || bucket === undefined) throw new Error("The configuration has lost its ring");
  const next = withNewVersion(ring);
  plane.configure({
    ...wish,
    revision: wish.revision + 1,
    rings: { ...wish.rings, local: next },
    buckets: { ...wish.buckets, [BUCKET]: { ...bucket, rewrapWish: `version ${next.keys.at(-1)?.version}` } },
  });
}

/** Once the last wish has been fulfilled nothing needs an older version of the KMS key: it starts again without them. */
async function disableOldVersions(plane: DataPlane): Promise<void> {
  const { wish } = plane;
  const { rewrapWish } = wish.buckets[BUCKET] ?? {};
  await waitFor("the rewrap", REWRAPPED_WITHIN_MS, async () => {
    const answer = await fetch(`http://127.0.0.1:${plane.adminPort}/jobs`);
    const { jobs } = (await answer.json()) as { jobs: readonly { wish: string; state: string }[] };
    return jobs.some((job) => job.wish === rewrapWish && job.state === "done");
  });
  const ring = wish.rings["local"];
  if (ring === undefined) throw new Error("The configuration has lost its ring");
  const keys = ring.keys.map((key, at) => (at < ring.keys.length - 1 ? { ...key, state: "disabled" as const } : key));
  await plane.kill();
  plane.configure({ ...wish, revision: wish.revision + 1, rings: { local: { ...ring, keys } } });
  await plane.start();
}

interface Survived {
  readonly acknowledged: number;
  /** Requests that a kill met. */
  readonly cutOff: number;
  readonly startMs: readonly number[];
}

async function lane(draw: Draw): Promise<Survived> {
  try {
    return await survive(draw);
  } catch (error) {
    failed.abort(new Error("the other lane failed"));
    throw error;
  }
}

async function survive(draw: Draw): Promise<Survived> {
  const plane = await DataPlane.create();
  planes.push(plane);
  const load = new Load(plane, draw);
  const startMs: number[] = [];
  await plane.start();
  await plane.stop();
  await plane.start();
  const endsMs = performance.now() + KILLED_WITHIN_MS;
  for (let kill = 1; kill <= KILLS_A_LANE && performance.now() < endsMs; kill += 1) {
    if (kill % KILLED_AT_START_EACH === 0) {
      await plane.kill();
      plane.launch();
      await sleep(draw.below(400));
    } else {
      load.begin();
      const killAtMs = performance.now() + draw.below(LOAD_MS_MAX);
      if (kill % ROTATE_EACH === 0) {
        await sleep(draw.below(LOAD_MS_MAX / 2));
        rotate(plane);
      }
      await sleep(Math.max(0, killAtMs - performance.now()));
    }
    await plane.kill();
    await load.ended();
    startMs.push(await plane.start());
    await load.verify();
    failed.signal.throwIfAborted();
    if (kill % LOOK_AT_VOLUME_EACH === 0) expect(misfits(plane.dataDir, false)).toEqual([]);
  }
  await disableOldVersions(plane);
  await load.verify();
  await plane.stop();
  expect(misfits(plane.dataDir, true)).toEqual([]);
  return { acknowledged: load.acknowledged, cutOff: load.cutOff, startMs };
}

it("what was acknowledged is there, whole, however often the store is killed, and nothing is left over", async () => {
  const draws = Array.from({ length: LANES }, () => new Draw());
  const ends = await Promise.allSettled(draws.map(lane));
  for (const [at, end] of ends.entries()) {
    if (end.status === "rejected") throw new Error(`with the seed ${draws[at]?.seed}`, { cause: end.reason });
    const { acknowledged, cutOff, startMs } = end.value;
    expect(startMs.length).toBeGreaterThan(KILLS_MIN);
    expect(acknowledged).toBeGreaterThan(startMs.length);
    expect(cutOff).toBeGreaterThan(startMs.length);
    expect(Math.max(...startMs)).toBeLessThan(RESTART_MS_MAX);
  }
}, 900_000);
