/** What may be set on a bucket over S3 or REST, beside what its configuration says; kept sealed. Pure. */
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import { StorageError } from "../storage/storage.ts";

/** `none`: later objects are stored as they are. */
export type Shown = "AES256" | "aws:kms" | "none";

export interface Settings {
  readonly shown?: Shown;
}

/** Where nothing is set. */
export function defaultShown(bucket: BucketEntry): Shown {
  return bucket.allowPlaintext ? "none" : "aws:kms";
}

/** What a request wants of a bucket's encryption; undefined: it does not say. */
export interface EncryptionChange {
  readonly shown: Shown | undefined;
  /** As the KMS key id of the configuration, or as the provider's name. */
  readonly kmsKeyId: string | undefined;
  readonly bucketKeyEnabled: boolean | undefined;
  readonly algorithm: "AES-256-GCM" | "ChaCha20-Poly1305" | undefined;
}

export function settingsPath(bucket: string): string {
  return `bucket/${bucket}/settings`;
}

export function printSettings(settings: Settings): string {
  return JSON.stringify(settings);
}

/** Throws StorageError "damaged": it was sealed by us, so it is ours or it is broken. */
export function parseSettings(json: string, bucket: string): Settings {
  const value: unknown = JSON.parse(json);
  if (typeof value !== "object" || value === null) {
    throw new StorageError("damaged", `the settings of bucket "${bucket}" cannot be read`);
  }
  const { shown } = value as Readonly<Record<string, unknown>>;
  return shown === "AES256" || shown === "aws:kms" || shown === "none" ? { shown } : {};
}

/** Throws ConfigurationConflict where the change contradicts the bucket's resource. */
export function checkChange(bucket: BucketEntry, kmsKeyId: string, change: EncryptionChange): void {
  const conflict = (what: string) =>
    new Failure(
      "ConfigurationConflict",
      `${what} of bucket "${bucket.name}" is ruled by ${bucket.resource}: change it there`,
    );
  if (change.shown === "none" && !bucket.allowPlaintext) throw conflict("The encryption");
  const named = change.kmsKeyId;
  if (named !== undefined && named !== kmsKeyId && named !== bucket.keys[0]?.provider) throw conflict("The KMS key");
  const { bucketKeyEnabled, algorithm } = change;
  if (bucketKeyEnabled !== undefined && bucketKeyEnabled !== (bucket.keyMode === "bucket")) {
    throw conflict("The key mode");
  }
  if (algorithm !== undefined && bucket.algorithm !== "Auto" && algorithm !== bucket.algorithm) {
    throw conflict("The algorithm");
  }
}
