// The reflector against a real API server, with everything between them that can break broken.

import { afterEach, describe, expect, it } from "vitest";
import { times } from "../../e2e/cluster/faults.ts";
import { systemClock } from "../clock.ts";
import { Reflector, type ReflectorNeeds, type ReflectorProblem } from "./reflector.ts";
import { type KubeObject, RESOURCES, type ResourceType } from "./resources.ts";
import type { Change } from "./store.ts";
import { CONFIG_MAPS_WHOLE, configMap, createKubeWorld, eventually, type KubeWorld } from "./world.ts";

const never = new AbortController().signal;
/** Sooner than anything that it could wait for. */
const STOPS_MS = 10_000;

interface Running {
  readonly world: KubeWorld;
  readonly reflector: Reflector<KubeObject>;
  readonly problems: ReflectorProblem[];
  /** As `added name` and so on. */
  readonly told: string[];
  /** Ends it, and resolves when it has ended. */
  stop(): Promise<void>;
}

const running: Running[] = [];

afterEach(async () => {
  for (const one of running.splice(0)) {
    await one.stop();
    expect(one.world.proxy.violations).toEqual([]);
    await one.world.close();
  }
});

function start(
  world: KubeWorld,
  type: ResourceType<KubeObject> = CONFIG_MAPS_WHOLE,
  more: Partial<ReflectorNeeds<KubeObject>> = {},
): Running {
  const problems: ReflectorProblem[] = [];
  const told: string[] = [];
  const controller = new AbortController();
  const reflector = new Reflector({
    kube: world.kube,
    type,
    scope: { namespace: world.namespace },
    clock: systemClock,
    report: (problem) => problems.push(problem),
    ...more,
  });
  reflector.listen((change: Change<KubeObject>) => told.push(`${change.kind} ${change.object.metadata.name}`));
  const ended = reflector.run(controller.signal);
  const one: Running = {
    world,
    reflector,
    problems,
    told,
    async stop() {
      controller.abort(new Error("stopped"));
      await ended;
    },
  };
  running.push(one);
  return one;
}

async function make(world: KubeWorld, name: string, data: Record<string, string> = {}): Promise<KubeObject> {
  return await world.other.create(CONFIG_MAPS_WHOLE, configMap(world.namespace, name, data), never);
}

function names({ store }: Reflector<KubeObject>): string[] {
  return store.all().map(({ metadata }) => metadata.name);
}

const lists = (world: KubeWorld) => world.proxy.seen.filter(({ isWatch }) => !isWatch).length;
const watches = (world: KubeWorld) => world.proxy.seen.filter(({ isWatch }) => isWatch).length;

describe("a reflector", () => {
  it("knows what was there, and hears of what comes, changes and goes", async () => {
    const world = await createKubeWorld("reflector");
    await make(world, "a");
    const { reflector, told } = start(world);
    expect(reflector.hasSynced()).toBe(false);
    await reflector.whenSynced(never);
    await eventually(
      () => world.proxy.watches(),
      (open) => open === 1,
    );
    const begun = watches(world);
    await make(world, "b");
    await world.other.patch(CONFIG_MAPS_WHOLE, { namespace: world.namespace, name: "a" }, { data: { x: "1" } }, never);
    await world.other.remove(CONFIG_MAPS_WHOLE, { namespace: world.namespace, name: "b" }, {}, never);
    await eventually(
      () => told.length,
      (count) => count >= 4,
    );
    expect(told).toEqual(["added a", "added b", "changed a", "removed b"]);
    expect(names(reflector)).toEqual(["a"]);
    expect(lists(world)).toBe(1);
    expect(watches(world)).toBe(begun);
  });

  it("lists in pages", async () => {
    const world = await createKubeWorld("reflector");
    for (let index = 0; index < 5; index += 1) await make(world, `page-${index}`);
    const kube = {
      ...world.kube,
      page: ((type, scope, page, signal) =>
        world.kube.page(type, scope, { ...page, limit: 2 }, signal)) as KubeWorld["kube"]["page"],
    };
    const { reflector } = start(world, CONFIG_MAPS_WHOLE, { kube });
    await reflector.whenSynced(never);
    expect(names(reflector)).toHaveLength(5);
    expect(lists(world)).toBe(3);
  });

  it("begins again where a page's continuation has become too old", async () => {
    const world = await createKubeWorld("reflector");
    for (let index = 0; index < 3; index += 1) await make(world, `page-${index}`);
    const kube = {
      ...world.kube,
      page: ((type, scope, page, signal) =>
        world.kube.page(type, scope, { ...page, limit: 2 }, signal)) as KubeWorld["kube"]["page"],
    };
    world.proxy.fault(
      times(1, ({ query }) => (query.has("continue") ? { kind: "answer", status: 410, reason: "Expired" } : undefined)),
    );
    const { reflector, problems } = start(world, CONFIG_MAPS_WHOLE, { kube });
    await reflector.whenSynced(never);
    expect(names(reflector)).toHaveLength(3);
    expect(problems).toEqual([]);
  });

  it("survives a first list that fails in every way, and says so each time", async () => {
    const world = await createKubeWorld("reflector");
    await make(world, "a");
    // A connection that breaks at once is no failure where it was an old one: the first is new.
    const faults = [
      { kind: "cut" },
      { kind: "answer", status: 500 },
      { kind: "answer", status: 403, reason: "Forbidden" },
      { kind: "answer", status: 429, retryAfterSeconds: 1 },
    ] as const;
    let asked = 0;
    world.proxy.fault(({ isWatch }) => (isWatch ? undefined : faults[asked++]));
    const beganMs = performance.now();
    const { reflector, problems } = start(world);
    await reflector.whenSynced(never);
    expect(performance.now() - beganMs).toBeGreaterThan(1000);
    expect(names(reflector)).toEqual(["a"]);
    expect(problems.map(({ doing }) => doing)).toEqual(["listing", "listing", "listing", "listing"]);
  });

  it("goes on where a cut watch had come to, without listing again", async () => {
    const world = await createKubeWorld("reflector");
    const { reflector, told } = start(world);
    await reflector.whenSynced(never);
    for (const name of ["a", "b", "c"]) {
      await eventually(
        () => world.proxy.watches(),
        (open) => open === 1,
      );
      world.proxy.cutWatches();
      await make(world, name);
    }
    await eventually(
      () => told.length,
      (count) => count >= 3,
    );
    expect(told).toEqual(["added a", "added b", "added c"]);
    expect(lists(world)).toBe(1);
  });

  it("survives errors on reconnecting: 500, a refusal, a broken connection, an answer that breaks off", async () => {
    const world = await createKubeWorld("reflector");
    const { reflector, told } = start(world);
    await reflector.whenSynced(never);
    await make(world, "before");
    await eventually(
      () => told.length,
      (count) => count === 1,
    );
    const faults = [
      { kind: "answer", status: 500 },
      { kind: "cut" },
      { kind: "answer", status: 403, reason: "Forbidden" },
      { kind: "break", afterLines: 0 },
    ] as const;
    let asked = 0;
    world.proxy.fault(({ isWatch }) => (isWatch ? faults[asked++] : undefined));
    world.proxy.cutWatches();
    await make(world, "after");
    // Whichever tells of it: the watch, or a list where they were four failures in a row.
    await eventually(
      () => ({ told: told.length, asked }),
      (now) => now.told >= 2 && now.asked > faults.length,
    );
    await make(world, "later");
    await eventually(
      () => told.length,
      (count) => count >= 3,
    );
    expect(told).toEqual(["added before", "added after", "added later"]);
  });

  it("lists again after 410, and tells what it had missed: also an object that was made again", async () => {
    const world = await createKubeWorld("reflector");
    const first = await make(world, "a");
    const { reflector, told } = start(world);
    await reflector.whenSynced(never);
    await eventually(
      () => world.proxy.watches(),
      (open) => open === 1,
    );
    const undo = world.proxy.fault(({ isWatch }) => (isWatch ? { kind: "answer", status: 500 } : undefined));
    world.proxy.cutWatches();
    await world.other.remove(CONFIG_MAPS_WHOLE, { namespace: world.namespace, name: "a" }, {}, never);
    const second = await make(world, "a");
    await make(world, "b");
    undo();
    world.proxy.fault(
      times(1, ({ isWatch }) => (isWatch ? { kind: "answer", status: 410, reason: "Expired" } : undefined)),
    );
    await eventually(
      () => told.length,
      (count) => count >= 4,
    );
    expect(told).toEqual(["added a", "removed a", "added a", "added b"]);
    expect(second.metadata.uid).not.toBe(first.metadata.uid);
    expect(reflector.store.find({ namespace: world.namespace, name: "a" })?.metadata.uid).toBe(second.metadata.uid);
  });

  it("gives up a resourceVersion that can never be watched from", async () => {
    const world = await createKubeWorld("reflector");
    const { reflector } = start(world);
    await reflector.whenSynced(never);
    await eventually(
      () => world.proxy.watches(),
      (open) => open === 1,
    );
    world.proxy.fault(times(4, ({ isWatch }) => (isWatch ? { kind: "answer", status: 504 } : undefined)));
    world.proxy.cutWatches();
    await eventually(
      () => lists(world),
      (count) => count >= 2,
    );
  });

  it("goes on telling the others when a listener throws", async () => {
    const world = await createKubeWorld("reflector");
    const { reflector, told, problems } = start(world);
    const late: string[] = [];
    reflector.listen(() => {
      throw new Error("a listener's fault");
    });
    reflector.listen((change) => late.push(change.object.metadata.name));
    await make(world, "a");
    await make(world, "b");
    await eventually(
      () => late.length,
      (count) => count >= 2,
    );
    expect(told).toEqual(["added a", "added b"]);
    expect(problems.map(({ doing }) => doing)).toEqual(["telling", "telling"]);
  });

  it("of Secrets knows metadata alone", async () => {
    const world = await createKubeWorld("reflector");
    const metadata = { namespace: world.namespace, name: "hidden", labels: { a: "b" } };
    const object = { apiVersion: "v1", kind: "Secret", metadata, data: { key: "c2VjcmV0" } };
    await world.other.create(RESOURCES.secrets, object, never);
    const { reflector, told } = start(world, RESOURCES.secrets);
    await reflector.whenSynced(never);
    await world.other.patch(RESOURCES.secrets, metadata, { data: { key: "b3RoZXI=" } }, never);
    await eventually(
      () => told.length,
      (count) => count >= 2,
    );
    const [known] = reflector.store.all();
    expect(told).toEqual(["added hidden", "changed hidden"]);
    expect(known?.metadata.labels).toEqual({ a: "b" });
    expect(JSON.stringify(known)).not.toContain("b3RoZXI");
    expect(JSON.stringify(known)).not.toContain("managedFields");
  });

  const stops: Readonly<Record<string, (world: KubeWorld) => Promise<void>>> = {
    "while it watches": async (world) => {
      await eventually(
        () => world.proxy.watches(),
        (open) => open === 1,
      );
    },
    "while the first list is slow": async (world) => {
      await eventually(
        () => world.proxy.seen.length,
        (count) => count >= 1,
      );
    },
    "while it waits after a failure": async (world) => {
      await eventually(
        () => lists(world),
        (count) => count >= 3,
      );
    },
  };

  it.each(Object.entries(stops))("stops %s, and leaves nothing open", async (when, until) => {
    const world = await createKubeWorld("reflector");
    if (when.includes("slow")) world.proxy.fault(() => ({ kind: "delay", delayMs: 20_000 }));
    if (when.includes("failure")) world.proxy.fault(() => ({ kind: "answer", status: 500 }));
    const one = start(world);
    await until(world);
    const beganMs = performance.now();
    await one.stop();
    expect(performance.now() - beganMs).toBeLessThan(STOPS_MS);
    const { length } = world.proxy.seen;
    await eventually(
      () => world.proxy.watches(),
      (open) => open === 0,
    );
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect(world.proxy.seen.length).toBe(length);
  });
});
