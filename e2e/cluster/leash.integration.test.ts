// What a test run leaves behind when it is killed: nothing.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const NODE = join(import.meta.dirname, "..", "..", "node_modules", ".bin", "node");
const STARTS_TWO = `
  import { spawn } from "node:child_process";
  import { leash } from ${JSON.stringify(join(import.meta.dirname, "leash.ts"))};
  const start = () => {
    const child = spawn("sleep", ["600"], { stdio: "ignore" });
    leash(child);
    return child;
  };
  const [first, second] = [start(), start()];
  second.once("exit", () => process.stdout.write(\`\${first.pid} \${second.pid}\\n\`));
  second.kill();
  setInterval(() => undefined, 1000);
`;
const STARTS_GROUP = `
  import { spawn } from "node:child_process";
  import { leash } from ${JSON.stringify(join(import.meta.dirname, "leash.ts"))};
  const child = spawn("sh", ["-c", "sleep 600 & echo $!; wait"], { detached: true, stdio: ["ignore", "pipe", "ignore"] });
  leash(child, true);
  child.stdout.pipe(process.stdout);
  setInterval(() => undefined, 1000);
`;
const LOOK_EVERY_MS = 20;

/** One that has ended, and that nobody has taken note of, does not: it may stay so where no init is. */
function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

async function untilDead(pid: number): Promise<void> {
  while (lives(pid)) await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
}

function start(script: string): ChildProcess {
  return spawn(NODE, ["--disable-warning=ExperimentalWarning", "--input-type=module", "--eval", script]);
}

it("ends programs with the process that started them, though that was killed", async () => {
  const starter = start(STARTS_TWO);
  try {
    const [line] = (await once(starter.stdout as NonNullable<ChildProcess["stdout"]>, "data")) as [Buffer];
    const [first = 0, second = 0] = line.toString("utf8").trim().split(" ").map(Number);
    expect([lives(first), lives(second)]).toEqual([true, false]);
    starter.kill("SIGKILL");
    await untilDead(first);
  } finally {
    starter.kill("SIGKILL");
  }
});

it("ends all of a group that a program leads, where that is wished", async () => {
  const starter = start(STARTS_GROUP);
  try {
    const [line] = (await once(starter.stdout as NonNullable<ChildProcess["stdout"]>, "data")) as [Buffer];
    const grandchild = Number(line.toString("utf8").trim());
    expect(lives(grandchild)).toBe(true);
    starter.kill("SIGKILL");
    await untilDead(grandchild);
  } finally {
    starter.kill("SIGKILL");
  }
});
