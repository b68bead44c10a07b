// Asks GitOps controllers' own code how they see resources: health as Argo CD has it by gitops/argocd/health.lua, and
// kstatus, by which Flux waits.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { prepareGoProgram } from "../goprogram.ts";

export interface Judged {
  readonly health: "Healthy" | "Progressing" | "Degraded" | "Suspended";
  readonly message: string;
  readonly kstatus: "Current" | "InProgress" | "Failed" | "Terminating" | "NotFound" | "Unknown";
}

const SCRIPT = join(import.meta.dirname, "..", "..", "gitops", "argocd", "health.lua");

/** Path of the judge. Says what takes long. Fails with a message that tells what to install. */
export async function prepareJudge(say: (line: string) => void): Promise<string> {
  const program = {
    name: "judge",
    module: join(import.meta.dirname, "go"),
    files: ["go.mod", "go.sum", "main.go"],
    target: ".",
    linkerFlags: "-s -w",
    neededFor: "the tests of gitops/",
  };
  return await prepareGoProgram(program, say);
}

/** In the same order. Fails where the script does. */
export async function judge(program: string, objects: readonly object[]): Promise<readonly Judged[]> {
  const child = spawn(program, [SCRIPT], { stdio: ["pipe", "pipe", "inherit"] });
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (piece: string) => {
    text += piece;
  });
  const ended = once(child, "close");
  // One that fails early takes no more input; its exit code says so.
  child.stdin.on("error", () => undefined);
  child.stdin.end(objects.map((object) => `${JSON.stringify(object)}\n`).join(""));
  const [code] = (await ended) as [number];
  const judged = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Judged);
  if (code !== 0 || judged.length !== objects.length) {
    throw new Error(`The judge ended with ${code} after ${judged.length} of ${objects.length} objects`);
  }
  return judged;
}
