// The operator's log: one JSON object a line. Whoever logs passes words and names, never what a Secret holds.

export type LogLevel = "error" | "warn" | "info" | "debug";

export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
}

export interface LogFields {
  readonly [name: string]: unknown;
  /** Printed as its message and those of its causes. */
  readonly error?: unknown;
}

const LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug"];

export function createLog(output: { write(text: string): unknown }, least: LogLevel, now: () => Date): Log {
  const write =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (LEVELS.indexOf(level) > LEVELS.indexOf(least)) return;
      const { error, ...others } = fields;
      const said = error === undefined ? {} : { error: errorWords(error) };
      output.write(`${JSON.stringify({ time: now().toISOString(), level, message, ...others, ...said })}\n`);
    };
  return { error: write("error"), warn: write("warn"), info: write("info"), debug: write("debug") };
}

/** Messages alone: a stack tells a user nothing, and what an error carries beside its message may be anything. */
function errorWords(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && !error.message.includes(error.cause.message)
    ? `${error.message}: ${errorWords(error.cause)}`
    : error.message;
}
