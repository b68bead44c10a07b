// What /proc says of a process: its children, and the most memory that it ever had. Linux alone.

import { existsSync, readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";

export interface ProcessFound {
  readonly pid: number;
  readonly command: string;
}

/** The processes that were started by `pid`, directly. */
export async function childrenOf(pid: number): Promise<readonly ProcessFound[]> {
  const found: ProcessFound[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const [status, command] = await Promise.all([readProc(name, "status"), readProc(name, "cmdline")]);
    if (numberOf(status, "PPid") === pid) found.push({ pid: Number(name), command: command.replaceAll("\0", " ") });
  }
  return found;
}

/** The largest resident set since the process began, as the kernel counted it: no peak falls between two samples. */
export async function peakRssBytes(pid: number): Promise<number> {
  const kibibytes = numberOf(await readProc(String(pid), "status"), "VmHWM");
  if (kibibytes === undefined) throw new Error(`process ${pid} has gone`);
  return kibibytes * 1024;
}

/** One that has ended runs no more, though nobody asked how: in a container the first process often asks of none. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch {
    return false;
  }
}

/** False where there is no /proc. */
function isZombie(pid: number): boolean {
  const path = `/proc/${pid}/status`;
  return existsSync(path) && /^State:\s+[ZX]/m.test(readFileSync(path, "utf8"));
}

function numberOf(status: string, name: string): number | undefined {
  const value = new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1];
  return value === undefined ? undefined : Number(value);
}

/** Empty if it ended meanwhile. */
async function readProc(pid: string, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
}
