/**
 * A body on its way in: summed, sealed and written as it comes, in blocks of about a megabyte that are neither joined nor
 * copied, and verified against what the client promised once it has ended. The commit is left to the verbs.
 */
import { freshBytes } from "../../envelope/random.ts";
import { createSealer, runSeal, type SegmentSealer } from "../../envelope/segment.ts";
import { HEAD_BYTES } from "../../envelope/sizes.ts";
import type { Body, Call, ChecksumAlgorithm, Digests } from "../call.ts";
import { Failure } from "../failure.ts";
import type { Draft } from "../storage/storage.ts";
import { BlockCutter } from "./blocks.ts";
import { createDigests } from "./digests.ts";
import type { Encryption } from "./encryption.ts";
import { checkPromises } from "./promises.ts";

/** What is known of a body once it has been written and verified. */
export interface Taken {
  /** Bytes 0 … 31 of its segment; all zero if it is plaintext. */
  readonly head: Uint8Array;
  readonly sizeBytes: number;
  /** 16 bytes: an MD5 for who is shown AES256, else opaque. */
  readonly etag: Uint8Array;
  readonly digests: Digests;
}

/** Between two calls of the storage. A whole number of chunks of any size. */
const BLOCK_BYTES = 2 ** 20;
const ETAG_BYTES = 16;

/** `keep`: checksums to compute beside those that the client announced. Throws what the body throws, and BadDigest. */
export async function takeBody(
  call: Call,
  body: Body,
  encryption: Encryption,
  partNumber: number,
  keep: Iterable<ChecksumAlgorithm>,
  draft: Draft<unknown>,
): Promise<Taken> {
  const sealer = sealerOf(encryption, partNumber);
  const sums = createDigests([...body.announced, ...keep, ...(encryption.shown === "AES256" ? ["MD5" as const] : [])]);
  call.totalBytes = body.plainBytes;
  const sizeBytes = await pump(call, body, sealer, draft, sums.update);
  if (body.plainBytes !== undefined && body.plainBytes !== sizeBytes) {
    throw new Failure("IncompleteBody", `The body has ${sizeBytes} bytes instead of ${body.plainBytes}`);
  }
  const digests = sums.digests();
  checkPromises(body, digests);
  const md5 = encryption.shown === "AES256" ? digests.get("MD5") : undefined;
  return {
    head: sealer?.header.subarray(0, HEAD_BYTES) ?? new Uint8Array(HEAD_BYTES),
    sizeBytes,
    etag: md5 ?? sealer?.header.subarray(HEAD_BYTES, HEAD_BYTES + ETAG_BYTES) ?? freshBytes(ETAG_BYTES),
    digests,
  };
}

/** Those of `digests` that stay with the object: what the client announced, but for Content-MD5, and what was asked for. */
export function keptDigests(taken: Taken, body: Body, asked: ChecksumAlgorithm | undefined): Digests {
  return new Map(
    [...taken.digests].filter(
      ([algorithm]) => algorithm === asked || (algorithm !== "MD5" && body.announced.includes(algorithm)),
    ),
  );
}

function sealerOf({ shape, dataKey, bodyId }: Encryption, partNumber: number): SegmentSealer | undefined {
  return shape === undefined ? undefined : createSealer({ ...shape, partNumber, dataKey, bodyId });
}

async function pump(
  call: Call,
  body: Body,
  sealer: SegmentSealer | undefined,
  draft: Draft<unknown>,
  sum: (bytes: Uint8Array) => void,
): Promise<number> {
  const cutter = new BlockCutter(BLOCK_BYTES);
  let sizeBytes = 0;
  let begun = false;
  const write = (plain: readonly Uint8Array[], last: boolean) => {
    if (sealer === undefined) return draft.write(plain);
    const sealed = runSeal(sealer.next(plain, last));
    if (!begun) sealed.unshift(sealer.header);
    begun = true;
    return draft.write(sealed);
  };
  for await (const slice of body) {
    sum(slice);
    sizeBytes += slice.length;
    call.doneBytes = sizeBytes;
    cutter.push(slice);
    while (cutter.isFull) await write(cutter.take(), false);
  }
  await write(cutter.take(), true);
  return sizeBytes;
}
