import { describe, expect, it } from "vitest";
import { type Kms, KmsError } from "../kms/kms.ts";
import { createLocalKms } from "../kms/local.ts";
import { createRing } from "../kms/ring.ts";
import { createProbes } from "./probes.ts";
import type { Live, Snapshot } from "./snapshot.ts";

function liveOf(kms: ReadonlyMap<string, Kms>, providers: string[]): Live {
  const snapshot = { kms, providers: new Map(providers.map((name) => [name, {}])) } as unknown as Snapshot;
  return { enter: () => snapshot, leave() {}, peek: () => snapshot } as unknown as Live;
}

const good = createLocalKms(createRing(new Date(0)));

async function probed(kms: Kms | undefined) {
  const stopping = new AbortController();
  const live = liveOf(kms === undefined ? new Map() : new Map([["p", kms]]), ["p"]);
  const probes = createProbes(live, () => 5);
  const running = probes.run(stopping.signal);
  await until(() => probes.resultOf("p") !== undefined);
  stopping.abort();
  await running;
  return probes.resultOf("p");
}

describe("createProbes()", () => {
  it.each<[string, Kms | undefined, object]>([
    ["a key that wraps and unwraps can be used", good, { canUse: true, code: undefined, atMs: 5 }],
    ["a client that could not be opened cannot", undefined, { canUse: false, code: "not-opened" }],
    [
      "a KMS that refuses says its code",
      { ...good, wrap: () => Promise.reject(new KmsError("sealed", "wrap", "sealed")) },
      { canUse: false, code: "sealed" },
    ],
    [
      "a KMS that gives back other bytes is a mismatch",
      { ...good, unwrap: async () => new Uint8Array(32) },
      { canUse: false, code: "mismatch" },
    ],
  ])("%s", async (_sentence, kms, expected) => {
    expect(await probed(kms)).toMatchObject(expected);
  });

  it("tries a key while another's KMS hangs, and tries it anew when its client is another", async () => {
    const stopping = new AbortController();
    const hangs: Kms = { ...good, wrap: (_plain, _context, signal) => rejected(signal) };
    const denied: Kms = { ...good, wrap: () => Promise.reject(new KmsError("denied", "wrap", "denied")) };
    let snapshot = snapshotOf({ hangs, changes: denied });
    const live = { enter: () => snapshot, leave() {}, peek: () => snapshot } as unknown as Live;
    const probes = createProbes(live, () => 5);
    const running = probes.run(stopping.signal);
    await until(() => probes.resultOf("changes")?.code === "denied");
    snapshot = snapshotOf({ hangs, changes: good, comes: good });
    probes.poke();
    await until(() => probes.resultOf("comes") !== undefined);
    await until(() => probes.resultOf("changes")?.canUse === true);
    expect(probes.resultOf("hangs")).toBeUndefined();
    snapshot = snapshotOf({ hangs });
    probes.poke();
    await until(() => probes.resultOf("comes") === undefined);
    stopping.abort();
    await running;
  });
});

function snapshotOf(kms: Readonly<Record<string, Kms>>): Snapshot {
  const byName = new Map(Object.entries(kms));
  return { kms: byName, providers: byName } as unknown as Snapshot;
}

function rejected(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
}

async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 2));
}
