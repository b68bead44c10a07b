import { randomInt } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type Crash, surviveCrashes } from "./crash.ts";
import type { KillAt } from "./crash-child.ts";

const RANDOM_MOMENTS = 40;
/** Of a program that is started twenty times, on a slow disk. */
const CRASHES_MS = 300_000;
const CALLS = ["create", "write", "datasync", "syncFolder", "link", "unlink", "commit"] as const;

const STEPS: readonly KillAt[] = CALLS.flatMap((step) => [
  { step, when: "before", nth: 3 },
  { step, when: "after", nth: 4 },
]);

async function namesAfter(crashes: readonly Crash[]): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "coffer-crash-"));
  try {
    return await surviveCrashes(folder, crashes);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function atRandomMoments(count: number): Crash[] {
  return Array.from({ length: count }, () => ({ killAt: undefined, afterMs: randomInt(60) }));
}

describe.concurrent("a killed process leaves the old state or the new one, whole, and no body without a record", () => {
  it(
    "before and after each step of the commit path",
    async () => {
      expect(await namesAfter(STEPS.map((killAt) => ({ killAt, afterMs: 0 })))).toBeGreaterThan(6);
    },
    CRASHES_MS,
  );

  it.each([1, 2])(
    "at random moments under load, folder %i",
    async () => {
      expect(await namesAfter(atRandomMoments(RANDOM_MOMENTS / 2))).toBeGreaterThan(6);
    },
    CRASHES_MS,
  );
});
