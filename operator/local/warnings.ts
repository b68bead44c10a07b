// Shows on the terminal what of the data plane's events a person should see: warnings and errors, each once in a while.

import { shownPath } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

export interface Warnings {
  /** Output as it comes. */
  take(chunk: Buffer): void;
  /** The process has ended: what has no end of line yet is all there is. */
  flush(): void;
}

const WINDOW_MS = 10_000;
const LINES_MAX = 10;
const LINE_CHARS_MAX = 64 * 1024;

export function createWarnings(terminal: Terminal, logPath: string, nowMs: () => number = Date.now): Warnings {
  let rest = "";
  let windowFromMs = 0;
  let shown = new Set<string>();

  function show(line: string): void {
    const words = wordsOf(line);
    if (words === undefined) return;
    if (nowMs() - windowFromMs > WINDOW_MS) {
      windowFromMs = nowMs();
      shown = new Set();
    }
    if (shown.has(words) || shown.size > LINES_MAX) return;
    shown.add(words);
    terminal.warn(shown.size > LINES_MAX ? `data plane: more stands in ${shownPath(logPath)}` : `data plane: ${words}`);
  }

  return {
    take(chunk) {
      const lines = (rest + chunk.toString("utf8")).split("\n");
      rest = (lines.pop() ?? "").slice(-LINE_CHARS_MAX);
      for (const line of lines) show(line);
    },
    flush() {
      show(rest);
      rest = "";
    },
  };
}

/** undefined: nothing that has to be seen. What is no event is output of a runtime that fails. */
function wordsOf(line: string): string | undefined {
  const text = line.trim();
  if (text === "" || /^(at |\(Use |Node\.js v)/.test(text)) return undefined;
  if (!text.startsWith("{")) return text;
  let event: { level?: unknown; message?: unknown } & Record<string, unknown>;
  try {
    event = JSON.parse(text) as typeof event;
  } catch {
    // Not an event after all.
    return text;
  }
  const { level, message, timestamp: _timestamp, cause, ...fields } = event;
  if (level !== "warn" && level !== "error") return undefined;
  const details = Object.entries(fields).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  const why = typeof cause === "string" ? (cause.split("\n")[0] ?? "") : "";
  return [String(message), ...details, why].filter((part) => part !== "").join(" ");
}
