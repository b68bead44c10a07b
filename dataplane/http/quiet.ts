/** For how long nothing has moved on a connection, either way, as far as looks now and then can tell. */
import type { Socket } from "node:net";

export class Quiet {
  #movedBytes = -1;
  #lookedMs = 0;
  #sinceMs = 0;

  /** In ms, up to the last of looks that are `lookMs` apart; Node keeps silent once about a write that went on. */
  look({ bytesRead, bytesWritten, writableLength }: Socket, lookMs: number): number {
    const movedBytes = bytesRead + bytesWritten - writableLength;
    const nowMs = performance.now();
    const keptSilent = nowMs - this.#lookedMs > 1.9 * lookMs;
    if (keptSilent || movedBytes !== this.#movedBytes) this.#sinceMs = nowMs - lookMs;
    this.#movedBytes = movedBytes;
    this.#lookedMs = nowMs;
    return nowMs - this.#sinceMs;
  }
}
