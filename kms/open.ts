// From options to a Kms or a KeyAdmin: the only file that knows every adapter, and it loads none before it is asked for.
// What it opens has resilience around it.

import type { KeyAdmin, Kms } from "./kms.ts";
import type { ObserveKms } from "./observe.ts";
import type { KmsOptions, VaultOptions } from "./options.ts";
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
  const adapter = await openAdapter(options, settings);
  return withResilience(adapter, limitsFor(options, settings), systemTimers, settings.observe);
}

/** The KeyAdmin of the Local ring with that id. */
export async function openRingAdmin(holder: RingHolder, ringId: string, now: () => Date): Promise<KeyAdmin> {
  const { createLocalKeyAdmin } = await import("./local.ts");
  return createLocalKeyAdmin(holder, ringId, now);
}

/** A KeyAdmin that holds connections and a login until it is closed. */
export interface OpenedKeyAdmin extends KeyAdmin {
  close(): Promise<void>;
}

/** The KeyAdmin of a transit key. One attempt a call, of at most `timeoutMs` for each question that it asks. */
export async function openVaultAdmin(
  options: VaultOptions,
  { timeoutMs }: { readonly timeoutMs: number },
): Promise<OpenedKeyAdmin> {
  const { createVaultKeyAdmin } = await import("./vault/admin.ts");
  return createVaultKeyAdmin(options, { timeoutMs, timers: systemTimers });
}

async function openAdapter(options: KmsOptions, { timeoutMs }: OpenKmsSettings): Promise<Kms> {
  switch (options.type) {
    case "Local": {
      const { createLocalKms } = await import("./local.ts");
      return createLocalKms(options.ring);
    }
    case "Vault": {
      const { createVaultKms } = await import("./vault/vault.ts");
      return createVaultKms(options, { timeoutMs, timers: systemTimers });
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
