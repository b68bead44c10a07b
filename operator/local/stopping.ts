// Ctrl-C and SIGTERM: the first finishes what is in flight, one that comes a while later does not wait for it.

import type { Terminal } from "./terminal.ts";

export interface Stopping {
  readonly signal: AbortSignal;
  stop(): void;
  /** What to do when a person does not want to wait. */
  again(act: () => void): void;
}

/** npm passes a Ctrl-C on that the terminal has sent already: two that come together are one. */
const TOGETHER_MS = 1000;

export function stopOnSignals(terminal: Terminal): Stopping {
  const controller = new AbortController();
  let stoppedAtMs: number | undefined;
  let actAgain: (() => void) | undefined;

  function onSignal(): void {
    const nowMs = performance.now();
    if (stoppedAtMs === undefined) {
      stoppedAtMs = nowMs;
      terminal.say("Stopping: what is in flight is finished first. Ctrl-C again does not wait.");
      controller.abort(new Error("Stopped"));
    } else if (nowMs - stoppedAtMs > TOGETHER_MS) {
      actAgain?.();
    }
  }

  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, onSignal);
  return {
    signal: controller.signal,
    stop: () => controller.abort(new Error("Stopped")),
    again: (act) => {
      actAgain = act;
    },
  };
}
