import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Breaker, type BreakerState, createBreaker, type Verdict } from "./breaker.ts";

const FAILURES_MAX = 3;
const OPEN_MS = 1000;

function create(): { breaker: Breaker; states: BreakerState[] } {
  const states: BreakerState[] = [];
  const breaker = createBreaker({
    failuresMax: FAILURES_MAX,
    openMs: () => OPEN_MS,
    changed: (state) => states.push(state),
  });
  return { breaker, states };
}

function attempt(breaker: Breaker, verdict: Verdict, nowMs: number): void {
  breaker.end(breaker.begin(), verdict, nowMs);
}

function createOpen(nowMs = 0): ReturnType<typeof create> {
  const created = create();
  for (let count = 0; count < FAILURES_MAX; count += 1) attempt(created.breaker, "failed", nowMs);
  return created;
}

describe("a breaker", () => {
  test("opens at so many failures in a row, and not before", () => {
    const { breaker, states } = create();
    attempt(breaker, "failed", 0);
    attempt(breaker, "failed", 0);
    expect(breaker.refusedForMs(0)).toBeUndefined();
    attempt(breaker, "failed", 0);
    expect(breaker.refusedForMs(0)).toBe(OPEN_MS);
    expect(states).toEqual(["open"]);
  });

  test("counts from the start after an answer, and is not moved by what was given up", () => {
    const { breaker } = create();
    attempt(breaker, "failed", 0);
    attempt(breaker, "failed", 0);
    attempt(breaker, "answered", 0);
    attempt(breaker, "failed", 0);
    attempt(breaker, "unknown", 0);
    attempt(breaker, "failed", 0);
    expect(breaker.state).toBe("closed");
    attempt(breaker, "failed", 0);
    expect(breaker.state).toBe("open");
  });

  test("says how long it still refuses", () => {
    const { breaker } = createOpen(500);
    expect(breaker.refusedForMs(700)).toBe(800);
    expect(breaker.refusedForMs(1499)).toBe(1);
    expect(breaker.refusedForMs(1500)).toBeUndefined();
  });

  test("lets one probe through and nobody beside it", () => {
    const { breaker } = createOpen();
    const probe = breaker.begin();
    expect(breaker.state).toBe("half-open");
    expect(breaker.refusedForMs(OPEN_MS)).toBe(OPEN_MS);
    breaker.end(probe, "answered", OPEN_MS);
    expect(breaker.refusedForMs(OPEN_MS)).toBeUndefined();
  });

  test("closes after an answered probe, opens again after a failed one", () => {
    const { breaker, states } = createOpen();
    attempt(breaker, "failed", OPEN_MS);
    expect(breaker.refusedForMs(OPEN_MS)).toBe(OPEN_MS);
    attempt(breaker, "answered", 2 * OPEN_MS);
    expect(states).toEqual(["open", "half-open", "open", "half-open", "closed"]);
  });

  test("lets the next caller probe when nothing was learnt from the first", () => {
    const { breaker } = createOpen();
    attempt(breaker, "unknown", OPEN_MS);
    expect(breaker.state).toBe("open");
    expect(breaker.refusedForMs(OPEN_MS)).toBeUndefined();
  });

  test("ignores what began in an earlier period", () => {
    const { breaker } = create();
    const early = breaker.begin();
    for (let count = 0; count < FAILURES_MAX; count += 1) attempt(breaker, "failed", 0);
    breaker.end(early, "answered", 10);
    expect(breaker.state).toBe("open");
    const probe = breaker.begin();
    breaker.end(early, "failed", OPEN_MS);
    expect(breaker.state).toBe("half-open");
    breaker.end(probe, "answered", OPEN_MS);
    breaker.end(early, "failed", OPEN_MS);
    attempt(breaker, "failed", OPEN_MS);
    attempt(breaker, "failed", OPEN_MS);
    expect(breaker.state).toBe("closed");
  });

  test("always lets somebody ask again in the end, and never two at once before an answer", () => {
    const step = fc.record({
      verdict: fc.constantFrom<Verdict>("answered", "failed", "unknown"),
      afterMs: fc.nat(1500),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
        const { breaker } = create();
        let nowMs = 0;
        for (const { verdict, afterMs } of steps) {
          nowMs += afterMs;
          if (breaker.refusedForMs(nowMs) !== undefined) continue;
          const ticket = breaker.begin();
          if (breaker.state === "half-open") expect(breaker.refusedForMs(nowMs)).toBeDefined();
          breaker.end(ticket, verdict, nowMs);
        }
        expect(breaker.refusedForMs(nowMs + OPEN_MS)).toBeUndefined();
      }),
    );
  });
});
