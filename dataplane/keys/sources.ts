/** Which (provider, KMS key) may open what: the configuration's word, looked up before any KMS is asked. */
import { type Kms, KmsError, type Wrapped } from "../../kms/kms.ts";
import type { Call } from "../call.ts";
import type { BucketEntry, ProviderEntry } from "../config/config.ts";
import { Failure, failureOf } from "../failure.ts";
import type { Snapshot } from "../snapshot.ts";

/** A provider of the configuration that a bucket may use. */
export interface Source {
  readonly provider: ProviderEntry;
  readonly kms: Kms | undefined;
}

/** What the bucket writes with. */
export function writingSource(snapshot: Snapshot, bucket: BucketEntry): Source {
  const [source] = sourcesOf(snapshot, bucket);
  if (source === undefined) {
    throw new Failure("InternalError", `Bucket "${bucket.name}" has no provider in the configuration`);
  }
  return source;
}

/** Those of the bucket's providers whose KMS key wrapped it, the wanted one first. */
export function sourcesFor(
  snapshot: Snapshot,
  bucket: BucketEntry,
  wrapped: Pick<Wrapped, "provider" | "kmsKeyId">,
): readonly Source[] {
  return sourcesOf(snapshot, bucket).filter(
    ({ provider }) => provider.options.type === wrapped.provider && provider.kmsKeyId === wrapped.kmsKeyId,
  );
}

/** Whether a cached key may still be used, by the configuration of this call. */
export function isAllowed(snapshot: Snapshot, bucket: BucketEntry, providerName: string, kmsKeyId: string): boolean {
  return bucket.keys.some(
    (key) => key.provider === providerName && snapshot.providers.get(key.provider)?.kmsKeyId === kmsKeyId,
  );
}

/** The client, or why there is none. */
export function clientOf(source: Source, snapshot: Snapshot): Kms {
  if (source.kms !== undefined) return source.kms;
  const why = snapshot.openFailures.get(source.provider.name) ?? "it was not opened";
  throw new Failure("ServiceUnavailable", `KMS provider "${source.provider.name}" cannot be used: ${why}`, {
    retryAfterSeconds: 5,
  });
}

/**
 * Asks the sources in turn: two servers may use one KMS key id, so `rejected` by one is no verdict. Throws Failure;
 * `notAllowed` if there is no source at all.
 */
export async function askInTurn<Result>(
  call: Call,
  sources: readonly Source[],
  doing: string,
  ask: (kms: Kms, source: Source) => Promise<Result>,
): Promise<{ readonly result: Result; readonly source: Source }> {
  if (sources.length === 0) throw notAllowed(doing);
  let rejection: unknown;
  for (const source of sources) {
    try {
      return { result: await ask(clientOf(source, call.snapshot), source), source };
    } catch (error) {
      if (!(error instanceof KmsError && error.code === "rejected")) throw failureOf(error, doing);
      rejection = error;
    }
  }
  throw failureOf(rejection, doing);
}

export function notAllowed(doing: string): Failure {
  return new Failure("InternalError", `Cannot ${doing}: the configuration does not allow the KMS key that it names`);
}

function sourcesOf(snapshot: Snapshot, bucket: BucketEntry): Source[] {
  return bucket.keys.flatMap((key) => {
    const provider = snapshot.providers.get(key.provider);
    return provider === undefined ? [] : [{ provider, kms: snapshot.kms.get(key.provider) }];
  });
}
