/** ListObjects, v1 and v2: a page of names, its markers and its tokens. */
import { hash } from "node:crypto";
import { Failure } from "../failure.ts";
import type { ListedObject, Listing } from "../objects/objects.ts";
import { checksumType, sendXml } from "./answers.ts";
import { base64Bytes, wholeNumber } from "./fields.ts";
import { bucketOf, decided, type Handle } from "./handling.ts";
import { OWNER_ID } from "./owner.ts";
import { encodeSlashed, type Target } from "./target.ts";
import { element, escapeXml, optional, wrap, xmlDocument, xmlTime } from "./xml.ts";

const PAGE_MAX = 1000;

export const listObjects: Handle = async (needs, call, { target, answer }) => {
  const bucket = bucketOf(target);
  const { page, marker } = decided(needs, call, target, "ListObjects", () => ({
    page: pageOf(target, "max-keys"),
    marker: target.query.get("marker") ?? "",
  }));
  const { prefix, delimiter, limit, encode } = page;
  const listing = await needs.objects.list(call, bucket, { prefix, delimiter, after: marker, limit });
  const next = listing.truncated && delimiter !== "" ? listing.last : undefined;
  const inner = [
    element("Name", bucket),
    element("Prefix", encode(prefix)),
    element("Marker", encode(marker)),
    next === undefined ? "" : element("NextMarker", encode(next)),
    ...pageElements(page, listing),
    ...listing.objects.map((info) => contents(info, encode, true)),
    ...commonPrefixes(listing.prefixes, encode),
  ];
  sendXml(answer, xmlDocument("ListBucketResult", inner.join("")));
};

export const listObjectsV2: Handle = async (needs, call, { target, answer }) => {
  const bucket = bucketOf(target);
  const { page, token, after } = decided(needs, call, target, "ListObjects", () => {
    const given = target.query.get("continuation-token");
    return {
      page: pageOf(target, "max-keys"),
      token: given,
      after: given === undefined ? (target.query.get("start-after") ?? "") : nameOfToken(given),
    };
  });
  const { prefix, delimiter, limit, encode } = page;
  const listing = await needs.objects.list(call, bucket, { prefix, delimiter, after, limit });
  const startAfter = target.query.get("start-after");
  const withOwner = target.query.get("fetch-owner") === "true";
  const inner = [
    element("Name", bucket),
    element("Prefix", encode(prefix)),
    optional("ContinuationToken", token),
    listing.truncated && listing.last !== undefined ? element("NextContinuationToken", tokenOf(listing.last)) : "",
    optional("StartAfter", startAfter === undefined ? undefined : encode(startAfter)),
    element("KeyCount", listing.objects.length + listing.prefixes.length),
    ...pageElements(page, listing),
    ...listing.objects.map((info) => contents(info, encode, withOwner)),
    ...commonPrefixes(listing.prefixes, encode),
  ];
  sendXml(answer, xmlDocument("ListBucketResult", inner.join("")));
};

export interface PageWanted {
  readonly prefix: string;
  readonly delimiter: string;
  readonly limit: number;
  readonly urlEncoded: boolean;
  /** Of names, prefixes, delimiters and markers in the answer. */
  readonly encode: (text: string) => string;
}

/** Throws InvalidArgument for a limit or an encoding that is none. */
export function pageOf(target: Target, limitName: string): PageWanted {
  const encoding = target.query.get("encoding-type");
  if (encoding !== undefined && encoding !== "url") {
    throw new Failure("InvalidArgument", "The encoding type must be url");
  }
  return {
    prefix: target.query.get("prefix") ?? "",
    delimiter: target.query.get("delimiter") ?? "",
    limit: limitOf(target, limitName),
    urlEncoded: encoding === "url",
    encode: encoding === "url" ? encodeSlashed : (text) => text,
  };
}

/** At most 1,000, whatever is asked for; absent or empty: 1,000. */
export function limitOf(target: Target, name: string): number {
  const text = target.query.get(name);
  if (text === undefined || text === "") return PAGE_MAX;
  const limit = wholeNumber(text);
  if (limit === undefined) throw new Failure("InvalidArgument", `The parameter ${name} must be a whole number`);
  return Math.min(limit, PAGE_MAX);
}

function pageElements(page: PageWanted, listing: Listing): string[] {
  return [
    element("MaxKeys", page.limit),
    page.delimiter === "" ? "" : element("Delimiter", page.encode(page.delimiter)),
    page.urlEncoded ? element("EncodingType", "url") : "",
    element("IsTruncated", listing.truncated),
  ];
}

/** As `element` would lay it, in one string: a page has a thousand. */
function contents(info: ListedObject, encode: PageWanted["encode"], withOwner: boolean): string {
  const { ref, modifiedMs, etag, sizeBytes, checksums } = info;
  // An ETag is hexadecimal, so its quotes alone are to be escaped.
  return `<Contents><Key>${escapeXml(encode(ref.name))}</Key><LastModified>${xmlTime(modifiedMs)}</LastModified><ETag>&quot;${etag}&quot;</ETag>${checksumElements(checksums)}<Size>${sizeBytes}</Size>${withOwner ? OWNER : ""}<StorageClass>STANDARD</StorageClass></Contents>`;
}

function checksumElements(checksums: ListedObject["checksums"]): string {
  const [checksum] = checksums;
  if (checksum === undefined) return "";
  const algorithms = checksums.map(({ algorithm }) => element("ChecksumAlgorithm", algorithm));
  return algorithms.join("") + element("ChecksumType", checksumType(checksum.kind));
}

export function ownerElement(name: "Owner" | "Initiator"): string {
  return wrap(name, element("ID", OWNER_ID) + element("DisplayName", OWNER_ID));
}

const OWNER = ownerElement("Owner");

export function commonPrefixes(prefixes: readonly string[], encode: PageWanted["encode"]): string[] {
  return prefixes.map((prefix) => wrap("CommonPrefixes", element("Prefix", encode(prefix))));
}

const TOKEN_CHECK_BYTES = 4;

/** Opaque: the last name of a page behind a few bytes that tell a token from a mistake. */
export function tokenOf(name: string): string {
  const bytes = Buffer.from(name, "utf8");
  return `${tokenCheck(bytes).toString("base64")}${bytes.toString("base64")}`;
}

/** Throws InvalidArgument for what was never a token. */
export function nameOfToken(token: string): string {
  const checkUnits = 8;
  const bytes = base64Bytes(token.slice(checkUnits));
  const check = base64Bytes(token.slice(0, checkUnits));
  if (bytes === undefined || check === undefined || Buffer.compare(tokenCheck(Buffer.from(bytes)), check) !== 0) {
    throw new Failure("InvalidArgument", "The continuation token is not valid");
  }
  return Buffer.from(bytes).toString("utf8");
}

function tokenCheck(bytes: Uint8Array): Buffer {
  return Buffer.from(hash("sha256", bytes, "buffer").subarray(0, TOKEN_CHECK_BYTES));
}
