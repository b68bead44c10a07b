// The transit keys of Vault providers where no cluster is: what opens them, what looks have shown of them, and their
// rotation.

import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { durationMs } from "../../crds/units.ts";
import { openVaultAdmin } from "../../kms/open.ts";
import { kmsKeyIdOf, type VaultOptions } from "../../kms/options.ts";
import { compileVault, type Reference, type VaultMaterial, vaultReferences } from "../compile/compile.ts";
import { isSameKey, type KeyFound } from "../kmsprovider/plan.ts";
import type { Look } from "../kmsprovider/seen.ts";
import type { SeenKey } from "./probing.ts";
import type { SecretDocument } from "./records.ts";
import { findReferred } from "./references.ts";
import { createVaultLooks } from "./vaultlooks.ts";

export interface VaultKeys {
  look(provider: KmsProvider, secrets: readonly SecretDocument[], signal: AbortSignal): Promise<SeenKey>;
  rotate(provider: string, ifVersion: string, signal: AbortSignal): Promise<void>;
}

const NOWHERE = { options: undefined, isReadAnew: false, probe: undefined, failures: 0, ringPlace: "" };

/** `ring` is called when a look has brought something. */
export function createVaultKeys(secretsDir: string, now: () => Date, ring: () => void): VaultKeys {
  const looks = createVaultLooks(now, ring);
  /** What each key was last looked at with. */
  const opening = new Map<string, { readonly options: VaultOptions; readonly timeoutMs: number }>();

  return {
    async look(provider, secrets, signal) {
      const vault = provider.spec.vault;
      if (vault === undefined) throw new Error(`KmsProvider "${provider.metadata.name}" is not of type Vault`);
      const nowhere = { ...NOWHERE, endpoint: vault.address };
      const made = await makeOptions(vault, secrets, secretsDir);
      if ("key" in made) return { ...nowhere, key: made.key };
      const { options } = made;
      opening.set(provider.metadata.name, { options, timeoutMs: durationMs(provider.spec.healthCheck.timeout) });
      const look = await looks.look(provider, options, signal);
      if (look === undefined) return { ...nowhere, key: { kind: "pending" } };
      const { probe, failures, isReadAnew } = look;
      const key = keyOf(provider, options, look);
      // Another in its place works as well, and opens nothing that is stored.
      const isOurs = key.kind !== "found" || isSameKey(provider, key);
      return { ...nowhere, key, options: isOurs ? options : undefined, isReadAnew, probe, failures };
    },

    async rotate(provider, ifVersion, signal) {
      const known = opening.get(provider);
      if (known === undefined) throw new Error(`The key of "${provider}" was not looked at`);
      const admin = await openVaultAdmin(known.options, { timeoutMs: known.timeoutMs });
      try {
        looks.noteVersion(provider, await admin.rotate(ifVersion, signal));
      } finally {
        await admin.close();
      }
    },
  };
}

/** A key that was known and cannot be looked at now is still the same key: what fails is the probe. */
function keyOf({ status }: KmsProvider, options: VaultOptions, { version, probe }: Look): KeyFound {
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
