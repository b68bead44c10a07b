// The circuit breaker: after some failures in a row nobody asks for a while, then one probe decides. Pure: it is told the
// time and what came of each attempt; resilience.ts decides what counts as a failure.

export type BreakerState = "closed" | "open" | "half-open";

/** `answered`: the KMS spoke, whatever it said. `unknown`: given up before it could. */
export type Verdict = "answered" | "failed" | "unknown";

/** Names the period in which an attempt began: what ends in a later one says nothing about that. */
type BreakerTicket = number;

export interface BreakerLimits {
  /** Failures in a row that open it. */
  readonly failuresMax: number;
  /** How long it stays open this time. */
  openMs(): number;
  /** The state has changed. */
  changed(state: BreakerState): void;
}

export interface Breaker {
  readonly state: BreakerState;
  /** How long not to ask yet, or undefined: `begin` may be called. */
  refusedForMs(nowMs: number): number | undefined;
  /** An attempt begins. While it was open, this attempt is the probe. */
  begin(): BreakerTicket;
  end(ticket: BreakerTicket, verdict: Verdict, nowMs: number): void;
}

export function createBreaker(limits: BreakerLimits): Breaker {
  let state: BreakerState = "closed";
  let period = 0;
  let failures = 0;
  let openUntilMs = 0;
  let probeAgainMs = 0;

  function enter(next: BreakerState): void {
    state = next;
    period += 1;
    failures = 0;
    limits.changed(next);
  }

  function open(nowMs: number): void {
    probeAgainMs = limits.openMs();
    openUntilMs = nowMs + probeAgainMs;
    enter("open");
  }

  return {
    get state() {
      return state;
    },

    refusedForMs(nowMs) {
      if (state === "closed") return undefined;
      if (state === "half-open") return probeAgainMs;
      return nowMs < openUntilMs ? openUntilMs - nowMs : undefined;
    },

    begin() {
      if (state === "open") enter("half-open");
      return period;
    },

    end(ticket, verdict, nowMs) {
      if (ticket !== period) return;
      if (state === "half-open") {
        if (verdict === "answered") enter("closed");
        else if (verdict === "failed") open(nowMs);
        else enter("open"); // nothing was learnt, so `openUntilMs` stays in the past and the next caller probes
        return;
      }
      if (verdict === "answered") failures = 0;
      else if (verdict === "failed") failures += 1;
      if (failures >= limits.failuresMax) open(nowMs);
    },
  };
}
