/**
 * What leaves the middle of the data plane when something fails: one class with a closed list of codes, each with its
 * HTTP status. Here, and only here, the errors of the ports (storage, KMS, envelope) become ours.
 */
import { EnvelopeError } from "../envelope/failure.ts";
import { KmsError } from "../kms/kms.ts";
import { StorageError } from "./storage/storage.ts";

/** Code → HTTP status. Names are S3's where S3 has one, so that both protocols speak of the same thing. */
export const HTTP_STATUS = {
  AccessDenied: 403,
  AccessControlListNotSupported: 400,
  AuthorizationHeaderMalformed: 400,
  AuthorizationQueryParametersError: 400,
  BadDigest: 400,
  BadRequest: 400,
  BucketAlreadyExists: 409,
  BucketAlreadyOwnedByYou: 409,
  BucketNotEmpty: 409,
  ClientClosedRequest: 499,
  ConditionalRequestConflict: 409,
  ConfigurationConflict: 409,
  EntityTooLarge: 400,
  EntityTooSmall: 400,
  IncompleteBody: 400,
  InsufficientStorage: 507,
  InternalError: 500,
  InvalidAccessKeyId: 403,
  InvalidArgument: 400,
  InvalidBucketName: 400,
  InvalidDigest: 400,
  InvalidPart: 400,
  InvalidPartNumber: 416,
  InvalidPartOrder: 400,
  InvalidRange: 416,
  InvalidRequest: 400,
  InvalidStorageClass: 400,
  InvalidTag: 400,
  InvalidToken: 401,
  InvalidURI: 400,
  KeyTooLongError: 400,
  "KMS.DisabledException": 400,
  "KMS.NotFoundException": 400,
  MalformedTrailerError: 400,
  MalformedXML: 400,
  MalformedJSON: 400,
  MetadataTooLarge: 400,
  MethodNotAllowed: 405,
  MissingContentLength: 411,
  NoSuchBucket: 404,
  NoSuchBucketPolicy: 404,
  NoSuchCORSConfiguration: 404,
  NoSuchKey: 404,
  NoSuchLifecycleConfiguration: 404,
  NoSuchOperation: 404,
  NoSuchPublicAccessBlockConfiguration: 404,
  NoSuchSetting: 404,
  NoSuchTagSet: 404,
  NoSuchUpload: 404,
  NoSuchWebsiteConfiguration: 404,
  NotFound: 404,
  NotImplemented: 501,
  NotModified: 304,
  ObjectLockConfigurationNotFoundError: 404,
  OwnershipControlsNotFoundError: 404,
  PreconditionFailed: 412,
  ReplicationConfigurationNotFoundError: 404,
  RequestHeaderSectionTooLarge: 400,
  RequestTimeout: 400,
  RequestTimeTooSkewed: 403,
  ServerSideEncryptionConfigurationNotFoundError: 404,
  ServiceUnavailable: 503,
  SignatureDoesNotMatch: 403,
  SlowDown: 503,
  TooManyBuckets: 400,
  Unauthorized: 401,
  XAmzContentSHA256Mismatch: 400,
} as const satisfies Readonly<Record<string, number>>;

export type FailureCode = keyof typeof HTTP_STATUS;

export interface FailureOptions {
  /** Kept for the log, never sent. */
  readonly cause?: unknown;
  readonly retryAfterSeconds?: number;
  /** Something that was authenticated did not hold: its own class in the audit log. */
  readonly tamper?: boolean;
  /** Headers that belong to the answer, such as Content-Range of a 416 or ETag of a 304. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** `message` is sent to the client: it names the operation and the object, never a key, a value or a remote answer. */
export class Failure extends Error {
  readonly code: FailureCode;
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;
  readonly tamper: boolean;
  readonly headers: Readonly<Record<string, string>>;
  constructor(code: FailureCode, message: string, options: FailureOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "Failure";
    this.code = code;
    this.status = HTTP_STATUS[code];
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.tamper = options.tamper === true;
    this.headers = options.headers ?? {};
  }
}

/** What a caught error means to the caller. `doing` begins the message: `read "a/b.txt"`, `unwrap the bucket key of "photos"`. */
export function failureOf(error: unknown, doing: string): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof StorageError) return ofStorage(error, doing);
  if (error instanceof KmsError) return ofKms(error, doing);
  if (error instanceof EnvelopeError) return ofEnvelope(error, doing);
  if (error instanceof Error && error.name === "AbortError") {
    return new Failure("ClientClosedRequest", `Cannot ${doing}: the request ended early`, { cause: error });
  }
  return new Failure("InternalError", `Cannot ${doing}: internal error`, { cause: error });
}

const RETRY_AFTER_SECONDS = 5;
const RETRY_AFTER_SECONDS_MAX = 60;

function ofStorage(cause: StorageError, doing: string): Failure {
  const fail = (code: FailureCode, why: string, options: FailureOptions = {}) =>
    new Failure(code, `Cannot ${doing}: ${why}`, { cause, ...options });
  switch (cause.code) {
    case "no-bucket":
      return fail("NoSuchBucket", "the bucket does not exist");
    case "exists":
      return fail("BucketAlreadyOwnedByYou", "it exists already");
    case "not-empty":
      return fail("BucketNotEmpty", "the bucket is not empty");
    case "changed":
      return fail("ConditionalRequestConflict", "it changed at the same time");
    case "no-upload":
      return fail("NoSuchUpload", "the upload does not exist, was completed or was aborted");
    case "too-large":
      return fail("EntityTooLarge", "it is too large");
    case "full":
      return fail("InsufficientStorage", "the storage is full");
    case "unreachable":
    case "broken":
      return fail("ServiceUnavailable", "the storage cannot take it now", { retryAfterSeconds: RETRY_AFTER_SECONDS });
    case "unsupported":
      return fail("NotImplemented", "this storage does not support it");
    case "damaged":
      return fail("InternalError", "what is stored is damaged", { tamper: true });
  }
}

function ofKms(cause: KmsError, doing: string): Failure {
  const fail = (code: FailureCode, why: string, options: FailureOptions = {}) =>
    new Failure(code, `Cannot ${doing}: ${why}`, { cause, ...options });
  switch (cause.code) {
    case "not-found":
      return fail("KMS.NotFoundException", "the KMS key does not exist");
    case "disabled":
      return fail("KMS.DisabledException", "the KMS key, or this version of it, is disabled");
    case "denied":
      return fail("AccessDenied", "the KMS denies it");
    case "rejected":
      return fail("InternalError", "the KMS rejects the wrapped key", { tamper: true });
    case "unsupported":
      return fail("NotImplemented", "the KMS does not support it");
    case "credentials":
    case "throttled":
    case "unreachable":
    case "tls":
    case "sealed":
    case "circuit-open":
      return fail("ServiceUnavailable", "the KMS cannot be used now", {
        retryAfterSeconds: retryAfterSecondsOf(cause),
      });
  }
}

/** No sooner than it may help. Nor much later: what is in the way may be put right at any time, and some clients wait as long
 *  as they are told to. */
function retryAfterSecondsOf({ retryAfterMs = 0 }: KmsError): number {
  return Math.min(RETRY_AFTER_SECONDS_MAX, Math.max(RETRY_AFTER_SECONDS, Math.ceil(retryAfterMs / 1000)));
}

function ofEnvelope(cause: EnvelopeError, doing: string): Failure {
  if (cause.code === "Unsupported") {
    return new Failure("InternalError", `Cannot ${doing}: it was written in a newer format`, { cause });
  }
  return new Failure("InternalError", `Cannot ${doing}: what is stored does not authenticate`, { cause, tamper: true });
}
