/**
 * The wrap context (FORMAT.md §10): what a wrapped key is bound to, as pairs, which each KMS takes in its own way. Made
 * here for bucket keys and for data keys that the KMS wraps one by one, so that no two places build it differently.
 */
import type { Pairs } from "./bytes.ts";
import { ID_BYTES } from "./datakey.ts";
import { EnvelopeError, insist } from "./failure.ts";

/** Pairs as a KMS takes them. */
export type WrapContext = Readonly<Record<string, string>>;

const RESERVED = "coffer:";

/** The context of a bucket key: its store, its bucket, itself, and the pairs of the bucket's configuration. */
export function bucketKeyContext(
  storeId: Uint8Array,
  bucket: string,
  bucketKeyId: Uint8Array,
  spec: Pairs,
): WrapContext {
  return wrapContext(storeId, bucket, ["coffer:key", bucketKeyId], [spec]);
}

/** The context of a data key that the KMS wraps: with its body in place of the bucket key, and the request's pairs. */
export function dataKeyContext(
  storeId: Uint8Array,
  bucket: string,
  bodyId: Uint8Array,
  spec: Pairs,
  request: Pairs,
): WrapContext {
  return wrapContext(storeId, bucket, ["coffer:body", bodyId], [spec, request]);
}

/** `Malformed` if a name begins with `coffer:`, comes twice, or is no text. */
function wrapContext(
  storeId: Uint8Array,
  bucket: string,
  [idName, id]: readonly [string, Uint8Array],
  added: readonly Pairs[],
): WrapContext {
  insist(storeId.length === ID_BYTES && id.length === ID_BYTES, "an id has 16 bytes");
  const pairs = new Map<string, string>([
    ["coffer:store", hex(storeId)],
    ["coffer:bucket", bucket],
    [idName, hex(id)],
  ]);
  for (const [name, value] of added.flatMap((more) => [...more])) {
    if (name.startsWith(RESERVED)) {
      throw refuse(name, "may not begin with coffer:");
    }
    if (pairs.has(name)) {
      throw refuse(name, "comes twice");
    }
    if (!name.isWellFormed() || !value.isWellFormed()) {
      throw refuse(name, "is not well-formed Unicode, or its value is not");
    }
    pairs.set(name, value);
  }
  return Object.fromEntries(pairs);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("hex");
}

function refuse(name: string, why: string): EnvelopeError {
  return new EnvelopeError("Malformed", `In an encryption context, the name ${JSON.stringify(name)} ${why}`);
}
