/* A program for tests, which is killed: writes under load, and says on standard output what it begins and what was
 * acknowledged. Several workers, each with names of its own, so that the order of what it says is that of the names. */

import { randomInt, randomUUID } from "node:crypto";
import { writeSync } from "node:fs";
import { bytesOf, SIGNAL, sourceOf } from "../contract/bench.ts";
import type { Draft, Part, Storage } from "../storage.ts";
import { CommitFaults } from "./commit-faults.ts";
import { codeOf, createDisk, type Disk } from "./disk.ts";
import { openFilesystem } from "./filesystem.ts";

const WORKERS = 6;
const NAMES = 3;
export const CRASH_BUCKET = "crash";

/** Where the process ends itself: before or after the nth call of that kind once it is ready. */
export interface KillAt {
  readonly step: keyof Disk | "commit";
  readonly when: "before" | "after";
  readonly nth: number;
}

/** One line of its output. `state`: what the name holds once this is done; "" is absent. */
export interface CrashLine {
  readonly says: "ready" | "begin" | "done";
  readonly name: string;
  readonly state: string;
}

const [folder = "", killAtJson = "null"] = process.argv.slice(2);
const killAt = JSON.parse(killAtJson) as KillAt | null;

/** At once and whole: what was said before a kill has been said. A full pipe is waited for. */
function say(line: CrashLine): void {
  let left = Buffer.from(`${JSON.stringify(line)}\n`);
  while (left.length > 0) {
    try {
      left = left.subarray(writeSync(1, left));
    } catch (error) {
      if (codeOf(error) !== "EAGAIN") {
        throw error;
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

let isReady = false;
let calls = 0;

function killIf(step: keyof Disk, when: "before" | "after"): void {
  if (!isReady || killAt?.step !== step || killAt.when !== when) {
    return;
  }
  calls += 1;
  if (calls === killAt.nth) {
    process.kill(process.pid, "SIGKILL");
  }
}

/** A disk that ends the process; of a write that it ends "after", only half has been done. */
function createDeadlyDisk(): Disk {
  const disk = createDisk();
  const deadly = <Args extends unknown[], Result>(step: keyof Disk, call: (...args: Args) => Promise<Result>) => {
    return async (...args: Args): Promise<Result> => {
      killIf(step, "before");
      const result = await call(...args);
      killIf(step, "after");
      return result;
    };
  };
  const half = (buffers: readonly Uint8Array[]) =>
    buffers.map((buffer) => buffer.subarray(0, (buffer.length + 1) >> 1));
  return {
    ...disk,
    create: deadly("create", disk.create),
    write: deadly("write", (file: number, buffers: readonly Uint8Array[], position: number) =>
      disk.write(file, killAt?.step === "write" ? half(buffers).slice(0, 1) : buffers, position),
    ),
    datasync: deadly("datasync", disk.datasync),
    syncFolder: deadly("syncFolder", disk.syncFolder),
    link: deadly("link", disk.link),
    unlink: deadly("unlink", disk.unlink),
  };
}

async function store<Result>(draft: Draft<Result>, seed: string, length: number): Promise<Result> {
  try {
    const bytes = bytesOf(seed, length);
    for (let at = 0; at < length; at += 200_000) {
      await draft.write([bytes.subarray(at, at + 200_000)]);
    }
    return await draft.commit();
  } finally {
    await draft.discard();
  }
}

type Step = (storage: Storage, name: string, seed: string) => Promise<void>;

function lengthOf(seed: string): number {
  return Number(seed.split(":")[0]);
}

const put: Step = async (storage, name, seed) => {
  await store(storage.draft({ bucket: CRASH_BUCKET, name }, sourceOf(seed), SIGNAL), seed, lengthOf(seed));
};

const remove: Step = (storage, name) => storage.remove({ bucket: CRASH_BUCKET, name }, undefined, SIGNAL);

/** The body comes from another name that is written for it. */
const copy: Step = async (storage, name, seed) => {
  const from = { bucket: CRASH_BUCKET, name: `${name} source` };
  await store(storage.draft(from, sourceOf("source"), SIGNAL), seed, lengthOf(seed));
  const entry = await storage.find(from, SIGNAL);
  if (entry !== undefined) {
    await storage.copy(entry, { bucket: CRASH_BUCKET, name }, Buffer.from(seed), undefined, SIGNAL);
  }
};

/** The body is one part; another part is left unlisted. */
const multipart: Step = async (storage, name, seed) => {
  const upload = { bucket: CRASH_BUCKET, name, uploadId: randomUUID() };
  await storage.createUpload(upload, Buffer.from("state"), sourceOf("u"), SIGNAL);
  await store(storage.part(upload, 2, sourceOf("left"), SIGNAL), "left", 100_000);
  const part: Part = await store(storage.part(upload, 1, sourceOf("p"), SIGNAL), seed, lengthOf(seed));
  await storage.complete(upload, [part], sourceOf(seed, Buffer.from("tail")), undefined, SIGNAL);
};

const STEPS: readonly Step[] = [put, put, put, remove, copy, multipart];

function pick<Item>(items: readonly Item[]): Item {
  const item = items[randomInt(items.length)];
  if (item === undefined) {
    throw new Error("Nothing to pick from");
  }
  return item;
}

async function work(storage: Storage, worker: number): Promise<never> {
  for (;;) {
    const name = `worker ${worker} name ${randomInt(NAMES)}`;
    const step = pick(STEPS);
    const seed = `${pick([0, 10, 60_000, 70_000, 300_000, 1_500_000])}:${randomUUID()}`;
    const state = step === remove ? "" : seed;
    say({ says: "begin", name, state });
    await step(storage, name, seed);
    say({ says: "done", name, state });
  }
}

const commitFaults = new CommitFaults();
const storage = await openFilesystem({ folder, disk: createDeadlyDisk(), commitFaults });
await storage.createBucket(CRASH_BUCKET, SIGNAL);
isReady = true;
if (killAt?.step === "commit") {
  commitFaults.set(killAt.when === "before" ? "killed before" : "killed after", killAt.nth);
}
say({ says: "ready", name: "", state: "" });
await Promise.all(Array.from({ length: WORKERS }, (_, worker) => work(storage, worker)));
