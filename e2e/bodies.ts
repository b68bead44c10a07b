// Large bodies that nobody holds in memory: made block by block, the same each time, and known by their hash.

import { createHash, type Hash } from "node:crypto";
import { open } from "node:fs/promises";

export const MIB = 1024 * 1024;

/** Blocks of 1 MiB, each different, all from one block of random bytes. */
export function* blocksOf(seed: Buffer, totalBytes: number): Generator<Buffer> {
  for (let at = 0; at < totalBytes; at += seed.length) {
    const block = Buffer.from(seed);
    block.writeDoubleLE(at + 1, (at / seed.length) % (seed.length - 8));
    yield block.subarray(0, Math.min(seed.length, totalBytes - at));
  }
}

/** The SHA-256 of all that comes. */
export async function sha256Of(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<string> {
  const hash: Hash = createHash("sha256");
  for await (const chunk of chunks) hash.update(chunk);
  return hash.digest("hex");
}

const PATCH_EVERY_BYTES = 16 * MIB;

/** A file of that size that takes a sixteenth of it on the disk: a random block now and then, and holes between. */
export async function writeSparseFile(path: string, seed: Buffer, totalBytes: number): Promise<void> {
  const file = await open(path, "w");
  try {
    await file.truncate(totalBytes);
    let at = 0;
    for (const block of blocksOf(seed, Math.ceil(totalBytes / PATCH_EVERY_BYTES) * seed.length)) {
      await file.write(block, 0, Math.min(block.length, totalBytes - at), at);
      at += PATCH_EVERY_BYTES;
    }
  } finally {
    await file.close();
  }
}
