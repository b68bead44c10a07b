/**
 * Whether this process can use each KMS key of its configuration: a real wrap and unwrap, now and then, so that /config
 * can say it without asking anybody.
 */
import { type Kms, KmsError } from "../kms/kms.ts";
import { probeKms } from "../kms/probe.ts";
import type { Live } from "./snapshot.ts";

export interface ProbeResult {
  readonly canUse: boolean;
  /** The KMS error's code, or `mismatch`, or `not-opened`; undefined while all is well. */
  readonly code: string | undefined;
  readonly atMs: number;
}

export interface Probes {
  /** Runs until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Looks again now: after a new configuration. */
  poke(): void;
  /** By provider name; undefined: not looked yet. */
  resultOf(provider: string): ProbeResult | undefined;
}

const INTERVAL_MS = 60_000;
const FAILED_INTERVAL_MS = 5_000;

export function createProbes(live: Live, nowMs: () => number): Probes {
  const results = new Map<string, ProbeResult>();
  const underWay = new Map<string, { readonly of: Kms | undefined; readonly ended: Promise<void> }>();
  let poked = Promise.withResolvers<void>();

  async function probe(name: string, signal: AbortSignal): Promise<void> {
    const snapshot = live.enter();
    const kms = snapshot.kms.get(name);
    try {
      const code = await codeOf(kms, signal);
      // What was found of a client that another has replaced is no news.
      const isOld = live.peek()?.kms.get(name) !== kms;
      if (!signal.aborted && !isOld) results.set(name, { canUse: code === undefined, code, atMs: nowMs() });
    } finally {
      live.leave(snapshot);
    }
  }

  /** Where the same client is being tried it is not tried twice. */
  async function begin(name: string, signal: AbortSignal): Promise<void> {
    const of = live.peek()?.kms.get(name);
    const known = underWay.get(name);
    if (known !== undefined && known.of === of) return await known.ended;
    const begun = { of, ended: probe(name, signal) };
    underWay.set(name, begun);
    await begun.ended;
    if (underWay.get(name) === begun) underWay.delete(name);
  }

  function poke(): void {
    poked.resolve();
  }

  return {
    async run(signal) {
      signal.addEventListener("abort", poke, { once: true });
      const rounds = new Set<Promise<unknown>>();
      while (!signal.aborted) {
        poked = Promise.withResolvers();
        const names = [...(live.peek()?.providers.keys() ?? [])];
        for (const known of results.keys()) if (!names.includes(known)) results.delete(known);
        const round = Promise.all(names.map((name) => begin(name, signal)));
        rounds.add(round);
        void round.finally(() => rounds.delete(round));
        // A KMS that hangs keeps no other from being tried.
        await Promise.race([round, poked.promise]);
        if (rounds.has(round)) continue;
        const isWell = names.every((name) => results.get(name)?.canUse === true);
        await passed(isWell ? INTERVAL_MS : FAILED_INTERVAL_MS, poked.promise);
      }
      await Promise.all(rounds);
    },
    poke,
    resultOf: (provider) => results.get(provider),
  };
}

/** undefined: it can be used. */
async function codeOf(kms: Kms | undefined, signal: AbortSignal): Promise<string | undefined> {
  if (kms === undefined) return "not-opened";
  try {
    return (await probeKms(kms, signal)) === "same" ? undefined : "mismatch";
  } catch (error) {
    return error instanceof KmsError ? error.code : "failed";
  }
}

async function passed(waitMs: number, poked: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, waitMs);
  await Promise.race([promise, poked]);
  clearTimeout(timer);
}
