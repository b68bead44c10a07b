// From options to a Kms or a KeyAdmin: the only file that knows every adapter, and it loads none before it is asked for.
// What it opens has resilience around it.

import type { KeyAdmin, Kms } from "./kms.ts";
import type { ObserveKms } from "./observe.ts";
import type { KmsOptions } from "./options.ts";
import { RESILIENCE_DEFAULTS, type ResilienceLimits, withResilience } from "./resilience.ts";
import type { RingHolder } from "./ring.ts";
import { systemTimers } from "./timers.ts";

export interface OpenKmsSettings {
  /** Of one attempt; a call with all its retries gets twice as long. */
  readonly timeoutMs: number;
  /** How long a refusal to unwrap is remembered; 0: not at all. */
  readonly negativeTtlMs: number;
  readonly observe: ObserveKms;
}

/** Opens one key of one KMS. Asks the KMS nothing yet: whether it can be used is what `probeKms` finds out. */
export async function openKms(options: KmsOptions, settings: OpenKmsSettings, signal: AbortSignal): Promise<Kms> {
  signal.throwIfAborted();
  const adapter = await openAdapter(options);
  return withResilience(adapter, limitsFor(options, settings), systemTimers, settings.observe);
}

/** The KeyAdmin of the Local ring with that id. */
export async function openRingAdmin(holder: RingHolder, ringId: string, now: () => Date): Promise<KeyAdmin> {
  const { createLocalKeyAdmin } = await import("./local.ts");
  return createLocalKeyAdmin(holder, ringId, now);
}

async function openAdapter(options: KmsOptions): Promise<Kms> {
  switch (options.type) {
    case "Local": {
      const { createLocalKms } = await import("./local.ts");
      return createLocalKms(options.ring);
    }
  }
}

function limitsFor(options: KmsOptions, { timeoutMs, negativeTtlMs }: OpenKmsSettings): ResilienceLimits {
  return {
    ...RESILIENCE_DEFAULTS,
    attemptTimeoutMs: timeoutMs,
    totalTimeoutMs: 2 * timeoutMs,
    negativeTtlMs,
    // Nobody else is spared by asking ourselves more slowly.
    ...(options.type === "Local" ? { perSecondMax: Number.POSITIVE_INFINITY } : {}),
  };
}
