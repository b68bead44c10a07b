/** Which buckets there are, and what is set on them: the guard in front of the configuration's entries and their settings. */
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";

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

export interface EncryptionChange {
  readonly shown: "AES256" | "aws:kms" | undefined;
  readonly kmsKeyId: string | undefined;
  readonly bucketKeyEnabled: boolean | undefined;
  readonly algorithm: "AES-256-GCM" | "ChaCha20-Poly1305" | undefined;
}

export interface Buckets {
  /** The bucket's entry, if it serves and the caller may use it at all. Throws NoSuchBucket or AccessDenied. */
  head(call: Call, bucket: string): Promise<BucketEntry>;
  /** Those that the caller may use. */
  list(call: Call): Promise<readonly BucketInfo[]>;
  encryption(call: Call, bucket: string): Promise<BucketEncryption>;
  /** What the configuration says already is accepted; what contradicts it is ConfigurationConflict, naming the resource. */
  setEncryption(call: Call, bucket: string, change: EncryptionChange): Promise<BucketEncryption>;
  /** Back to the default. */
  removeEncryption(call: Call, bucket: string): Promise<void>;
}
