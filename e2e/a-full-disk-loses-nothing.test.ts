// A disk that fills up, really: below its reserve no body is taken and all else goes on; at its last byte what cannot be
// written is refused, and nothing that was acknowledged is lost. Room made again is all that it takes to go on.

import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BUCKET, DataPlane, withNewVersion } from "./dataplane.ts";
import { Draw } from "./draw.ts";
import { waitFor } from "./harness.ts";
import { bodyOf, Load } from "./load.ts";
import { type Answer, codeOf, NoAnswer, S3 } from "./s3.ts";
import { signHeaders } from "./signature.ts";
import { SmallVolume } from "./smallvolume.ts";
import { misfits } from "./volume.ts";
import { converse, headOf } from "./wire.ts";

const MIB = 1024 * 1024;
const VOLUME_MIB = 420;
/** What the store keeps free. */
const RESERVE = 256 * MIB;
/** How long a store may take to notice, on a machine that is busy. */
const NOTICE_MS = 60_000;
const FILLINGS = 4;
/** Not the reserve alone: the index itself has met the end of the disk. */
const FULL = /The index takes no writes/;

/** As the process's own limit. */
const FILE_KIBIBYTES_MAX = 8 * 1024;

let volume: SmallVolume;
let plane: DataPlane;
let s3: S3;

beforeAll(async () => {
  volume = await SmallVolume.create(VOLUME_MIB);
  const dataDir = `${volume.folder}/data`;
  plane = await DataPlane.create({ dataDir, through: volume.through });
  await plane.start();
  s3 = new S3(plane);
});
afterAll(async () => {
  await plane?.remove();
  await volume?.remove();
});

const statusOf = (answer: Answer): string => `${answer.status} ${codeOf(answer)}`.trim();

async function isReady(): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${plane.adminPort}/readyz`);
  await answer.arrayBuffer();
  return answer.ok;
}

/** Until the store takes bodies again. */
async function makeRoom(): Promise<void> {
  volume.empty();
  await waitFor("room", NOTICE_MS, async () => (await s3.put("room", Buffer.from("room"))).status === 200);
}

describe("a disk that is down to its reserve", () => {
  const kept = bodyOf("200000-kept");
  let uploadId: string;
  let etag: string;

  beforeAll(async () => {
    for (const name of ["kept", "deleted"]) expect((await s3.put(name, kept)).status).toBe(200);
    uploadId = await s3.createUpload("completed");
    etag = await s3.uploadPart("completed", uploadId, 1, kept);
    volume.fill(RESERVE - 2 * MIB);
    await waitFor("the store to notice", NOTICE_MS, async () => (await s3.put("probe", kept)).status === 507);
    expect((await s3.delete("probe")).status).toBe(204);
  });
  afterAll(makeRoom);

  it("takes no body, and says so before one is sent", async () => {
    const target = `/${BUCKET}/new`;
    const host = `127.0.0.1:${plane.s3Port}`;
    const unsigned = { method: "PUT", target, headers: { host } };
    const { headers } = signHeaders(plane.pair, unsigned, "UNSIGNED-PAYLOAD");
    const head = headOf("PUT", target, { ...headers, "content-length": String(MIB), expect: "100-continue" });
    const answer = await converse(plane.s3Port, [head], NOTICE_MS);
    expect(answer?.status).toBe(507);
    for (const bytes of [0, 5, 70_000, 900_000]) {
      expect(statusOf(await s3.put("new", bodyOf(`${bytes}-new`)))).toBe("507 InsufficientStorage");
    }
    const part = { query: `partNumber=2&uploadId=${uploadId}`, body: kept };
    expect(statusOf(await s3.send("PUT", "completed", part))).toBe("507 InsufficientStorage");
    const rest = await fetch(`http://127.0.0.1:${plane.restPort}/api/v1/buckets/${BUCKET}/objects/new`, {
      method: "PUT",
      body: kept,
      headers: { authorization: `Bearer ${plane.pair.token}` },
    });
    expect(rest.status).toBe(507);
    expect((await s3.get("new")).status).toBe(404);
  });

  it("still reads, lists, deletes, completes and re-wraps", async () => {
    expect((await s3.get("kept")).body.equals(kept)).toBe(true);
    expect((await s3.delete("deleted")).status).toBe(204);
    expect((await s3.complete("completed", uploadId, [etag])).status).toBe(200);
    expect((await s3.list()).map(({ name }) => name)).toEqual(["completed", "kept"]);
    expect((await s3.get("completed")).body.equals(kept)).toBe(true);
    await rewrap();
  });

  it("serves what it holds behind a restart too, and still takes no body", async () => {
    await plane.kill();
    await plane.start();
    expect((await s3.get("kept")).body.equals(kept)).toBe(true);
    expect(statusOf(await s3.put("new", kept))).toBe("507 InsufficientStorage");
  });
});

/** A new version of the KMS key; resolves when the bucket's key is under it. */
async function rewrap(): Promise<void> {
  const { wish } = plane;
  const [ring, bucket] = [wish.rings["local"], wish.buckets[BUCKET]];
  if (ring === undefined || bucket === undefined) throw new Error("The configuration has lost its ring");
  const rewrapWish = `again ${Date.now()}`;
  plane.configure({
    ...wish,
    revision: Date.now(),
    rings: { local: withNewVersion(ring) },
    buckets: { [BUCKET]: { ...bucket, rewrapWish } },
  });
  await waitFor("the rewrap", NOTICE_MS, async () => {
    const answer = await fetch(`http://127.0.0.1:${plane.adminPort}/jobs`);
    const { jobs } = (await answer.json()) as { jobs: readonly { wish: string; state: string }[] };
    return jobs.some(({ wish, state }) => wish === rewrapWish && state === "done");
  });
}

describe("a disk without a byte left", () => {
  it("fails a body that was on its way, and keeps what was there before", async () => {
    const before = bodyOf("300000-before");
    expect((await s3.put("overwritten", before)).status).toBe(200);
    const pieces = Array.from({ length: 60 }, (_, at) => bodyOf(`${2 * MIB}-${at}`));
    const sending = s3.send("PUT", "overwritten", { pieces }).catch((error: unknown) => {
      if (error instanceof NoAnswer) return undefined;
      throw error;
    });
    await waitFor("the body to be on its way", NOTICE_MS, () => volume.freeBytes < RESERVE + 140 * MIB);
    volume.fill(0);
    const answer = await sending;
    if (answer !== undefined) expect(answer.status).toBeGreaterThanOrEqual(500);
    expect((await s3.get("overwritten")).body.equals(before)).toBe(true);
  });

  it("refuses what it cannot write, and goes on reading", async () => {
    const before = bodyOf("300000-before");
    volume.fill(0);
    for (let attempt = 0; attempt < 20; attempt += 1) {
      const answers = [await s3.put("new", bodyOf("1000-new")), await s3.delete("overwritten")];
      for (const { status } of answers) expect([204, 500, 503, 507]).toContain(status);
      if (answers[1]?.status === 204) expect((await s3.put("overwritten", before)).status).not.toBe(200);
    }
    const read = await s3.get("overwritten");
    expect([200, 404]).toContain(read.status);
    if (read.status === 200) expect(read.body.equals(before)).toBe(true);
    expect((await s3.get("kept")).body.equals(bodyOf("200000-kept"))).toBe(true);
  });

  it("is read from again after a kill", async () => {
    volume.fill(0);
    await plane.kill();
    await plane.start();
    expect((await s3.get("kept")).body.equals(bodyOf("200000-kept"))).toBe(true);
    expect((await s3.put("new", bodyOf("1000-new"))).status).toBe(507);
  });

  it("takes writes again as soon as there is room, without a restart", async () => {
    const { pid } = plane;
    await makeRoom();
    expect((await s3.put("new", bodyOf("90000-new"))).status).toBe(200);
    expect((await s3.delete("new")).status).toBe(204);
    expect(plane.pid).toBe(pid);
    await waitFor("readiness", NOTICE_MS, isReady);
  });
});

describe("a disk that fills up again and again under load", () => {
  it("loses nothing that was acknowledged, and leaves nothing over", async () => {
    for (const { name } of await s3.list()) expect((await s3.delete(name)).status).toBe(204);
    const draw = new Draw();
    const load = new Load(plane, draw, [500, 503, 507]);
    try {
      for (let filling = 0; filling < FILLINGS; filling += 1) {
        await plane.start();
        const { acknowledged, refused } = load;
        load.begin();
        await waitFor("something to be written", NOTICE_MS, () => load.acknowledged > acknowledged);
        await sleep(200 + draw.below(200));
        volume.fill(0);
        await waitFor("something to be refused", NOTICE_MS, () => load.refused > refused);
        const isLast = filling === FILLINGS - 1;
        if (isLast) await waitFor("the index to meet the end", NOTICE_MS, () => FULL.test(plane.output()));
        await sleep(300 + draw.below(500));
        if (filling % 2 === 0) {
          volume.empty();
          await sleep(1_500);
        }
        await plane.kill();
        await load.ended();
        volume.empty();
        await plane.start();
        await load.verify();
      }
    } catch (error) {
      throw new Error(`with the seed ${draw.seed}`, { cause: error });
    }
    await plane.stop();
    expect(misfits(volume.copyData(plane.folder), true)).toEqual([]);
  });
});

describe("a file that may not grow any more", () => {
  let limited: DataPlane;
  beforeAll(async () => {
    const through = ["bash", "-c", `ulimit -f ${FILE_KIBIBYTES_MAX}; exec "$@"`, "bash"];
    limited = await DataPlane.create({ through });
    await limited.start();
  });
  afterAll(() => limited?.remove());

  it("fails its request alone: what was there stays, and all else goes on, over a kill too", async () => {
    const client = new S3(limited);
    const before = bodyOf("300000-before");
    expect((await client.put("overwritten", before)).status).toBe(200);
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const pieces = Array.from({ length: 20 }, (_, at) => bodyOf(`${MIB}-${at}`));
      const answer = await client.send("PUT", "overwritten", { pieces }).catch((error: unknown) => {
        if (error instanceof NoAnswer) return undefined;
        throw error;
      });
      if (answer !== undefined) expect(statusOf(answer)).toBe("400 EntityTooLarge");
      expect((await client.get("overwritten")).body.equals(before)).toBe(true);
      expect((await client.put("small", before)).status).toBe(200);
      expect((await client.delete("small")).status).toBe(204);
    }
    await limited.kill();
    await limited.start();
    expect((await client.list()).map(({ name }) => name)).toEqual(["overwritten"]);
    expect((await client.get("overwritten")).body.equals(before)).toBe(true);
    client.close();
    await limited.stop();
    expect(misfits(limited.dataDir, true)).toEqual([]);
  });
});
