/**
 * What a request claims about its signature, read from the Authorization header or from the query, in the form that
 * Signature V4 gives it. Whether the claim holds is left to sigv4.ts.
 */
import { Failure, type FailureCode } from "../failure.ts";
import type { Target } from "./target.ts";

export interface Claim {
  readonly accessKeyId: string;
  /** `DAY/REGION/s3/aws4_request`. */
  readonly scope: string;
  readonly day: string;
  readonly region: string;
  /** `YYYYMMDDTHHMMSSZ`. */
  readonly timestamp: string;
  readonly signedMs: number;
  /** Of a presigned request: for how long it holds. */
  readonly expiresSeconds: number | undefined;
  /** As the request lists them, separated by `;`. */
  readonly signedHeaders: string;
  readonly signature: string;
}

const ALGORITHM = "AWS4-HMAC-SHA256";
const EXPIRES_SECONDS_MAX = 604_800;

/** undefined: no signature at all. Throws where the claim is malformed, is made twice, or is of an older scheme. */
export function claimOf(target: Target): Claim | undefined {
  const authorization = target.headers.get("authorization");
  if (authorization !== undefined) {
    if (target.presigned || isVersion2(target)) {
      throw new Failure(
        "InvalidArgument",
        "Only one of the Authorization header and a signature in the query may be given",
      );
    }
    return headerClaim(authorization, target);
  }
  if (target.presigned) return queryClaim(target);
  if (isVersion2(target)) throw version2();
  return undefined;
}

function isVersion2(target: Target): boolean {
  return target.query.has("AWSAccessKeyId") || (target.query.has("Signature") && target.query.has("Expires"));
}

function version2(): Failure {
  return new Failure("InvalidRequest", `Signature Version 2 is not supported: use Signature Version 4 (${ALGORITHM})`);
}

function headerClaim(authorization: string, target: Target): Claim {
  const space = authorization.indexOf(" ");
  const scheme = space < 0 ? authorization : authorization.slice(0, space);
  if (scheme === "AWS") throw version2();
  if (scheme !== ALGORITHM)
    throw new Failure("InvalidArgument", `The authorization type is not supported: use ${ALGORITHM}`);
  const parts = new Map<string, string>();
  for (const piece of authorization.slice(scheme.length).split(",")) {
    const equals = piece.indexOf("=");
    const name = piece.slice(0, Math.max(equals, 0)).trim();
    if (name === "" || parts.has(name))
      throw malformedHeader("it is not a list of Credential, SignedHeaders and Signature");
    parts.set(name, piece.slice(equals + 1).trim());
  }
  const credential = parts.get("Credential");
  const signedHeaders = parts.get("SignedHeaders");
  const signature = parts.get("Signature");
  if (credential === undefined || signedHeaders === undefined || signature === undefined) {
    throw malformedHeader("Credential, SignedHeaders or Signature is missing");
  }
  const timestamp = headerTimestamp(target);
  const scope = scopeOf(credential, timestamp, "AuthorizationHeaderMalformed");
  return { ...scope, timestamp, signedMs: timestampMs(timestamp), expiresSeconds: undefined, signedHeaders, signature };
}

function malformedHeader(why: string): Failure {
  return new Failure("AuthorizationHeaderMalformed", `The Authorization header is malformed: ${why}`);
}

function headerTimestamp(target: Target): string {
  const stamp = target.headers.get("x-amz-date") ?? target.headers.get("date");
  if (stamp === undefined) throw noDate();
  if (!Number.isNaN(timestampMs(stamp))) return stamp;
  const parsedMs = Date.parse(stamp);
  if (Number.isNaN(parsedMs) || target.headers.has("x-amz-date")) throw noDate();
  return new Date(parsedMs).toISOString().replace(/[-:]|\.\d{3}/g, "");
}

function noDate(): Failure {
  return new Failure("AccessDenied", "Signature V4 needs a valid Date or x-amz-date header");
}

let lastTimestamp = "";
let lastMs = Number.NaN;

/** NaN for what is no `YYYYMMDDTHHMMSSZ`. All requests of a second bear the same. */
function timestampMs(timestamp: string): number {
  if (timestamp !== lastTimestamp) {
    lastMs = parseTimestamp(timestamp);
    lastTimestamp = timestamp;
  }
  return lastMs;
}

function parseTimestamp(timestamp: string): number {
  const found = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp);
  if (found === null) return Number.NaN;
  const [, year, month, day, hour, minute, second] = found;
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

function queryClaim(target: Target): Claim {
  const algorithm = parameter(target, "X-Amz-Algorithm");
  const credential = parameter(target, "X-Amz-Credential");
  const timestamp = parameter(target, "X-Amz-Date");
  const expires = parameter(target, "X-Amz-Expires");
  const signedHeaders = parameter(target, "X-Amz-SignedHeaders");
  const signature = parameter(target, "X-Amz-Signature");
  if (algorithm !== ALGORITHM) throw malformedQuery(`X-Amz-Algorithm must be ${ALGORITHM}`);
  const signedMs = timestampMs(timestamp);
  if (Number.isNaN(signedMs)) throw malformedQuery("X-Amz-Date must have the form YYYYMMDDTHHMMSSZ");
  const expiresSeconds = /^\d{1,7}$/.test(expires) ? Number(expires) : 0;
  if (expiresSeconds < 1 || expiresSeconds > EXPIRES_SECONDS_MAX) {
    throw malformedQuery(`X-Amz-Expires must be a number from 1 to ${EXPIRES_SECONDS_MAX}`);
  }
  const scope = scopeOf(credential, timestamp, "AuthorizationQueryParametersError");
  return { ...scope, timestamp, signedMs, expiresSeconds, signedHeaders, signature };
}

function parameter(target: Target, name: string): string {
  const exact = target.query.get(name);
  if (exact !== undefined) return exact;
  const lower = name.toLowerCase();
  const other = target.pairs.find((pair) => pair.name.toLowerCase() === lower);
  if (other === undefined) throw malformedQuery(`${name} is missing`);
  return other.value;
}

function malformedQuery(why: string): Failure {
  return new Failure("AuthorizationQueryParametersError", `The query's signature is malformed: ${why}`);
}

function scopeOf(credential: string, timestamp: string, code: FailureCode) {
  const pieces = credential.split("/");
  const [accessKeyId = "", day = "", region = "", service = "", end = ""] = pieces;
  const refuse = (why: string) => new Failure(code, `The credential of the signature is malformed: ${why}`);
  if (pieces.length !== 5 || accessKeyId === "" || end !== "aws4_request") {
    throw refuse("it must be ACCESS-KEY-ID/DAY/REGION/s3/aws4_request");
  }
  if (service !== "s3") throw refuse("its service must be s3");
  if (day !== timestamp.slice(0, 8)) throw refuse("its day is not that of the request's date");
  return { accessKeyId, day, region, scope: credential.slice(accessKeyId.length + 1) };
}
