// One call to a KMS as a row of attempts: each with a deadline and through breaker and gate, repeated with back-off where
// the error says that it may help, all within one deadline. Knows nothing of what the call does.

import assert from "node:assert/strict";
import { type Breaker, createBreaker, type Verdict } from "./breaker.ts";
import { createGate, type Gate } from "./gate.ts";
import { type KmsAction, type KmsCode, KmsError } from "./kms.ts";
import type { ObserveKms } from "./observe.ts";
import { sleep, type Timers } from "./timers.ts";

export interface AttemptLimits {
  readonly attemptTimeoutMs: number;
  /** With every wait and every retry. */
  readonly totalTimeoutMs: number;
  readonly attemptsMax: number;
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** Attempts at once, and a second (Infinity: no limit). */
  readonly concurrentMax: number;
  readonly perSecondMax: number;
  /** Failures in a row that open the breaker, and for about how long. */
  readonly breakerFailuresMax: number;
  readonly breakerOpenMs: number;
}

interface KmsCall<Result> {
  readonly action: KmsAction;
  attempt(signal: AbortSignal): Promise<Result>;
  /** Of what came after the attempt had been given up. */
  dispose(result: Result): void;
}

/** Runs calls under one set of limits. Rejects with the last attempt's error, or the signal's reason. */
export interface Attempts {
  run<Result>(call: KmsCall<Result>, signal: AbortSignal): Promise<Result>;
}

/** What another attempt may change. "sealed", "tls" and "credentials" wait for a person. */
const REPEATABLE: ReadonlySet<KmsCode> = new Set<KmsCode>(["throttled", "unreachable"]);
/** What says that asking is useless for now, whoever asks. "throttled" is an answer, and carries its own pause;
 *  "credentials" concerns the login, which is not tried again until it may help (vault/refused-logins.ts). */
const BREAKING: ReadonlySet<KmsCode> = new Set<KmsCode>(["unreachable", "sealed", "tls"]);

/** A KMS is not left alone for longer, whatever it asks for: it may only have meant to say "later". */
const PAUSE_MS_MAX = 30_000;
/** By so much a timer may run too early: whoever waited for the end of a pause shall not be refused by it. */
const TIMER_EARLY_MS = 2;

interface Means {
  readonly limits: AttemptLimits;
  readonly timers: Timers;
  readonly observe: ObserveKms;
  readonly breaker: Breaker;
  readonly gate: Gate;
  /** What opened the breaker, for the log. */
  lastFailure: unknown;
  /** What the KMS asked for fewer requests with, and until when nobody asks. */
  pause: { readonly error: KmsError; readonly endsMs: number } | undefined;
}

export function createAttempts(limits: AttemptLimits, timers: Timers, observe: ObserveKms): Attempts {
  // Else a KMS that hangs would be given up by the one deadline before the other had counted it as a failure.
  assert(limits.attemptTimeoutMs < limits.totalTimeoutMs, "One attempt must be given less time than all of them");
  const gate = createGate(limits, timers);
  const means: Means = {
    limits,
    timers,
    observe,
    gate,
    lastFailure: undefined,
    pause: undefined,
    breaker: createBreaker({
      failuresMax: limits.breakerFailuresMax,
      // Spread, so that many pods do not probe at once.
      openMs: () => limits.breakerOpenMs * (0.8 + 0.4 * timers.random()),
      changed: (state) => observe({ kind: "breaker", state }),
    }),
  };
  return { run: (call, signal) => runWithinDeadline(means, call, signal) };
}

async function runWithinDeadline<Result>(means: Means, call: KmsCall<Result>, signal: AbortSignal): Promise<Result> {
  const { timers, limits } = means;
  const controller = new AbortController();
  const follow = () => controller.abort(signal.reason);
  if (signal.aborted) throw signal.reason;
  signal.addEventListener("abort", follow, { once: true });
  const callOff = timers.after(limits.totalTimeoutMs, () => {
    controller.abort(
      new KmsError("unreachable", call.action, `The KMS gave no result within ${limits.totalTimeoutMs} ms`),
    );
  });
  try {
    return await repeat(means, call, controller.signal);
  } finally {
    callOff();
    signal.removeEventListener("abort", follow);
  }
}

async function repeat<Result>(means: Means, call: KmsCall<Result>, signal: AbortSignal): Promise<Result> {
  const { limits, timers, observe } = means;
  const endsMs = timers.nowMs() + limits.totalTimeoutMs;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await attemptOnce(means, call, signal);
    } catch (error) {
      if (signal.aborted || attempt >= limits.attemptsMax || !isRepeatable(error)) throw error;
      const delayMs = Math.max(error.retryAfterMs ?? 0, backoffMs(limits, attempt, timers.random()));
      // Waiting longer than the caller would is only a slower way to fail.
      if (timers.nowMs() + delayMs >= endsMs) throw error;
      observe({ kind: "retry", action: call.action, code: error.code, delayMs });
      await sleep(delayMs, timers, signal);
      // What this call has seen itself says more than that the breaker has opened.
      if (means.breaker.refusedForMs(timers.nowMs()) !== undefined) throw error;
    }
  }
}

async function attemptOnce<Result>(means: Means, call: KmsCall<Result>, signal: AbortSignal): Promise<Result> {
  const { breaker, gate, timers, observe } = means;
  refuseIfUseless(means, call.action);
  const admitted = await gate.enter(signal);
  if (!admitted) throw refusalNow(means, call.action) ?? circuitOpen(means, call.action);
  let verdict: Verdict = "unknown";
  try {
    // While this call waited, its caller may have gone, the breaker opened or the KMS asked for a pause.
    signal.throwIfAborted();
    refuseIfUseless(means, call.action);
    const beganMs = timers.nowMs();
    const ticket = breaker.begin();
    let outcome: KmsCode | "ok" | "aborted" | "failed" = "ok";
    try {
      const result = await withinDeadline(means, call, signal);
      verdict = "answered";
      return result;
    } catch (error) {
      outcome = signal.aborted ? "aborted" : error instanceof KmsError ? error.code : "failed";
      verdict = verdictOn(outcome);
      if (verdict === "failed") means.lastFailure = error;
      if (outcome === "throttled") pauseAfter(means, error);
      throw error;
    } finally {
      const nowMs = timers.nowMs();
      breaker.end(ticket, verdict, nowMs);
      observe({ kind: "attempt", action: call.action, outcome, durationMs: nowMs - beganMs });
      if (breaker.refusedForMs(nowMs) !== undefined || pausedForMs(means) !== undefined) gate.turnAway();
    }
  } finally {
    gate.leave();
  }
}

/** An adapter that ignores its signal is left behind: the caller hears in time, and what comes later is disposed of. */
function withinDeadline<Result>(means: Means, call: KmsCall<Result>, signal: AbortSignal): Promise<Result> {
  const { timers, limits } = means;
  return new Promise((resolve, reject) => {
    const controller = new AbortController();
    let over = false;
    const finish = (): boolean => {
      if (over) return false;
      over = true;
      callOff();
      signal.removeEventListener("abort", follow);
      return true;
    };
    const giveUp = (reason: unknown) => {
      if (!finish()) return;
      reject(reason);
      controller.abort(reason);
    };
    const follow = () => giveUp(signal.reason);
    const callOff = timers.after(limits.attemptTimeoutMs, () => {
      giveUp(new KmsError("unreachable", call.action, `The KMS did not answer within ${limits.attemptTimeoutMs} ms`));
    });
    signal.addEventListener("abort", follow, { once: true });
    const attempt = async () => await call.attempt(controller.signal);
    attempt().then(
      (result) => (finish() ? resolve(result) : call.dispose(result)),
      (error: unknown) => {
        if (finish()) reject(error);
      },
    );
  });
}

function refuseIfUseless(means: Means, action: KmsAction): void {
  const refusal = refusalNow(means, action);
  if (refusal !== undefined) throw refusal;
}

/** Why nobody asks the KMS now. */
function refusalNow(means: Means, action: KmsAction): KmsError | undefined {
  if (means.breaker.refusedForMs(means.timers.nowMs()) !== undefined) return circuitOpen(means, action);
  const leftMs = pausedForMs(means);
  if (means.pause === undefined || leftMs === undefined) return undefined;
  return new KmsError("throttled", action, "The KMS is not asked: it asked for fewer requests", {
    cause: means.pause.error,
    retryAfterMs: Math.ceil(leftMs),
  });
}

function pausedForMs({ pause, timers }: Means): number | undefined {
  const leftMs = (pause?.endsMs ?? Number.NEGATIVE_INFINITY) - timers.nowMs();
  return leftMs > TIMER_EARLY_MS ? leftMs : undefined;
}

/** For all callers: each would only hear the same, and make it worse. Without a time from the KMS each backs off alone. */
function pauseAfter(means: Means, error: unknown): void {
  if (!(error instanceof KmsError) || error.retryAfterMs === undefined) return;
  const endsMs = means.timers.nowMs() + Math.min(error.retryAfterMs, PAUSE_MS_MAX);
  if (endsMs > (means.pause?.endsMs ?? 0)) means.pause = { error, endsMs };
}

function circuitOpen({ lastFailure, breaker, timers }: Means, action: KmsAction): KmsError {
  const why = lastFailure instanceof KmsError ? ` (${lastFailure.code})` : "";
  return new KmsError("circuit-open", action, `The KMS is not asked: it failed several times in a row${why}`, {
    cause: lastFailure,
    retryAfterMs: Math.ceil(breaker.refusedForMs(timers.nowMs()) ?? 0),
  });
}

function isRepeatable(error: unknown): error is KmsError {
  return error instanceof KmsError && REPEATABLE.has(error.code);
}

function verdictOn(outcome: KmsCode | "ok" | "aborted" | "failed"): Verdict {
  if (outcome === "aborted" || outcome === "failed") return "unknown";
  return outcome !== "ok" && BREAKING.has(outcome) ? "failed" : "answered";
}

/** Doubles with each attempt; between half and all of it, so that callers that failed together come back apart. */
function backoffMs({ backoffMinMs, backoffMaxMs }: AttemptLimits, attempt: number, random: number): number {
  return Math.min(backoffMaxMs, backoffMinMs * 2 ** (attempt - 1)) * (0.5 + 0.5 * random);
}
