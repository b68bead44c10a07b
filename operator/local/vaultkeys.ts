// The transit keys of Vault providers where no cluster is: looked at and tried in the background, so that a Vault that does
// not answer holds up nothing else.

import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { durationMs } from "../../crds/units.ts";
import { KmsError } from "../../kms/kms.ts";
import { openVaultAdmin } from "../../kms/open.ts";
import { kmsKeyIdOf, printKmsOptions, type VaultOptions } from "../../kms/options.ts";
import { compileVault, type Reference, type VaultMaterial, vaultReferences } from "../compile/compile.ts";
import type { KeyFound, Probe } from "../kmsprovider/plan.ts";
import { type SeenKey, tryKey } from "./probing.ts";
import type { SecretDocument } from "./records.ts";
import { findReferred } from "./references.ts";

export interface VaultKeys {
  look(provider: KmsProvider, secrets: readonly SecretDocument[], signal: AbortSignal): Promise<SeenKey>;
  rotate(provider: string, ifVersion: string, signal: AbortSignal): Promise<void>;
}

/** What came of the last look at one provider's key. */
interface Seen {
  /** The options that were tried, as text. */
  readonly of: string;
  readonly options: VaultOptions;
  readonly timeoutMs: number;
  /** Of the newest version; undefined: the key could not be looked at. */
  readonly version: string | undefined;
  readonly probe: Probe;
  readonly failures: number;
  readonly againAtMs: number;
}

/** How long a pass waits for the first look at a key. */
const PATIENCE_MS = 1_500;
/** Between two looks while they fail and are not yet told as an outage. */
const RETRY_MS = 1_000;

/** `ring` is called when a look has brought something. */
export function createVaultKeys(secretsDir: string, now: () => Date, ring: () => void): VaultKeys {
  const seen = new Map<string, Seen>();
  const underWay = new Set<string>();
  const broken = new Map<string, unknown>();

  async function lookNow(provider: KmsProvider, options: VaultOptions, of: string, signal: AbortSignal): Promise<void> {
    const { name } = provider.metadata;
    const { interval, timeout, failureThreshold } = provider.spec.healthCheck;
    const timeoutMs = durationMs(timeout);
    const before = seen.get(name);
    const { version, probe } = await describeAndTry(options, timeoutMs, signal);
    const failures = probe?.outcome === "same" ? 0 : (before?.of === of ? before.failures : 0) + 1;
    const waitMs = failures > 0 && failures < failureThreshold ? Math.min(RETRY_MS, timeoutMs) : durationMs(interval);
    seen.set(name, { of, options, timeoutMs, version, probe, failures, againAtMs: now().getTime() + waitMs });
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
    async look(provider, secrets, signal) {
      const vault = provider.spec.vault;
      if (vault === undefined) throw new Error(`KmsProvider "${provider.metadata.name}" is not of type Vault`);
      const made = await makeOptions(vault, secrets, secretsDir);
      const nowhere = { options: undefined, probe: undefined, failures: 0, ringPlace: "", endpoint: vault.address };
      if ("key" in made) return { ...nowhere, key: made.key };
      const { options } = made;
      const { name } = provider.metadata;
      const of = JSON.stringify(printKmsOptions(options));
      const known = seen.get(name);
      const isDue = known?.of !== of || known.againAtMs <= now().getTime();
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
      if (last?.of !== of) return { ...nowhere, key: { kind: "pending" } };
      const { probe, failures } = last;
      return { ...nowhere, key: keyOf(provider, last), options, probe, failures };
    },

    async rotate(provider, ifVersion, signal) {
      const last = seen.get(provider);
      if (last === undefined) throw new Error(`The key of "${provider}" was not looked at`);
      const admin = await openVaultAdmin(last.options, { timeoutMs: last.timeoutMs });
      try {
        const version = await admin.rotate(ifVersion, signal);
        seen.set(provider, { ...last, version });
      } finally {
        await admin.close();
      }
    },
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

/** A key that was known and cannot be looked at now is still the same key: what fails is the probe. */
function keyOf({ status }: KmsProvider, { version, options, probe }: Seen): KeyFound {
  const id = kmsKeyIdOf(options);
  const known = version ?? status.key?.version;
  if (known !== undefined) return { kind: "found", id, version: known };
  if (probe?.outcome !== "failed") return { kind: "pending" };
  return { kind: "failed", code: probe.code, message: probe.message };
}

async function makeOptions(
  vault: NonNullable<KmsProvider["spec"]["vault"]>,
  secrets: readonly SecretDocument[],
  secretsDir: string,
): Promise<{ readonly options: VaultOptions } | { readonly key: KeyFound }> {
  if (vault.auth.kubernetes !== undefined) {
    const message = "Only a cluster has ServiceAccounts to log in with: use spec.vault.auth.appRole or tokenSecretRef";
    return { key: { kind: "unresolved", reason: "ServiceAccountNotFound", message } };
  }
  const references = vaultReferences(vault);
  const texts: { -readonly [Name in keyof VaultMaterial]: VaultMaterial[Name] } = {
    caBundle: undefined,
    credential: undefined,
  };
  for (const name of ["caBundle", "credential"] as const) {
    const reference: Reference | undefined = references[name];
    if (reference === undefined) continue;
    const referred = await findReferred(reference, secrets, secretsDir);
    if ("reason" in referred) return { key: { kind: "unresolved", ...referred } };
    texts[name] = Buffer.from(referred.bytes).toString("utf8");
  }
  const compiled = compileVault(vault, texts, { who: "data plane", tokenPath: "/" });
  if (!("mistake" in compiled)) return { options: compiled };
  const { mistake, message } = compiled;
  if (mistake === "SecretInvalid") return { key: { kind: "unresolved", reason: mistake, message } };
  return { key: { kind: "misconfigured", reason: mistake, message } };
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
