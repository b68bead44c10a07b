/**
 * Turns the headers of a request into what objects/ is asked for: metadata, conditions, ranges, checksums. Headers of
 * features that are not there are refused, never passed over.
 */
import type { ChecksumAlgorithm } from "../call.ts";
import { Failure } from "../failure.ts";
import type { GetWanted, PutWanted, RangeWanted, ReadConditions, WriteConditions } from "../objects/objects.ts";
import { algorithmNamed, kindNamed } from "./checksums.ts";
import { encryptionWanted } from "./encryption.ts";
import { type Fields, textOf, wholeNumber } from "./fields.ts";
import { tagsOf } from "./tags.ts";
import type { Target } from "./target.ts";

const META = "x-amz-meta-";
const METADATA_BYTES_MAX = 2048;
export const PARTS_MAX = 10_000;

/** Kept with an object and answered as they came. */
const KEPT_HEADERS = [
  "cache-control",
  "content-disposition",
  "content-encoding",
  "content-language",
  "content-type",
  "expires",
] as const;

/** What S3 can do and this store cannot: a request that asks for it must not succeed without it. */
const UNSUPPORTED: readonly (readonly [prefix: string, what: string])[] = [
  ["x-amz-object-lock-", "Object lock"],
  ["x-amz-website-redirect-location", "A redirect of a website"],
  ["x-amz-write-offset-bytes", "Appending to an object"],
];

/** `checksum`: the one that comes with the body. `customerKeys`: whether the bucket allows customers' keys. */
export function putWanted(target: Target, checksum: ChecksumAlgorithm | undefined, customerKeys: boolean): PutWanted {
  const { fields } = target;
  return {
    ...describedBy(fields, customerKeys),
    conditions: writeConditions(fields),
    checksum: checksum === undefined ? undefined : { algorithm: checksum, kind: "whole" },
  };
}

/** Of CreateMultipartUpload: the checksum is chosen by name, and comes with parts and completion. */
export function uploadWanted(target: Target, customerKeys: boolean): PutWanted {
  const { fields } = target;
  return {
    ...describedBy(fields, customerKeys),
    conditions: { ifMatch: undefined, ifNoneMatch: undefined },
    checksum: chosenChecksum(fields),
  };
}

/** Headers, metadata, tags and encryption of what is written; throws for what this store cannot do. */
export function describedBy(fields: Fields, customerKeys: boolean): Pick<PutWanted, "headers" | "tags" | "encryption"> {
  for (const name of fields.keys()) {
    const unsupported = UNSUPPORTED.find(([prefix]) => name.startsWith(prefix));
    if (unsupported !== undefined) throw new Failure("NotImplemented", `${unsupported[1]} is not supported`);
  }
  checkAcl(fields);
  const storageClass = fields.get("x-amz-storage-class");
  if (storageClass !== undefined && storageClass !== "STANDARD") {
    throw new Failure("InvalidStorageClass", "The storage class is not supported: use STANDARD");
  }
  const encryption = encryptionWanted(fields, customerKeys);
  return { headers: keptHeaders(fields), tags: tagsOf(fields.get("x-amz-tagging")), encryption };
}

/** Throws AccessControlListNotSupported for anything but the private ACL that everything has. */
export function checkAcl(fields: Fields): void {
  const acl = fields.get("x-amz-acl");
  const grants = fields.keys().some((name) => name.startsWith("x-amz-grant-"));
  if ((acl !== undefined && acl !== "private") || grants) {
    throw new Failure("AccessControlListNotSupported", "Access control lists are not supported, but for private");
  }
}

function keptHeaders(fields: Fields): ReadonlyMap<string, string> {
  const kept = new Map<string, string>();
  for (const name of KEPT_HEADERS) {
    const value = fields.get(name);
    if (value === undefined) continue;
    const text = name === "content-encoding" ? withoutChunking(textOf(name, value)) : textOf(name, value);
    if (text !== "") kept.set(name, text);
  }
  let metadataBytes = 0;
  for (const [name, value] of fields) {
    if (!name.startsWith(META)) continue;
    metadataBytes += name.length - META.length + value.length;
    kept.set(name, textOf(name, value));
  }
  if (metadataBytes > METADATA_BYTES_MAX) {
    throw new Failure("MetadataTooLarge", `User metadata may have at most ${METADATA_BYTES_MAX} bytes`);
  }
  return kept;
}

/** `aws-chunked` is how the body came, not what it is. */
function withoutChunking(encoding: string): string {
  if (!/aws-chunked/i.test(encoding)) return encoding;
  const others = encoding.split(",").map((coding) => coding.trim());
  return others.filter((coding) => coding !== "" && coding.toLowerCase() !== "aws-chunked").join(",");
}

function chosenChecksum(fields: Fields): PutWanted["checksum"] {
  const named = fields.get("x-amz-checksum-algorithm");
  const type = fields.get("x-amz-checksum-type");
  const kind = kindNamed(type);
  if (named === undefined) {
    if (kind !== undefined) throw new Failure("InvalidRequest", "x-amz-checksum-type needs x-amz-checksum-algorithm");
    return undefined;
  }
  const algorithm = algorithmNamed(named);
  const canBeWhole = algorithm.startsWith("CRC");
  const mustBeWhole = algorithm === "CRC64NVME";
  if ((kind === "whole" && !canBeWhole) || (kind === "composite" && mustBeWhole)) {
    throw new Failure("InvalidRequest", `The checksum type ${type} cannot be used with ${algorithm}`);
  }
  return { algorithm, kind: mustBeWhole ? "whole" : (kind ?? "composite") };
}

const CONDITION = /^(?:x-amz-)?if-/;

/** Throws NotImplemented for a condition that the operation would pass over. `honoured`: lower-case names. */
export function checkConditions(fields: Fields, honoured: readonly string[]): void {
  for (const name of fields.keys()) {
    if (CONDITION.test(name) && !honoured.includes(name)) {
      throw new Failure("NotImplemented", `The header ${name} is not supported for this operation`);
    }
  }
}

/** Throws NotImplemented for what has no meaning for a write. */
export function writeConditions(fields: Fields): WriteConditions {
  checkConditions(fields, ["if-match", "if-none-match"]);
  const ifNoneMatch = fields.get("if-none-match")?.trim();
  const ifMatch = fields.get("if-match");
  if (ifNoneMatch !== undefined && ifNoneMatch !== "*") {
    throw new Failure("NotImplemented", "If-None-Match of a write must be *");
  }
  if (ifNoneMatch !== undefined && ifMatch !== undefined) {
    throw new Failure("NotImplemented", "If-Match and If-None-Match together are not supported for a write");
  }
  return { ifMatch: ifMatch === undefined ? undefined : bareEtag(ifMatch), ifNoneMatch };
}

/** Throws InvalidRequest for a part and a range together. */
export function getWanted(target: Target): GetWanted {
  const { fields } = target;
  const partText = target.query.get("partNumber");
  const rangeText = fields.get("range");
  if (partText === undefined) {
    // A range under If-Range may always be answered whole, and is.
    const range = rangeText === undefined || fields.has("if-range") ? undefined : rangeOf(rangeText);
    return { range, conditions: readConditions(fields) };
  }
  if (rangeText !== undefined) {
    throw new Failure("InvalidRequest", "A range and a part number cannot be asked for together");
  }
  return { range: { kind: "part", partNumber: partNumberOf(partText) }, conditions: readConditions(fields) };
}

/** 1 to 10,000; throws InvalidArgument for anything else. */
export function partNumberOf(text: string | undefined): number {
  const partNumber = text === undefined ? undefined : wholeNumber(text);
  if (partNumber === undefined || partNumber < 1 || partNumber > PARTS_MAX) {
    throw new Failure("InvalidArgument", `The part number must be a whole number from 1 to ${PARTS_MAX}`);
  }
  return partNumber;
}

/** What is malformed, or names several ranges, is no range: the object is answered whole. */
function rangeOf(text: string): RangeWanted | undefined {
  const found = /^\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(text);
  if (found === null) return undefined;
  const [, first = "", last = ""] = found;
  if (first === "") return last === "" ? undefined : { kind: "suffix", bytes: clamped(last) };
  if (last === "") return { kind: "bytes", first: clamped(first), last: undefined };
  const range = { kind: "bytes", first: clamped(first), last: clamped(last) } as const;
  return range.first > range.last ? undefined : range;
}

function clamped(digits: string): number {
  return Math.min(Number(digits), Number.MAX_SAFE_INTEGER);
}

/** `prefix` stands before the names of those that are put on the source of a copy. */
export function readConditions(fields: Fields, prefix = ""): ReadConditions {
  const time = (name: string): number | undefined => {
    const parsedMs = Date.parse(fields.get(prefix + name) ?? "");
    return Number.isNaN(parsedMs) ? undefined : parsedMs;
  };
  return {
    ifMatch: etagsOf(fields.get(`${prefix}if-match`)),
    ifNoneMatch: etagsOf(fields.get(`${prefix}if-none-match`)),
    ifModifiedSinceMs: time("if-modified-since"),
    ifUnmodifiedSinceMs: time("if-unmodified-since"),
  };
}

function etagsOf(text: string | undefined): readonly string[] | undefined {
  return text?.split(",").map(bareEtag);
}

/** Without quotes and mark of weakness: our ETags hold neither comma nor quote. */
export function bareEtag(text: string): string {
  const trimmed = text.trim().replace(/^W\//, "");
  return trimmed.length >= 2 && trimmed.startsWith('"') && trimmed.endsWith('"') ? trimmed.slice(1, -1) : trimmed;
}
