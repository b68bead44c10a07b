import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BUCKET, bytesOf, get, put, putPart, ref, rejection, SIGNAL, sourceOf, upload } from "../contract/bench.ts";
import type { Storage } from "../storage.ts";
import { type CommitFault, CommitFaults } from "./commit-faults.ts";
import { createDisk, type Disk } from "./disk.ts";
import { type FilesystemOptions, openFilesystem } from "./filesystem.ts";

const MIB = 1024 * 1024;
const PROBE_EVERY_MS = 50;

let folder: string;
let storage: Storage;
let faults: CommitFaults;
let failing: Map<keyof Disk, () => Promise<void>>;
let failingAfter: Map<keyof Disk, () => Promise<void>>;
let reports: string[];
/** Of 20 ms and more each. */
const ROUNDS_MAX = 3000;

/** A disk whose calls of one kind can be made to do something before or after, such as fail. */
function createFailingDisk(): Disk {
  const disk = createDisk();
  const failingCall = <Args extends unknown[], Result>(step: keyof Disk, call: (...args: Args) => Promise<Result>) => {
    return async (...args: Args): Promise<Result> => {
      await failing.get(step)?.();
      const result = await call(...args);
      await failingAfter.get(step)?.();
      return result;
    };
  };
  return {
    ...disk,
    create: failingCall("create", disk.create),
    open: failingCall("open", disk.open),
    write: failingCall("write", disk.write),
    read: failingCall("read", disk.read),
    datasync: failingCall("datasync", disk.datasync),
    syncFolder: failingCall("syncFolder", disk.syncFolder),
    link: failingCall("link", disk.link),
    unlink: failingCall("unlink", disk.unlink),
  };
}

function failWith(code: string): () => Promise<void> {
  return () => Promise.reject(Object.assign(new Error(`injected ${code}`), { code }));
}

async function open(options: Partial<FilesystemOptions> = {}): Promise<Storage> {
  return openFilesystem({
    folder,
    disk: createFailingDisk(),
    commitFaults: faults,
    probeEveryMs: PROBE_EVERY_MS,
    report: (message) => reports.push(message),
    ...options,
  });
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "coffer-durability-"));
  faults = new CommitFaults();
  failing = new Map();
  failingAfter = new Map();
  reports = [];
  storage = await open();
  await storage.createBucket(BUCKET, SIGNAL);
});
afterEach(async () => {
  failing.clear();
  failingAfter.clear();
  faults.set("none");
  await storage.close();
  rmSync(folder, { recursive: true });
});

async function reopen(): Promise<void> {
  failing.clear();
  failingAfter.clear();
  faults.set("none");
  await storage.close();
  storage = await open();
}

function bodyFiles(): string[] {
  const bodies = join(folder, "bodies");
  return readdirSync(bodies).flatMap((sub) => readdirSync(join(bodies, sub)));
}

async function mended(): Promise<void> {
  for (let round = 0; !storage.health().writable; round += 1) {
    expect(round).toBeLessThan(ROUNDS_MAX);
    await sleep(20);
  }
}

async function until(holds: () => boolean): Promise<void> {
  for (let round = 0; !holds(); round += 1) {
    expect(round).toBeLessThan(ROUNDS_MAX);
    await sleep(20);
  }
}

describe("a body that cannot be stored", () => {
  it.each([
    ["create", "EIO", "unreachable"],
    ["create", "EMFILE", "unreachable"],
    ["create", "ENOSPC", "full"],
    ["write", "ENOSPC", "full"],
    ["write", "EDQUOT", "full"],
    ["write", "EIO", "unreachable"],
    ["write", "EFBIG", "too-large"],
    ["datasync", "EIO", "unreachable"],
    ["datasync", "ENOSPC", "full"],
    ["syncFolder", "EIO", "unreachable"],
  ] as const)(
    "%s fails with %s: the request fails as %s, the old object stays, the file goes",
    async (step, code, as) => {
      await put(storage, "a", bytesOf("old", 2 * MIB));
      failing.set(step, failWith(code));
      await expect(put(storage, "a", bytesOf("new", 2 * MIB))).rejects.toMatchObject(rejection(as));
      failing.clear();
      expect(storage.health()).toEqual({ writable: true, reason: undefined });
      expect((await get(storage, "a"))?.bytes.equals(bytesOf("old", 2 * MIB))).toBe(true);
      await put(storage, "a", bytesOf("new", 2 * MIB));
      await reopen();
      expect((await get(storage, "a"))?.bytes.equals(bytesOf("new", 2 * MIB))).toBe(true);
      expect(bodyFiles()).toHaveLength(1);
    },
  );

  it("after a failed sync the draft is lost: no second sync is trusted", async () => {
    const draft = storage.draft(ref("a"), sourceOf("e"), SIGNAL);
    await draft.write([bytesOf("a", 2 * MIB)]);
    failing.set("datasync", failWith("EIO"));
    await expect(draft.commit()).rejects.toMatchObject(rejection("unreachable"));
    failing.clear();
    await expect(draft.commit()).rejects.toMatchObject(rejection("unreachable"));
    await draft.discard();
    expect(await storage.find(ref("a"), SIGNAL)).toBeUndefined();
  });

  it("a write that takes only a part of what it is given is continued", async () => {
    const disk = createDisk();
    await storage.close();
    const short: Disk = {
      ...disk,
      write: (file, buffers, position) =>
        disk.write(file, [(buffers[0] ?? new Uint8Array()).subarray(0, 777)], position),
    };
    storage = await open({ disk: short });
    await put(storage, "a", bytesOf("a", 200_000), { blockBytes: 70_000 });
    expect((await get(storage, "a"))?.bytes.equals(bytesOf("a", 200_000))).toBe(true);
  });

  it("a slow disk pushes back: little more than 2 MiB are ever in flight", async () => {
    failing.set("write", () => sleep(3));
    const draft = storage.draft(ref("a"), sourceOf("e"), SIGNAL);
    let waits = 0;
    for (let block = 0; block < 40; block += 1) {
      const full = draft.write([bytesOf(`${block}`, 256 * 1024)]);
      waits += full === undefined ? 0 : 1;
      await full;
    }
    await draft.commit();
    expect(waits).toBeGreaterThan(4);
    const bytes = Buffer.concat(Array.from({ length: 40 }, (_, block) => bytesOf(`${block}`, 256 * 1024)));
    expect((await get(storage, "a"))?.bytes.equals(bytes)).toBe(true);
  });

  it("a file system that turned read-only stops the writes until a probe has held", async () => {
    failing.set("create", failWith("EROFS"));
    faults.set("failed");
    await expect(put(storage, "a", bytesOf("a", MIB))).rejects.toMatchObject(rejection("broken"));
    expect(storage.health().writable).toBe(false);
    await sleep(3 * PROBE_EVERY_MS);
    expect(storage.health().writable).toBe(false);
    failing.clear();
    faults.set("none");
    await mended();
    await put(storage, "a", bytesOf("a", MIB));
  });

  it("links that cannot be made fail the copy alone", async () => {
    const entry = await put(storage, "a", bytesOf("a", MIB));
    for (const [code, as] of [
      ["EIO", "unreachable"],
      ["EMLINK", "unsupported"],
      ["ENOENT", "damaged"],
    ] as const) {
      failing.set("link", failWith(code));
      const copying = storage.copy(entry, ref("b"), Buffer.from("e"), undefined, SIGNAL);
      await expect(copying).rejects.toMatchObject(rejection(as));
    }
    failing.clear();
    await storage.copy(entry, ref("b"), Buffer.from("e"), undefined, SIGNAL);
    await reopen();
    expect(bodyFiles()).toHaveLength(2);
  });

  it("a file that cannot be removed now stays doomed, and the next start removes it", async () => {
    await put(storage, "a", bytesOf("a", MIB));
    failing.set("unlink", failWith("EIO"));
    await storage.remove(ref("a"), undefined, SIGNAL);
    await until(() => reports.join().includes("Cannot remove the body"));
    expect(bodyFiles()).toHaveLength(1);
    await reopen();
    expect(bodyFiles()).toHaveLength(0);
  });
});

describe.each(["create", "write", "datasync", "syncFolder", "link", "unlink"] as const)(
  "the step %s of the disk",
  (step) => {
    const failed = failWith("EIO");
    const slow = () => sleep(5);

    it.each(["failed", "failed but persisted", "slow", "aborted half-way"] as const)(
      "that has %s leaves the old object or the new one, and in the end no file too many",
      async (fault) => {
        await put(storage, "a", bytesOf("old", MIB), { envelope: "old" });
        const from = await put(storage, "from", bytesOf("new", MIB));
        const controller = new AbortController();
        const faulty = fault === "failed but persisted" ? failingAfter : failing;
        const abort = async () => controller.abort(new Error("gone"));
        faulty.set(step, { failed, "failed but persisted": failed, slow, "aborted half-way": abort }[fault]);
        const run = async (): Promise<void> => {
          if (step === "link") {
            await storage.copy(from, ref("a"), Buffer.from("new"), undefined, controller.signal);
            return;
          }
          const draft = storage.draft(ref("a"), sourceOf("new"), controller.signal);
          try {
            await draft.write([bytesOf("new", MIB)]);
            await draft.commit();
          } finally {
            await draft.discard();
          }
        };
        const error = await run().then(
          () => undefined,
          (cause: unknown) => cause,
        );
        expect(error === undefined).toBe(
          fault === "slow" || step === "unlink" || (step === "link" && fault === "aborted half-way"),
        );
        const found = await get(storage, "a");
        expect(found?.envelope).toBe(error === undefined ? "new" : "old");
        expect(found?.bytes.equals(bytesOf(found.envelope, MIB))).toBe(true);
        failingAfter.clear();
        await reopen();
        expect((await get(storage, "a"))?.bytes.equals(bytesOf(found?.envelope ?? "", MIB))).toBe(true);
        expect(bodyFiles()).toHaveLength(2);
        expect(await storage.check(SIGNAL)).toEqual([]);
      },
    );
  },
);

it("a sync of a folder that fails fails all whose files were in it by then", async () => {
  let syncs = 0;
  failing.set("syncFolder", async () => {
    syncs += 1;
    await sleep(30);
    if (syncs === 1) {
      await failWith("EIO")();
    }
  });
  const drafts = ["a", "b", "c", "d"].map((name) => storage.draft(ref(name), sourceOf("e"), SIGNAL));
  await Promise.all(drafts.map(async (draft) => draft.write([bytesOf("a", MIB)])));
  await until(() => bodyFiles().length === drafts.length);
  for (const outcome of await Promise.allSettled(drafts.map((draft) => draft.commit()))) {
    expect(outcome).toMatchObject({ status: "rejected", reason: rejection("unreachable") });
  }
  await Promise.all(drafts.map((draft) => draft.discard()));
  await put(storage, "a", bytesOf("a", MIB));
});

type Write = readonly [name: string, run: () => Promise<unknown>];

describe("a commit of the index that fails", () => {
  const of = upload("u");

  async function prepare(): Promise<readonly Write[]> {
    const old = await put(storage, "old", bytesOf("old", MIB));
    const gone = await put(storage, "gone", bytesOf("gone", MIB));
    await storage.createUpload(of, Buffer.from("s"), sourceOf("e"), SIGNAL);
    const part = await putPart(storage, of, 1, bytesOf("part", MIB));
    const tag = await storage.putDocument("d", Buffer.from("old"), "absent", SIGNAL);
    return [
      ["a small body", () => put(storage, "old", bytesOf("new", 10))],
      ["a large body", () => put(storage, "old", bytesOf("new", MIB))],
      ["a removal", () => storage.remove(ref("gone"), gone.tag, SIGNAL)],
      ["an update", () => storage.update(old, Buffer.from("new"), SIGNAL)],
      ["a copy", () => storage.copy(gone, ref("old"), Buffer.from("new"), undefined, SIGNAL)],
      ["a part", () => putPart(storage, of, 2, bytesOf("new", MIB))],
      ["a completion", () => storage.complete(of, [part], sourceOf("new"), undefined, SIGNAL)],
      ["an abort", () => storage.abort(of, SIGNAL)],
      ["a document", () => storage.putDocument("d", Buffer.from("new"), tag, SIGNAL)],
    ];
  }

  it("refuses every write and goes on reading, until a probe has been committed and read back", async () => {
    const writes = await prepare();
    faults.set("failed");
    await expect(put(storage, "old", bytesOf("new", MIB))).rejects.toMatchObject(rejection("broken"));
    for (const [, run] of writes) {
      await expect(run()).rejects.toMatchObject(rejection("broken"));
    }
    expect(storage.health().writable).toBe(false);
    expect(storage.health().reason).toContain("injected");
    expect(() => storage.draft(ref("x"), sourceOf("e"), SIGNAL)).toThrow("takes no writes");
    expect((await get(storage, "old"))?.bytes.equals(bytesOf("old", MIB))).toBe(true);
    expect((await storage.parts(of, 0, 10, SIGNAL)).items).toHaveLength(1);
    await sleep(3 * PROBE_EVERY_MS);
    expect(storage.health().writable).toBe(false);
    faults.set("none");
    await mended();
    for (const [, run] of writes.slice(0, 3)) {
      await run();
    }
    await reopen();
    expect((await get(storage, "old"))?.bytes.equals(bytesOf("new", MIB))).toBe(true);
    expect(await storage.check(SIGNAL)).toEqual([]);
  });

  it.each<CommitFault>(["failed", "failed but persisted"])(
    "that has %s leaves each write old or new, and every body that a record names",
    async (fault) => {
      const names = (await prepare()).map(([name]) => name);
      for (const [at, name] of names.entries()) {
        await reset();
        const run = (await prepare())[at]?.[1] ?? expect.fail();
        faults.set(fault);
        await expect(run(), name).rejects.toMatchObject(rejection("broken"));
        faults.set("none");
        await mended();
        expect(await storage.check(SIGNAL), name).toEqual([]);
        for (const object of ["old", "gone"]) {
          const found = await get(storage, object);
          expect(found === undefined || found.bytes.length === 10 || found.bytes.length === MIB, name).toBe(true);
        }
      }
      await reset();
      await reopen();
      expect(bodyFiles()).toEqual([]);
    },
  );

  async function reset(): Promise<void> {
    await storage.abort(of, SIGNAL).catch((error: unknown) => expect(error).toMatchObject(rejection("no-upload")));
    for (const name of ["old", "gone", "u"]) {
      await storage.remove(ref(name), undefined, SIGNAL);
    }
    await storage.removeBucket(BUCKET, SIGNAL);
    await storage.createBucket(BUCKET, SIGNAL);
    const document = await storage.document("d", SIGNAL);
    await storage.removeDocument("d", document?.tag ?? "", SIGNAL);
  }

  it("because the disk is full is told as full", async () => {
    faults.set("full");
    await expect(put(storage, "a", bytesOf("a", 10))).rejects.toMatchObject(rejection("full"));
    expect(() => storage.draft(ref("x"), sourceOf("e"), SIGNAL)).toThrow(expect.objectContaining(rejection("full")));
    faults.set("none");
    await mended();
    await put(storage, "a", bytesOf("a", 10));
  });

  it("that is slow gathers what comes meanwhile into the next one", async () => {
    faults.set("slow");
    const before = faults.commits;
    const first = put(storage, "first", bytesOf("a", 10));
    await until(() => faults.commits > before);
    await Promise.all([first, ...Array.from({ length: 50 }, (_, at) => put(storage, `${at}`, bytesOf("a", 10)))]);
    expect(faults.commits - before).toBeLessThan(10);
  });
});

it("a body that was uncertain and that no record names is gone once commits work again", async () => {
  faults.set("failed");
  await expect(put(storage, "a", bytesOf("a", MIB))).rejects.toMatchObject(rejection("broken"));
  expect(bodyFiles()).toHaveLength(1);
  faults.set("none");
  await mended();
  await until(() => bodyFiles().length === 0);
});

it("a body that was uncertain and that a record names stays", async () => {
  faults.set("failed but persisted");
  await expect(put(storage, "a", bytesOf("a", MIB))).rejects.toMatchObject(rejection("broken"));
  faults.set("none");
  await mended();
  await sleep(300);
  expect((await get(storage, "a"))?.bytes.equals(bytesOf("a", MIB))).toBe(true);
});
