/** One piece of work for all who ask for the same thing at the same time; who goes away takes nobody along. */
import type { Call } from "../call.ts";
import { failureOf } from "../failure.ts";

/** The work runs under a signal of its own: it is bounded by the deadlines of what it asks. Rejects with Failure. */
export type Share = <Result>(
  name: string,
  call: Call,
  work: (shared: Call) => Promise<Result>,
  doing: string,
) => Promise<Result>;

const NEVER = new AbortController().signal;

export function createSharing(): Share {
  const running = new Map<string, Promise<unknown>>();
  return async <Result>(name: string, call: Call, work: (shared: Call) => Promise<Result>, doing: string) => {
    let shared = running.get(name) as Promise<Result> | undefined;
    if (shared === undefined) {
      shared = work({ ...call, signal: NEVER }).finally(() => running.delete(name));
      running.set(name, shared);
    }
    try {
      return await unlessAborted(shared, call.signal);
    } catch (error) {
      throw failureOf(error, doing);
    }
  };
}

function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  if (signal.aborted) {
    // This caller has gone; who comes while the work runs hears of its failure himself.
    work.catch(() => undefined);
    return Promise.reject(signal.reason);
  }
  return new Promise<Result>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
