/**
 * Cuts the raw target of a request into what S3 asks for: bucket, object name, query and operation, and into the
 * canonical texts that signatures cover. Who asks, and whether the bucket exists, is left to others.
 */
import type { IncomingMessage } from "node:http";
import { Failure } from "../failure.ts";
import { cutTarget, decodeName, decodeOnce } from "../http/target.ts";
import type { Snapshot } from "../snapshot.ts";
import { type Fields, fieldsOf, hasControl, latin1Of } from "./fields.ts";
import { dispatch, type Operation, type Unnamed } from "./model.ts";

export interface QueryPair {
  readonly name: string;
  readonly value: string;
  /** Encoded again, as signatures want it. */
  readonly encodedName: string;
  readonly encodedValue: string;
}

export interface Target {
  readonly operation: Operation | Unnamed;
  readonly method: string;
  /** undefined: the service itself. */
  readonly bucket: string | undefined;
  /** undefined: the bucket itself. */
  readonly name: string | undefined;
  readonly canonicalPath: string;
  readonly pairs: readonly QueryPair[];
  /** Decoded; of repeated names the first. */
  readonly query: ReadonlyMap<string, string>;
  /** What came as headers: these must be signed. */
  readonly headers: Fields;
  /** `headers`, and the signed parameters of a presigned request that stand for headers. */
  readonly fields: Fields;
  /** The signature stands in the query. */
  readonly presigned: boolean;
}

const BUCKET_NAME = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
/** What a header may be called. */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const NO_PAIRS: readonly QueryPair[] = [];
const NO_QUERY: ReadonlyMap<string, string> = new Map();

/** Throws InvalidURI, InvalidBucketName, KeyTooLongError, or InvalidArgument for a parameter that cannot be a header. */
export function parseTarget(head: IncomingMessage, snapshot: Snapshot): Target {
  const { path, query: rawQuery } = cutTarget(head.url ?? "");
  const headers = fieldsOf(head.rawHeaders);
  const virtual = virtualBucket(headers.get("host"), snapshot.config.hostNames);
  const { bucket, name } = virtual === undefined ? pathStyle(path) : hostStyle(virtual, path);
  const pairs = rawQuery === "" ? NO_PAIRS : parsePairs(rawQuery);
  const query = pairs.length === 0 ? NO_QUERY : firstOfEach(pairs);
  const presigned = pairs.some((pair) => isAuthentication(pair.name));
  const fields = presigned ? withSignedParameters(headers, pairs) : headers;
  const level = bucket === undefined ? "service" : name === undefined ? "bucket" : "object";
  const method = head.method ?? "";
  return {
    operation: dispatch({ method, level, query, fields }),
    method,
    bucket,
    name,
    canonicalPath: encodePath(path),
    pairs,
    query,
    headers,
    fields,
    presigned,
  };
}

/** Percent-encoded in upper case but `A-Za-z0-9-._~`. */
export function encodeText(text: string): string {
  if (/^[A-Za-z0-9\-._~]*$/.test(text)) return text;
  return encodeURIComponent(text).replace(/[!'()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** The same, and `/` stays: paths, and names in listings. */
export function encodeSlashed(text: string): string {
  if (/^[A-Za-z0-9\-._~/]*$/.test(text)) return text;
  return encodeText(text).replaceAll("%2F", "/");
}

function encodePath(path: string): string {
  if (/^[A-Za-z0-9\-._~/]*$/.test(path)) return path;
  return encodeSlashed(decodeOnce(path));
}

interface Place {
  readonly bucket: string | undefined;
  readonly name: string | undefined;
}

function pathStyle(path: string): Place {
  if (path === "/") return { bucket: undefined, name: undefined };
  const slash = path.indexOf("/", 1);
  const bucket = decodeOnce(slash < 0 ? path.slice(1) : path.slice(1, slash));
  const rest = slash < 0 ? "" : path.slice(slash + 1);
  // The name first: what is no name at all is malformed whatever the bucket is called.
  const name = rest === "" ? undefined : decodeName(rest);
  return { bucket: checkedBucket(bucket), name };
}

function hostStyle(bucket: string, path: string): Place {
  const name = path === "/" ? undefined : decodeName(path.slice(1));
  return { bucket: checkedBucket(bucket), name };
}

/** The bucket of `BUCKET.` plus a configured host name; a port does not count. */
function virtualBucket(host: string | undefined, hostNames: readonly string[]): string | undefined {
  if (host === undefined || hostNames.length === 0) return undefined;
  const bare = host.toLowerCase().replace(/:\d*$/, "");
  let found: string | undefined;
  for (const hostName of hostNames) {
    const suffix = hostName.toLowerCase();
    if (bare === suffix) return undefined;
    if (!bare.endsWith(`.${suffix}`)) continue;
    const bucket = bare.slice(0, -suffix.length - 1);
    // Of two names that fit, the longer one: what it leaves is the bucket.
    if (found === undefined || bucket.length < found.length) found = bucket;
  }
  return found;
}

/** Throws InvalidBucketName for what no bucket of S3 is called. */
export function checkedBucket(bucket: string): string {
  if (!BUCKET_NAME.test(bucket) || bucket.includes("..")) {
    throw new Failure("InvalidBucketName", "The bucket name of the request is not valid");
  }
  return bucket;
}

function parsePairs(query: string): readonly QueryPair[] {
  const pairs: QueryPair[] = [];
  for (const piece of query.split("&")) {
    if (piece === "") continue;
    const equals = piece.indexOf("=");
    const name = decodePiece(equals < 0 ? piece : piece.slice(0, equals));
    const value = equals < 0 ? "" : decodePiece(piece.slice(equals + 1));
    pairs.push({ name, value, encodedName: encodeText(name), encodedValue: encodeText(value) });
  }
  return pairs;
}

function decodePiece(piece: string): string {
  return decodeOnce(piece.includes("+") ? piece.replaceAll("+", "%20") : piece);
}

function firstOfEach(pairs: readonly QueryPair[]): Map<string, string> {
  const query = new Map<string, string>();
  for (const { name, value } of pairs) if (!query.has(name)) query.set(name, value);
  return query;
}

/** Parameters of the signature itself. */
const AUTHENTICATION: ReadonlySet<string> = new Set([
  "x-amz-algorithm",
  "x-amz-credential",
  "x-amz-date",
  "x-amz-expires",
  "x-amz-signedheaders",
  "x-amz-signature",
]);

function isAuthentication(name: string): boolean {
  return name.length > 6 && AUTHENTICATION.has(name.toLowerCase());
}

/** Values of checksums are left out: the SDK for JavaScript signs that of an empty body into every presigned PUT. */
function isChecksum(name: string): boolean {
  if (name === "x-amz-sdk-checksum-algorithm") return true;
  return /^x-amz-checksum-(?!mode$|algorithm$|type$)/.test(name);
}

function withSignedParameters(headers: Fields, pairs: readonly QueryPair[]): Fields {
  const fields = new Map(headers);
  for (const pair of pairs) {
    const name = pair.name.toLowerCase();
    if (!name.startsWith("x-amz-") || AUTHENTICATION.has(name) || fields.has(name)) continue;
    if (isChecksum(name)) continue;
    // What Node's parser sees to for headers: as metadata it would be kept, and no answer could hold it.
    if (!TOKEN.test(name)) throw new Failure("InvalidArgument", "The name of a parameter cannot be that of a header");
    if (hasControl(pair.value)) throw new Failure("InvalidArgument", `The parameter ${name} holds a control character`);
    fields.set(name, latin1Of(pair.value));
  }
  return fields;
}
