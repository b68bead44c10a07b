// Leader election by a Lease: of all that contend, one leads. A leader that cannot renew stops before another may begin:
// it counts from when it asked, the others from when they saw it answer, and it gives up earlier than they take over.

import { hostname } from "node:os";
import { type Clock, createDeadline, sleep } from "../clock.ts";
import type { Kube } from "./client.ts";
import { isKubeError } from "./failure.ts";
import { type LeaseObject, type ObjectName, RESOURCES } from "./resources.ts";

export interface LeaseTimes {
  /** How long a lease that is not renewed is its holder's. */
  readonly lastsMs: number;
  /** How long a leader goes on without having renewed. */
  readonly renewWithinMs: number;
  readonly everyMs: number;
}

export interface LeaseNeeds {
  readonly kube: Kube;
  readonly lease: ObjectName;
  /** Of this process, and no other. */
  readonly identity: string;
  readonly times: LeaseTimes;
  readonly clock: Clock;
  report(news: LeaseNews): void;
}

export type LeaseNews =
  | { readonly kind: "leading" | "lost" | "released" }
  | { readonly kind: "following"; readonly leader: string }
  | { readonly kind: "failed"; readonly error: unknown };

export interface Leadership {
  /** Aborts when the lease is lost, or all is to end. Nothing may be written after. */
  readonly signal: AbortSignal;
  /** For how long nobody else can be leader, though nothing were renewed. */
  remainingMs(): number;
}

/** Another takes over within lastsMs + everyMs of a leader's death, at once where one has ended in peace. */
export const LEASE_TIMES: LeaseTimes = { lastsMs: 15_000, renewWithinMs: 10_000, everyMs: 2500 };

/** One that is told apart from every other process, also from the one before in the same pod. */
export function leaseIdentity(random: string): string {
  return `${hostname()}_${random}`;
}

/**
 * Contends until the signal aborts; leads as often as it can. Each time, `lead` gets a signal that aborts with the
 * lease, and the lease is given back or contended for again only when `lead` has settled. Never rejects but with what
 * `lead` rejects with.
 */
export async function contend(
  needs: LeaseNeeds,
  lead: (leadership: Leadership) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const holder = new Holder(needs);
  while (!signal.aborted) {
    const heldUntilMs = await holder.acquire(signal);
    if (heldUntilMs === undefined) return;
    needs.report({ kind: "leading" });
    await leadWhileHeld(needs, holder, heldUntilMs, lead, signal);
  }
}

async function leadWhileHeld(
  { clock, times, report }: LeaseNeeds,
  holder: Holder,
  heldUntilMs: number,
  lead: (leadership: Leadership) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  let until = heldUntilMs;
  const term = createDeadline(times.renewWithinMs - (clock.monotonicMs() - (until - times.lastsMs)), clock, signal);
  const leadership: Leadership = {
    signal: term.signal,
    remainingMs: () => (term.signal.aborted ? 0 : Math.max(0, until - clock.monotonicMs())),
  };
  const settled = new AbortController();
  const ended = AbortSignal.any([term.signal, settled.signal]);
  const renewing = (async () => {
    while (!ended.aborted) {
      await sleep(times.everyMs, clock, ended).catch(() => undefined);
      if (ended.aborted) return;
      const renewed = await holder.renew(ended);
      if (renewed === "taken") {
        term.end(new Error("The lease is another's"));
        return;
      }
      if (renewed === undefined) continue;
      until = renewed;
      term.extend(times.renewWithinMs - (clock.monotonicMs() - (until - times.lastsMs)));
    }
  })();
  try {
    await lead(leadership);
  } finally {
    const isLost = term.signal.aborted && !signal.aborted;
    settled.abort(new Error("Nobody leads any more"));
    term.clear();
    await renewing;
    if (isLost) report({ kind: "lost" });
    else await holder.release();
  }
}

const RELEASE_MS = 5000;
/** How long after its end a lease is looked at: at least so long, and at most twice. */
const FREE_SINCE_MS = 100;

interface Seen {
  readonly object: LeaseObject;
  readonly atMs: number;
}

/** Holds the lease for one process, or tries to. */
class Holder {
  readonly #needs: LeaseNeeds;
  /** The lease as it was last written or seen, and when that was news. */
  #seen: Seen | undefined;
  #follows = "";

  constructor(needs: LeaseNeeds) {
    this.#needs = needs;
  }

  /** Waits for its turn; then, until when it is ours. undefined: the signal aborted. */
  async acquire(signal: AbortSignal): Promise<number | undefined> {
    const { clock, times, report } = this.#needs;
    while (!signal.aborted) {
      try {
        const untilMs = await this.#tryAcquire(signal);
        if (untilMs !== undefined) return untilMs;
      } catch (error) {
        // Somebody was faster: the next look shows who.
        if (!signal.aborted && !isKubeError(error, "conflict", "exists")) report({ kind: "failed", error });
      }
      await sleep(Math.min(times.everyMs * (0.5 + clock.random() / 2), this.#freeInMs()), clock, signal).catch(
        () => undefined,
      );
    }
    return undefined;
  }

  /** Until when it is ours; undefined: it could not be renewed now. */
  async renew(signal: AbortSignal): Promise<number | "taken" | undefined> {
    try {
      return await this.#write(this.#seen?.object, signal);
    } catch (error) {
      if (signal.aborted) return undefined;
      if (!isKubeError(error, "conflict", "exists", "not-found")) {
        this.#needs.report({ kind: "failed", error });
        return undefined;
      }
    }
    // Somebody wrote it: a person who edited it, an answer of ours that was lost, or another leader.
    return await this.#reread(signal);
  }

  /** Ours no longer, so that another need not wait. */
  async release(): Promise<void> {
    const { clock, report } = this.#needs;
    const deadline = createDeadline(RELEASE_MS, clock, new AbortController().signal);
    try {
      if (await this.#tryRelease(deadline.signal)) report({ kind: "released" });
    } catch (error) {
      // It runs out by itself.
      report({ kind: "failed", error });
    } finally {
      deadline.clear();
    }
  }

  /** false: it is another's. A renewal that was cut off, or whose answer was lost, may have been written all the same:
   *  what stands there then is read, and is ours to give back too. */
  async #tryRelease(signal: AbortSignal): Promise<boolean> {
    const { kube, lease, identity, clock } = this.#needs;
    let object = this.#seen?.object;
    while (object?.spec.holderIdentity === identity) {
      try {
        const free = { ...object, spec: { ...object.spec, holderIdentity: "", leaseDurationSeconds: 1 } };
        this.#see(await kube.replace(RESOURCES.leases, free, signal), clock.monotonicMs());
        return true;
      } catch (error) {
        if (!isKubeError(error, "conflict")) throw error;
      }
      object = await kube.read(RESOURCES.leases, lease, signal);
    }
    return false;
  }

  async #tryAcquire(signal: AbortSignal): Promise<number | undefined> {
    const { kube, lease, clock, report } = this.#needs;
    const object = await kube.read(RESOURCES.leases, lease, signal);
    if (object === undefined) return await this.#write(undefined, signal);
    this.#see(object, clock.monotonicMs());
    if (this.#isFree()) return await this.#write(object, signal);
    const leader = object.spec.holderIdentity ?? "";
    if (leader !== this.#follows) report({ kind: "following", leader });
    this.#follows = leader;
    return undefined;
  }

  #see(object: LeaseObject, atMs: number): void {
    if (this.#seen?.object.metadata.resourceVersion === object.metadata.resourceVersion) return;
    this.#seen = { object, atMs };
  }

  #isFree(): boolean {
    if (this.#seen === undefined) return false;
    const { holderIdentity } = this.#seen.object.spec;
    if (holderIdentity === undefined || holderIdentity === "" || holderIdentity === this.#needs.identity) return true;
    return this.#needs.clock.monotonicMs() > this.#freeAtMs(this.#seen);
  }

  /** The holder's clock is never compared with ours: only how long we have seen nothing new. */
  #freeAtMs({ object, atMs }: Seen): number {
    return atMs + Math.max(this.#needs.times.lastsMs, (object.spec.leaseDurationSeconds ?? 0) * 1000);
  }

  /** Of those who wait for the same lease each looks at another moment. Infinity while that says nothing. */
  #freeInMs(): number {
    const { clock } = this.#needs;
    const leftMs = this.#seen === undefined ? 0 : this.#freeAtMs(this.#seen) - clock.monotonicMs();
    return leftMs > 0 ? leftMs + FREE_SINCE_MS * (1 + clock.random()) : Number.POSITIVE_INFINITY;
  }

  /** One write of exactly the state that was seen. The lease counts from before it was sent. */
  async #write(before: LeaseObject | undefined, signal: AbortSignal): Promise<number> {
    const { kube, times, clock } = this.#needs;
    const sentMs = clock.monotonicMs();
    const deadline = createDeadline(times.renewWithinMs, clock, signal);
    try {
      const object = this.#claimed(before);
      const written =
        before === undefined
          ? await kube.create(RESOURCES.leases, object, deadline.signal)
          : await kube.replace(RESOURCES.leases, object, deadline.signal);
      this.#see(written, sentMs);
      this.#follows = "";
      return sentMs + times.lastsMs;
    } finally {
      deadline.clear();
    }
  }

  #claimed(before: LeaseObject | undefined): LeaseObject {
    const { lease, identity, times, clock } = this.#needs;
    const now = clock.now().toISOString().replace("Z", "000Z");
    const isOurs = before?.spec.holderIdentity === identity;
    return {
      apiVersion: RESOURCES.leases.apiVersion,
      kind: RESOURCES.leases.kind,
      metadata: before?.metadata ?? { ...lease },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(times.lastsMs / 1000),
        acquireTime: isOurs ? (before.spec.acquireTime ?? now) : now,
        renewTime: now,
        leaseTransitions: (before?.spec.leaseTransitions ?? 0) + (before === undefined || isOurs ? 0 : 1),
      },
    };
  }

  async #reread(signal: AbortSignal): Promise<"taken" | undefined> {
    const { kube, lease, identity, clock, report } = this.#needs;
    try {
      const object = await kube.read(RESOURCES.leases, lease, signal);
      if (object === undefined) return "taken";
      this.#see(object, clock.monotonicMs());
      return object.spec.holderIdentity === identity ? undefined : "taken";
    } catch (error) {
      if (!signal.aborted) report({ kind: "failed", error });
      return undefined;
    }
  }
}
