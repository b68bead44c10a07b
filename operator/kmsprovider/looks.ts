// Looks at keys by using them, in the background, so that a KMS that does not answer holds up nobody: on an interval that
// is never quite the same, at once when what opens the key has changed, and soon again while it fails.

import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { durationMs } from "../../crds/units.ts";
import { KmsError } from "../../kms/kms.ts";
import { openKms, openVaultAdmin } from "../../kms/open.ts";
import { type KmsOptions, printKmsOptions, type VaultOptions } from "../../kms/options.ts";
import { probeKms } from "../../kms/probe.ts";
import { type Clock, sleep } from "../clock.ts";
import { nameOfItem } from "../controller.ts";
import type { LookMetrics } from "../metrics.ts";
import { isLookDue, type Look, type Probe, type SeenLook, Turns } from "./seen.ts";

/** How long a pass waits for the first look. */
const PATIENCE_MS = 1500;
/** From one look to the next, while they fail and are not yet told as an outage. One that waited for an answer in vain has
 *  used it up: so many in a row take as many timeouts, and no more. */
const RETRY_MS = 1000;

export class Looks {
  readonly #clock: Clock;
  readonly #done: (item: string) => void;
  readonly #counts: LookMetrics;
  readonly #signal: AbortSignal;
  readonly #seen = new Map<string, SeenLook>();
  readonly #underWay = new Map<string, Promise<void>>();
  readonly #broken = new Map<string, unknown>();
  /** Those to be looked at once more when the look under way has ended: it may have begun before what somebody mended. */
  readonly #hurried = new Set<string>();
  readonly #turns = new Turns();

  /** `done` is told when a look has brought something; every look ends with the signal. */
  constructor(clock: Clock, done: (item: string) => void, counts: LookMetrics, signal: AbortSignal) {
    this.#clock = clock;
    this.#done = done;
    this.#counts = counts;
    this.#signal = signal;
  }

  /** What is known of these options; undefined: nothing yet. A look that is due begins. `isWished`: the key is to be
   *  rotated, for which none will do that began before. */
  async look(item: string, provider: KmsProvider, options: KmsOptions, isWished = false): Promise<Look | undefined> {
    const afterTurn = this.#turns.lookAfter(item, isWished);
    const of = JSON.stringify(printKmsOptions(options));
    const known = this.#seen.get(item);
    const isDue = isLookDue(known, of, afterTurn, provider, this.#clock.monotonicMs());
    if (isDue && !this.#underWay.has(item)) {
      const look = this.#begin(item, provider, options, of);
      this.#underWay.set(item, look);
      if (known?.of !== of) await Promise.race([look, sleep(PATIENCE_MS, this.#clock, this.#signal)]);
    }
    if (this.#broken.has(item)) {
      const error = this.#broken.get(item);
      this.#broken.delete(item);
      throw error;
    }
    const last = this.#seen.get(item);
    return last?.of === of ? this.#turns.lookOf(item, last) : undefined;
  }

  /** How long until the next look is due; undefined while one is under way, whose end `done` is told of. */
  dueInMs(item: string): number | undefined {
    const seen = this.#seen.get(item);
    if (seen === undefined || this.#underWay.has(item)) return undefined;
    return Math.max(0, seen.againAtMs - this.#clock.monotonicMs());
  }

  /** The next pass looks, whatever the interval; where a look is under way, the one after its end. */
  hurry(item: string): void {
    if (this.#underWay.has(item)) this.#hurried.add(item);
    const seen = this.#seen.get(item);
    if (seen !== undefined) this.#seen.set(item, { ...seen, againAtMs: 0 });
  }

  /** A version that a rotation has just made. It stands until a look that begins from now on. */
  noteVersion(item: string, version: string): void {
    this.#turns.noteRotation(item, version);
  }

  forget(item: string): void {
    this.#seen.delete(item);
    this.#broken.delete(item);
    this.#hurried.delete(item);
    this.#turns.forget(item);
    this.#counts.gone(nameOfItem(item));
  }

  async ended(): Promise<void> {
    await Promise.all(this.#underWay.values());
  }

  /** Never rejects: what no KMS said is kept for the next pass to fail with. */
  async #begin(item: string, provider: KmsProvider, options: KmsOptions, of: string): Promise<void> {
    const turn = this.#turns.next();
    try {
      const { interval, timeout, failureThreshold } = provider.spec.healthCheck;
      const timeoutMs = durationMs(timeout);
      const before = this.#seen.get(item);
      const beganMs = this.#clock.monotonicMs();
      const { version, probe } = await describeAndTry(options, timeoutMs, this.#signal);
      const outcome = probe.outcome === "failed" ? probe.code : probe.outcome;
      const tookMs = this.#clock.monotonicMs() - beganMs;
      this.#counts.looked(nameOfItem(item), options.type, outcome, tookMs / 1000);
      const failures = probe.outcome === "same" ? 0 : (before?.of === of ? before.failures : 0) + 1;
      const isFailing = failures > 0 && failures < failureThreshold;
      const jitteredMs = durationMs(interval) * (0.9 + this.#clock.random() / 10);
      const restMs = isFailing ? Math.max(0, Math.min(RETRY_MS, timeoutMs) - tookMs) : jitteredMs;
      const waitMs = this.#hurried.delete(item) ? 0 : restMs;
      this.#seen.set(item, { of, turn, version, probe, failures, againAtMs: this.#clock.monotonicMs() + waitMs });
    } catch (error) {
      if (!this.#signal.aborted) this.#broken.set(item, error);
    } finally {
      this.#underWay.delete(item);
    }
    if (!this.#signal.aborted) this.#done(item);
  }
}

type Tried = NonNullable<Probe>;

async function describeAndTry(
  options: KmsOptions,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<{ readonly version: string | undefined; readonly probe: Tried }> {
  if (options.type !== "Vault") return { version: undefined, probe: await tryKey(options, timeoutMs, signal) };
  return await describeAndTryVault(options, timeoutMs, signal);
}

async function describeAndTryVault(
  options: VaultOptions,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<{ readonly version: string | undefined; readonly probe: Tried }> {
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

/** One real wrap and unwrap. Rejects only with what no KMS said. */
async function tryKey(options: KmsOptions, timeoutMs: number, signal: AbortSignal): Promise<Tried> {
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
