import { describe, expect, test } from "vitest";
import { Secret } from "../secret.ts";
import type { Timers } from "../timers.ts";
import { createKeeper, type Held } from "./keeper.ts";

const DAY_MS = 86_400_000;

/** A clock that moves when it is told, and runs what is due. */
function createClock() {
  let nowMs = 0;
  const due = new Map<() => void, number>();
  const timers: Timers = {
    nowMs: () => nowMs,
    after(delayMs, run) {
      due.set(run, nowMs + delayMs);
      return () => due.delete(run);
    },
    random: () => 0,
  };
  return {
    timers,
    waits: () => [...due.values()].map((atMs) => atMs - nowMs),
    async pass(ms: number) {
      nowMs += ms;
      for (const [run, atMs] of [...due]) {
        if (atMs > nowMs) continue;
        due.delete(run);
        run();
      }
      // Lets what was begun come to its end.
      for (let turn = 0; turn < 10; turn += 1) await Promise.resolve();
    },
  };
}

function createKept(prolong: (held: Held) => Promise<void>, canProlong = true) {
  const clock = createClock();
  const keeper = createKeeper({ timers: clock.timers, prolong, canProlong: () => canProlong });
  return { clock, keeper };
}

function lease(ttlMs: number, token: Secret = new Secret("t")) {
  return { token, ttlMs, renewable: true };
}

describe("a kept lease", () => {
  const waits: readonly [string, ttlMs: number, waits: number[]][] = [
    ["that ends is prolonged after two thirds of its time", 3_600_000, [2_400_000]],
    ["of a second is prolonged in it", 1_000, [1_000 * (2 / 3)]],
    ["that has almost ended is not prolonged in a loop without a pause", 10, [250]],
    ["of a year is prolonged every day, since a timer cannot wait longer than 24 days", 365 * DAY_MS, [DAY_MS]],
    ["without an end is left alone", Number.POSITIVE_INFINITY, []],
  ];
  test.each(waits)("%s", (_what, ttlMs, expected) => {
    const { clock, keeper } = createKept(async () => undefined);
    keeper.hold(lease(ttlMs));
    expect(clock.waits()).toEqual(expected);
  });

  test("that cannot be prolonged is left alone", () => {
    const { clock, keeper } = createKept(async () => undefined, false);
    keeper.hold(lease(1_000));
    expect(clock.waits()).toEqual([]);
  });

  test("remembers of its token since when it is there, and how long it lived at first", async () => {
    const { clock, keeper } = createKept(async () => undefined);
    const first = keeper.hold(lease(9_000));
    await clock.pass(1_000);
    expect(keeper.hold(lease(5_000, first.token))).toMatchObject({ sinceMs: 0, firstTtlMs: 9_000, endsMs: 6_000 });
    expect(keeper.hold(lease(5_000, new Secret("other")))).toMatchObject({ sinceMs: 1_000, firstTtlMs: 5_000 });
  });

  test("whose prolonging fails is tried again, less and less patiently, until it has ended", async () => {
    const triedMs: number[] = [];
    const { clock, keeper } = createKept(async () => {
      triedMs.push(clock.timers.nowMs());
      throw new Error("unreachable");
    });
    keeper.hold(lease(300_000));
    for (let second = 0; second < 400; second += 1) await clock.pass(1_000);
    expect(triedMs[0]).toBe(200_000);
    expect(triedMs.length).toBeGreaterThan(5);
    expect(triedMs.length).toBeLessThan(30);
    const gapsMs = triedMs.slice(1).map((atMs, index) => atMs - (triedMs[index] as number));
    expect(Math.max(...gapsMs)).toBeLessThanOrEqual(31_000);
    expect(Math.min(...gapsMs)).toBeGreaterThanOrEqual(1_000);
    expect(triedMs.at(-1)).toBeLessThanOrEqual(300_000);
    expect(clock.waits()).toEqual([]);
  });

  test("is not prolonged any more after close(), which ends what is under way and waits for it", async () => {
    let reason: unknown;
    const clock = createClock();
    const keeper = createKeeper({
      timers: clock.timers,
      canProlong: () => true,
      prolong: (_held, signal) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            reason = signal.reason;
            reject(signal.reason);
          });
        }),
    });
    keeper.hold(lease(3_000));
    await clock.pass(2_000);
    await keeper.close();
    expect(reason).toBeInstanceOf(Error);
    expect(clock.waits()).toEqual([]);
    keeper.hold(lease(3_000));
    expect(clock.waits()).toEqual([]);
  });
});
