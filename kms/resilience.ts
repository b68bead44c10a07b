// Around any Kms: deadlines, bounded retries, rate, breaker, one call for many who ask, and a short memory for refusals.
// Every one of the four calls may be repeated: a wrapped key that nobody stores is harmless. Caching of what was unwrapped
// is left to dataplane/keys, which knows when a key is no longer wanted.

import { type AttemptLimits, createAttempts } from "./attempts.ts";
import { createFlight, type Flight, type FlightPlan } from "./flight.ts";
import { type Kms, type KmsAction, type KmsCode, type KmsContext, KmsError, type Wrapped } from "./kms.ts";
import type { ObserveKms } from "./observe.ts";
import type { Timers } from "./timers.ts";

export interface ResilienceLimits extends AttemptLimits {
  /** Calls in all: running, waiting for their turn or between two attempts. One more is "throttled". */
  readonly callsMax: number;
  /** How long a refusal to unwrap is remembered, and how many. */
  readonly negativeTtlMs: number;
  readonly negativeMax: number;
}

export const RESILIENCE_DEFAULTS: ResilienceLimits = {
  attemptTimeoutMs: 5_000,
  totalTimeoutMs: 10_000,
  attemptsMax: 4,
  backoffMinMs: 50,
  backoffMaxMs: 2_000,
  concurrentMax: 64,
  perSecondMax: 1_000,
  breakerFailuresMax: 5,
  breakerOpenMs: 5_000,
  callsMax: 2_000,
  negativeTtlMs: 10_000,
  negativeMax: 1_000,
};

/** What an unwrap is answered with until an operator acts: asking again at once is useless. */
const REMEMBERED: ReadonlySet<KmsCode> = new Set<KmsCode>(["not-found", "disabled", "denied", "rejected"]);
const REFUSED_RETRY_AFTER_MS = 1_000;

/** The Kms behind all of this. It has the contract of `inner`, except that a call may take several attempts; closing it
 *  closes `inner`. Plain bytes that it is given are copied for as long as the call lasts. */
export function withResilience(inner: Kms, limits: ResilienceLimits, timers: Timers, observe: ObserveKms): Kms {
  const flights = createFlights(limits, timers, observe);
  const refusals = createRefusals(limits, timers);
  const shared = new Map<string, Flight<Uint8Array>>();

  function unwrapFlight(id: string, wrapped: Wrapped, context: KmsContext): Flight<Uint8Array> {
    const attempt = (signal: AbortSignal) => refusals.learn(id, inner.unwrap(wrapped, context, signal));
    const copy = (plain: Uint8Array) => Uint8Array.from(plain);
    const flight = flights.begin("unwrap", { attempt, copy, dispose: erase, ended: () => shared.delete(id) });
    shared.set(id, flight);
    return flight;
  }

  return {
    async generate(context, signal) {
      signal.throwIfAborted();
      const attempt = (attemptSignal: AbortSignal) => inner.generate(context, attemptSignal);
      const dispose = ({ plain }: Awaited<ReturnType<Kms["generate"]>>) => erase(plain);
      return await flights.begin("generate", { attempt, copy: unshared, dispose, ended: nothing }).join(signal);
    },

    async wrap(plain, context, signal) {
      signal.throwIfAborted();
      flights.refuseIfFull("wrap");
      const own = Uint8Array.from(plain); // the caller may zero its bytes as soon as it has given up
      const attempt = (attemptSignal: AbortSignal) => inner.wrap(own, context, attemptSignal);
      const ended = () => erase(own);
      return await flights.begin("wrap", { attempt, copy: unshared, dispose: nothing, ended }).join(signal);
    },

    async unwrap(wrapped, context, signal) {
      signal.throwIfAborted();
      const id = questionId(wrapped, context);
      const refusal = refusals.recall(id);
      if (refusal !== undefined) {
        observe({ kind: "remembered", action: "unwrap", code: refusal.code });
        throw refusal;
      }
      const underWay = shared.get(id);
      if (underWay !== undefined) observe({ kind: "shared", action: "unwrap" });
      return await (underWay ?? unwrapFlight(id, wrapped, context)).join(signal);
    },

    async rewrap(wrapped, context, signal) {
      signal.throwIfAborted();
      const attempt = (attemptSignal: AbortSignal) => inner.rewrap(wrapped, context, attemptSignal);
      return await flights.begin("rewrap", { attempt, copy: unshared, dispose: nothing, ended: nothing }).join(signal);
    },

    async close() {
      refusals.forget();
      await inner.close();
    },
  };
}

interface Fate<Result> extends Omit<FlightPlan<Result>, "work"> {
  attempt(signal: AbortSignal): Promise<Result>;
}

interface Flights {
  refuseIfFull(action: KmsAction): void;
  begin<Result>(action: KmsAction, fate: Fate<Result>): Flight<Result>;
}

/** Counts all calls, wherever they are, since each holds memory and somebody who waits. */
function createFlights(limits: ResilienceLimits, timers: Timers, observe: ObserveKms): Flights {
  const attempts = createAttempts(limits, timers, observe);
  let calls = 0;

  function refuseIfFull(action: KmsAction): void {
    if (calls < limits.callsMax) return;
    observe({ kind: "refused", action });
    throw new KmsError("throttled", action, `More than ${limits.callsMax} calls to the KMS are under way`, {
      retryAfterMs: REFUSED_RETRY_AFTER_MS,
    });
  }

  return {
    refuseIfFull,
    begin(action, { attempt, copy, dispose, ended }) {
      refuseIfFull(action);
      calls += 1;
      return createFlight({
        work: (signal) => attempts.run({ action, attempt, dispose }, signal),
        copy,
        dispose,
        ended() {
          calls -= 1;
          ended();
        },
      });
    },
  };
}

interface Refusals {
  recall(id: string): KmsError | undefined;
  learn<Result>(id: string, answer: Promise<Result>): Promise<Result>;
  forget(): void;
}

/** Bounded by dropping the oldest. An answer that was given up is still learnt from. */
function createRefusals(limits: ResilienceLimits, timers: Timers): Refusals {
  const byId = new Map<string, { error: KmsError; endsMs: number }>();

  function remember(id: string, error: unknown): void {
    if (!(error instanceof KmsError) || !REMEMBERED.has(error.code) || limits.negativeTtlMs <= 0) return;
    byId.delete(id);
    byId.set(id, { error, endsMs: timers.nowMs() + limits.negativeTtlMs });
    for (const oldest of byId.keys()) {
      if (byId.size <= limits.negativeMax) break;
      byId.delete(oldest);
    }
  }

  return {
    recall(id) {
      const known = byId.get(id);
      if (known === undefined) return undefined;
      if (timers.nowMs() < known.endsMs) {
        // A new one each time, so that its stack is its caller's.
        return new KmsError(known.error.code, known.error.action, known.error.message, { cause: known.error });
      }
      byId.delete(id);
      return undefined;
    },

    async learn(id, answer) {
      try {
        return await answer;
      } catch (error) {
        remember(id, error);
        throw error;
      }
    },

    forget: () => byId.clear(),
  };
}

/** Equal for equal questions only. */
function questionId(wrapped: Wrapped, context: KmsContext): string {
  const pairs = Object.entries(context).sort(([a], [b]) => (a < b ? -1 : 1));
  const bytes = Buffer.from(wrapped.bytes).toString("base64");
  return JSON.stringify([wrapped.provider, wrapped.kmsKeyId, wrapped.version, bytes, pairs]);
}

function unshared(): never {
  throw new Error("Only unwrap is shared");
}

function erase(plain: Uint8Array): void {
  plain.fill(0);
}

/** Wrapped keys are no secret, so nothing has to become of those that nobody takes. */
function nothing(): void {}
