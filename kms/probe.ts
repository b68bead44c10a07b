// Whether a key can be used, found out by using it: a real wrap and unwrap of bytes that protect nothing.

import { freshBytes } from "../envelope/random.ts";
import type { Kms } from "./kms.ts";

/** Nothing that is stored has this context, so that a probe's result opens nothing. */
const PROBE_CONTEXT = { "coffer:probe": "1" };

/** "different": the KMS gave back other bytes than it was given. Rejects with KmsError as wrap and unwrap do. */
export async function probeKms(kms: Kms, signal: AbortSignal): Promise<"same" | "different"> {
  const plain = freshBytes(32);
  const wrapped = await kms.wrap(plain, PROBE_CONTEXT, signal);
  const back = await kms.unwrap(wrapped, PROBE_CONTEXT, signal);
  return Buffer.compare(plain, back) === 0 ? "same" : "different";
}
