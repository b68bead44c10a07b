/** The JSON that REST speaks: what a console, a client or a test reads and sends. Times are ISO 8601, ETags without quotes. */

/** `application/problem+json`. `code` is stable; `title` and `detail` are for people. */
export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly requestId: string;
}

export interface BucketJson {
  readonly name: string;
  readonly created: string;
}

export interface BucketsJson {
  readonly buckets: readonly BucketJson[];
}

export interface ObjectJson {
  readonly name: string;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly modified: string;
}

export interface ListingJson {
  readonly bucket: string;
  readonly prefix: string;
  readonly delimiter: string;
  readonly objects: readonly ObjectJson[];
  readonly prefixes: readonly string[];
  readonly truncated: boolean;
  /** Opaque; there exactly if something follows. */
  readonly cursor?: string;
}

/** As RustFS documents it. */
export interface EncryptionJson {
  readonly enabled: boolean;
  readonly algorithm: "AES256" | "ChaCha20Poly1305";
  readonly kms_key_id?: string;
}

export interface OperationJson {
  readonly id: string;
  readonly operation: string;
  readonly bucket?: string;
  readonly name?: string;
  readonly started: string;
  readonly doneBytes: number;
  /** Missing while it is not known. */
  readonly totalBytes?: number;
  /** The mean since it began. */
  readonly bytesPerSecond: number;
}

export interface OperationsJson {
  readonly operations: readonly OperationJson[];
}

/** What came of a rotation, or of the wish for a rewrap; the sweep that follows shows in the jobs. */
export interface KeysJson {
  readonly provider: string;
  readonly kmsKeyId: string;
  /** The newest, after a rotation. */
  readonly version?: string;
  /** false: a version newer than the one that was named was there already. */
  readonly rotated?: boolean;
}
