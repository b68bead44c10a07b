/**
 * A data key under another key than the bucket key of its envelope (FORMAT.md §7): one that the customer sends with each
 * request, or the bucket key of the KMS key that a request named.
 */
import { EnvelopeError, insist } from "./failure.ts";
import type { Key } from "./head.ts";
import { openSmall, sealSmall, smallSealedBytes } from "./small.ts";

export const DATA_KEY_BYTES = 32;
export const ID_BYTES = 16;
/** Size of a data key sealed under another key. */
export const SEALED_DATA_KEY_BYTES = smallSealedBytes(DATA_KEY_BYTES);

/** No body, or no bucket key but the customer's key. */
export const ZERO_ID: Uint8Array = new Uint8Array(ID_BYTES);

/** Seals a data key under `otherKey`, which is the bucket key of `bucketKeyId`, or the customer's with `ZERO_ID`. */
export function sealDataKey(
  dataKey: Uint8Array,
  otherKey: Key,
  bucketKeyId: Uint8Array,
  bodyId: Uint8Array,
): Uint8Array {
  insist(dataKey.length === DATA_KEY_BYTES, "a data key has 32 bytes");
  insist(bucketKeyId.length === ID_BYTES && bodyId.length === ID_BYTES, "an id has 16 bytes");
  return sealSmall("data-key", otherKey, [bucketKeyId, bodyId], dataKey);
}

/** The data key, in memory of its own. `WrongKey` if it was sealed under another key, or for another body. */
export function openDataKey(
  segment: Uint8Array,
  otherKey: Key,
  bucketKeyId: Uint8Array,
  bodyId: Uint8Array,
): Uint8Array {
  insist(bucketKeyId.length === ID_BYTES && bodyId.length === ID_BYTES, "an id has 16 bytes");
  if (segment.length !== SEALED_DATA_KEY_BYTES) {
    throw new EnvelopeError("Malformed", `A sealed data key has ${SEALED_DATA_KEY_BYTES} bytes`);
  }
  return openSmall("data-key", otherKey, [bucketKeyId, bodyId], segment);
}
