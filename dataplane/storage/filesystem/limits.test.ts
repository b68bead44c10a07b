import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BUCKET, bytesOf, get, put, putPart, ref, rejection, SIGNAL, sourceOf, upload } from "../contract/bench.ts";
import type { Storage } from "../storage.ts";
import { createDisk, openFilesMax } from "./disk.ts";
import { openFilesystem } from "./filesystem.ts";

const MIB = 1024 * 1024;

let folder: string;
let storage: Storage | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "coffer-limits-"));
});
afterEach(async () => {
  await storage?.close();
  storage = undefined;
  rmSync(folder, { recursive: true });
});

function bodyFiles(): string[] {
  const bodies = join(folder, "bodies");
  return readdirSync(bodies).flatMap((sub) => readdirSync(join(bodies, sub)));
}

describe("the data folder", () => {
  it("belongs to one at a time, in this process and in others, and is free again after close and after kill -9", async () => {
    storage = await openFilesystem({ folder });
    await expect(openFilesystem({ folder })).rejects.toMatchObject(rejection("unreachable"));
    const program = new URL("./crash-child.ts", import.meta.url).pathname;
    const other = spawnSync(process.execPath, [program, folder], { encoding: "utf8" });
    expect(other.status).not.toBe(0);
    expect(other.stderr).toContain("another process uses this data folder");
    await storage.close();
    storage = undefined;
    const child = spawn(process.execPath, [program, folder], { stdio: ["ignore", "pipe", "inherit"] });
    await new Promise((resolve) => {
      child.stdout.once("data", resolve);
    });
    await expect(openFilesystem({ folder })).rejects.toMatchObject(rejection("unreachable"));
    child.kill("SIGKILL");
    await new Promise((resolve) => {
      child.once("exit", resolve);
    });
    storage = await openFilesystem({ folder });
  });

  it("may have a path of any length", async () => {
    const deep = join(folder, "a".repeat(120), "b".repeat(120));
    const opened = await openFilesystem({ folder: deep });
    await opened.close();
  });

  it("holds what was acknowledged when it is opened again, and is private", async () => {
    storage = await openFilesystem({ folder: join(folder, "data") });
    await storage.createBucket(BUCKET, SIGNAL);
    await put(storage, "small", bytesOf("small", 10));
    await put(storage, "large", bytesOf("large", MIB));
    await storage.close();
    storage = await openFilesystem({ folder: join(folder, "data") });
    expect((await get(storage, "small"))?.bytes.equals(bytesOf("small", 10))).toBe(true);
    expect((await get(storage, "large"))?.bytes.equals(bytesOf("large", MIB))).toBe(true);
    expect(statSync(join(folder, "data", "bodies")).mode & 0o077).toBe(0);
  });
});

describe("a disk at its reserve", () => {
  it("takes no body and no part, and still updates, copies, removes and keeps documents", async () => {
    let freeBytes = 10 * MIB;
    const disk = { ...createDisk(), space: () => ({ freeBytes, totalBytes: 1_000 * MIB }) };
    storage = await openFilesystem({ folder, disk, reserve: { share: 0.01, bytesMin: 5 * MIB } });
    await storage.createBucket(BUCKET, SIGNAL);
    const entry = await put(storage, "a", bytesOf("a", MIB));
    await storage.createUpload(upload("u"), Buffer.from("s"), sourceOf("e"), SIGNAL);
    freeBytes = 10 * MIB - 1;
    await sleep(550);
    const full = expect.objectContaining(rejection("full"));
    expect(() => storage?.draft(ref("b"), sourceOf("e"), SIGNAL)).toThrow(full);
    expect(() => storage?.part(upload("u"), 1, sourceOf("e"), SIGNAL)).toThrow(full);
    expect(storage.health()).toMatchObject({ writable: true, reason: expect.stringContaining("reserve") });
    const updated = await storage.update(entry, Buffer.from("new"), SIGNAL);
    await storage.copy(updated, ref("b"), Buffer.from("copy"), undefined, SIGNAL);
    await storage.putDocument("d", Buffer.from("d"), "absent", SIGNAL);
    await storage.remove(ref("a"), undefined, SIGNAL);
    freeBytes = 10 * MIB;
    await sleep(550);
    await put(storage, "c", bytesOf("c", MIB));
  });

  it("refuses a body that was begun before, in its midst, and keeps the least of the reserve whatever the disk's size", async () => {
    let freeBytes = 6 * MIB;
    const disk = { ...createDisk(), space: () => ({ freeBytes, totalBytes: 10 * MIB }) };
    storage = await openFilesystem({ folder, disk, reserve: { share: 0.01, bytesMin: 5 * MIB } });
    await storage.createBucket(BUCKET, SIGNAL);
    const draft = storage.draft(ref("a"), sourceOf("e"), SIGNAL);
    await draft.write([bytesOf("a", MIB)]);
    freeBytes = 4 * MIB;
    await sleep(550);
    await expect((async () => draft.write([bytesOf("b", MIB)]))()).rejects.toMatchObject(rejection("full"));
    await draft.discard();
  });
});

describe("open files", () => {
  it("are bounded: beyond the bound a body waits for no one and is refused", async () => {
    const opened = await openFilesystem({ folder, openFilesMax: 3 });
    storage = opened;
    await storage.createBucket(BUCKET, SIGNAL);
    const entry = await put(storage, "a", bytesOf("a", MIB));
    const drafts = [1, 2, 3].map((at) => opened.draft(ref(`${at}`), sourceOf("e"), SIGNAL));
    for (const open of drafts) {
      await open.write([bytesOf("x", 3 * MIB)]);
    }
    await expect(put(storage, "b", bytesOf("b", MIB))).rejects.toMatchObject(rejection("unreachable"));
    const reading = storage.read(entry, 0, 10, SIGNAL)[Symbol.asyncIterator]();
    await expect(reading.next()).rejects.toMatchObject(rejection("unreachable"));
    await put(storage, "small", bytesOf("small", 10));
    await drafts[0]?.discard();
    await put(storage, "b", bytesOf("b", MIB));
    await Promise.all(drafts.map((open) => open.discard()));
    expect(openFilesMax()).toBeGreaterThan(63);
  });

  it("are closed again, whether reading ended, was left or failed", async () => {
    storage = await openFilesystem({ folder, openFilesMax: 1 });
    await storage.createBucket(BUCKET, SIGNAL);
    const entry = await put(storage, "a", bytesOf("a", 5 * MIB));
    for (let round = 0; round < 20; round += 1) {
      for await (const block of storage.read(entry, 0, entry.storedBytes, SIGNAL)) {
        expect(block.length).toBeGreaterThan(0);
        break;
      }
      const controller = new AbortController();
      const reading = storage.read(entry, 0, entry.storedBytes, controller.signal)[Symbol.asyncIterator]();
      await reading.next();
      controller.abort();
      await expect(reading.next()).rejects.toThrow();
    }
    const open = readdirSync("/proc/self/fd").length;
    expect(open).toBeLessThan(200);
  });
});

describe("what is doomed", () => {
  it("goes soon after it was replaced, removed, aborted or left out, and what is read goes when it has been read", async () => {
    storage = await openFilesystem({ folder });
    await storage.createBucket(BUCKET, SIGNAL);
    const entry = await put(storage, "read", bytesOf("read", 3 * MIB));
    const reading = storage.read(entry, 0, entry.storedBytes, SIGNAL)[Symbol.asyncIterator]();
    await reading.next();
    await storage.remove(ref("read"), undefined, SIGNAL);
    await put(storage, "a", bytesOf("old", MIB));
    await put(storage, "a", bytesOf("new", MIB));
    await storage.remove(ref("a"), undefined, SIGNAL);
    const of = upload("u");
    await storage.createUpload(of, Buffer.from("s"), sourceOf("e"), SIGNAL);
    await putPart(storage, of, 1, bytesOf("1", MIB));
    const part = await putPart(storage, of, 1, bytesOf("1", MIB));
    await putPart(storage, of, 2, bytesOf("2", MIB));
    await storage.complete(of, [part], sourceOf("e"), undefined, SIGNAL);
    await storage.remove(ref("u"), undefined, SIGNAL);
    await storage.createUpload(upload("v"), Buffer.from("s"), sourceOf("e"), SIGNAL);
    await putPart(storage, upload("v"), 1, bytesOf("1", MIB));
    await storage.abort(upload("v"), SIGNAL);
    for (let round = 0; bodyFiles().length > 1; round += 1) {
      expect(round).toBeLessThan(3000);
      await sleep(20);
    }
    expect(bodyFiles()).toHaveLength(1);
    await reading.return?.();
    for (let round = 0; bodyFiles().length > 0; round += 1) {
      expect(round).toBeLessThan(3000);
      await sleep(20);
    }
  });
});

/** A program that writes objects until it fails, and says as JSON what was acknowledged and what it failed with. */
const FILLER = `
  async function fill() {
    const { openFilesystem } = await import(process.argv[1]);
    const { put, BUCKET, SIGNAL, bytesOf } = await import(process.argv[2]);
    const storage = await openFilesystem({ folder: process.argv[3], probeEveryMs: 50 });
    await storage.createBucket(BUCKET, SIGNAL);
    const lengths = process.argv[4].split(",").map(Number);
    const said = { acknowledged: [], code: "" };
    for (let at = 0; at < 400 && said.code === ""; at += 1) {
      const length = lengths[at % lengths.length];
      try {
        await put(storage, at + ":" + length, bytesOf(at + ":" + length, length));
        said.acknowledged.push(at + ":" + length);
      } catch (error) {
        said.code = error.code;
      }
    }
    console.log(JSON.stringify(said));
    process.exit(0);
  }
  fill();
`;

describe("a limit of the kernel on the size of files, which fails real writes", () => {
  it.each([
    ["bodies", "100,1000000,3000000", ["too-large", "full"]],
    ["the log of the index", "60000", ["broken", "full"]],
  ] as const)("for %s loses nothing that was acknowledged", async (_what, lengths, codes) => {
    const modules = ["./filesystem.ts", "../contract/bench.ts"].map((path) => new URL(path, import.meta.url).href);
    const run = `trap '' XFSZ; ulimit -f 2048; exec "$0" -e "$1" "$2" "$3" "$4" "$5"`;
    const args = ["-c", run, process.execPath, FILLER, ...modules, folder, lengths];
    const filler = spawnSync("bash", args, { encoding: "utf8", cwd: folder });
    const said = JSON.parse(filler.stdout || "{}") as { acknowledged?: string[]; code?: string };
    expect(codes, filler.stderr).toContain(said.code);
    storage = await openFilesystem({ folder });
    for (const name of said.acknowledged ?? expect.fail()) {
      expect((await get(storage, name))?.bytes.equals(bytesOf(name, Number(name.split(":")[1])))).toBe(true);
    }
    expect(await storage.check(SIGNAL)).toEqual([]);
    await put(storage, "after", bytesOf("after", 3 * MIB));
  });
});

it("the log does not grow without end", async () => {
  storage = await openFilesystem({ folder });
  await storage.createBucket(BUCKET, SIGNAL);
  for (let round = 0; round < 60; round += 1) {
    const entries = Array.from({ length: 16 }, (_, at) => put(storage ?? expect.fail(), `${at}`, bytesOf("a", 60_000)));
    await Promise.all(entries);
    await get(storage, "0");
  }
  expect(statSync(join(folder, "index.sqlite-wal")).size).toBeLessThan(40 * MIB);
});
