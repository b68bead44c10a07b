// The operator itself as a process, behind a proxy that breaks what a test wants broken.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sharedApiServer } from "./apiserver.ts";
import { type FaultProxy, startFaultProxy } from "./faults.ts";

export interface RunningOperator {
  readonly proxy: FaultProxy;
  readonly pid: number;
  /** All that it printed. */
  printed(): string;
  /** SIGTERM; the exit code. */
  stop(): Promise<number | null>;
  kill(): Promise<void>;
}

const ROOT = join(import.meta.dirname, "..", "..");

export async function startOperator(namespace: string, more: Record<string, string> = {}): Promise<RunningOperator> {
  const folder = await mkdtemp(join(tmpdir(), "coffer-operator-"));
  const proxy = await startFaultProxy(sharedApiServer());
  const kubeconfig = join(folder, "kubeconfig");
  await proxy.writeKubeconfig(kubeconfig);
  const environment = {
    ...process.env,
    COFFER_KUBECONFIG: kubeconfig,
    COFFER_NAMESPACE: namespace,
    COFFER_WATCH_NAMESPACES: namespace,
    COFFER_IMAGE: "coffer:test",
    COFFER_HEALTH_PORT: "0",
    ...more,
  };
  const flags = ["--disable-warning=ExperimentalWarning", join(ROOT, "operator", "main.ts")];
  const child = spawn(join(ROOT, "node_modules", ".bin", "node"), flags, { env: environment });
  let printed = "";
  child.stdout.on("data", (piece: Buffer) => {
    printed += piece.toString("utf8");
  });
  child.stderr.on("data", (piece: Buffer) => {
    printed += piece.toString("utf8");
  });
  const end = async (signal: "SIGTERM" | "SIGKILL") => {
    await ended(child, signal);
    await proxy.close();
    await rm(folder, { recursive: true, force: true });
    return child.exitCode;
  };
  return {
    proxy,
    pid: child.pid ?? 0,
    printed: () => printed,
    stop: async () => await end("SIGTERM"),
    kill: async () => {
      await end("SIGKILL");
    },
  };
}

async function ended(child: ChildProcess, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill(signal);
  await exit;
}
