// The shape that every kind's controller has: observe reads, plan decides, act does. Knows no kind; whoever runs a kind
// (a controller in a cluster, or the folder's runtime) writes the status that a plan gives, and comes again.

import type { EventReason } from "../crds/reasons.ts";

/** Where a resource is; without a cluster the namespace is "". */
export interface ResourceName {
  readonly namespace: string;
  readonly name: string;
}

/** One change of state, told once: an Event in a cluster, a line on the terminal without one. */
export interface Notice {
  readonly type: "Normal" | "Warning";
  readonly reason: EventReason;
  readonly message: string;
}

/** What one pass decided. Actions run in order, the first that fails ends the pass; the status is written in any case,
 *  but one that says what is to be done next (an intent) is written by a pass of its own, before the act. */
export interface Plan<Action, Status> {
  readonly actions: readonly Action[];
  readonly status: Status;
  readonly events: readonly Notice[];
  /** When to come again though nothing has happened; 0: at once. */
  readonly againAfterMs: number | undefined;
}

/** What a controller runs. Nothing is remembered between passes: the next observes what came of the one before.
 *  @public */
export interface Kind<Observed, Action, Status> {
  /** undefined: the resource is gone, nothing is to be done. */
  observe(name: ResourceName, signal: AbortSignal): Promise<Observed | undefined>;
  /** Pure. */
  plan(observed: Observed, now: Date): Plan<Action, Status>;
  act(action: Action, signal: AbortSignal): Promise<void>;
}
