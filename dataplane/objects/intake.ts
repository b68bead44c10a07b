/**
 * A body on its way in: summed, sealed and written as it comes, chunk by chunk, neither joined nor copied, and verified against what the client promised once it has ended. The commit is left to the verbs.
 */
import { freshBytes } from "../../envelope/random.ts";
import { createSealer, runSeal, type SegmentSealer } from "../../envelope/segment.ts";
import { HEAD_BYTES } from "../../envelope/sizes.ts";
import type { Body, Call, ChecksumAlgorithm, Digests } from "../call.ts";
import { Failure } from "../failure.ts";
import { release } from "../memory.ts";
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

/** What is sealed and handed to the storage at once, unless a chunk is larger. */
const BLOCK_BYTES_MIN = 64 * 1024;
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
  const cutter = new BlockCutter(Math.max(BLOCK_BYTES_MIN, sealer?.chunkBytes ?? 0));
  const used = sealer !== undefined && body.disposable === true ? new UsedMemory() : undefined;
  let sizeBytes = 0;
  let begun = false;
  const write = (plain: readonly Uint8Array[], last: boolean) => {
    if (sealer === undefined) return draft.write(plain);
    const sealed = runSeal(sealer.next(plain, last));
    used?.release();
    if (!begun) sealed.unshift(sealer.header);
    begun = true;
    return draft.write(sealed);
  };
  for await (const slice of body) {
    sum(slice);
    sizeBytes += slice.length;
    call.doneBytes = sizeBytes;
    used?.add(slice);
    cutter.push(slice);
    while (cutter.isFull) await write(cutter.take(), false);
  }
  await write(cutter.take(), true);
  return sizeBytes;
}

/** The memory of slices that came. More of the last slice's may still come, or wait to be sealed: it stays. */
class UsedMemory {
  #slices: Uint8Array[] = [];

  add(slice: Uint8Array): void {
    if (this.#slices.at(-1)?.buffer !== slice.buffer) this.#slices.push(slice);
  }

  release(): void {
    const last = this.#slices.pop();
    release(this.#slices);
    this.#slices = last === undefined ? [] : [last];
  }
}
