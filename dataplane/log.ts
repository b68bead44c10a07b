/**
 * What the process says: events by winston, and lines (requests, audit) through one bounded writer that puts many of
 * them into one write. A line is one JSON object. Nothing here ever prints a header, a body, a token or a query.
 */
import { write } from "node:fs";
import winston from "winston";

export type LogLevel = "Error" | "Warn" | "Info" | "Debug";

export interface Log {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  setLevel(level: LogLevel): void;
}

/** `cause` is an error: its name, message and those of its causes are printed, with the stack of the innermost. */
export type LogFields = Readonly<Record<string, unknown>> & { readonly cause?: unknown };

/** Events as JSON lines on standard error. */
export function createLog(level: LogLevel): Log {
  const logger = winston.createLogger({
    level: level.toLowerCase(),
    format: winston.format.combine(winston.format.timestamp(), winston.format.json()),
    transports: [new winston.transports.Stream({ stream: process.stderr })],
  });
  const say =
    (at: string) =>
    (message: string, fields: LogFields = {}) => {
      const { cause, ...rest } = fields;
      logger.log(at, message, cause === undefined ? rest : { ...rest, cause: describeError(cause) });
    };
  return {
    error: say("error"),
    warn: say("warn"),
    info: say("info"),
    debug: say("debug"),
    setLevel(next) {
      logger.level = next.toLowerCase();
    },
  };
}

/** The chain of an error's causes in one string, and the innermost stack. */
export function describeError(error: unknown): string {
  const words: string[] = [];
  let at: unknown = error;
  let innermost: Error | undefined;
  while (at instanceof Error && words.length < 8) {
    words.push(`${at.name}: ${at.message}`);
    innermost = at;
    at = at.cause;
  }
  if (innermost === undefined) return typeof error === "string" ? error : "unknown error";
  const stack = innermost.stack?.split("\n").slice(1, 6).join("\n") ?? "";
  return `${words.join(" ← ")}\n${stack}`;
}

/** Lines of one kind on their way to a file descriptor. */
export interface LineWriter {
  /** Takes one line without its newline. A promise means full: wait for it. The line is taken already, unless it rejects:
   *  then far too much waits that could not be written. */
  write(line: string): Promise<void> | undefined;
  /** Resolves when all that was taken has been written, or could not be. */
  flush(): Promise<void>;
}

const FLUSH_AFTER_MS = 50;
const FLUSH_AT_CHARS = 64 * 1024;
const FULL_AT_CHARS = 4 * 1024 * 1024;
/** Only where lines cannot be written at all: those who take care wait long before. */
const REFUSED_AT_CHARS = 8 * FULL_AT_CHARS;

/** `onFailure` is told when lines could not be written; the lines are kept and tried again with the next. */
export function createLineWriter(descriptor: number, onFailure: (error: Error) => void): LineWriter {
  let waiting = "";
  let unwritten: Buffer | undefined;
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<void> | undefined;

  function writeAll(bytes: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (from: number): void => {
        write(descriptor, bytes, from, bytes.length - from, null, (error, written) => {
          if (error?.code === "EAGAIN") {
            setTimeout(step, 5, from);
          } else if (error !== null && error !== undefined) {
            unwritten = bytes.subarray(from);
            reject(error);
          } else if (from + written < bytes.length) {
            step(from + written);
          } else {
            resolve();
          }
        });
      };
      step(0);
    });
  }

  async function drain(): Promise<void> {
    while (unwritten !== undefined || waiting !== "") {
      const bytes = unwritten ?? Buffer.from(waiting, "utf8");
      if (unwritten === undefined) waiting = "";
      unwritten = undefined;
      await writeAll(bytes);
    }
  }

  function start(): Promise<void> {
    clearTimeout(timer);
    timer = undefined;
    writing ??= drain()
      .catch((error: unknown) => onFailure(error instanceof Error ? error : new Error(String(error))))
      .finally(() => {
        writing = undefined;
        if (waiting !== "" && unwritten === undefined) void start();
      });
    return writing;
  }

  return {
    write(line) {
      if (waiting.length > REFUSED_AT_CHARS) {
        void start();
        return Promise.reject(new Error("too many lines wait to be written"));
      }
      waiting += `${line}\n`;
      if (waiting.length > FULL_AT_CHARS) return start();
      if (waiting.length > FLUSH_AT_CHARS) void start();
      else timer ??= setTimeout(() => void start(), FLUSH_AFTER_MS).unref();
      return undefined;
    },
    flush: start,
  };
}
