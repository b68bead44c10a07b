// A cgroup of one's own, in the one hierarchy of version 2 or in every one of version 1, and its end: the kernel removes
// none that was made.

import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { waitFor } from "../harness.ts";

const GONE_MS = 60_000;
const ROOT = "/sys/fs/cgroup";
/** Empty in a new one of version 1, which then takes no process. */
const INHERITED = ["cpuset.cpus", "cpuset.mems"];
/**
 * As much of a busy processor as ten threads have that are in no group. By default all pods together would have as much as
 * one, and there are many beside them.
 */
const WEIGHTS: Readonly<Record<string, string>> = { "cpu.shares": "10240", "cpu.weight": "1000" };

export async function makeCgroup(name: string): Promise<void> {
  for (const hierarchy of await hierarchies()) {
    await mkdir(join(hierarchy, name), { recursive: true });
    for (const [file, weight] of Object.entries(WEIGHTS)) {
      const path = join(hierarchy, name, file);
      if (existsSync(path)) await writeFile(path, weight);
    }
    if (isOne(hierarchy)) continue;
    for (const file of INHERITED.filter((found) => existsSync(join(hierarchy, found)))) {
      await writeFile(join(hierarchy, name, file), await readFile(join(hierarchy, file)));
    }
  }
}

/** With all below it. Processes that were killed a moment ago hold it until the kernel has cleared them away. */
export async function removeCgroup(name: string): Promise<void> {
  const folders = (await hierarchies()).map((hierarchy) => join(hierarchy, name));
  await waitFor(`the processes of ${name} to be gone`, GONE_MS, async () => {
    for (const folder of folders) await removeFolders(folder);
    return !folders.some((folder) => existsSync(folder));
  });
}

async function hierarchies(): Promise<readonly string[]> {
  if (isOne(ROOT)) return [ROOT];
  const found = await readdir(ROOT, { withFileTypes: true });
  const folders = found.filter((entry) => entry.isDirectory()).map(({ name }) => join(ROOT, name));
  return folders.filter((folder) => existsSync(join(folder, "cgroup.procs")));
}

/** The one of version 2. */
function isOne(folder: string): boolean {
  return existsSync(join(folder, "cgroup.controllers"));
}

/** Of a file system that lets go of folders alone, innermost first. */
async function removeFolders(path: string): Promise<void> {
  if (!existsSync(path)) return;
  for (const below of await readdir(path, { withFileTypes: true })) {
    if (below.isDirectory()) await removeFolders(join(path, below.name));
  }
  // One that still has processes stays: who waits for it sees that, and tries again.
  await rmdir(path).catch(() => undefined);
}
