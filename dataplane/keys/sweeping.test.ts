import { createSecretKey } from "node:crypto";
import { describe, expect, it, vi } from "vitest";
import type { Call } from "../call.ts";
import { bucketEntry, providerEntry } from "../config/contract/entries.ts";
import type { Snapshot } from "../snapshot.ts";
import { createOpenedKeys, type OpenedKeys } from "./opened.ts";
import type { BucketKey } from "./port.ts";
import { sweepKeys } from "./sweeping.ts";

const TTL_MS = 60_000;

function snapshotOf(providers: readonly string[], ttlMs = TTL_MS): Snapshot {
  const cache = { ttlMs, maxEntries: 10, negativeTtlMs: 0 };
  const entries = providers.map((name) => providerEntry(name, { kmsKeyId: "ring", cache }));
  return { providers: new Map(entries.map((entry) => [entry.name, entry])) } as unknown as Snapshot;
}

function keyOf(provider: string): BucketKey {
  return { id: Buffer.alloc(16, 1), key: createSecretKey(Buffer.alloc(32)), epoch: 1, provider, kmsKeyId: "ring" };
}

function keep(opened: OpenedKeys, snapshot: Snapshot, provider: string): void {
  const entry = bucketEntry("photos", { keys: [{ provider, minEpoch: 1 }] });
  opened.keep({ snapshot } as Call, entry, keyOf(provider));
}

describe("a sweep of opened keys", () => {
  it("lets go of those whose time has run out, and of no others", () => {
    let nowMs = 0;
    const opened = createOpenedKeys(() => nowMs);
    const snapshot = snapshotOf(["a", "b"]);
    keep(opened, snapshot, "a");
    nowMs = 1;
    keep(opened, snapshot, "b");
    expect(opened.sweep(snapshot)).toBe(0);
    nowMs = TTL_MS;
    expect(opened.sweep(snapshot)).toBe(1);
    nowMs = TTL_MS + 1;
    expect(opened.sweep(snapshot)).toBe(1);
    expect(opened.sweep(snapshot)).toBe(0);
  });

  it("lets go of those of a provider that has gone, and of limits that are others now", () => {
    const opened = createOpenedKeys(() => 0);
    const before = snapshotOf(["a", "b"]);
    keep(opened, before, "a");
    keep(opened, before, "b");
    expect(opened.sweep(snapshotOf(["b"]))).toBe(1);
    expect(opened.sweep(snapshotOf(["b"], TTL_MS * 2))).toBe(1);
    expect(opened.sweep(before)).toBe(0);
  });

  it("comes again and again while the process runs, by the configuration of that moment, and ends with it", async () => {
    const ending = new AbortController();
    const swept: (Snapshot | undefined)[] = [];
    let current: Snapshot | undefined;
    const running = sweepKeys({ sweep: (given) => swept.push(given) }, { peek: () => current }, 1)(ending.signal);
    const [first, second] = [snapshotOf(["a"]), snapshotOf(["b"])];
    current = first;
    await vi.waitFor(() => expect(swept).toContain(first), { timeout: 60_000 });
    current = second;
    await vi.waitFor(() => expect(swept).toContain(second), { timeout: 60_000 });
    ending.abort();
    await running;
    expect(swept).not.toContain(undefined);
  });
});
