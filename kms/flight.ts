// One piece of work that several callers wait for. A caller that leaves does not stop it for the others; when the last
// one has left, it is aborted. Each caller gets a result of its own, and what nobody takes is disposed of.

export interface Flight<Result> {
  /** Waits for the result, or rejects with the signal's reason. Not once the flight has ended. */
  join(signal: AbortSignal): Promise<Result>;
}

export interface FlightPlan<Result> {
  work(signal: AbortSignal): Promise<Result>;
  /** An equal result that shares nothing with the first. */
  copy(result: Result): Result;
  dispose(result: Result): void;
  /** The last thing before callers hear of it: from here on nobody joins. Called once. */
  ended(): void;
}

interface Waiter<Result> {
  take(result: Result): void;
  fail(error: unknown): void;
}

/** Begins the work at once. The first caller must join in the same turn. */
export function createFlight<Result>(plan: FlightPlan<Result>): Flight<Result> {
  const waiters = new Set<Waiter<Result>>();
  const controller = new AbortController();
  let over = false;

  function end(): void {
    if (over) return;
    over = true;
    plan.ended();
  }

  function land(result: Result): void {
    end();
    const taking = [...waiters];
    waiters.clear();
    // The copies are made before anybody can touch the first.
    const results = taking.map((_, index) => (index === 0 ? result : plan.copy(result)));
    if (taking.length === 0) plan.dispose(result);
    for (const [index, waiter] of taking.entries()) waiter.take(results[index] as Result);
  }

  function crash(error: unknown): void {
    end();
    const failing = [...waiters];
    waiters.clear();
    for (const waiter of failing) waiter.fail(error);
  }

  plan.work(controller.signal).then(land, crash);

  return {
    join(signal) {
      return new Promise((resolve, reject) => {
        const leave = () => {
          waiters.delete(waiter);
          reject(signal.reason);
          if (waiters.size > 0) return;
          end();
          controller.abort(signal.reason);
        };
        const waiter: Waiter<Result> = {
          take(result) {
            signal.removeEventListener("abort", leave);
            resolve(result);
          },
          fail(error) {
            signal.removeEventListener("abort", leave);
            reject(error);
          },
        };
        waiters.add(waiter);
        signal.addEventListener("abort", leave, { once: true });
      });
    },
  };
}
