import { describe, expect, test } from "vitest";
import { PATIENT } from "./contract/subject.ts";
import { createFlight } from "./flight.ts";

function create() {
  const { promise, resolve, reject } = Promise.withResolvers<number[]>();
  const seen = { ended: 0, disposed: [] as number[][], signal: PATIENT };
  const flight = createFlight<number[]>({
    work(signal) {
      seen.signal = signal;
      return promise;
    },
    copy: (result) => [...result],
    dispose: (result) => void seen.disposed.push(result),
    ended() {
      seen.ended += 1;
    },
  });
  return { flight, seen, resolve, reject };
}

describe("a flight", () => {
  test("gives its only passenger the result itself", async () => {
    const { flight, seen, resolve } = create();
    const joined = flight.join(PATIENT);
    const result = [1];
    resolve(result);
    expect(await joined).toBe(result);
    expect([seen.ended, seen.disposed]).toEqual([1, []]);
  });

  test("gives each of several a result of its own", async () => {
    const { flight, resolve } = create();
    const joined = [1, 2, 3].map(() => flight.join(PATIENT));
    resolve([1]);
    const results = await Promise.all(joined);
    expect(results).toEqual([[1], [1], [1]]);
    expect(new Set(results).size).toBe(3);
  });

  test("has ended before anybody hears of it, so that nobody joins too late", async () => {
    const { flight, seen, resolve } = create();
    const joined = flight.join(PATIENT).then(() => seen.ended);
    resolve([1]);
    expect(await joined).toBe(1);
  });

  test("disposes of a result that came when the last had just left", async () => {
    const { flight, seen, resolve } = create();
    const leaving = new AbortController();
    const joined = flight.join(leaving.signal);
    resolve([1]);
    leaving.abort(new Error("gone"));
    await expect(joined).rejects.toThrow("gone");
    expect([seen.ended, seen.disposed, seen.signal.aborted]).toEqual([1, [[1]], true]);
  });

  test("goes on as long as one stays", async () => {
    const { flight, seen, resolve } = create();
    const leaving = new AbortController();
    const left = flight.join(leaving.signal);
    const stayed = flight.join(PATIENT);
    leaving.abort(new Error("gone"));
    await expect(left).rejects.toThrow("gone");
    expect([seen.ended, seen.signal.aborted]).toEqual([0, false]);
    resolve([1]);
    expect(await stayed).toEqual([1]);
  });

  test("that crashes fails for all", async () => {
    const { flight, seen, reject } = create();
    const joined = [1, 2].map(() => flight.join(PATIENT));
    reject(new Error("down"));
    for (const each of joined) await expect(each).rejects.toThrow("down");
    expect(seen.ended).toBe(1);
  });
});
