// Looks at keys of a Vault in the background, so that one that does not answer holds up nothing else: on an interval, at
// once when what opens the key has changed or the key is to be rotated, and soon again while it fails.

import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { durationMs } from "../../crds/units.ts";
import { KmsError } from "../../kms/kms.ts";
import { openVaultAdmin } from "../../kms/open.ts";
import { printKmsOptions, type VaultOptions } from "../../kms/options.ts";
import { isRotationWished } from "../kmsprovider/plan.ts";
import { isLookDue, type Look, type Probe, type SeenLook, Turns } from "../kmsprovider/seen.ts";
import { tryKey } from "./probing.ts";

export interface VaultLooks {
  /** What is known of the key that these options open; undefined: nothing yet. A look that is due begins. */
  look(provider: KmsProvider, options: VaultOptions, signal: AbortSignal): Promise<Look | undefined>;
  /** A version that a rotation has just made. It stands until a look that begins from now on. */
  noteVersion(provider: string, version: string): void;
}

/** How long a pass waits for the first look at a key. */
const PATIENCE_MS = 1_500;
/** Between two looks while they fail and are not yet told as an outage. */
const RETRY_MS = 1_000;

/** `ring` is called when a look has brought something. */
export function createVaultLooks(now: () => Date, ring: () => void): VaultLooks {
  const seen = new Map<string, SeenLook>();
  const underWay = new Set<string>();
  const broken = new Map<string, unknown>();
  const turns = new Turns();

  async function lookNow(provider: KmsProvider, options: VaultOptions, of: string, signal: AbortSignal): Promise<void> {
    const { name } = provider.metadata;
    const { interval, timeout, failureThreshold } = provider.spec.healthCheck;
    const timeoutMs = durationMs(timeout);
    const before = seen.get(name);
    const turn = turns.next();
    const { version, probe } = await describeAndTry(options, timeoutMs, signal);
    const failures = probe?.outcome === "same" ? 0 : (before?.of === of ? before.failures : 0) + 1;
    const waitMs = failures > 0 && failures < failureThreshold ? Math.min(RETRY_MS, timeoutMs) : durationMs(interval);
    seen.set(name, { of, turn, version, probe, failures, againAtMs: now().getTime() + waitMs });
  }

  /** Never rejects: what no KMS said is kept for the next pass to fail with. */
  async function begin(provider: KmsProvider, options: VaultOptions, of: string, signal: AbortSignal): Promise<void> {
    const { name } = provider.metadata;
    underWay.add(name);
    try {
      await lookNow(provider, options, of, signal);
    } catch (error) {
      broken.set(name, error);
    }
    underWay.delete(name);
    ring();
  }

  return {
    async look(provider, options, signal) {
      const { name } = provider.metadata;
      const afterTurn = turns.lookAfter(name, isRotationWished(provider, now()));
      const of = JSON.stringify(printKmsOptions(options));
      const known = seen.get(name);
      const isDue = isLookDue(known, of, afterTurn, provider, now().getTime());
      if (isDue && !underWay.has(name)) {
        const look = begin(provider, options, of, signal);
        if (known?.of !== of) await withinPatience(look);
      }
      if (broken.has(name)) {
        const error = broken.get(name);
        broken.delete(name);
        throw error;
      }
      const last = seen.get(name);
      return last?.of === of ? turns.lookOf(name, last) : undefined;
    },

    noteVersion: (provider, version) => turns.noteRotation(provider, version),
  };
}

async function describeAndTry(
  options: VaultOptions,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<{ version: string | undefined; probe: Probe }> {
  const admin = await openVaultAdmin(options, { timeoutMs });
  try {
    const { version } = await admin.describe(signal);
    return { version, probe: await tryKey(options, timeoutMs, signal) };
  } catch (error) {
    if (!(error instanceof KmsError)) throw error;
    return { version: undefined, probe: { outcome: "failed", code: error.code, message: error.message } };
  } finally {
    await admin.close();
  }
}

async function withinPatience(look: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, PATIENCE_MS);
  try {
    await Promise.race([look, promise]);
  } finally {
    clearTimeout(timer);
  }
}
