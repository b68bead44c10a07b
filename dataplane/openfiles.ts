/** What the operating system lets this process have open at once: files and connections together. */
import { existsSync, readFileSync } from "node:fs";

/** On most systems; only Linux has that file. */
const USUAL = 1024;

export function openFilesLimit(limitsPath = "/proc/self/limits"): number {
  if (!existsSync(limitsPath)) return USUAL;
  const soft = /^Max open files\s+(\d+)/m.exec(readFileSync(limitsPath, "latin1"))?.[1];
  return Number(soft ?? USUAL);
}
