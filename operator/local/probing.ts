// Tries keys by using them, as often as their providers want, and remembers what came of it.

import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { durationMs } from "../../crds/units.ts";
import { KmsError } from "../../kms/kms.ts";
import { openKms } from "../../kms/open.ts";
import { type KmsOptions, printKmsOptions } from "../../kms/options.ts";
import { probeKms } from "../../kms/probe.ts";
import type { ObservedProvider } from "../kmsprovider/plan.ts";
import type { Probe } from "../kmsprovider/seen.ts";

/** A provider's key as one look shows it. `options`: what opens it, if there is a key to be opened. */
export interface SeenKey
  extends Pick<ObservedProvider, "key" | "isReadAnew" | "probe" | "failures" | "ringPlace" | "endpoint"> {
  readonly options: KmsOptions | undefined;
}

export interface Tried {
  readonly probe: Probe;
  /** In a row. */
  readonly failures: number;
}

export interface Prober {
  /** What came of the last try of these options, or of a new one if that is due. */
  probe(provider: KmsProvider, options: KmsOptions, signal: AbortSignal): Promise<Tried>;
}

export function createProber(now: () => Date): Prober {
  const tried = new Map<string, Tried & { readonly of: string; readonly againAtMs: number }>();
  return {
    async probe(provider, options, signal) {
      const { name } = provider.metadata;
      const { interval, timeout, failureThreshold } = provider.spec.healthCheck;
      const of = JSON.stringify(printKmsOptions(options));
      const before = tried.get(name);
      const nowMs = now().getTime();
      if (before?.of === of && before.againAtMs > nowMs) return before;
      const probe = await tryKey(options, durationMs(timeout), signal);
      const failures = probe?.outcome === "same" ? 0 : (before?.failures ?? 0) + 1;
      // One that has begun to fail is tried again without waiting.
      const waitMs = failures > 0 && failures < failureThreshold ? 0 : durationMs(interval);
      const next = { of, probe, failures, againAtMs: nowMs + waitMs };
      tried.set(name, next);
      return next;
    },
  };
}

/** One real wrap and unwrap. Rejects only with what no KMS said. */
export async function tryKey(options: KmsOptions, timeoutMs: number, signal: AbortSignal): Promise<Probe> {
  try {
    const kms = await openKms(options, { timeoutMs, negativeTtlMs: 0, observe: () => {} }, signal);
    try {
      return { outcome: await probeKms(kms, signal) };
    } finally {
      await kms.close();
    }
  } catch (error) {
    if (!(error instanceof KmsError)) throw error;
    return { outcome: "failed", code: error.code, message: error.message };
  }
}
