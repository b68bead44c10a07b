// Leader election against a real API server: who leads, who stops when, and that no two lead at once.

import { afterEach, describe, expect, it } from "vitest";
import type { SeenRequest } from "../../e2e/cluster/faults.ts";
import { systemClock } from "../clock.ts";
import { fenced } from "./fence.ts";
import { contend, type Leadership, type LeaseNews, type LeaseTimes } from "./lease.ts";
import { RESOURCES } from "./resources.ts";
import { CONFIG_MAPS_WHOLE, configMap, createKubeWorld, eventually, type KubeWorld } from "./world.ts";

const never = new AbortController().signal;
/** Long enough that no leader is late with its renewals because the machine has others to run. */
const TIMES: LeaseTimes = { lastsMs: 15_000, renewWithinMs: 12_000, everyMs: 250 };
/** Longer than a lease that nobody renews. */
const OUTLASTS_MS = TIMES.lastsMs + 5000;
/** A part of what a leader has for a renewal. */
const FAILS_MS = TIMES.renewWithinMs / 5;

interface Contender {
  readonly name: string;
  readonly world: KubeWorld;
  readonly news: LeaseNews[];
  leadership: Leadership | undefined;
  /** When it began and stopped leading. */
  readonly terms: { fromMs: number; toMs: number | undefined }[];
  stop(): Promise<void>;
}

const contenders: Contender[] = [];

afterEach(async () => {
  for (const one of contenders.splice(0)) {
    await one.stop();
    await one.world.close();
  }
});

/** Each behind a proxy of its own, so that one can be cut off. `lease` is in the first one's namespace. */
async function contender(name: string, namespace?: string, times = TIMES): Promise<Contender> {
  const world = await createKubeWorld("lease");
  const controller = new AbortController();
  const one: Contender = {
    name,
    world,
    news: [],
    terms: [],
    leadership: undefined,
    async stop() {
      controller.abort(new Error("stopped"));
      await ended;
    },
  };
  const needs = {
    kube: world.kube,
    lease: { namespace: namespace ?? world.namespace, name: "operator" },
    identity: name,
    times,
    clock: systemClock,
    report: (news: LeaseNews) => one.news.push(news),
  };
  const ended = contend(
    needs,
    async (leadership) => {
      one.leadership = leadership;
      const term: Contender["terms"][number] = { fromMs: performance.now(), toMs: undefined };
      one.terms.push(term);
      await new Promise((resolve) => leadership.signal.addEventListener("abort", resolve, { once: true }));
      term.toMs = performance.now();
    },
    controller.signal,
  );
  contenders.push(one);
  return one;
}

const renewals = (seen: readonly SeenRequest[]) => seen.filter(({ method }) => method === "PUT").length;

const leads = ({ terms }: Contender) => terms.at(-1) !== undefined && terms.at(-1)?.toMs === undefined;

async function untilLeads(one: Contender, withinMs?: number): Promise<void> {
  await eventually(() => leads(one), Boolean, withinMs);
}

async function leaderAndFollower(): Promise<{ readonly first: Contender; readonly second: Contender }> {
  const first = await contender("first");
  await untilLeads(first);
  const second = await contender("second", first.world.namespace);
  await eventually(
    () => second.news.length,
    (count) => count > 0,
  );
  return { first, second };
}

describe("a lease", () => {
  it("makes one of two lead, and the other follow", async () => {
    const { first, second } = await leaderAndFollower();
    expect(second.news[0]).toEqual({ kind: "following", leader: "first" });
    await new Promise((resolve) => setTimeout(resolve, OUTLASTS_MS));
    expect({ first: leads(first), second: leads(second) }).toEqual({ first: true, second: false });
    expect(second.news).toHaveLength(1);
  });

  it("is taken where an empty one stands, as a chart may bring it", async () => {
    const world = await createKubeWorld("lease");
    const metadata = { namespace: world.namespace, name: "operator" };
    const empty = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata, spec: {} };
    await world.other.create(RESOURCES.leases, empty, never);
    const first = await contender("first", world.namespace);
    await untilLeads(first);
    await world.close();
  });

  it("goes over at once where the leader ends in peace", async () => {
    const { first, second } = await leaderAndFollower();
    const beganMs = performance.now();
    await first.stop();
    await untilLeads(second);
    // What is not given back lasts longer.
    expect(performance.now() - beganMs).toBeLessThan(TIMES.lastsMs / 2);
    expect(first.news.at(-1)).toEqual({ kind: "released" });
  });

  it("goes over at once though a renewal was written whose answer never came", async () => {
    const { first, second } = await leaderAndFollower();
    const undo = first.world.proxy.fault(({ method }) => (method === "PUT" ? { kind: "lose" } : undefined));
    await eventually(() => first.news.some(({ kind }) => kind === "failed"), Boolean);
    undo();
    const beganMs = performance.now();
    await first.stop();
    await untilLeads(second);
    expect(performance.now() - beganMs).toBeLessThan(TIMES.lastsMs / 2);
    expect(first.news.at(-1)).toEqual({ kind: "released" });
  });

  it("ends for a leader that is cut off before it begins for another", async () => {
    const first = await contender("first");
    await untilLeads(first);
    const second = await contender("second", first.world.namespace);
    first.world.proxy.fault(() => ({ kind: "cut" }));
    const beganMs = performance.now();
    await untilLeads(second);
    expect(performance.now() - beganMs).toBeLessThan(2 * TIMES.lastsMs);
    // Both have one clock here, and so one pause of the machine's: it is the order that counts.
    expect(first.terms[0]?.toMs).toBeLessThan(second.terms[0]?.fromMs ?? 0);
    await eventually(() => first.news.some(({ kind }) => kind === "lost"), Boolean);
  });

  it("survives a while of failing renewals, and lost answers", async () => {
    const first = await contender("first");
    await untilLeads(first);
    const second = await contender("second", first.world.namespace);
    for (const kind of ["cut", "lose"] as const) {
      const undo = first.world.proxy.fault(({ method }) => (method === "PUT" ? { kind } : undefined));
      await new Promise((resolve) => setTimeout(resolve, FAILS_MS));
      undo();
      const { length } = first.world.proxy.seen;
      await eventually(
        () => renewals(first.world.proxy.seen.slice(length)),
        (count) => count >= 2,
      );
    }
    expect({ first: leads(first), second: second.terms.length }).toEqual({ first: true, second: 0 });
  });

  it("that somebody took by force ends at the next renewal", async () => {
    const first = await contender("first");
    await untilLeads(first);
    const name = { namespace: first.world.namespace, name: "operator" };
    await first.world.other.patch(RESOURCES.leases, name, { spec: { holderIdentity: "uninstall" } }, never);
    await eventually(
      () => leads(first),
      (value) => !value,
    );
    await eventually(() => first.news.some(({ kind }) => kind === "lost"), Boolean);
    // It was not ours to give back.
    const lease = await first.world.other.read(RESOURCES.leases, name, never);
    expect(lease?.spec.holderIdentity).toBe("uninstall");
  });

  it("is taken as long as its holder says, where that is longer", async () => {
    const first = await contender("first");
    await untilLeads(first);
    const name = { namespace: first.world.namespace, name: "operator" };
    const longer = { spec: { holderIdentity: "uninstall", leaseDurationSeconds: 600 } };
    await first.world.other.patch(RESOURCES.leases, name, longer, never);
    await new Promise((resolve) => setTimeout(resolve, OUTLASTS_MS));
    expect(leads(first)).toBe(false);
  });

  it("lets a fenced client write while it lasts, and no longer", async () => {
    // Its leader goes on until almost nothing is left of it: the fence must be nearer.
    const first = await contender("first", undefined, { ...TIMES, renewWithinMs: TIMES.lastsMs - 300 });
    await untilLeads(first);
    const { leadership } = first;
    if (leadership === undefined) throw new Error("It does not lead");
    const { namespace } = first.world;
    // Through the other client: the lease is what must stop it, not the broken connection.
    const kube = fenced(first.world.other, leadership);
    await kube.create(CONFIG_MAPS_WHOLE, configMap(namespace, "a"), never);
    first.world.proxy.fault(() => ({ kind: "cut" }));
    await eventually(
      () => leadership.remainingMs(),
      (leftMs) => leftMs < 1000,
    );
    await expect(kube.create(CONFIG_MAPS_WHOLE, configMap(namespace, "b"), never)).rejects.toThrow();
    await eventually(
      () => leads(first),
      (value) => !value,
    );
    await expect(kube.create(CONFIG_MAPS_WHOLE, configMap(namespace, "c"), never)).rejects.toThrow();
    const found = await kube.page(CONFIG_MAPS_WHOLE, { namespace }, { limit: 10, after: undefined }, never);
    expect(found.items.map(({ metadata }) => metadata.name)).toEqual(["a"]);
  });
});
