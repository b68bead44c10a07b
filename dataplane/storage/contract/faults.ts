/* Contract: a write that fails, fails although it was done, takes long or is aborted half-way leaves the old state or
 * the new one, whole, and the storage goes on. */

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createFaultyStorage, FAULTS, type Fault, FaultPlan, type Write } from "../faults.ts";
import type { Storage } from "../storage.ts";
import {
  BUCKET,
  bytesOf,
  get,
  type OpenEmpty,
  type Opened,
  put,
  putPart,
  ref,
  SIGNAL,
  sourceOf,
  upload,
} from "./bench.ts";

const MIB = 1024 * 1024;

interface Step {
  readonly write: Write;
  /** What is there before. */
  readonly before: (storage: Storage) => Promise<void>;
  readonly run: (storage: Storage) => Promise<unknown>;
  /** "old", "new", or whatever else it has become. */
  readonly state: (storage: Storage) => Promise<string>;
}

const OLD = bytesOf("old", 2 * MIB);
const NEW = bytesOf("new", 2 * MIB + 5);

async function objectState(storage: Storage, oldIs: "absent" | "there", name = "a"): Promise<string> {
  const found = await get(storage, name);
  if (found === undefined) {
    return oldIs === "absent" ? "old" : "lost";
  }
  const isOld = found.envelope === "old" && found.bytes.equals(OLD);
  const isNew = found.envelope === "new" && found.bytes.equals(NEW);
  return (isOld && "old") || (isNew && "new") || "torn";
}

const of = upload("a");

const putOld = async (storage: Storage) => {
  await put(storage, "a", OLD, { envelope: "old" });
};
const begin = (storage: Storage) => storage.createUpload(of, Buffer.from("s"), sourceOf("e"), SIGNAL);
const beginWithPart = async (storage: Storage) => {
  await putOld(storage);
  await begin(storage);
  await putPart(storage, of, 1, NEW, { envelope: "new" });
};
const replace = (storage: Storage) => put(storage, "a", NEW, { envelope: "new", blockBytes: 3 * MIB });
const partState = async (storage: Storage) => {
  const { items } = await storage.parts(of, 0, 10, SIGNAL);
  return items.length === 0 ? "old" : items.map((part) => Buffer.from(part.envelope).toString()).join();
};
const textOf = async (storage: Storage) => Buffer.from((await storage.document("d", SIGNAL))?.bytes ?? []).toString();

const STEPS: readonly Step[] = [
  { write: "draft.write", before: putOld, run: replace, state: (storage) => objectState(storage, "there") },
  { write: "draft.commit", before: putOld, run: replace, state: (storage) => objectState(storage, "there") },
  {
    write: "copy",
    before: async (storage) => {
      await putOld(storage);
      await put(storage, "from", NEW, { envelope: "x" });
    },
    run: async (storage) => {
      const from = await storage.find(ref("from"), SIGNAL);
      return storage.copy(from ?? expect.fail(), ref("a"), Buffer.from("new"), undefined, SIGNAL);
    },
    state: (storage) => objectState(storage, "there"),
  },
  {
    write: "update",
    before: async (storage) => {
      await put(storage, "a", NEW, { envelope: "old" });
    },
    run: async (storage) => {
      const entry = await storage.find(ref("a"), SIGNAL);
      return storage.update(entry ?? expect.fail(), Buffer.from("new"), SIGNAL);
    },
    state: async (storage) => {
      const found = await get(storage, "a");
      return found?.bytes.equals(NEW) === true ? found.envelope : "torn";
    },
  },
  {
    write: "remove",
    before: putOld,
    run: (storage) => storage.remove(ref("a"), undefined, SIGNAL),
    state: async (storage) => ((await get(storage, "a")) === undefined ? "new" : objectState(storage, "there")),
  },
  {
    write: "createUpload",
    before: async () => undefined,
    run: begin,
    state: async (storage) => ((await storage.uploadState(of, SIGNAL)) === undefined ? "old" : "new"),
  },
  {
    write: "updateUpload",
    before: begin,
    run: async (storage) => {
      const { state } = (await storage.uploadState(of, SIGNAL)) ?? expect.fail();
      return storage.updateUpload({ ...of, state }, Buffer.from("new"), SIGNAL);
    },
    state: async (storage) => {
      const text = Buffer.from((await storage.uploadState(of, SIGNAL))?.state ?? []).toString();
      return text === "s" ? "old" : text;
    },
  },
  {
    write: "part.write",
    before: begin,
    run: (storage) => putPart(storage, of, 1, NEW, { envelope: "new", blockBytes: 3 * MIB }),
    state: partState,
  },
  {
    write: "part.commit",
    before: begin,
    run: (storage) => putPart(storage, of, 1, NEW, { envelope: "new" }),
    state: partState,
  },
  {
    write: "complete",
    before: beginWithPart,
    run: async (storage) => {
      const { items } = await storage.parts(of, 0, 10, SIGNAL);
      return storage.complete(of, items, sourceOf("new"), undefined, SIGNAL);
    },
    state: (storage) => objectState(storage, "there"),
  },
  {
    write: "abort",
    before: beginWithPart,
    run: (storage) => storage.abort(of, SIGNAL),
    state: async (storage) => ((await storage.uploadState(of, SIGNAL)) === undefined ? "new" : "old"),
  },
  {
    write: "putDocument",
    before: async (storage) => {
      await storage.putDocument("d", Buffer.from("old"), "absent", SIGNAL);
    },
    run: async (storage) => {
      const found = await storage.document("d", SIGNAL);
      return storage.putDocument("d", Buffer.from("new"), found?.tag ?? "absent", SIGNAL);
    },
    state: textOf,
  },
  {
    write: "removeDocument",
    before: async (storage) => {
      await storage.putDocument("d", Buffer.from("old"), "absent", SIGNAL);
    },
    run: async (storage) => {
      const found = await storage.document("d", SIGNAL);
      return storage.removeDocument("d", found?.tag ?? "", SIGNAL);
    },
    state: async (storage) => (await textOf(storage)) || "new",
  },
];

/** What may be seen after each fault, and whether the call resolves. */
const OUTCOMES: Readonly<Record<Fault, { readonly resolves: boolean; readonly states: readonly string[] }>> = {
  failed: { resolves: false, states: ["old"] },
  "failed but persisted": { resolves: false, states: ["old", "new"] },
  slow: { resolves: true, states: ["new"] },
  "aborted half-way": { resolves: false, states: ["old", "new"] },
};

export function faultsContract(open: OpenEmpty): void {
  let opened: Opened;
  let storage: Storage;
  let plan: FaultPlan;

  beforeEach(async () => {
    opened = await open(Date.now);
    plan = new FaultPlan();
    storage = createFaultyStorage(opened.storage, plan);
    await storage.createBucket(BUCKET, SIGNAL);
  });
  afterEach(() => opened.end());

  describe.each(STEPS)("$write", (step) => {
    it.each(FAULTS)("that has %s leaves the old state or the new one, and can be tried again", async (fault) => {
      const { resolves, states } = OUTCOMES[fault];
      await step.before(storage);
      plan.next(step.write, fault);
      const outcome = await step.run(storage).then(
        () => true,
        () => false,
      );
      expect(outcome).toBe(resolves);
      const state = await step.state(storage);
      expect(states).toContain(state);
      if (state === "old") {
        await step.run(storage);
      }
      expect(await step.state(storage)).toBe("new");
      expect(await storage.check(SIGNAL)).toEqual([]);
    });
  });
}
