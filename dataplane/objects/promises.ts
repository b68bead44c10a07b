/** What a client promised of its body, held against what came: for bodies that are stored, and for those that are only read. */
import type { Body, Digests } from "../call.ts";
import { Failure } from "../failure.ts";
import { createDigests } from "./digests.ts";

/** Throws BadDigest, or MalformedTrailerError for a digest that was announced and did not come. */
export function checkPromises(body: Body, digests: Digests): void {
  const promised = body.promised();
  for (const algorithm of body.announced) {
    const value = promised.get(algorithm);
    if (value === undefined) {
      throw new Failure("MalformedTrailerError", `The announced ${algorithm} did not come`);
    }
    if (Buffer.compare(value, digests.get(algorithm) ?? new Uint8Array(0)) !== 0) {
      throw new Failure("BadDigest", `The ${algorithm} of the body is not the one that was promised`);
    }
  }
}

/** The same body; it ends only if it is what was promised. */
export async function* verified(body: Body): AsyncGenerator<Uint8Array, void> {
  const sums = createDigests(body.announced);
  for await (const block of body) {
    sums.update(block);
    yield block;
  }
  checkPromises(body, sums.digests());
}
