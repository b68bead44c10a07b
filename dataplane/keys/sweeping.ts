/** Opened keys that nobody asks for any more leave the memory all the same. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Live } from "../snapshot.ts";
import type { BucketKeys } from "./port.ts";

const EVERY_MS = 30_000;

/** Work that runs until its signal aborts. */
export function sweepKeys(
  keys: Pick<BucketKeys, "sweep">,
  live: Pick<Live, "peek">,
  everyMs = EVERY_MS,
): (signal: AbortSignal) => Promise<void> {
  return async (signal) => {
    while (!signal.aborted) {
      // It rejects only when the signal aborts, and then the loop ends.
      await sleep(everyMs, undefined, { signal, ref: false }).catch(() => undefined);
      const snapshot = live.peek();
      if (snapshot !== undefined && !signal.aborted) keys.sweep(snapshot);
    }
  };
}
