// All that `npm start` says. One thing a line.

import type { Writable } from "node:stream";

export interface Terminal {
  say(line: string): void;
  warn(line: string): void;
}

export function createTerminal(out: Writable, error: Writable): Terminal {
  // A reader that has gone, such as `head`, is no reason to stop.
  for (const stream of [out, error]) stream.on("error", () => {});
  return {
    say: (line) => void out.write(`${line}\n`),
    warn: (line) => void error.write(`! ${line}\n`),
  };
}
