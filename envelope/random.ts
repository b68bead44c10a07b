/**
 * The one source of salts, ids and keys. Bytes of the CSPRNG are filled into a pool, erased as they are handed out, and
 * hashed with the time, the process, the thread and a counter: of a virtual machine that is restored twice from one
 * snapshot, both copies hold the same pool, and must not seal with the same salt or key.
 */
import { hash, randomFillSync } from "node:crypto";
import { insist } from "./failure.ts";

const POOL_BYTES = 32 * 1024;
const DRAWN_BYTES = 32;

const pool = Buffer.alloc(POOL_BYTES);
let usedBytes = POOL_BYTES;
let counter = 0;

// What is hashed: 32 bytes of the pool, two clocks, the counter, the process, and 16 bytes that stand for this thread
// (each thread loads this module for itself, and so draws its own).
const CLOCK = DRAWN_BYTES;
const PROCESS = CLOCK + 24;
const THREAD = PROCESS + 4;
const mixed = Buffer.alloc(THREAD + 16);
mixed.writeUInt32BE(process.pid, PROCESS);
randomFillSync(mixed, THREAD, 16);

/**
 * 1 to 32 unpredictable bytes, never the same again. The buffer is the caller's own.
 * About 1 µs; a system call only once in a thousand.
 */
export function freshBytes(byteCount: number): Uint8Array {
  insist(byteCount >= 1 && byteCount <= DRAWN_BYTES, "freshBytes() gives 1 to 32 bytes");
  if (usedBytes === POOL_BYTES) {
    randomFillSync(pool);
    usedBytes = 0;
  }
  pool.copy(mixed, 0, usedBytes, usedBytes + DRAWN_BYTES);
  pool.fill(0, usedBytes, usedBytes + DRAWN_BYTES);
  usedBytes += DRAWN_BYTES;
  counter += 1;
  mixed.writeDoubleBE(performance.now(), CLOCK);
  mixed.writeDoubleBE(Date.now(), CLOCK + 8);
  mixed.writeDoubleBE(counter, CLOCK + 16);
  const bytes = hash("sha256", mixed, "buffer");
  mixed.fill(0, 0, DRAWN_BYTES);
  return bytes.subarray(0, byteCount);
}
