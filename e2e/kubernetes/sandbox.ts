// Namespaces of one's own, in which programs run as on a machine of their own: processes, mounts, and where it is wished
// the network. All that runs in there ends with its first process, and that one with whoever made it.

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { waitFor } from "../harness.ts";
import { childrenOf, isRunning } from "../processes.ts";

const run = promisify(execFile);

export interface SandboxWishes {
  /** Where the logs go. */
  readonly folder: string;
  readonly ownNetwork: boolean;
  /** It stays when the process that made it ends. */
  readonly stays: boolean;
}

const START_MS = 20_000;
const RUN_MS = 120_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** Waits to be told to end, and takes in processes whose parents have ended. */
const FIRST_PROCESS = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done";
/** On a busy machine a program may give up on another that is late, as a machine's service manager would see it. */
const AGAIN = 'for attempt in {1..20}; do "$@"; sleep 1; done; exit 1';

export class Sandbox {
  /** The process outside that holds it, and the first one inside. */
  readonly holderPid: number;
  readonly initPid: number;
  readonly #logs: string;
  readonly #started: Program[] = [];

  private constructor(holderPid: number, initPid: number, logs: string) {
    this.holderPid = holderPid;
    this.initPid = initPid;
    this.#logs = logs;
  }

  static async create({ folder, ownNetwork, stays }: SandboxWishes): Promise<Sandbox> {
    const logs = join(folder, "logs");
    await mkdir(logs, { recursive: true });
    const inside = ["--mount", "--uts", "--ipc", "--pid", ...(ownNetwork ? ["--net"] : [])];
    const command = ["unshare", ...inside, "--fork", "--kill-child", "--mount-proc", "bash", "-c", FIRST_PROCESS];
    // Even a kill -9 of this process ends it: the kernel passes the signal on.
    const [program = "", ...flags] = stays ? command : ["setpriv", "--pdeathsig", "KILL", ...command];
    const holder = startDetached(program, flags, join(logs, "sandbox.log"));
    let initPid: number | undefined;
    await waitFor("the namespaces", START_MS, async () => {
      if (holder.exitCode !== null || holder.signalCode !== null) {
        throw new Error(`The namespaces cannot be made: ${await lastLines(join(logs, "sandbox.log"))}`);
      }
      initPid = (await childrenOf(holder.pid ?? 0))[0]?.pid;
      return initPid !== undefined;
    });
    const sandbox = new Sandbox(holder.pid ?? 0, initPid ?? 0, logs);
    // Seen from inside only once its own /proc is mounted there.
    await waitFor("the first process", START_MS, () => isSandbox(sandbox.initPid));
    return sandbox;
  }

  /** One that another process made, and that stayed. */
  static found(folder: string, holderPid: number, initPid: number): Sandbox {
    return new Sandbox(holderPid, initPid, join(folder, "logs"));
  }

  #entering(command: readonly string[]): string[] {
    return ["-t", String(this.initPid), "--mount", "--uts", "--ipc", "--net", "--pid", "--", ...command];
  }

  /** Starts a program that runs until the end; when it ends by itself it is started again, a few times. */
  start(name: string, command: readonly string[]): void {
    const log = join(this.#logs, `${name}.log`);
    const entering = this.#entering(["bash", "-c", AGAIN, name, ...command]);
    this.#started.push({ name, log, child: startDetached("nsenter", entering, log) });
  }

  /** Throws if a program that should still run ends again and again. */
  async mustRun(): Promise<void> {
    for (const { name, log, child } of this.#started) {
      if (child.exitCode === null && child.signalCode === null) continue;
      throw new Error(`${name} ended with ${child.exitCode ?? child.signalCode}: ${await lastLines(log)}`);
    }
  }

  /** Runs a program to its end; what it prints. */
  async run(command: readonly string[], limitMs = RUN_MS): Promise<string> {
    const settings = { timeout: limitMs, maxBuffer: OUTPUT_BYTES_MAX };
    const { stdout } = await run("nsenter", this.#entering(command), settings).catch((cause: unknown) => {
      throw new Error(`${command.slice(0, 3).join(" ")} failed: ${errorsOf(cause)}`, { cause });
    });
    return stdout;
  }

  async close(): Promise<void> {
    await endSandbox(this.holderPid, this.initPid);
  }
}

interface Program {
  readonly name: string;
  readonly log: string;
  readonly child: ChildProcess;
}

/** Whether that is still the first process of a sandbox, and not another that got its number. */
export async function isSandbox(initPid: number): Promise<boolean> {
  return (await readFile(`/proc/${initPid}/cmdline`, "utf8").catch(() => "")).includes(FIRST_PROCESS);
}

/** Ends all that runs inside. */
export async function endSandbox(holderPid: number, initPid: number): Promise<void> {
  for (const pid of [initPid, holderPid]) {
    try {
      process.kill(pid, "SIGKILL");
    } catch (error) {
      // It has ended meanwhile.
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
  }
  await waitFor("the namespaces to end", START_MS, () => !isRunning(initPid) && !isRunning(holderPid));
}

function startDetached(program: string, flags: readonly string[], log: string): ChildProcess {
  const output = openSync(log, "a");
  // In a session of its own: Ctrl-C is for whoever made it, who then ends it in order.
  const child = spawn(program, flags, { detached: true, stdio: ["ignore", output, output] });
  closeSync(output);
  child.unref();
  child.on("error", () => undefined);
  once(child, "exit").catch(() => undefined);
  return child;
}

export async function lastLines(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch(() => "");
  return text.trim().split("\n").slice(-5).join("\n");
}

/** What a program printed of its failure. */
export function errorsOf(cause: unknown): string {
  const printed = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : "";
  if (printed !== "") return printed.split("\n").slice(-8).join("\n");
  return cause instanceof Error ? cause.message : String(cause);
}
