/** Which buckets there are, and what is set on them: the guard in front of the configuration's entries and their settings. */
import type { AuditEvent } from "../audit/audit.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure, failureOf } from "../failure.ts";
import { type Storage, StorageError } from "../storage/storage.ts";
import { admit } from "./admit.ts";
import { type BucketDocument, bucketPath, parseBucketDocument, printBucketDocument } from "./documents.ts";
import {
  checkChange,
  type EncryptionChange,
  parseSettings,
  printSettings,
  type Settings,
  settingsPath,
} from "./settings.ts";

export { admit, mayLearnAbsence } from "./admit.ts";
export type { EncryptionChange } from "./settings.ts";

/** What a bucket answers about its encryption, in S3's words. */
export interface BucketEncryption {
  /** What later objects show: `AES256` gives MD5 ETags, `aws:kms` opaque ones. */
  readonly shown: "AES256" | "aws:kms";
  readonly kmsKeyId: string;
  readonly bucketKeyEnabled: boolean;
  readonly algorithm: "AES-256-GCM" | "ChaCha20-Poly1305";
}

export interface BucketInfo {
  readonly name: string;
  readonly createdMs: number;
}

/** Seals and opens the settings of a bucket under its bucket key. */
export interface SettingsSealer {
  seal(call: Call, bucket: BucketEntry, settings: string): Promise<Uint8Array>;
  open(call: Call, bucket: BucketEntry, sealed: Uint8Array): Promise<string>;
}

export interface Buckets {
  /** Makes what the configuration names: repeatable; run for each new configuration before it is called ready. */
  prepare(buckets: readonly BucketEntry[], signal: AbortSignal): Promise<void>;
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
  shownByDefault(call: Call, bucket: BucketEntry): Promise<"AES256" | "aws:kms"> | "AES256" | "aws:kms";
}

export interface BucketsNeeds {
  readonly storage: Storage;
  readonly sealer: SettingsSealer;
  readonly audit: (call: Call, event: AuditEvent) => Promise<void> | undefined;
  readonly nowMs: () => number;
}

export function createBuckets(needs: BucketsNeeds): Buckets {
  const { storage, nowMs } = needs;
  const cachedSettings = new Map<string, Settings>();

  async function audited<T>(call: Call, operation: string, kind: AuditEvent["kind"], bucket: string, work: Promise<T>) {
    try {
      const result = await work;
      await needs.audit(call, { operation, kind, bucket });
      return result;
    } catch (error) {
      const failure = failureOf(error, `${operation} of bucket "${bucket}"`);
      await needs.audit(call, { operation, kind, bucket, failure });
      throw failure;
    }
  }

  async function readSettings(call: Call, bucket: BucketEntry): Promise<Settings> {
    const cached = cachedSettings.get(bucket.name);
    if (cached !== undefined) return cached;
    const document = await storage.document(settingsPath(bucket.name), call.signal);
    const settings =
      document === undefined ? {} : parseSettings(await needs.sealer.open(call, bucket, document.bytes), bucket.name);
    cachedSettings.set(bucket.name, settings);
    return settings;
  }

  async function writeSettings(call: Call, bucket: BucketEntry, settings: Settings): Promise<void> {
    const path = settingsPath(bucket.name);
    const before = await storage.document(path, call.signal);
    const sealed = await needs.sealer.seal(call, bucket, printSettings(settings));
    cachedSettings.delete(bucket.name);
    await storage.putDocument(path, sealed, before?.tag ?? "absent", call.signal);
  }

  function describe(call: Call, bucket: BucketEntry, settings: Settings): BucketEncryption {
    return {
      shown: settings.shown ?? "aws:kms",
      kmsKeyId: kmsKeyIdOf(call, bucket),
      bucketKeyEnabled: bucket.keyMode === "bucket",
      algorithm: bucket.algorithm === "ChaCha20-Poly1305" ? "ChaCha20-Poly1305" : "AES-256-GCM",
    };
  }

  async function prepareOne(bucket: BucketEntry, signal: AbortSignal): Promise<void> {
    const path = bucketPath(bucket.name);
    if ((await storage.document(path, signal)) === undefined) {
      const made: BucketDocument = { madeBy: "configuration", createdMs: nowMs() };
      await storage.putDocument(path, printBucketDocument(made), "absent", signal).catch((error: unknown) => {
        // Another replica made it at the same time.
        if (!(error instanceof StorageError && error.code === "changed")) throw error;
      });
    }
    await storage.createBucket(bucket.name, signal);
  }

  async function createdMs(bucket: string, signal: AbortSignal): Promise<number> {
    const document = await storage.document(bucketPath(bucket), signal);
    return document === undefined ? 0 : parseBucketDocument(document.bytes, bucket).createdMs;
  }

  async function listUsable(call: Call): Promise<readonly BucketInfo[]> {
    const usable = [...call.snapshot.buckets.keys()].filter((name) => isUsable(call, name, nowMs())).sort();
    const infos: BucketInfo[] = [];
    for (const name of usable) infos.push({ name, createdMs: await createdMs(name, call.signal) });
    return infos;
  }

  return {
    async prepare(buckets, signal) {
      // Together, so that the storage can put many into one commit.
      for (let from = 0; from < buckets.length; from += PREPARED_AT_ONCE) {
        await Promise.all(buckets.slice(from, from + PREPARED_AT_ONCE).map((bucket) => prepareOne(bucket, signal)));
      }
    },
    head: (call, bucket) =>
      audited(call, "HeadBucket", "read", bucket, (async () => admit(call, bucket, "HeadBucket", nowMs()))()),
    list: (call) => audited(call, "ListBuckets", "read", "", listUsable(call)),
    encryption: (call, bucket) =>
      audited(
        call,
        "GetBucketEncryption",
        "read",
        bucket,
        (async () => {
          const entry = admit(call, bucket, "ReadSettings", nowMs());
          return describe(call, entry, await readSettings(call, entry));
        })(),
      ),
    setEncryption: (call, bucket, change) =>
      audited(
        call,
        "PutBucketEncryption",
        "write",
        bucket,
        (async () => {
          const entry = admit(call, bucket, "HeadBucket", nowMs());
          const settings = await readSettings(call, entry);
          checkChange(entry, kmsKeyIdOf(call, entry), change);
          // What holds already is accepted from everybody who may use the bucket.
          const shown = change.shown ?? settings.shown;
          if (shown === undefined || shown === (settings.shown ?? "aws:kms")) return describe(call, entry, settings);
          admit(call, bucket, "WriteSettings", nowMs());
          await writeSettings(call, entry, { ...settings, shown });
          return describe(call, entry, { ...settings, shown });
        })(),
      ),
    removeEncryption: (call, bucket) =>
      audited(
        call,
        "DeleteBucketEncryption",
        "write",
        bucket,
        (async () => {
          const entry = admit(call, bucket, "HeadBucket", nowMs());
          const { shown, ...rest } = await readSettings(call, entry);
          if (shown === undefined) return;
          admit(call, bucket, "WriteSettings", nowMs());
          await writeSettings(call, entry, rest);
        })(),
      ),
    shownByDefault(call, bucket) {
      const cached = cachedSettings.get(bucket.name);
      if (cached !== undefined) return cached.shown ?? "aws:kms";
      return readSettings(call, bucket).then((settings) => settings.shown ?? "aws:kms");
    },
  };
}

const PREPARED_AT_ONCE = 64;

/** The KMS key that the bucket writes with, as answers name it. */
function kmsKeyIdOf(call: Call, bucket: BucketEntry): string {
  const provider = bucket.keys[0]?.provider ?? "";
  return call.snapshot.providers.get(provider)?.kmsKeyId ?? "";
}

function isUsable(call: Call, bucket: string, nowMs: number): boolean {
  try {
    admit(call, bucket, "HeadBucket", nowMs);
    return true;
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  } finally {
    call.bucket = undefined;
  }
}
