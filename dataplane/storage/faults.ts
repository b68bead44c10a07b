/* Around any Storage, for tests: the next call of one kind fails, fails although it was done, takes long, or is aborted
 * half-way. What is not planned passes through. */

import { setTimeout as sleep } from "node:timers/promises";
import type { Draft, Expect, Storage } from "./storage.ts";
import { StorageError } from "./storage.ts";

/** Every call that writes; those of a draft of an object and of a part are told apart. */
export const WRITES = [
  "createBucket",
  "setVersioning",
  "removeBucket",
  "draft.write",
  "draft.commit",
  "copy",
  "update",
  "mark",
  "remove",
  "createUpload",
  "updateUpload",
  "part.write",
  "part.commit",
  "complete",
  "abort",
  "putDocument",
  "removeDocument",
] as const;

export type Write = (typeof WRITES)[number];

/** "failed": nothing was done. "failed but persisted": done, and an error answered. "aborted half-way": begun under a
 *  signal that fires at once; of a draft's write only the first half arrives. */
export type Fault = "failed" | "failed but persisted" | "slow" | "aborted half-way";

export const FAULTS: readonly Fault[] = ["failed", "failed but persisted", "slow", "aborted half-way"];

const SLOW_MS = 20;

export class FaultPlan {
  readonly #planned = new Map<Write, Fault>();

  /** For the next call of that kind; it is used up by it. */
  next(write: Write, fault: Fault): void {
    this.#planned.set(write, fault);
  }

  take(write: Write): Fault | undefined {
    const fault = this.#planned.get(write);
    this.#planned.delete(write);
    return fault;
  }
}

function injected(write: Write): StorageError {
  return new StorageError("unreachable", `injected: ${write}`);
}

async function faulty<Result>(
  write: Write,
  plan: FaultPlan,
  signal: AbortSignal,
  run: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const fault = plan.take(write);
  switch (fault) {
    case undefined:
      return run(signal);
    case "failed":
      throw injected(write);
    case "failed but persisted":
      await run(signal);
      throw injected(write);
    case "slow":
      await sleep(SLOW_MS);
      return run(signal);
    default:
      return abortHalfWay(run);
  }
}

async function abortHalfWay<Result>(run: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const controller = new AbortController();
  const running = run(controller.signal);
  controller.abort();
  await Promise.allSettled([running]);
  throw controller.signal.reason;
}

function faultyDraft<Result>(
  draft: Draft<Result>,
  kind: "draft" | "part",
  plan: FaultPlan,
  signal: AbortSignal,
): Draft<Result> {
  return {
    write(buffers) {
      const fault = plan.take(`${kind}.write`);
      switch (fault) {
        case undefined:
          return draft.write(buffers);
        case "failed":
          return Promise.reject(injected(`${kind}.write`));
        case "failed but persisted":
          return Promise.resolve(draft.write(buffers)).then(() => {
            throw injected(`${kind}.write`);
          });
        case "slow":
          return sleep(SLOW_MS).then(() => draft.write(buffers));
        default:
          return Promise.resolve(draft.write(firstHalf(buffers))).then(() => {
            throw AbortSignal.abort().reason;
          });
      }
    },
    commit: (expect?: Expect) => faulty(`${kind}.commit`, plan, signal, () => draft.commit(expect)),
    discard: () => draft.discard(),
  };
}

function firstHalf(buffers: readonly Uint8Array[]): Uint8Array[] {
  return buffers.map((buffer) => buffer.subarray(0, buffer.length >> 1));
}

/** The same storage, with the faults of the plan. */
export function createFaultyStorage(inner: Storage, plan: FaultPlan): Storage {
  const run = <Result>(write: Write, signal: AbortSignal, call: (signal: AbortSignal) => Promise<Result>) =>
    faulty(write, plan, signal, call);
  return {
    traits: inner.traits,
    createBucket: (bucket, signal) => run("createBucket", signal, (s) => inner.createBucket(bucket, s)),
    setVersioning: (bucket, state, signal) =>
      run("setVersioning", signal, (s) => inner.setVersioning(bucket, state, s)),
    removeBucket: (bucket, signal) => run("removeBucket", signal, (s) => inner.removeBucket(bucket, s)),
    find: (ref, signal) => inner.find(ref, signal),
    list: (bucket, query, signal) => inner.list(bucket, query, signal),
    read: (entry, fromByte, toByte, signal) => inner.read(entry, fromByte, toByte, signal),
    tail: (entry, signal) => inner.tail(entry, signal),
    draft: (ref, source, signal) => faultyDraft(inner.draft(ref, source, signal), "draft", plan, signal),
    copy: (from, to, envelope, expect, signal) => run("copy", signal, (s) => inner.copy(from, to, envelope, expect, s)),
    update: (entry, envelope, signal) => run("update", signal, (s) => inner.update(entry, envelope, s)),
    mark: (ref, envelope, signal) => run("mark", signal, (s) => inner.mark(ref, envelope, s)),
    remove: (ref, expect, signal) => run("remove", signal, (s) => inner.remove(ref, expect, s)),
    createUpload: (upload, state, source, signal) =>
      run("createUpload", signal, (s) => inner.createUpload(upload, state, source, s)),
    uploadState: (upload, signal) => inner.uploadState(upload, signal),
    updateUpload: (upload, state, signal) => run("updateUpload", signal, (s) => inner.updateUpload(upload, state, s)),
    part: (upload, partNumber, source, signal) =>
      faultyDraft(inner.part(upload, partNumber, source, signal), "part", plan, signal),
    parts: (upload, after, limit, signal) => inner.parts(upload, after, limit, signal),
    uploads: (bucket, query, signal) => inner.uploads(bucket, query, signal),
    complete: (upload, parts, source, expect, signal) =>
      run("complete", signal, (s) => inner.complete(upload, parts, source, expect, s)),
    abort: (upload, signal) => run("abort", signal, (s) => inner.abort(upload, s)),
    document: (path, signal) => inner.document(path, signal),
    documents: (prefix, after, limit, signal) => inner.documents(prefix, after, limit, signal),
    putDocument: (path, bytes, expect, signal) =>
      run("putDocument", signal, (s) => inner.putDocument(path, bytes, expect, s)),
    removeDocument: (path, expect, signal) =>
      run("removeDocument", signal, (s) => inner.removeDocument(path, expect, s)),
    health: () => inner.health(),
    check: (signal) => inner.check(signal),
    close: () => inner.close(),
  };
}
