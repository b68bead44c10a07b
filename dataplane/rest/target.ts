/** Cuts the raw target of a REST request: which resource is meant, and the query. Object names are kept byte for byte. */
import type { IncomingMessage } from "node:http";
import { Failure } from "../failure.ts";
import { cutTarget, decodeName, decodeOnce, decodeQuery } from "../http/target.ts";

export type Resource =
  | { readonly kind: "buckets" }
  | { readonly kind: "bucket"; readonly bucket: string }
  | { readonly kind: "encryption"; readonly bucket: string }
  | { readonly kind: "objects"; readonly bucket: string }
  | { readonly kind: "object"; readonly bucket: string; readonly name: string }
  | { readonly kind: "operations" }
  | { readonly kind: "operation"; readonly id: string }
  | { readonly kind: "keys"; readonly provider: string; readonly verb: "rotate" | "rewrap" }
  | { readonly kind: "openapi" }
  | { readonly kind: "unknown" };

export interface Target {
  readonly resource: Resource;
  /** Decoded; of repeated names the first. */
  readonly query: ReadonlyMap<string, string>;
}

const ROOT = "/api/v1/";
/** What a bucket may be called, as JSON Schema says it. */
export const BUCKET_NAME = {
  type: "string",
  minLength: 3,
  maxLength: 63,
  pattern: "^[a-z0-9](\\.?[a-z0-9-])*\\.?[a-z0-9]$",
} as const;
const BUCKET_PATTERN = new RegExp(BUCKET_NAME.pattern);

/** Throws InvalidURI, InvalidBucketName or KeyTooLongError. */
export function parseTarget(head: IncomingMessage): Target {
  const { path, query } = cutTarget(head.url ?? "");
  const pairs = new Map<string, string>();
  for (const [name, value] of decodeQuery(query)) if (!pairs.has(name)) pairs.set(name, value);
  return { resource: resourceOf(path), query: pairs };
}

function resourceOf(path: string): Resource {
  if (!path.startsWith(ROOT)) return { kind: "unknown" };
  const [collection, first, second, ...rest] = path.slice(ROOT.length).split("/");
  switch (collection) {
    case "buckets":
      return first === undefined ? { kind: "buckets" } : inBucket(first, second, rest);
    case "operations":
      if (first === undefined) return { kind: "operations" };
      return second === undefined ? { kind: "operation", id: decodeOnce(first) } : { kind: "unknown" };
    case "keys":
      if (first === undefined || rest.length > 0 || (second !== "rotate" && second !== "rewrap")) break;
      return { kind: "keys", provider: decodeOnce(first), verb: second };
    case "openapi.json":
      return first === undefined ? { kind: "openapi" } : { kind: "unknown" };
  }
  return { kind: "unknown" };
}

function inBucket(encoded: string, part: string | undefined, rest: readonly string[]): Resource {
  const bucket = decodeOnce(encoded);
  if (part === undefined) return { kind: "bucket", bucket: checked(bucket) };
  if (part === "encryption" && rest.length === 0) return { kind: "encryption", bucket: checked(bucket) };
  if (part !== "objects") return { kind: "unknown" };
  if (rest.length === 0) return { kind: "objects", bucket: checked(bucket) };
  const name = decodeName(rest.join("/"));
  return { kind: "object", bucket: checked(bucket), name };
}

function checked(bucket: string): string {
  const isAsLong = bucket.length >= BUCKET_NAME.minLength && bucket.length <= BUCKET_NAME.maxLength;
  if (isAsLong && BUCKET_PATTERN.test(bucket)) return bucket;
  throw new Failure("InvalidBucketName", "The bucket name of the request is not valid");
}
