/** Turns headers into what objects/ is asked for, and back: kept headers, metadata, conditions, ranges. */
import { isUtf8 } from "node:buffer";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Failure } from "../failure.ts";
import type { GetWanted, Heading, PutWanted, RangeWanted, ReadConditions } from "../objects/objects.ts";

const KEPT: ReadonlySet<string> = new Set([
  "content-type",
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "expires",
]);
const META = "x-amz-meta-";
const METADATA_BYTES_MAX = 2048;
const NO_TAGS: ReadonlyMap<string, string> = new Map();

/** Throws InvalidArgument, MetadataTooLarge, NotImplemented. */
export function putWanted(head: IncomingMessage): PutWanted {
  return {
    headers: keptHeaders(head.rawHeaders),
    tags: NO_TAGS,
    encryption: { shown: undefined, kmsKeyId: undefined, context: undefined, bucketKeyEnabled: undefined },
    conditions: { ifMatch: ifMatchOf(head), ifNoneMatch: ifNoneMatchOfWrite(head) },
    checksum: undefined,
  };
}

export function getWanted(head: IncomingMessage): GetWanted {
  const range = head.headers["if-range"] === undefined ? rangeOf(head.headers.range) : undefined;
  return { range, conditions: readConditions(head) };
}

/** The one entity tag of a write's If-Match, without quotes. Throws InvalidRequest for several. */
export function ifMatchOf(head: IncomingMessage): string | undefined {
  const [etag, ...others] = etagsOf(head.headers["if-match"]) ?? [];
  if (others.length > 0) throw new Failure("InvalidRequest", "If-Match of a write takes one entity tag");
  return etag;
}

/** Status and headers of an object's answer; its bytes are left to the caller. */
export function describeObject(answer: ServerResponse, { info, fromByte, toByte, partial }: Heading): void {
  answer.statusCode = partial ? 206 : 200;
  for (const [name, value] of info.headers) answer.setHeader(name, Buffer.from(value, "utf8").toString("latin1"));
  if (!info.headers.has("content-type")) answer.setHeader("Content-Type", "application/octet-stream");
  answer.setHeader("Content-Length", toByte - fromByte);
  if (partial) answer.setHeader("Content-Range", `bytes ${fromByte}-${toByte - 1}/${info.sizeBytes}`);
  answer.setHeader("Accept-Ranges", "bytes");
  answer.setHeader("ETag", `"${info.etag}"`);
  answer.setHeader("Last-Modified", new Date(info.modifiedMs).toUTCString());
}

/** From the raw headers, so that none is joined or dropped by Node's own rules. Values are bytes of UTF-8. */
function keptHeaders(rawHeaders: readonly string[]): ReadonlyMap<string, string> {
  const kept = new Map<string, string>();
  let metadataBytes = 0;
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] as string).toLowerCase();
    const isMeta = name.startsWith(META);
    if (!isMeta && !KEPT.has(name)) continue;
    const value = rawHeaders[at + 1] as string;
    if (isMeta) metadataBytes += name.length - META.length + value.length;
    const before = kept.get(name);
    const text = textOf(name, value);
    kept.set(name, before === undefined ? text : `${before},${text}`);
  }
  if (metadataBytes > METADATA_BYTES_MAX) {
    throw new Failure("MetadataTooLarge", `User metadata may have at most ${METADATA_BYTES_MAX} bytes`);
  }
  return kept;
}

/** Node hands header values over as latin1: one code unit is one byte. */
function textOf(name: string, latin1: string): string {
  const bytes = Buffer.from(latin1, "latin1");
  if (!isUtf8(bytes)) throw new Failure("InvalidArgument", `The header ${name} is not UTF-8`);
  for (const byte of bytes) {
    if ((byte < 0x20 && byte !== 0x09) || byte === 0x7f) {
      throw new Failure("InvalidArgument", `The header ${name} holds a control character`);
    }
  }
  return bytes.toString("utf8");
}

function ifNoneMatchOfWrite(head: IncomingMessage): "*" | undefined {
  const value = head.headers["if-none-match"]?.trim();
  if (value === undefined || value === "*") return value;
  throw new Failure("NotImplemented", "If-None-Match of a write must be *");
}

function readConditions({ headers }: IncomingMessage): ReadConditions {
  return {
    ifMatch: etagsOf(headers["if-match"]),
    ifNoneMatch: etagsOf(headers["if-none-match"]),
    ifModifiedSinceMs: timeOf(headers["if-modified-since"]),
    ifUnmodifiedSinceMs: timeOf(headers["if-unmodified-since"]),
  };
}

/** Our entity tags hold neither comma nor quote, so a list is cut at commas. */
function etagsOf(value: string | undefined): readonly string[] | undefined {
  return value?.split(",").map((etag) =>
    etag
      .trim()
      .replace(/^W\//, "")
      .replace(/^"(.*)"$/, "$1"),
  );
}

/** What is no date is no condition. */
function timeOf(value: string | undefined): number | undefined {
  const parsedMs = Date.parse(value ?? "");
  return Number.isNaN(parsedMs) ? undefined : parsedMs;
}

/** Malformed, or several: no range, and the object is answered whole. */
function rangeOf(value: string | undefined): RangeWanted | undefined {
  const found = /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(value ?? "");
  if (found === null) return undefined;
  const [, first = "", last = ""] = found;
  if (first === "") return last === "" ? undefined : { kind: "suffix", bytes: bounded(last) };
  if (last === "") return { kind: "bytes", first: bounded(first), last: undefined };
  return bounded(first) > bounded(last) ? undefined : { kind: "bytes", first: bounded(first), last: bounded(last) };
}

function bounded(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER - 1);
}
