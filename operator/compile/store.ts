// What of an EncryptedStore goes into its configuration: settings, and the rules of the buckets that clients make.

import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import {
  type ConfiguredCredential,
  defaultSettings,
  type SelfServiceEntry,
  type Settings,
} from "../../dataplane/config/config.ts";
import type { AccessWish } from "./credentials.ts";
import { withRevision } from "./equal.ts";
import type { Finding } from "./finding.ts";

const CHUNK_BYTES = 65_536;

/** Who makes buckets may do everything in them, and their credentials are not rotated. */
export function selfServiceWish(name: string): AccessWish {
  return { name, permissions: ["Read", "Write", "List", "Delete"], generation: 0 };
}

export interface SelfServiceInputs {
  readonly store: EncryptedStore;
  /** The KmsProvider that selfService names; undefined: it does not exist. Without a version, its key is not known now. */
  readonly provider: { readonly name: string; readonly keyVersion: string | undefined } | undefined;
  readonly providersWithEntry: ReadonlySet<string>;
  readonly credentials: readonly ConfiguredCredential[];
  readonly madeFrom: readonly string[];
  readonly previous: SelfServiceEntry | undefined;
  readonly revision: number;
}

/** What is absent is as config.ts has it. */
export function compileSettings(store: EncryptedStore): Settings {
  const { maxConcurrentRequests, logLevel, audit } = store.spec.settings;
  return {
    maxConcurrentRequests: maxConcurrentRequests ?? defaultSettings.maxConcurrentRequests,
    logLevel,
    audit: { enabled: audit.enabled, level: audit.level },
  };
}

/** undefined: the store has no selfService. Such buckets re-wrap on every rotation. */
export function compileSelfService(inputs: SelfServiceInputs): SelfServiceEntry | Finding | undefined {
  const wanted = inputs.store.spec.selfService;
  if (wanted === undefined) return undefined;
  const { provider, previous } = inputs;
  if (provider === undefined) {
    return { finding: "ProviderNotFound", message: `KmsProvider "${wanted.kmsProviderRef.name}" does not exist` };
  }
  const wish = rewrapWish(provider, previous);
  if (wish === undefined || !inputs.providersWithEntry.has(provider.name)) {
    return { finding: "ProviderNotReady", message: `KmsProvider "${provider.name}" has never been ready` };
  }
  const entry: SelfServiceEntry = {
    revision: inputs.revision,
    resource: storeResource(inputs.store.metadata.name),
    madeFrom: [...inputs.madeFrom],
    keys: [{ provider: provider.name, minEpoch: 1 }],
    rewrapWish: wish,
    algorithm: wanted.algorithm ?? "AES-256-GCM",
    keyMode: (wanted.keyMode ?? "Bucket") === "Bucket" ? "bucket" : "object",
    chunkBytes: CHUNK_BYTES,
    context: {},
    allowCustomerKeys: false,
    allowPlaintext: false,
    credentials: [...inputs.credentials],
  };
  return withRevision(entry, previous);
}

/** In an outage what was wished for goes on. undefined: the version of the key was never known. */
function rewrapWish(
  { name, keyVersion }: { readonly name: string; readonly keyVersion: string | undefined },
  previous: SelfServiceEntry | undefined,
): string | undefined {
  const asked = `${name}/0/`;
  if (keyVersion !== undefined) return `${asked}${keyVersion}`;
  return previous?.rewrapWish.startsWith(asked) === true ? previous.rewrapWish : undefined;
}

/** How an entry names the resource that it came from. */
export function storeResource(name: string): string {
  return `EncryptedStore/${name}`;
}
