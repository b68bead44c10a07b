import { afterEach, describe, expect, it } from "vitest";
import { createManualClock } from "../manualclock.ts";
import { createEvents } from "./events.ts";
import { type EventObject, RESOURCES } from "./resources.ts";
import { configMap, createKubeWorld, type KubeWorld } from "./world.ts";

const never = new AbortController().signal;
let world: KubeWorld;

afterEach(async () => {
  await world.close();
});

async function prepare() {
  world = await createKubeWorld("events");
  const clock = createManualClock();
  const failures: unknown[] = [];
  const events = createEvents({
    kube: world.kube,
    clock,
    instance: "operator-0",
    signal: never,
    report: (error) => failures.push(error),
  });
  const about = {
    ...configMap(world.namespace, "photos"),
    metadata: { namespace: world.namespace, name: "photos", uid: "1" },
  };
  return { clock, failures, events, about };
}

async function written(): Promise<readonly EventObject[]> {
  const scope = { namespace: world.namespace };
  return (await world.other.page(RESOURCES.events, scope, { limit: 100, after: undefined }, never)).items;
}

const READY = { type: "Normal", reason: "Ready", message: "ready" } as const;
const LOST = { type: "Warning", reason: "KeyRingLost", message: "the key ring has gone" } as const;

describe("events", () => {
  it("are written as they are told, about whom they are told", async () => {
    const { events, about, failures } = await prepare();
    events.tell(about, READY);
    events.tell(about, LOST);
    await events.flush();
    expect(failures).toEqual([]);
    const found = await written();
    expect(found.map(({ type, reason, note }) => ({ type, reason, message: note }))).toEqual(
      expect.arrayContaining([READY, LOST]),
    );
    expect(found[0]?.regarding).toMatchObject({ kind: "ConfigMap", name: "photos", uid: "1" });
  });

  it("that are told again are one event with a count, until a silence", async () => {
    const { events, about, clock } = await prepare();
    for (let time = 0; time < 3; time += 1) events.tell(about, LOST);
    await events.flush();
    expect((await written()).map(({ series }) => series?.count)).toEqual([3]);
    await clock.pass(7 * 60_000);
    events.tell(about, LOST);
    await events.flush();
    expect(await written()).toHaveLength(2);
  });

  it("are told anew where the first was cleared away", async () => {
    const { events, about } = await prepare();
    events.tell(about, LOST);
    await events.flush();
    for (const { metadata } of await written()) {
      await world.other.remove(RESOURCES.events, { namespace: world.namespace, name: metadata.name }, {}, never);
    }
    events.tell(about, LOST);
    await events.flush();
    expect(await written()).toHaveLength(1);
  });

  it("that cannot be written are reported, and hold up no other", async () => {
    const { events, about, failures } = await prepare();
    const undo = world.proxy.fault(() => ({ kind: "answer", status: 500 }));
    events.tell(about, READY);
    await events.flush();
    undo();
    events.tell(about, LOST);
    await events.flush();
    expect(failures).toHaveLength(1);
    expect(await written()).toHaveLength(1);
  });
});
