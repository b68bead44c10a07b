// The operator itself as a process, behind a proxy that breaks what a test wants broken.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sharedApiServer } from "./apiserver.ts";
import type { ApiServerAccess } from "./controlplane.ts";
import { type FaultProxy, startFaultProxy } from "./faults.ts";
import { leash } from "./leash.ts";

export interface RunningOperator {
  readonly proxy: FaultProxy;
  readonly pid: number;
  /** All that it printed. */
  printed(): string;
  /** SIGTERM; the exit code, also of one that has ended already. */
  stop(): Promise<number | null>;
  kill(): Promise<void>;
}

const ROOT = join(import.meta.dirname, "..", "..");

/** `more` goes over the environment that it has; `access` is to another API server than the shared one. */
export async function startOperator(
  namespace: string,
  more: Record<string, string> = {},
  access: ApiServerAccess = sharedApiServer(),
): Promise<RunningOperator> {
  const folder = await mkdtemp(join(tmpdir(), "coffer-operator-"));
  const proxy = await startFaultProxy(access);
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
  leash(child);
  let printed = "";
  child.stdout.on("data", (piece: Buffer) => {
    printed += piece.toString("utf8");
  });
  child.stderr.on("data", (piece: Buffer) => {
    printed += piece.toString("utf8");
  });
  // One that ends without being asked leaves no line of its own.
  child.once("exit", (code, signal) => {
    printed += `(the operator has ended: ${signal ?? `code ${code}`})\n`;
  });
  // With all that it printed, which may come after its exit.
  const closed = once(child, "close");
  closed.catch(() => undefined);
  const cleared = async () => {
    await proxy.close();
    await rm(folder, { recursive: true, force: true });
  };
  let clearing: Promise<void> | undefined;
  const end = async (signal: "SIGTERM" | "SIGKILL") => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    await closed;
    clearing ??= cleared();
    await clearing;
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

/** The environment of a pod: it finds the API server, and who it is, as every pod does. Past the proxy. */
export async function podEnvironment(
  { url, caPem, token }: ApiServerAccess,
  folder: string,
): Promise<Record<string, string>> {
  await writeFile(join(folder, "ca.crt"), caPem);
  await writeFile(join(folder, "token"), token, { mode: 0o600 });
  const { hostname, port } = new URL(url);
  return {
    COFFER_KUBECONFIG: "",
    KUBERNETES_SERVICE_HOST: hostname,
    KUBERNETES_SERVICE_PORT: port,
    COFFER_SERVICE_ACCOUNT_DIR: folder,
  };
}
