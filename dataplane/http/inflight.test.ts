import { describe, expect, test } from "vitest";
import type { Principal } from "../access/access.ts";
import type { Call } from "../call.ts";
import type { Snapshot } from "../snapshot.ts";
import { createInFlight } from "./inflight.ts";

function credential(accessKeyId: string, bucket: string): Principal {
  const configured = {
    entry: "app",
    generation: 0,
    accessKeyId,
    secret: "not-a-secret",
    tokenSha256: "0".repeat(64),
    permissions: [],
  };
  return { kind: "credential", credential: { configured, bucket, selfService: false } };
}

const app = credential("APP", "photos");
const other = credential("OTHER", "photos");
const elsewhere = credential("ELSEWHERE", "music");

function call(id: string, principal: Principal, more: Partial<Call> = {}): Call {
  return {
    id,
    operation: "GetObject",
    principal,
    snapshot: {} as Snapshot,
    facts: { tls: false, address: "" },
    signal: new AbortController().signal,
    startedMs: 1000,
    bucket: "photos",
    name: "a",
    doneBytes: 0,
    totalBytes: undefined,
    ...more,
  };
}

describe("what is in flight", () => {
  test("is there from enter to leave", () => {
    const inFlight = createInFlight();
    const one = call("1", app);
    const leave = inFlight.enter(one);
    expect(inFlight.count).toBe(1);
    expect(inFlight.find("1", app, 1000)).toMatchObject({ id: "1" });
    expect(inFlight.some((running) => running === one)).toBe(true);
    expect(inFlight.some((running) => running.bucket === "music")).toBe(false);
    leave();
    expect(inFlight.some(() => true)).toBe(false);
    expect(inFlight.count).toBe(0);
    expect(inFlight.find("1", app, 1000)).toBeUndefined();
  });

  test("sets no more memory aside than there is, and what is given back is there again", () => {
    const inFlight = createInFlight(100);
    expect([60, 41, 40, 1].map((bytes) => inFlight.reserve(bytes))).toEqual([true, false, true, false]);
    inFlight.giveBack(60);
    expect([61, 60].map((bytes) => inFlight.reserve(bytes))).toEqual([false, true]);
  });

  test("tells progress as the body moves it, and the mean rate", () => {
    const inFlight = createInFlight();
    const one = call("1", app, { totalBytes: 4000 });
    inFlight.enter(one);
    one.doneBytes = 3000;
    expect(inFlight.find("1", app, 3000)).toEqual({
      id: "1",
      operation: "GetObject",
      bucket: "photos",
      name: "a",
      startedMs: 1000,
      doneBytes: 3000,
      totalBytes: 4000,
      bytesPerSecond: 1500,
    });
    expect(inFlight.find("1", app, 1000)?.bytesPerSecond).toBe(3_000_000);
  });

  test.each([
    ["its own principal", app, ["own", "job"]],
    ["another principal of the bucket", other, ["job"]],
    ["a principal of another bucket", elsewhere, []],
    ["nobody", { kind: "anonymous" } as const, []],
    ["a job", { kind: "job", job: "rewrap" } as const, ["own", "job", "anonymous"]],
  ])("is seen by %s as far as it may", (_who, viewer, seen) => {
    const inFlight = createInFlight();
    inFlight.enter(call("own", app));
    inFlight.enter(call("job", { kind: "job", job: "rewrap" }));
    inFlight.enter(call("anonymous", { kind: "anonymous" }));
    expect(inFlight.list(viewer, 1000).map(({ id }) => id)).toEqual(seen);
    for (const id of ["own", "job", "anonymous"]) {
      expect(inFlight.find(id, viewer, 1000) !== undefined).toBe(seen.includes(id));
    }
  });
});
