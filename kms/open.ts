// From options to a Kms or a KeyAdmin: the only file that knows every adapter, and it loads none before it is asked for.
// What it opens has resilience around it.

import type { KeyAdmin, Kms } from "./kms.ts";
import type { ObserveKms } from "./observe.ts";
import type { KmsOptions, VaultOptions } from "./options.ts";
import { RESILIENCE_DEFAULTS, type ResilienceLimits, withResilience } from "./resilience.ts";
import type { RingHolder } from "./ring.ts";
import { systemTimers } from "./timers.ts";
import { createRefusedLogins } from "./vault/refused-logins.ts";

/** One for the process: however often a provider is opened, a server must not be asked to log in more often for that. */
const refusedLogins = createRefusedLogins(systemTimers);

export interface OpenKmsSettings {
  /** Of one attempt. */
  readonly timeoutMs: number;
  /** How long a call with all its retries takes at most; absent: as long as two attempts. */
  readonly answerWithinMs?: number;
  /** How long a refusal to unwrap is remembered; 0: not at all. */
  readonly negativeTtlMs: number;
  /** Attempts of one call, the first included; absent: RESILIENCE_DEFAULTS. */
  readonly attemptsMax?: number | undefined;
  readonly observe: ObserveKms;
}

/** Opens one key of one KMS. Asks the KMS nothing yet: whether it can be used is what `probeKms` finds out. */
export async function openKms(options: KmsOptions, settings: OpenKmsSettings, signal: AbortSignal): Promise<Kms> {
  signal.throwIfAborted();
  const limits = limitsFor(options, settings);
  const adapter = await openAdapter(options, limits.attemptTimeoutMs);
  return withResilience(adapter, limits, systemTimers, settings.observe);
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
  return createVaultKeyAdmin(options, { timeoutMs, timers: systemTimers, refusedLogins });
}

async function openAdapter(options: KmsOptions, timeoutMs: number): Promise<Kms> {
  switch (options.type) {
    case "Local": {
      const { createLocalKms } = await import("./local.ts");
      return createLocalKms(options.ring);
    }
    case "Vault": {
      const { createVaultKms } = await import("./vault/vault.ts");
      return createVaultKms(options, { timeoutMs, timers: systemTimers, refusedLogins });
    }
  }
}

/** Of the time for a call: two attempts have room in it, since a second one helps against a connection that died, and each
 *  that hangs counts for the breaker. */
const ATTEMPT_SHARE = 0.47;

function limitsFor(
  options: KmsOptions,
  { timeoutMs, answerWithinMs = 2 * timeoutMs, negativeTtlMs, attemptsMax }: OpenKmsSettings,
): ResilienceLimits {
  const totalTimeoutMs = Math.min(2 * timeoutMs, answerWithinMs);
  return {
    ...RESILIENCE_DEFAULTS,
    attemptTimeoutMs: totalTimeoutMs < 2 * timeoutMs ? Math.floor(ATTEMPT_SHARE * totalTimeoutMs) : timeoutMs,
    totalTimeoutMs,
    negativeTtlMs,
    attemptsMax: attemptsMax ?? RESILIENCE_DEFAULTS.attemptsMax,
    // Nobody else is spared by asking ourselves more slowly.
    ...(options.type === "Local" ? { perSecondMax: Number.POSITIVE_INFINITY } : {}),
  };
}
