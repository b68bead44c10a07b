// Observes and acts for KmsProviders where no cluster is: rings in files, keys of a Vault, both tried in this process.

import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { type KmsOptions, kmsKeyIdOf } from "../../kms/options.ts";
import type { Finding } from "../compile/compile.ts";
import type { ObservedProvider, ProviderAction } from "../kmsprovider/plan.ts";
import type { Probe } from "../kmsprovider/seen.ts";
import type { SecretDocument } from "./records.ts";
import { createRings } from "./rings.ts";
import { createRotations } from "./rotations.ts";
import { createVaultKeys } from "./vaultkeys.ts";

export interface Providers {
  observe(
    provider: KmsProvider,
    secrets: readonly SecretDocument[],
    usedByBuckets: number,
    signal: AbortSignal,
  ): Promise<SeenProvider>;
  /** A rotation is begun, not awaited. */
  act(action: ProviderAction, signal: AbortSignal): Promise<void>;
}

export interface SeenProvider {
  readonly observed: ObservedProvider;
  /** What its configuration entry is made of. */
  readonly material: Material;
}

export type Material = { readonly options: KmsOptions; readonly kmsKeyId: string } | Finding;

/** `ring` wakes whoever observes: something has been seen meanwhile. */
export function createProviders(secretsDir: string, now: () => Date, ring: () => void): Providers {
  const rings = createRings(secretsDir, now);
  const vaultKeys = createVaultKeys(secretsDir, now, ring);
  const inVault = new Set<string>();
  const rotations = createRotations(ring);

  return {
    async observe(provider, secrets, usedByBuckets, signal) {
      const { name } = provider.metadata;
      const isInVault = provider.spec.type === "Vault";
      if (isInVault) inVault.add(name);
      else inVault.delete(name);
      const { options, ...seen } = await (isInVault ? vaultKeys : rings).look(provider, secrets, signal);
      const rotateFailure = rotations.failureOf(name);
      const observed = { provider, ...seen, usedByBuckets, rotateFailure, isRotating: rotations.isUnderWay(name) };
      return { observed, material: materialOf(provider, options, seen.probe) };
    },

    async act(action, signal) {
      const { provider } = action;
      if (action.kind === "makeRing") return await rings.make(provider, signal);
      // A login by Kubernetes is refused here before it could ask for one.
      if (action.kind === "makeLogin") throw new Error("There are no ServiceAccounts without a cluster");
      const keys = inVault.has(provider) ? vaultKeys : rings;
      rotations.begin(provider, () => keys.rotate(provider, action.ifVersion, signal), signal);
    },
  };
}

/** Only what was tried and works enters a configuration. */
function materialOf(provider: KmsProvider, options: KmsOptions | undefined, probe: Probe): Material {
  const { name } = provider.metadata;
  if (options === undefined) {
    return { finding: "KeyUnusable", message: `KmsProvider "${name}" has no key that can be used` };
  }
  if (probe?.outcome !== "same") {
    return { finding: "KeyUnusable", message: `The key of KmsProvider "${name}" could not be used when it was tried` };
  }
  return { options, kmsKeyId: kmsKeyIdOf(options) };
}
