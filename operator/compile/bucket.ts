// One EncryptedBucket becomes one entry of its store's configuration.

import type { EncryptedBucket } from "../../crds/encryptedbucket.ts";
import { DEFAULT_STORE } from "../../crds/names.ts";
import { durationMs, sizeBytes } from "../../crds/units.ts";
import type { BucketEntry, ConfiguredCredential } from "../../dataplane/config/config.ts";
import { withRevision } from "./equal.ts";
import type { Finding } from "./finding.ts";

/** Providers of one bucket: the one that it writes with, and those that it is still leaving. */
const KEYS_MAX = 8;

export interface BucketInputs {
  readonly bucket: EncryptedBucket;
  /** The KmsProvider that the spec names; undefined: it does not exist. Without a version, its key is not known now. */
  readonly provider: { readonly name: string; readonly keyVersion: string | undefined } | undefined;
  /** Every provider that has an entry, now or in the configuration before. */
  readonly providersWithEntry: ReadonlySet<string>;
  /** The wish of the last sweep of this bucket that brought every record over. */
  readonly sweptWish: string | undefined;
  readonly credentials: readonly ConfiguredCredential[];
  readonly madeFrom: readonly string[];
  readonly previous: BucketEntry | undefined;
  readonly revision: number;
}

/** The entry, with the revision in which it last changed; or what is wrong with the resource. */
export function compileBucket(inputs: BucketInputs): BucketEntry | Finding {
  const { bucket, provider, previous } = inputs;
  const { spec } = bucket;
  if (spec.suspend) {
    return previous ?? { finding: "Suspended", message: "spec.suspend is true, and the bucket has never been served" };
  }
  // What goes needs nothing but to be known to the pods: its provider may have gone first.
  if (bucket.metadata.deletionTimestamp !== undefined && previous !== undefined) {
    return withRevision({ ...previous, revision: inputs.revision, state: stateOf(bucket) }, previous);
  }
  const wanted = spec.encryption.kmsProviderRef.name;
  if (provider === undefined) {
    return { finding: "ProviderNotFound", message: `KmsProvider "${wanted}" does not exist` };
  }
  const wish = rewrapWish(bucket, provider, previous);
  if (wish === undefined || !inputs.providersWithEntry.has(provider.name)) {
    return { finding: "ProviderNotReady", message: `KmsProvider "${wanted}" has never been ready` };
  }
  const keys = [wanted, ...leaving(inputs, wanted)];
  if (keys.length > KEYS_MAX) {
    return {
      finding: "TooManyMoves",
      message: `The bucket is still leaving ${keys.length - 1} providers: wait until its rewrap is complete`,
    };
  }
  const entry: BucketEntry = {
    revision: inputs.revision,
    resource: bucketResource(bucket.metadata.name),
    madeFrom: [...inputs.madeFrom],
    keys: keys.map((name) => ({ provider: name, minEpoch: 1 })),
    rewrapWish: wish,
    algorithm: spec.encryption.algorithm,
    keyMode: spec.encryption.keyMode === "Bucket" ? "bucket" : "object",
    chunkBytes: Number(sizeBytes(spec.encryption.chunkSize)) as BucketEntry["chunkBytes"],
    context: sortedContext(spec.encryption.context),
    allowCustomerKeys: false,
    allowPlaintext: false,
    name: bucketNameOf(bucket),
    state: stateOf(bucket),
    credentials: [...inputs.credentials],
  };
  return withRevision(entry, previous);
}

export function bucketNameOf(bucket: EncryptedBucket): string {
  return bucket.spec.bucketName ?? bucket.metadata.name;
}

export function storeNameOf(bucket: EncryptedBucket): string {
  return bucket.spec.storeRef?.name ?? DEFAULT_STORE;
}

/** How an entry names the resource that it came from. */
export function bucketResource(name: string): string {
  return `EncryptedBucket/${name}`;
}

/** How long a replaced pair goes on working. */
export function overlapMsOf(bucket: EncryptedBucket): number {
  return durationMs(bucket.spec.credentialsOverlap);
}

/** A bucket that moves keeps every provider that may still have wrapped one of its records, until a sweep has proven
 *  that none has. */
function leaving({ bucket, previous, providersWithEntry, sweptWish }: BucketInputs, wanted: string): string[] {
  const isSwept = previous !== undefined && previous.keys[0]?.provider === wanted && sweptWish === previous.rewrapWish;
  if (isSwept) return [];
  const before = [...(previous?.keys.map(({ provider }) => provider) ?? []), bucket.status.encryption?.provider];
  const named = before.filter((name) => name !== undefined && name !== wanted && providersWithEntry.has(name));
  return [...new Set(named as string[])];
}

/** Provider, generation and version; the version last, since a KMS chooses it. With policy Manual a new version alone is
 *  no new wish. undefined: nothing can be wished for, since the version is not known. */
function rewrapWish(
  { spec }: EncryptedBucket,
  { name, keyVersion }: { readonly name: string; readonly keyVersion: string | undefined },
  previous: BucketEntry | undefined,
): string | undefined {
  const asked = `${name}/${spec.rewrap.generation}/`;
  const before = previous?.rewrapWish.startsWith(asked) === true ? previous.rewrapWish : undefined;
  if (keyVersion === undefined) return before;
  const isEnough = spec.rewrap.policy === "Manual" && before !== undefined;
  return isEnough ? before : `${asked}${keyVersion}`;
}

function stateOf(bucket: EncryptedBucket): BucketEntry["state"] {
  if (bucket.metadata.deletionTimestamp === undefined) return "serve";
  if (bucket.spec.deletionPolicy === "DeleteIfEmpty") return "remove-if-empty";
  return bucket.spec.deletionPolicy === "DeleteWithObjects" ? "empty-and-remove" : "serve";
}

function sortedContext(context: Readonly<Record<string, string>> | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(context ?? {}).sort(([left], [right]) => (left < right ? -1 : 1)));
}
