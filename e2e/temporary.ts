// The temporary folder of a test run: whatever its programs make there goes into one folder, which ends with the run. What
// runs left behind that were killed, the next one takes away.

import { lstatSync, mkdtempSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRunning } from "./processes.ts";

const PREFIX = "coffer-test-";
const NAME = /^coffer-test-(\d+)-(\d+)-\w{6}$/;
const SWEPT_MAX = 100;
/** Tells the processes of a run where the machine has its own. */
const MACHINE = "COFFER_E2E_TMPDIR";

/** Where that is kept which is not a run's alone: locks that runs share, and clusters that stay. */
export function machineFolder(): string {
  return process.env[MACHINE] ?? tmpdir();
}

/** From now on `tmpdir()` is the run's, for this process and all that it starts. Once for a run, by its first process. */
export default function useOwnFolder(): void {
  if (process.env[MACHINE] !== undefined) return;
  const machine = tmpdir();
  sweep(machine);
  // Whoever owns it is in its name: a process, among those that see it by this number.
  const folder = mkdtempSync(join(machine, `${PREFIX}${processSpace()}-${process.pid}-`));
  process.env[MACHINE] = machine;
  process.env["TMPDIR"] = folder;
  process.once("exit", () => remove(folder));
}

function sweep(machine: string): void {
  const left = readdirSync(machine).filter((name) => isLeftOver(join(machine, name), name));
  for (const name of left.slice(0, SWEPT_MAX)) remove(join(machine, name));
}

/** Ours, of a process that has ended. One in another container may have the number of one that lives there. */
function isLeftOver(path: string, name: string): boolean {
  const [, space, pid] = NAME.exec(name) ?? [];
  if (space !== processSpace() || isRunning(Number(pid))) return false;
  const found = lstatSync(path, { throwIfNoEntry: false });
  return found?.isDirectory() === true && found.uid === process.getuid?.();
}

function processSpace(): string {
  return process.platform === "linux" ? readlinkSync("/proc/self/ns/pid").replace(/\D/g, "") : "0";
}

function remove(folder: string): void {
  try {
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    // Somebody still writes there: the next run finds it again.
    process.stderr.write(`${folder} stays: ${String(error)}\n`);
  }
}
