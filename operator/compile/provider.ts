// One KmsProvider becomes one entry of each configuration that needs its key.

import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { durationMs } from "../../crds/units.ts";
import type { ProviderEntry } from "../../dataplane/config/config.ts";
import { type KmsOptions, printKmsOptions } from "../../kms/options.ts";
import { withRevision } from "./equal.ts";
import type { Finding } from "./finding.ts";

export interface ProviderInputs {
  readonly provider: KmsProvider;
  /** All that is needed to open the key, tried and found to work; or why there is nothing to put in. */
  readonly key: { readonly options: KmsOptions; readonly kmsKeyId: string } | Finding;
  readonly madeFrom: readonly string[];
  readonly previous: ProviderEntry | undefined;
  readonly revision: number;
}

/** The entry, with the revision in which it last changed; or what is wrong with the resource. */
export function compileProvider(inputs: ProviderInputs): ProviderEntry | Finding {
  const { provider, key } = inputs;
  if ("finding" in key) return key;
  const { cache, healthCheck } = provider.spec;
  const entry: ProviderEntry = {
    revision: inputs.revision,
    resource: providerResource(provider.metadata.name),
    madeFrom: [...inputs.madeFrom],
    name: provider.metadata.name,
    options: printKmsOptions(key.options),
    kmsKeyId: key.kmsKeyId,
    timeoutMs: durationMs(healthCheck.timeout),
    cache: {
      ttlMs: durationMs(cache.ttl),
      maxEntries: cache.maxEntries,
      negativeTtlMs: durationMs(cache.negativeTtl),
    },
  };
  return withRevision(entry, inputs.previous);
}

/** How an entry names the resource that it came from. */
export function providerResource(name: string): string {
  return `KmsProvider/${name}`;
}
