/**
 * The checksums that a request announces: Content-MD5, `x-amz-checksum-*` as header or trailer, and what is said of
 * their algorithm. Whether the body has them is left to objects/.
 */
import type { ChecksumAlgorithm } from "../call.ts";
import { Failure } from "../failure.ts";
import { base64Bytes, type Fields } from "./fields.ts";

/** Raw bytes of each digest. The order is that of messages. */
const DIGEST_BYTES: Readonly<Record<ChecksumAlgorithm, number>> = {
  CRC32: 4,
  CRC32C: 4,
  CRC64NVME: 8,
  SHA1: 20,
  SHA256: 32,
  SHA512: 64,
  MD5: 16,
};

export const CHECKSUM_ALGORITHMS = Object.keys(DIGEST_BYTES) as readonly ChecksumAlgorithm[];

const PREFIX = "x-amz-checksum-";
const BY_HEADER = new Map(CHECKSUM_ALGORITHMS.map((algorithm) => [checksumHeader(algorithm), algorithm]));
/** They begin like a checksum and are none. */
const NO_VALUES: ReadonlySet<string> = new Set([`${PREFIX}mode`, `${PREFIX}algorithm`, `${PREFIX}type`]);

export interface Announced {
  /** Content-MD5, and the one checksum where its value is a header. */
  readonly values: ReadonlyMap<ChecksumAlgorithm, Uint8Array>;
  /** The one checksum, whether its value came or will come. */
  readonly checksum: ChecksumAlgorithm | undefined;
  /** Lower-case name of the trailer that brings it. */
  readonly trailer: string | undefined;
}

const NOTHING: Announced = { values: new Map(), checksum: undefined, trailer: undefined };

export function checksumHeader(algorithm: ChecksumAlgorithm): string {
  return PREFIX + algorithm.toLowerCase();
}

/** By the name that `x-amz-checksum-algorithm` and its like give; throws InvalidRequest, naming ours. */
export function algorithmNamed(text: string): ChecksumAlgorithm {
  const upper = text.trim().toUpperCase();
  const found = CHECKSUM_ALGORITHMS.find((algorithm) => algorithm === upper);
  if (found === undefined) throw unknownAlgorithm();
  return found;
}

/** By the name that `x-amz-checksum-type` gives; undefined where there is none. */
export function kindNamed(type: string | undefined): "whole" | "composite" | undefined {
  switch (type) {
    case undefined:
      return undefined;
    case "COMPOSITE":
      return "composite";
    case "FULL_OBJECT":
      return "whole";
    default:
      throw new Failure("InvalidRequest", "x-amz-checksum-type must be COMPOSITE or FULL_OBJECT");
  }
}

function unknownAlgorithm(): Failure {
  return new Failure(
    "InvalidRequest",
    `The checksum algorithm is not supported: use ${CHECKSUM_ALGORITHMS.join(", ")}`,
  );
}

/** Throws InvalidDigest for a value that no digest can have, InvalidRequest for an algorithm that we lack, or for two. */
export function announcedBy(fields: Fields): Announced {
  let values: Map<ChecksumAlgorithm, Uint8Array> | undefined;
  const md5 = fields.get("content-md5");
  if (md5 !== undefined) values = new Map([["MD5", digestBytes("MD5", md5, "Content-MD5")]]);
  let checksum: ChecksumAlgorithm | undefined;
  for (const [name, value] of fields) {
    const algorithm = headerAlgorithm(name);
    if (algorithm === undefined) continue;
    if (checksum !== undefined) throw twoChecksums();
    checksum = algorithm;
    const bytes = digestBytes(algorithm, value, name);
    const before = values?.get(algorithm);
    if (before !== undefined && Buffer.compare(before, bytes) !== 0) {
      throw new Failure("InvalidRequest", `The headers Content-MD5 and ${name} contradict each other`);
    }
    values ??= new Map();
    values.set(algorithm, bytes);
  }
  const trailer = trailerName(fields);
  if (trailer !== undefined) {
    if (checksum !== undefined) throw twoChecksums();
    checksum = headerAlgorithm(trailer);
  }
  checkStatedAlgorithm(fields, checksum);
  if (checksum === undefined && values === undefined) return NOTHING;
  return { values: values ?? NOTHING.values, checksum, trailer };
}

/** The digest that a text in base64 holds. */
export function digestBytes(algorithm: ChecksumAlgorithm, text: string, where: string): Uint8Array {
  const bytes = base64Bytes(text.trim());
  if (bytes === undefined || bytes.length !== DIGEST_BYTES[algorithm]) {
    throw new Failure("InvalidDigest", `${where} must be ${DIGEST_BYTES[algorithm]} bytes in base64`);
  }
  return bytes;
}

/** The algorithm of a header that carries a checksum; undefined for any other header. */
function headerAlgorithm(name: string): ChecksumAlgorithm | undefined {
  if (!name.startsWith(PREFIX) || NO_VALUES.has(name)) return undefined;
  const algorithm = BY_HEADER.get(name);
  if (algorithm === undefined) throw unknownAlgorithm();
  return algorithm;
}

function trailerName(fields: Fields): string | undefined {
  const listed = fields.get("x-amz-trailer");
  if (listed === undefined) return undefined;
  const names = listed
    .split(",")
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== "");
  const [name] = names;
  if (names.length > 1) throw twoChecksums();
  if (name !== undefined && headerAlgorithm(name) === undefined) {
    throw new Failure("InvalidRequest", "The header x-amz-trailer names a trailer that is not supported");
  }
  return name;
}

function twoChecksums(): Failure {
  return new Failure("InvalidRequest", "Only one checksum may be given with a body");
}

/** `x-amz-sdk-checksum-algorithm` only repeats what a header or trailer says; alone it would promise what nobody checks. */
function checkStatedAlgorithm(fields: Fields, checksum: ChecksumAlgorithm | undefined): void {
  const stated = fields.get("x-amz-sdk-checksum-algorithm");
  if (stated === undefined) return;
  const algorithm = algorithmNamed(stated);
  // Some clients state MD5 and mean Content-MD5.
  if (algorithm === checksum || (algorithm === "MD5" && fields.has("content-md5"))) return;
  throw new Failure("InvalidRequest", "x-amz-sdk-checksum-algorithm names a checksum that the request does not carry");
}
