/** Which cipher is the faster one on this machine: AES where the CPU has instructions for it, else ChaCha20. */
import type { Suite } from "../../envelope/head.ts";
import { createSealer, runSeal } from "../../envelope/segment.ts";

const SAMPLE_BYTES = 2 ** 20;
const CHUNK_LOG2 = 16;
const ROUNDS = 3;

let known: Suite | undefined;

/** Measured once, at the first question: a few milliseconds. */
export function fasterSuite(): Suite {
  known ??= bestMs("AES-256-GCM") <= bestMs("ChaCha20-Poly1305") ? "AES-256-GCM" : "ChaCha20-Poly1305";
  return known;
}

/** The best of some rounds, since everything that disturbs a round makes it longer. */
function bestMs(suite: Suite): number {
  const plain = [new Uint8Array(SAMPLE_BYTES)];
  const zeros = { dataKey: new Uint8Array(32), bodyId: new Uint8Array(16) };
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round += 1) {
    const sealer = createSealer({ suite, chunkLog2: CHUNK_LOG2, partNumber: 0, ...zeros });
    const startedMs = performance.now();
    runSeal(sealer.next(plain, true));
    best = Math.min(best, performance.now() - startedMs);
  }
  return best;
}
