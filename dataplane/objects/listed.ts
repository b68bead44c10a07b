/** What listings say of runs of objects, remembered: bounded by bytes, in buffers beside the heap. Never on disk. */

/** What the index of the memory and a buffer of its own take beside the bytes of a run, about. */
const RUN_OVERHEAD_BYTES = 400;

/** By digest; what was not asked for the longest is forgotten first. */
export interface ListedMemory {
  readonly bytes: number;
  get(digest: string): Buffer | undefined;
  put(digest: string, run: Buffer): void;
}

export function createListedMemory(bytesMax: number): ListedMemory {
  // A Map iterates in the order of insertion: what is used is inserted again, so the first is the least recently used.
  const runs = new Map<string, Buffer>();
  let bytes = 0;
  const forget = (digest: string, run: Buffer): void => {
    if (runs.delete(digest)) bytes -= run.length + RUN_OVERHEAD_BYTES;
  };
  return {
    get bytes() {
      return bytes;
    },
    get(digest) {
      const run = runs.get(digest);
      if (run === undefined) return undefined;
      runs.delete(digest);
      runs.set(digest, run);
      return run;
    },
    put(digest, run) {
      const before = runs.get(digest);
      if (before !== undefined) forget(digest, before);
      runs.set(digest, run);
      bytes += run.length + RUN_OVERHEAD_BYTES;
      for (const [oldest, old] of runs) {
        if (bytes <= bytesMax) break;
        forget(oldest, old);
      }
    },
  };
}
