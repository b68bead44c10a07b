/** Which buckets there are, and what is set on them: the guard in front of the configuration's entries and their settings. */
import type { AuditEvent } from "../audit/audit.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { failureOf } from "../failure.ts";
import type { MadeBucket } from "../snapshot.ts";
import type { Storage } from "../storage/storage.ts";
import { admit, admitCreation, isUsable } from "./admit.ts";
import { type BucketInfo, Catalogue } from "./catalogue.ts";
import { checkChange, defaultShown, type EncryptionChange, type Settings, type Shown } from "./settings.ts";
import { createSettingsStore, type SettingsSealer } from "./settings-store.ts";

export { admit, admitCreation, mayLearnAbsence } from "./admit.ts";
export type { BucketInfo } from "./catalogue.ts";
export type { EncryptionChange } from "./settings.ts";
export type { SettingsSealer } from "./settings-store.ts";

/** What a bucket answers about its encryption, in S3's words. */
export interface BucketEncryption {
  /** What later objects show: `AES256` gives MD5 ETags, `aws:kms` opaque ones; `none`: they are stored as they are. */
  readonly shown: Shown;
  readonly kmsKeyId: string;
  readonly bucketKeyEnabled: boolean;
  readonly algorithm: "AES-256-GCM" | "ChaCha20-Poly1305";
}

export interface Buckets {
  /** Makes what the configuration names: repeatable; run for each new configuration before it is called ready. */
  prepare(buckets: readonly BucketEntry[], signal: AbortSignal): Promise<void>;
  /** Runs a step of the removal of a bucket that the configuration names, unless it is to be served again by now: then
   *  undefined. `prepare` of that bucket waits for the step's end. */
  removing<Result>(bucket: string, step: () => Promise<Result>): Promise<Result | undefined>;
  /** Reads which buckets self-service made: once, before anything is served. */
  recall(signal: AbortSignal): Promise<void>;
  /** Needs a self-service credential. Throws BucketAlreadyOwnedByYou, BucketAlreadyExists, InvalidBucketName. */
  make(call: Call, bucket: string): Promise<void>;
  /** What self-service made, once it is empty: BucketNotEmpty. */
  remove(call: Call, bucket: string): Promise<void>;
  /** The bucket's entry, if it serves and the caller may use it at all. Throws NoSuchBucket or AccessDenied. */
  head(call: Call, bucket: string): Promise<BucketEntry>;
  /** Those that the caller may use, by name. */
  list(call: Call): Promise<readonly BucketInfo[]>;
  encryption(call: Call, bucket: string): Promise<BucketEncryption>;
  /** What the configuration says already is accepted; what contradicts it is ConfigurationConflict, naming the resource. */
  setEncryption(call: Call, bucket: string, change: EncryptionChange): Promise<BucketEncryption>;
  /** Back to the default. */
  removeEncryption(call: Call, bucket: string): Promise<void>;
  /** What later objects of the bucket show, if somebody set it; asked by every write, so it is cached. */
  shownByDefault(call: Call, bucket: BucketEntry): Promise<Shown> | Shown;
}

export interface BucketsNeeds {
  readonly storage: Storage;
  readonly sealer: SettingsSealer;
  readonly audit: (call: Call, event: AuditEvent) => Promise<void> | undefined;
  readonly nowMs: () => number;
  /** Those that self-service made: kept here, and shared with the snapshots. */
  readonly made: Map<string, MadeBucket>;
}

export function createBuckets(needs: BucketsNeeds): Buckets {
  const { nowMs } = needs;
  const settingsOf = createSettingsStore(needs.storage, needs.sealer);
  const catalogue = new Catalogue(needs.storage, nowMs, needs.made, settingsOf.forget);
  const audited = auditing(needs.audit);
  return {
    prepare: (buckets, signal) => catalogue.prepare(buckets, signal),
    removing: (bucket, step) => catalogue.removing(bucket, step),
    recall: (signal) => catalogue.recall(signal),
    make: (call, bucket) =>
      audited(call, "CreateBucket", "write", bucket, async () => {
        admitCreation(call, bucket, nowMs());
        await catalogue.make(bucket, call.signal);
      }),
    remove: (call, bucket) =>
      audited(call, "DeleteBucket", "write", bucket, async () => {
        admit(call, bucket, "RemoveBucket", nowMs());
        await catalogue.remove(bucket, call.signal);
      }),
    head: (call, bucket) =>
      audited(call, "HeadBucket", "read", bucket, async () => admit(call, bucket, "HeadBucket", nowMs())),
    list: (call) =>
      audited(call, "ListBuckets", "read", "", () => {
        const names = [...call.snapshot.buckets.keys(), ...call.snapshot.made.all().map(({ name }) => name)];
        return catalogue.describe(names.filter((name) => isUsable(call, name, nowMs())).sort(), call.signal);
      }),
    encryption: (call, bucket) =>
      audited(call, "GetBucketEncryption", "read", bucket, async () => {
        const entry = admit(call, bucket, "ReadSettings", nowMs());
        return describe(call, entry, await settingsOf.read(call, entry));
      }),
    setEncryption: (call, bucket, change) =>
      audited(call, "PutBucketEncryption", "write", bucket, async () => {
        const entry = admit(call, bucket, "HeadBucket", nowMs());
        const settings = await settingsOf.read(call, entry);
        checkChange(entry, kmsKeyIdOf(call, entry), change);
        // What holds already is accepted from everybody who may use the bucket.
        const shown = change.shown ?? settings.shown;
        if (shown === undefined || shown === (settings.shown ?? defaultShown(entry)))
          return describe(call, entry, settings);
        admit(call, bucket, "WriteSettings", nowMs());
        await settingsOf.write(call, entry, { ...settings, shown });
        return describe(call, entry, { ...settings, shown });
      }),
    removeEncryption: (call, bucket) =>
      audited(call, "DeleteBucketEncryption", "write", bucket, async () => {
        const entry = admit(call, bucket, "HeadBucket", nowMs());
        const { shown, ...rest } = await settingsOf.read(call, entry);
        if (shown === undefined) return;
        admit(call, bucket, "WriteSettings", nowMs());
        await settingsOf.write(call, entry, rest);
      }),
    shownByDefault(call, bucket) {
      const cached = settingsOf.cached(bucket.name);
      if (cached !== undefined) return cached.shown ?? defaultShown(bucket);
      return settingsOf.read(call, bucket).then(({ shown }) => shown ?? defaultShown(bucket));
    },
  };
}

/** Runs one operation; its audit line is written before the answer. */
function auditing(audit: BucketsNeeds["audit"]) {
  return async <Result>(
    call: Call,
    operation: string,
    kind: AuditEvent["kind"],
    bucket: string,
    work: () => Promise<Result>,
  ): Promise<Result> => {
    let result: Result;
    try {
      result = await work();
    } catch (error) {
      const failure = failureOf(error, bucket === "" ? operation : `${operation} of bucket "${bucket}"`);
      await audit(call, { operation, kind, bucket, failure });
      throw failure;
    }
    await audit(call, { operation, kind, bucket });
    return result;
  };
}

function describe(call: Call, bucket: BucketEntry, settings: Settings): BucketEncryption {
  return {
    shown: settings.shown ?? defaultShown(bucket),
    kmsKeyId: kmsKeyIdOf(call, bucket),
    bucketKeyEnabled: bucket.keyMode === "bucket",
    algorithm: bucket.algorithm === "ChaCha20-Poly1305" ? "ChaCha20-Poly1305" : "AES-256-GCM",
  };
}

/** The KMS key that the bucket writes with, as answers name it. */
function kmsKeyIdOf(call: Call, bucket: BucketEntry): string {
  const provider = bucket.keys[0]?.provider ?? "";
  return call.snapshot.providers.get(provider)?.kmsKeyId ?? "";
}
