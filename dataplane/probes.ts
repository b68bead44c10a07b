/**
 * Whether this process can use each KMS key of its configuration: a real wrap and unwrap, now and then, so that /config
 * can say it without asking anybody.
 */
import { KmsError } from "../kms/kms.ts";
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
  let results: ReadonlyMap<string, ProbeResult> = new Map();
  let wake: (() => void) | undefined;
  let poked = false;

  async function probe(name: string, signal: AbortSignal): Promise<ProbeResult> {
    const snapshot = live.enter();
    try {
      const kms = snapshot.kms.get(name);
      if (kms === undefined) return { canUse: false, code: "not-opened", atMs: nowMs() };
      const same = (await probeKms(kms, signal)) === "same";
      return { canUse: same, code: same ? undefined : "mismatch", atMs: nowMs() };
    } catch (error) {
      return { canUse: false, code: error instanceof KmsError ? error.code : "failed", atMs: nowMs() };
    } finally {
      live.leave(snapshot);
    }
  }

  async function probeAll(signal: AbortSignal): Promise<void> {
    const names = [...(live.peek()?.providers.keys() ?? [])];
    const probed = await Promise.all(names.map(async (name) => [name, await probe(name, signal)] as const));
    if (!signal.aborted) results = new Map(probed);
  }

  function poke(): void {
    poked = true;
    wake?.();
  }

  return {
    async run(signal) {
      signal.addEventListener("abort", poke, { once: true });
      while (!signal.aborted) {
        poked = false;
        await probeAll(signal);
        if (poked) continue;
        const { promise, resolve } = Promise.withResolvers<void>();
        const healthy = [...results.values()].every(({ canUse }) => canUse);
        const timer = setTimeout(resolve, healthy ? INTERVAL_MS : FAILED_INTERVAL_MS);
        wake = resolve;
        await promise;
        clearTimeout(timer);
      }
    },
    poke,
    resultOf: (provider) => results.get(provider),
  };
}
