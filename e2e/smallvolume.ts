// A volume that a test can fill to its last byte: a file system in memory, mounted in a name space of its own, which the
// store then enters, and which goes with its one process.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, cpSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { leash } from "./cluster/leash.ts";

const BLOCK = Buffer.alloc(1024 * 1024);
/** Root's, and everybody's. */
const WAYS = [
  { making: ["-m"], entering: ["-m"] },
  { making: ["-Urm"], entering: ["-U", "-m", "--preserve-credentials"] },
] as const;

/** The process that holds the mount, once it is there; undefined: this is not allowed. */
async function holderOf([program = "", ...flags]: readonly string[]): Promise<ChildProcess | undefined> {
  const holder = spawn(program, flags, { stdio: ["ignore", "pipe", "ignore"] });
  const { promise, resolve } = Promise.withResolvers<ChildProcess | undefined>();
  holder.stdout.once("data", () => resolve(holder));
  for (const end of ["error", "exit"]) holder.once(end, () => resolve(undefined));
  leash(holder);
  return await promise;
}

export class SmallVolume {
  /** Where the store finds it. */
  readonly folder: string;
  /** What the store is started through, so that it sees the volume. */
  readonly through: readonly string[];
  /** Where the test finds it. */
  readonly #seen: string;
  readonly #holder: ChildProcess;

  private constructor(folder: string, holder: ChildProcess, entering: readonly string[]) {
    this.folder = folder;
    this.#holder = holder;
    this.through = ["nsenter", "-t", String(holder.pid), ...entering];
    this.#seen = join("/proc", String(holder.pid), "root", folder);
  }

  /** Throws, with what to do about it, where this machine does not allow it. */
  static async create(mebibytes: number): Promise<SmallVolume> {
    const folder = mkdtempSync(join(tmpdir(), "coffer-volume-"));
    const script = `mount -t tmpfs -o size=${mebibytes}m tmpfs '${folder}' && echo mounted && exec sleep infinity`;
    for (const { making, entering } of WAYS) {
      const holder = await holderOf(["unshare", ...making, "sh", "-c", script]);
      if (holder !== undefined) return new SmallVolume(folder, holder, entering);
    }
    rmSync(folder, { recursive: true, force: true });
    throw new Error(
      "A disk that fills up needs a file system that can be mounted, on Linux: run the tests as root, or let everybody make name spaces (sysctl -w kernel.unprivileged_userns_clone=1 kernel.apparmor_restrict_unprivileged_userns=0)",
    );
  }

  /** Copies the data out, so that they can be opened where the volume cannot be seen: where they are then. */
  copyData(into: string): string {
    const copy = join(into, "copy");
    cpSync(join(this.#seen, "data"), copy, { recursive: true, filter: (path) => !path.endsWith("/lock") });
    return copy;
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.#seen);
    return bavail * bsize;
  }

  /** Takes all but that many bytes, with files that are not the store's. */
  fill(leaveBytes: number): void {
    const folder = join(this.#seen, "ballast");
    mkdirSync(folder, { recursive: true });
    const file = openSync(join(folder, `${performance.now()}`), "w");
    try {
      for (let left = this.freeBytes - leaveBytes; left > 0; left = this.freeBytes - leaveBytes) {
        writeSync(file, BLOCK, 0, Math.min(BLOCK.length, left));
      }
    } catch (error) {
      // The store was faster with the last page.
      if (!(error instanceof Error && "code" in error && error.code === "ENOSPC")) throw error;
    } finally {
      closeSync(file);
    }
  }

  empty(): void {
    rmSync(join(this.#seen, "ballast"), { recursive: true, force: true });
  }

  async remove(): Promise<void> {
    const gone = once(this.#holder, "exit");
    this.#holder.kill("SIGKILL");
    await gone;
    rmSync(this.folder, { recursive: true, force: true });
  }
}
