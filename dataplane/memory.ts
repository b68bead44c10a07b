/**
 * The memory of large buffers, given back as soon as they have been used. Left to the garbage collector, every GiB that
 * passes costs sixteen collections of a small heap, and what waits for one is fragmented into several times its size.
 */

/** Smaller ones are left to the collector: to give them back costs more than it gains. */
const SMALL_BYTES = 16 * 1024;

/**
 * For buffers that nobody else uses: afterwards they and all views of their memory are empty. Nothing happens to those
 * whose memory is small, shared by threads, or of Node's pool.
 */
export function release(buffers: Iterable<Uint8Array>): void {
  for (const { buffer } of buffers) {
    if (buffer.byteLength >= SMALL_BYTES && buffer instanceof ArrayBuffer) detach(buffer);
  }
}

function detach(memory: ArrayBuffer): boolean {
  try {
    memory.transfer(0);
    return true;
  } catch {
    // Node's pool refuses, as other buffers lie in it.
    return false;
  }
}
