/**
 * The calls that are being served, of all listeners: what /operations shows, what the limit of concurrent requests
 * counts and what a drain waits for. An entry goes with its call. And what their bodies share: memory, and the turns of
 * the event loop.
 */
import type { Principal } from "../access/access.ts";
import type { Call } from "../call.ts";
import { Roster } from "./roster.ts";
import { Turns } from "./turns.ts";

/** How far one call is. */
export interface Operation {
  readonly id: string;
  readonly operation: string;
  readonly bucket: string | undefined;
  readonly name: string | undefined;
  readonly startedMs: number;
  readonly doneBytes: number;
  readonly totalBytes: number | undefined;
  /** The mean since the call began. */
  readonly bytesPerSecond: number;
}

export interface InFlight {
  readonly count: number;
  /** Sets memory aside for a body, to be given back by who asked; false if there is not so much left. */
  reserve(bytes: number): boolean;
  giveBack(bytes: number): void;
  readonly turns: Turns;
  /** Until what this gives is called. */
  enter(call: Call): () => void;
  some(holds: (call: Call) => boolean): boolean;
  /** A principal sees its own calls, and the jobs on its bucket, on all if it may rotate keys; oldest first. */
  list(viewer: Principal, nowMs: number): readonly Operation[];
  /** undefined also for what the viewer may not see. */
  find(id: string, viewer: Principal, nowMs: number): Operation | undefined;
}

/** Of all bodies that are on their way. Some 200 large ones in, or twice as many out, whatever their size. */
const MEMORY_BYTES = 96 * 1024 * 1024;

export function createInFlight(memoryBytes = MEMORY_BYTES): InFlight {
  const calls = new Roster<Call>();
  let leftBytes = memoryBytes;
  return {
    turns: new Turns(),
    reserve(bytes) {
      if (bytes > leftBytes) return false;
      leftBytes -= bytes;
      return true;
    },
    giveBack(bytes) {
      leftBytes += bytes;
    },
    get count() {
      return calls.count;
    },
    enter: (call) => calls.enter(call),
    some: (holds) => calls.members().some(holds),
    list: (viewer, nowMs) =>
      [...calls.members()]
        .filter((call) => mayWatch(viewer, call))
        .sort((one, other) => one.startedMs - other.startedMs)
        .map((call) => progress(call, nowMs)),
    find(id, viewer, nowMs) {
      const call = calls.members().find((one) => one.id === id);
      return call !== undefined && mayWatch(viewer, call) ? progress(call, nowMs) : undefined;
    },
  };
}

function mayWatch(viewer: Principal, call: Call): boolean {
  if (viewer.kind === "job") return true;
  if (viewer.kind === "anonymous") return false;
  if (call.principal.kind === "credential") {
    return call.principal.credential.configured.accessKeyId === viewer.credential.configured.accessKeyId;
  }
  if (call.principal.kind === "job" && viewer.credential.configured.keys === true) return true;
  return call.principal.kind === "job" && call.bucket !== undefined && call.bucket === viewer.credential.bucket;
}

function progress(call: Call, nowMs: number): Operation {
  const { id, operation, bucket, name, startedMs, doneBytes, totalBytes } = call;
  const elapsedMs = Math.max(1, nowMs - startedMs);
  const bytesPerSecond = Math.round((doneBytes * 1000) / elapsedMs);
  return { id, operation, bucket, name, startedMs, doneBytes, totalBytes, bytesPerSecond };
}
