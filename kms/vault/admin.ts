// KeyAdmin over a transit key of Vault: what the operator's identity may do with its versions.

import { type KeyAdmin, type KmsAction, KmsError } from "../kms.ts";
import type { VaultOptions } from "../vault-options.ts";
import { countOf, createTransitKey, type Fields, type TransitKey, type VaultMeans } from "./transit.ts";

/** What Vault says of the versions of a key: they are numbered from 1 without a gap. */
interface Versions {
  readonly newest: number;
  readonly oldestUsable: number;
  readonly minEncryption: number;
  readonly enabled: boolean;
}

/** Two who rotate at once from one version may make two: Vault has no condition for it. Whoever asks holds a lease, and
 *  records re-wrapped to the newest version lose nothing by it. */
export function createVaultKeyAdmin(options: VaultOptions, means: VaultMeans): KeyAdmin & { close(): Promise<void> } {
  const key = createTransitKey(options, means);

  async function versionsNow(action: KmsAction, signal: AbortSignal): Promise<Versions> {
    return versionsOf(await key.read(action, signal), action, key);
  }

  return {
    async describe(signal) {
      const { newest, oldestUsable, enabled } = await versionsNow("describe", signal);
      const versions = Array.from({ length: newest - oldestUsable + 1 }, (_, at) => String(oldestUsable + at));
      return { version: String(newest), enabled, versions };
    },

    async rotate(ifVersion, signal) {
      const { newest, enabled } = await versionsNow("rotate", signal);
      if (String(newest) !== ifVersion) return String(newest);
      if (!enabled) throw new KmsError("disabled", "rotate", `KMS key "${key.id}" is not enabled`);
      await key.change("rotate", "rotate", {}, signal);
      return String((await versionsNow("rotate", signal)).newest);
    },

    async disable(version, signal) {
      const { newest, oldestUsable, minEncryption } = await versionsNow("disable", signal);
      const number = /^[1-9][0-9]{0,8}$/.test(version) ? Number(version) : Number.POSITIVE_INFINITY;
      const named = `Version ${version} of KMS key "${key.id}"`;
      if (number > newest) throw new KmsError("not-found", "disable", `KMS key "${key.id}" has no such version`);
      if (number === newest) throw new KmsError("unsupported", "disable", `${named} is the one that wraps`);
      if (number < oldestUsable) return;
      if (number > oldestUsable) {
        // Vault knows only a lowest usable version: it would take along what nobody asked for.
        throw new KmsError(
          "unsupported",
          "disable",
          `${named} is not the oldest: Vault disables those before it first`,
        );
      }
      const lowest = number + 1;
      // A lowest version to wrap with, 0 for the newest, must not lie below.
      const more = minEncryption > 0 && minEncryption < lowest ? { min_encryption_version: lowest } : {};
      await key.change("disable", "config", { min_decryption_version: lowest, ...more }, signal);
    },

    close: () => key.close(),
  };
}

function versionsOf(fields: Fields, action: KmsAction, key: TransitKey): Versions {
  if (fields["derived"] !== true) {
    const words = `KMS key "${key.id}" is not derived: make one with derived=true, it cannot be changed`;
    throw new KmsError("unsupported", action, words);
  }
  return {
    newest: countOf(fields, "latest_version", action),
    oldestUsable: Math.max(1, countOf(fields, "min_decryption_version", action)),
    minEncryption: countOf(fields, "min_encryption_version", action),
    enabled: fields["supports_encryption"] !== false && fields["soft_deleted"] !== true,
  };
}
