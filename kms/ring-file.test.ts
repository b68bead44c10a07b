import { chmod, type FileHandle, mkdtemp, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { codeOf, PATIENT } from "./contract/subject.ts";
import { createLocalKeyAdmin } from "./local.ts";
import { createRing, newestKey, printRing, RingChanged, type RingHolder, RingInvalid, withNewVersion } from "./ring.ts";
import { createRingFile } from "./ring-file.ts";

const NOW = new Date("2026-01-02T03:04:05Z");

describe("a ring in a file", () => {
  let folder: string;
  let path: string;
  let holder: RingHolder;

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "coffer-ring-"));
    path = join(folder, "secrets", "main-key-ring", "ring.json");
    holder = createRingFile(path);
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  test("is absent before it is made", async () => {
    expect(await holder.read(PATIENT)).toBeUndefined();
  });

  test("is read as it was written, under the tag that the write gave", async () => {
    const ring = createRing(NOW);
    const tag = await holder.replace(ring, "absent", PATIENT);
    const kept = await createRingFile(path).read(PATIENT);
    expect(kept?.tag).toBe(tag);
    expect(printRing(kept?.ring ?? createRing(NOW))).toEqual(printRing(ring));
  });

  test("is readable for its owner alone, its folders too", async () => {
    const mode = async (of: string) => ((await stat(of)).mode & 0o777).toString(8);
    const tag = await holder.replace(createRing(NOW), "absent", PATIENT);
    expect([await mode(path), await mode(join(path, "..")), await mode(join(folder, "secrets"))]).toEqual([
      "600",
      "700",
      "700",
    ]);
    await chmod(path, 0o644);
    await holder.replace(createRing(NOW), tag, PATIENT);
    expect(await mode(path)).toBe("600");
  });

  test("is replaced only in the state that the writer has seen", async () => {
    const first = createRing(NOW);
    const tag = await holder.replace(first, "absent", PATIENT);
    const second = withNewVersion(first, NOW);
    const newer = await holder.replace(second, tag, PATIENT);
    expect(newer).not.toBe(tag);
    for (const outdated of [tag, "absent", "", "0"]) {
      await expect(holder.replace(createRing(NOW), outdated, PATIENT)).rejects.toThrow(RingChanged);
    }
    expect((await holder.read(PATIENT))?.ring.keys).toHaveLength(2);
  });

  test("is not made where one was expected", async () => {
    await expect(holder.replace(createRing(NOW), "tag of one that has gone", PATIENT)).rejects.toThrow(RingChanged);
    expect(await holder.read(PATIENT)).toBeUndefined();
  });

  test("is made once by many who find none, through holders of their own", async () => {
    const holders = Array.from({ length: 20 }, () => createRingFile(path));
    const results = await Promise.allSettled(holders.map((each) => each.replace(createRing(NOW), "absent", PATIENT)));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toBeInstanceOf(RingChanged);
    }
  });

  test("is replaced once by many who saw the same state, through holders of their own", async () => {
    const ring = createRing(NOW);
    const tag = await holder.replace(ring, "absent", PATIENT);
    const next = Array.from({ length: 20 }, () => withNewVersion(ring, NOW));
    const results = await Promise.allSettled(next.map((each) => createRingFile(path).replace(each, tag, PATIENT)));
    const won = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
    expect(won).toEqual([(await holder.read(PATIENT))?.tag]);
  });

  test("rotates once for many who rotate from the same version, through holders of their own", async () => {
    const ring = createRing(NOW);
    await holder.replace(ring, "absent", PATIENT);
    const rotations = Array.from({ length: 20 }, () =>
      createLocalKeyAdmin(createRingFile(path), ring.id, () => NOW).rotate("1", PATIENT),
    );
    expect(new Set(await Promise.all(rotations))).toEqual(new Set(["2"]));
    expect((await holder.read(PATIENT))?.ring.keys).toHaveLength(2);
  });

  test("leaves nothing beside it, after a refused write neither", async () => {
    const tag = await holder.replace(createRing(NOW), "absent", PATIENT);
    await holder.replace(createRing(NOW), tag, PATIENT);
    await holder.replace(createRing(NOW), tag, PATIENT).catch(() => undefined);
    expect(await readdir(join(path, ".."))).toEqual(["ring.json"]);
  });

  test("is never half there for those who read while it is written", async () => {
    let ring = createRing(NOW);
    let tag = await holder.replace(ring, "absent", PATIENT);
    let seen = 0;
    let writing = true;
    const reading = (async () => {
      while (writing) {
        const kept = await createRingFile(path).read(PATIENT);
        const version = newestKey(kept?.ring ?? createRing(NOW)).version;
        expect(version).toBeGreaterThanOrEqual(seen);
        seen = version;
      }
    })();
    for (let round = 0; round < 30; round += 1) {
      ring = withNewVersion(ring, NOW);
      tag = await holder.replace(ring, tag, PATIENT);
    }
    writing = false;
    await reading;
    expect(seen).toBeGreaterThan(1);
  });

  test("that is damaged is invalid, never absent, and is not written over", async () => {
    await holder.replace(createRing(NOW), "absent", PATIENT);
    const half = (await readFile(path, "utf8")).slice(0, 100);
    await writeFile(path, half);
    await expect(holder.read(PATIENT)).rejects.toThrow(RingInvalid);
    await expect(holder.replace(createRing(NOW), "absent", PATIENT)).rejects.toThrow(RingChanged);
    const admin = createLocalKeyAdmin(holder, "00".repeat(16), () => NOW);
    expect(await codeOf(admin.rotate("1", PATIENT))).toBe("rejected");
    expect(await readFile(path, "utf8")).toBe(half);
  });

  test("that is empty is invalid, never absent", async () => {
    await holder.replace(createRing(NOW), "absent", PATIENT);
    await writeFile(path, "");
    await expect(holder.read(PATIENT)).rejects.toThrow(RingInvalid);
  });

  test("is not written once the signal has aborted", async () => {
    const reason = new Error("shutting down");
    await expect(holder.replace(createRing(NOW), "absent", AbortSignal.abort(reason))).rejects.toBe(reason);
    expect(await holder.read(PATIENT)).toBeUndefined();
  });

  test("reports a path that cannot be used, and does not take it for an absent ring", async () => {
    await writeFile(join(folder, "file"), "");
    const below = createRingFile(join(folder, "file", "ring.json"));
    await expect(below.read(PATIENT)).rejects.toMatchObject({ code: "ENOTDIR" });
    await expect(createRingFile(folder).read(PATIENT)).rejects.toMatchObject({ code: "EISDIR" });
  });

  test("that another process makes at the same time is not replaced", async () => {
    const rival = `${JSON.stringify(printRing(createRing(NOW)))}\n`;
    const handle = await open(folder, "r");
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const { sync } = prototype;
    // Our look found none; the other's ring appears while ours is being written.
    vi.spyOn(prototype, "sync").mockImplementation(async function (this: FileHandle) {
      await writeFile(path, rival).catch(() => undefined);
      await sync.call(this);
    });
    await expect(holder.replace(createRing(NOW), "absent", PATIENT)).rejects.toThrow(RingChanged);
    vi.restoreAllMocks();
    expect(await readFile(path, "utf8")).toBe(rival);
    expect(await readdir(join(path, ".."))).toEqual(["ring.json"]);
  });

  describe("when a sync fails", () => {
    afterEach(() => {
      vi.restoreAllMocks();
    });

    /** From now on the sync of that number fails, counted from 1. */
    async function failSync(number: number): Promise<void> {
      const handle = await open(folder, "r");
      const prototype = Object.getPrototypeOf(handle) as FileHandle;
      await handle.close();
      const { sync } = prototype;
      let count = 0;
      vi.spyOn(prototype, "sync").mockImplementation(function (this: FileHandle) {
        count += 1;
        return count === number ? Promise.reject(new Error("EIO")) : sync.call(this);
      });
    }

    test("of the new content, the ring is as it was and can be used", async () => {
      const ring = createRing(NOW);
      const tag = await holder.replace(ring, "absent", PATIENT);
      await failSync(1);
      await expect(holder.replace(withNewVersion(ring, NOW), tag, PATIENT)).rejects.toThrow("EIO");
      expect((await holder.read(PATIENT))?.tag).toBe(tag);
      expect(await readdir(join(path, ".."))).toEqual(["ring.json"]);
      await holder.replace(withNewVersion(ring, NOW), tag, PATIENT);
    });

    test("of its folder, no version that may be lost is given out", async () => {
      const ring = createRing(NOW);
      await holder.replace(ring, "absent", PATIENT);
      const admin = createLocalKeyAdmin(holder, ring.id, () => NOW);
      await failSync(2);
      expect(await codeOf(admin.rotate("1", PATIENT))).toBe("unreachable");
      expect(await codeOf(admin.rotate("1", PATIENT))).toBe("unreachable");
      await expect(createRingFile(path).read(PATIENT)).rejects.toThrow("until a restart");
    });
  });
});
