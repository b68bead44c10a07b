/* For tests: runs crash-child.ts over one data folder again and again, lets it be killed, and judges what is left:
 * every name holds what was acknowledged last or what was begun last, whole, and no body is without a record. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { bytesOf, readAll, SIGNAL } from "../contract/bench.ts";
import type { Storage } from "../storage.ts";
import type { CrashLine, KillAt } from "./crash-child.ts";
import { openFilesystem } from "./filesystem.ts";

const BUCKET = "crash";

/** What a name may hold: the state acknowledged last, and that which was begun since. "" is absent. */
type Allowed = Map<string, Set<string>>;

export interface Crash {
  /** Where it ends itself, or else after how long it is killed from outside. */
  readonly killAt: KillAt | undefined;
  readonly afterMs: number;
}

/** Resolves once the process is dead; `allowed` has taken in all that it said. */
async function runUntilDead(folder: string, crash: Crash, allowed: Allowed): Promise<void> {
  const program = new URL("./crash-child.ts", import.meta.url).pathname;
  const args = ["--disable-warning=ExperimentalWarning", program, folder, JSON.stringify(crash.killAt ?? null)];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const dead = new Promise<NodeJS.Signals | null>((resolve) => {
    child.once("exit", (_code, signal) => resolve(signal));
  });
  for await (const text of createInterface({ input: child.stdout })) {
    const line = JSON.parse(text) as CrashLine;
    if (line.says === "ready" && crash.killAt === undefined) {
      const killing = sleep(crash.afterMs).then(() => child.kill("SIGKILL"));
      assert.ok(killing instanceof Promise);
    }
    if (line.says === "begin") {
      const states = allowed.get(line.name) ?? new Set([""]);
      allowed.set(line.name, states.add(line.state));
    }
    if (line.says === "done") {
      allowed.set(line.name, new Set([line.state]));
    }
  }
  assert.equal(await dead, "SIGKILL", "the program has ended in another way");
}

async function stateOf(storage: Storage, name: string): Promise<string> {
  const entry = await storage.find({ bucket: BUCKET, name }, SIGNAL);
  if (entry === undefined) {
    return "";
  }
  const seed = Buffer.from(entry.envelope ?? []).toString();
  const bytes = await readAll(storage, entry);
  assert.ok(bytes.equals(bytesOf(seed, Number(seed.split(":")[0]))), `"${name}" is torn`);
  return seed;
}

async function judge(folder: string, allowed: Allowed): Promise<void> {
  const storage = await openFilesystem({ folder });
  try {
    assert.deepEqual(await storage.check(SIGNAL), [], "bodies and records do not fit");
    for (const [name, states] of allowed) {
      const state = await stateOf(storage, name);
      assert.ok(states.has(state), `"${name}" holds ${state || "nothing"}, not one of ${[...states].join()}`);
      allowed.set(name, new Set([state]));
    }
  } finally {
    await storage.close();
  }
}

/** Crashes in turn over one folder, each judged. How many names were written, so that a test can see that it worked. */
export async function surviveCrashes(folder: string, crashes: readonly Crash[]): Promise<number> {
  const allowed: Allowed = new Map();
  for (const crash of crashes) {
    await runUntilDead(folder, crash, allowed);
    await judge(folder, allowed);
  }
  return allowed.size;
}
