import { describe, expect, it } from "vitest";
import { createManualClock } from "./manualclock.ts";
import { WorkQueue } from "./queue.ts";

const never = new AbortController().signal;

function world() {
  const clock = createManualClock();
  return { clock, queue: new WorkQueue(clock) };
}

describe("WorkQueue", () => {
  it("gives items in the order in which they came", async () => {
    const { queue } = world();
    for (const item of ["b", "a", "c"]) queue.add(item);
    expect([await queue.take(never), await queue.take(never), await queue.take(never)]).toEqual(["b", "a", "c"]);
  });

  it("gives an item once that was added many times", async () => {
    const { queue } = world();
    for (let time = 0; time < 10; time += 1) queue.add("a");
    expect(queue.length).toBe(1);
    await queue.take(never);
    expect(queue.length).toBe(0);
  });

  it("gives an item again that was added while it was taken, once, and not before it is done", async () => {
    const { queue } = world();
    queue.add("a");
    await queue.take(never);
    queue.add("a");
    queue.add("a");
    expect(queue.length).toBe(0);
    queue.done("a");
    expect(queue.length).toBe(1);
    await queue.take(never);
    queue.done("a");
    expect(queue.length).toBe(0);
  });

  it("gives waiting takers one item each", async () => {
    const { queue } = world();
    const taken = Promise.all([queue.take(never), queue.take(never)]);
    queue.add("a");
    queue.add("a");
    queue.add("b");
    expect(await taken).toEqual(["a", "b"]);
    queue.done("a");
    expect(await queue.take(never)).toBe("a");
  });

  it("lets a taker go whose signal aborts, and loses nothing by it", async () => {
    const { queue } = world();
    const controller = new AbortController();
    const gone = queue.take(controller.signal);
    const stays = queue.take(never);
    controller.abort(new Error("enough"));
    await expect(gone).rejects.toThrow("enough");
    queue.add("a");
    expect(await stays).toBe("a");
    await expect(queue.take(controller.signal)).rejects.toThrow("enough");
  });

  it("waits longer after each failure in a row, up to a minute, and forgets them on success", async () => {
    const { clock, queue } = world();
    const waitedMs: number[] = [];
    for (let failure = 0; failure < 10; failure += 1) {
      const beganMs = clock.monotonicMs();
      queue.addFailed("a");
      const taken = queue.take(never).then(() => clock.monotonicMs() - beganMs);
      await clock.pass(60_000);
      waitedMs.push(await taken);
      queue.done("a");
    }
    expect(waitedMs).toEqual([187.5, 375, 750, 1500, 3000, 6000, 12_000, 24_000, 45_000, 45_000]);
    queue.forget("a");
    queue.addFailed("a");
    await clock.pass(200);
    expect(queue.length).toBe(1);
  });

  it("waits as long as somebody asked for", async () => {
    const { clock, queue } = world();
    queue.addFailed("a", 7000);
    await clock.pass(6999);
    expect(queue.length).toBe(0);
    await clock.pass(1);
    expect(queue.length).toBe(1);
  });

  it("takes the earliest of several plans, and an add overtakes them all", async () => {
    const { clock, queue } = world();
    queue.addAfter("a", 5000);
    queue.addAfter("a", 1000);
    queue.addAfter("a", 3000);
    await clock.pass(1000);
    expect(await queue.take(never)).toBe("a");
    queue.done("a");
    await clock.pass(10_000);
    expect(queue.length).toBe(0);
    queue.addAfter("a", 1000);
    queue.add("a");
    await queue.take(never);
    queue.done("a");
    await clock.pass(10_000);
    expect(queue.length).toBe(0);
  });

  it("keeps a plan that is made while the item is taken", async () => {
    const { clock, queue } = world();
    queue.add("a");
    await queue.take(never);
    queue.addAfter("a", 1000);
    queue.done("a");
    await clock.pass(1000);
    expect(queue.length).toBe(1);
  });

  it("has no timers left once it is closed", () => {
    const { clock, queue } = world();
    queue.addAfter("a", 1000);
    queue.addFailed("b");
    queue.close();
    queue.addAfter("c", 1000);
    expect(clock.pending).toBe(0);
  });
});
