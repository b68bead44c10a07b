// All that `npm start` says. One thing a line.

import type { Writable } from "node:stream";

export interface Terminal {
  say(line: string): void;
  warn(line: string): void;
}

export function createTerminal(out: Writable, error: Writable): Terminal {
  return {
    say: (line) => void out.write(`${line}\n`),
    warn: (line) => void error.write(`! ${line}\n`),
  };
}
