// Runs the data plane as a child: starts it, starts it again with back-off when it dies, stops it within a limit, and puts
// what it says into files. What goes wrong in it is shown on the terminal, not too often.

import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type LogFile, openLogFile } from "./logfiles.ts";
import type { Terminal } from "./terminal.ts";
import { createWarnings } from "./warnings.ts";

export interface Child {
  start(): void;
  isRunning(): boolean;
  /** How often in a row it has died without having been ready. */
  failures(): number;
  /** Told by whoever asks it: back-off begins anew from here. */
  wasReady(): void;
  /** Resolves when it is gone. Again: at once, without waiting for what is in flight. */
  stop(): Promise<void>;
}

export interface ChildNeeds {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly logsDir: string;
  readonly terminal: Terminal;
  /** It has started, or died. */
  onChange(): void;
}

/** They keep bodies out of V8's garbage collection, and can be given on the command line alone. */
const V8_FLAGS = [
  "--external-memory-accounted-in-global-limit",
  "--initial-old-space-size=48",
  "--max-old-space-size=256",
  "--max-semi-space-size=16",
];
/** With an arena for each thread, freed memory stays with threads that do not need it. */
const ALLOCATOR = { MALLOC_ARENA_MAX: "1" };
const FIRST_DELAY_MS = 200;
const LAST_DELAY_MS = 10_000;
/** Longer than it takes to finish what is in flight. */
const STOP_MS = 35_000;

export function createChild(needs: ChildNeeds): Child {
  const { terminal, logsDir } = needs;
  const warnings = createWarnings(terminal, join(logsDir, "events.log"));
  const onLogFailure = (error: unknown): void =>
    terminal.warn(`the log cannot be written: ${error instanceof Error ? error.message : "unknown error"}`);
  let running: ChildProcess | undefined;
  let failures = 0;
  let restart: NodeJS.Timeout | undefined;
  let isStopping = false;

  function start(): void {
    if (isStopping || running !== undefined) return;
    const requests = openLogFile(join(logsDir, "requests.log"), onLogFailure);
    const events = openLogFile(join(logsDir, "events.log"), onLogFailure);
    const child = spawn(process.execPath, childArguments(), {
      env: { ...ALLOCATOR, ...needs.environment },
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      detached: true,
    });
    running = child;
    child.stdout?.on("data", (chunk: Buffer) => requests.write(chunk));
    child.stderr?.on("data", (chunk: Buffer) => {
      events.write(chunk);
      warnings.take(chunk);
    });
    child.once("error", (error) => terminal.warn(`the data plane cannot be started: ${error.message}`));
    child.once("close", (code, signal) => ended(child, code, signal, [requests, events]));
    needs.onChange();
  }

  function ended(child: ChildProcess, code: number | null, signal: string | null, logs: readonly LogFile[]): void {
    for (const log of logs) log.close();
    if (running === child) running = undefined;
    warnings.flush();
    if (!isStopping) {
      failures += 1;
      const delayMs = Math.min(LAST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures - 1));
      const how = signal === null ? `ended with code ${code}` : `was ended by ${signal}`;
      terminal.warn(`the data plane ${how}; it is started again in ${delayMs / 1000} s`);
      restart = setTimeout(start, delayMs);
    }
    needs.onChange();
  }

  return {
    start,
    isRunning: () => running !== undefined,
    failures: () => failures,
    wasReady: () => {
      failures = 0;
    },
    async stop() {
      const isAgain = isStopping;
      isStopping = true;
      clearTimeout(restart);
      const child = running;
      if (child === undefined) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      child.once("close", () => resolve());
      child.kill(isAgain ? "SIGKILL" : "SIGTERM");
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS);
      await promise;
      clearTimeout(timer);
    },
  };
}

function childArguments(): string[] {
  const orphan = new URL("./orphan.ts", import.meta.url).href;
  const program = fileURLToPath(new URL("../../dataplane/main.ts", import.meta.url));
  return [...V8_FLAGS, "--disable-warning=ExperimentalWarning", `--import=${orphan}`, program];
}
