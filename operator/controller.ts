// Runs a kind: takes names from its queue, observes, plans, writes the status, acts, and comes again as the plan wants it.
// Knows no kinds. What fails is tried again, later each time; a pass repeats what a crash cut off.

import type { Clock } from "./clock.ts";
import type { Kind, Notice, ResourceName } from "./kind.ts";
import { isKubeError } from "./kube/failure.ts";
import type { PassMetrics, PassResult } from "./metrics.ts";
import type { WorkQueue } from "./queue.ts";

export interface Controller<Resource extends { readonly status: unknown }, Observed, Action> {
  readonly kind: Kind<Observed, Action, Resource["status"]>;
  resourceOf(observed: Observed): Resource;
  /** Only over the state that was observed; nothing, if nothing differs. */
  writeStatus(resource: Resource, status: Resource["status"], signal: AbortSignal): Promise<void>;
  tell(resource: Resource, notice: Notice): void;
  /** A pass that failed and is tried again. */
  failed(name: ResourceName, error: unknown): void;
}

export interface ControllerNeeds {
  readonly queue: WorkQueue;
  readonly clock: Clock;
  /** Passes at a time, each of another resource. */
  readonly workers: number;
  readonly counts: PassMetrics;
}

/** Runs until the signal aborts, and resolves when the last pass has ended. Never rejects. */
export async function runController<Resource extends { readonly status: unknown }, Observed, Action>(
  controller: Controller<Resource, Observed, Action>,
  { queue, clock, workers, counts }: ControllerNeeds,
  signal: AbortSignal,
): Promise<void> {
  async function work(): Promise<void> {
    for (;;) {
      const item = await queue.take(signal).catch(() => undefined);
      if (item === undefined) return;
      const beganMs = clock.monotonicMs();
      let result: PassResult = "error";
      counts.began();
      try {
        const againAfterMs = await runPass(controller, nameOfItem(item), clock, signal);
        result = resultOf(againAfterMs);
        queue.forget(item);
        if (againAfterMs !== undefined) queue.addAfter(item, againAfterMs);
      } catch (error) {
        if (signal.aborted) return;
        failed(item, error);
      } finally {
        counts.ended(result, (clock.monotonicMs() - beganMs) / 1000);
        queue.done(item);
      }
    }
  }

  function failed(item: string, error: unknown): void {
    // A resource that has changed meanwhile is no failure to tell of. The watch brings the change, and with it the next
    // pass, at once; where it does not, the passes must not follow each other without end.
    if (!isKubeError(error, "conflict")) controller.failed(nameOfItem(item), error);
    queue.addFailed(item, isKubeError(error, "throttled", "server") ? error.retryAfterMs : undefined);
  }

  await Promise.all(Array.from({ length: workers }, work));
}

/** One pass; when to come again though nothing happens. The status is written first: an intent must stand before its
 *  act, and who no longer leads, or saw too little, fails here. */
async function runPass<Resource extends { readonly status: unknown }, Observed, Action>(
  controller: Controller<Resource, Observed, Action>,
  name: ResourceName,
  clock: Clock,
  signal: AbortSignal,
): Promise<number | undefined> {
  const observed = await controller.kind.observe(name, signal);
  if (observed === undefined) return undefined;
  const plan = controller.kind.plan(observed, clock.now());
  const resource = controller.resourceOf(observed);
  await controller.writeStatus(resource, plan.status, signal);
  for (const notice of plan.events) controller.tell(resource, notice);
  for (const action of plan.actions) await controller.kind.act(action, signal);
  return plan.againAfterMs;
}

function resultOf(againAfterMs: number | undefined): PassResult {
  if (againAfterMs === undefined) return "success";
  return againAfterMs <= 0 ? "requeue" : "requeue_after";
}

/** How a resource is called in a queue. */
export function itemOf({ namespace, name }: { readonly namespace?: string; readonly name: string }): string {
  return `${namespace ?? ""}/${name}`;
}

export function nameOfItem(item: string): ResourceName {
  const cut = item.indexOf("/");
  return { namespace: item.slice(0, cut), name: item.slice(cut + 1) };
}
