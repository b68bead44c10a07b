// A volume that a test can fill to its last byte: a file system in memory, mounted where that is allowed, else inside a name
// space of its own, which the store then enters.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, cpSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const BLOCK = Buffer.alloc(1024 * 1024);

export class SmallVolume {
  /** Where the store finds it. */
  readonly folder: string;
  /** What the store is started through, so that it sees the volume. */
  readonly through: readonly string[];
  readonly how: "mounted" | "in a name space";
  /** Where the test finds it. */
  readonly #seen: string;
  readonly #holder: ChildProcess | undefined;

  private constructor(folder: string, holder: ChildProcess | undefined) {
    this.folder = folder;
    this.#holder = holder;
    this.how = holder === undefined ? "mounted" : "in a name space";
    const pid = String(holder?.pid);
    this.through = holder === undefined ? [] : ["nsenter", "-t", pid, "-U", "-m", "--preserve-credentials"];
    this.#seen = holder === undefined ? folder : join("/proc", pid, "root", folder);
  }

  /** Throws if this machine allows neither. */
  static async create(mebibytes: number): Promise<SmallVolume> {
    const folder = mkdtempSync(join(tmpdir(), "coffer-volume-"));
    const mount = ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", folder];
    try {
      execFileSync("mount", mount, { stdio: "ignore" });
      return new SmallVolume(folder, undefined);
    } catch {
      // Whoever may not mount may still do so where nobody else sees it.
      const script = `mount ${mount.join(" ")} && echo mounted && exec sleep infinity`;
      const holder = spawn("unshare", ["-Urm", "sh", "-c", script], { stdio: ["ignore", "pipe", "ignore"] });
      await Promise.race([once(holder.stdout, "data"), once(holder, "exit")]);
      if (holder.exitCode !== null) throw new Error("This machine lets nobody mount a file system");
      return new SmallVolume(folder, holder);
    }
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
    if (this.#holder === undefined) {
      execFileSync("umount", [this.folder]);
    } else {
      this.#holder.kill("SIGKILL");
      await once(this.#holder, "exit");
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}
