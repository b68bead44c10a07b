// A real API server over a real etcd, without nodes and without controllers: in a folder and on ports of its own, with
// RBAC, ready in a few seconds. What it lacks: nothing runs pods, collects garbage or ends namespaces.

import { type ChildProcess, spawn } from "node:child_process";
import { generateKeyPairSync, randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../ports.ts";
import { twice } from "../twice.ts";
import { type Binaries, prepareBinaries } from "./binaries.ts";
import { leash } from "./leash.ts";

/** How to reach it as a user who may do everything. Plain data, so that it may be handed to another process. */
export interface ApiServerAccess {
  readonly url: string;
  readonly caPem: string;
  readonly token: string;
}

export interface ControlPlane extends ApiServerAccess {
  /** For programs that take a file: mode 0600, gone with the rest. */
  readonly kubeconfig: string;
  /** Empty unless it was asked for. */
  readonly auditLog: string;
  readonly readyMs: number;
  /** kill -9 of the API server, and a new one over the same etcd on the same port. */
  restartApiServer(): Promise<void>;
  /** Resolves when both processes have ended and the folder is gone. */
  stop(): Promise<void>;
}

export interface ControlPlaneWishes {
  /** A line for every request, in `auditLog`. */
  readonly audit?: boolean;
  readonly arguments?: readonly string[];
  readonly say?: (line: string) => void;
}

const READY_WITHIN_MS = 300_000;
const LOOK_EVERY_MS = 50;
const AUDIT_POLICY =
  "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n";

export async function startControlPlane(wishes: ControlPlaneWishes = {}): Promise<ControlPlane> {
  const { say = (line: string) => process.stderr.write(`${line}\n`) } = wishes;
  const binaries = await prepareBinaries(say);
  // Somebody else may have taken a port of its own since it was free.
  return await twice("Starting an API server", say, async () => await start(binaries, wishes));
}

async function start(binaries: Binaries, wishes: ControlPlaneWishes): Promise<ControlPlane> {
  const beganMs = performance.now();
  const folder = await mkdtemp(join(tmpdir(), "coffer-controlplane-"));
  const processes: Program[] = [];
  const end = async () => {
    for (const one of processes.toReversed()) await one.kill();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const [etcdPort, peerPort, apiPort] = await freePorts(3);
    const token = randomBytes(24).toString("hex");
    await writeInputs(folder, token);
    const etcd = `http://127.0.0.1:${etcdPort}`;
    processes.push(
      startProgram(
        binaries.etcd,
        etcdArguments(folder, etcd, `http://127.0.0.1:${peerPort}`),
        join(folder, "etcd.log"),
      ),
    );
    const auditLog = wishes.audit === true ? join(folder, "audit.log") : "";
    const log = join(folder, "apiserver.log");
    const flags = [...apiServerArguments(folder, etcd, Number(apiPort), auditLog), ...(wishes.arguments ?? [])];
    processes.push(startProgram(binaries.apiServer, flags, log));
    const url = `https://127.0.0.1:${apiPort}`;
    const readyNow = async () => await untilReady(url, token, processes, log);
    await readyNow();
    const access = { url, token, caPem: await readFile(join(folder, "certs", "apiserver.crt"), "utf8") };
    const kubeconfig = join(folder, "kubeconfig.json");
    await writeFile(kubeconfig, kubeconfigOf(access), { mode: 0o600 });
    return {
      ...access,
      kubeconfig,
      auditLog,
      readyMs: performance.now() - beganMs,
      restartApiServer: async () => {
        await processes.pop()?.kill();
        processes.push(startProgram(binaries.apiServer, flags, log));
        await readyNow();
      },
      stop: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}

/** A kubeconfig is YAML, and so is JSON. */
export function kubeconfigOf({ url, caPem, token }: ApiServerAccess): string {
  const ca = Buffer.from(caPem).toString("base64");
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
    clusters: [
      { name: "test", cluster: { server: url, ...(caPem === "" ? {} : { "certificate-authority-data": ca }) } },
    ],
    users: [{ name: "admin", user: { token } }],
  });
}

async function writeInputs(folder: string, token: string): Promise<void> {
  await mkdir(join(folder, "certs"));
  const { privateKey, publicKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "sec1", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const secret = { mode: 0o600 };
  await writeFile(join(folder, "sa.key"), privateKey, secret);
  await writeFile(join(folder, "sa.pub"), publicKey);
  await writeFile(join(folder, "tokens.csv"), `${token},admin,admin,"system:masters"\n`, secret);
  await writeFile(join(folder, "audit-policy.yaml"), AUDIT_POLICY);
}

function etcdArguments(folder: string, client: string, peer: string): string[] {
  return [
    "--name=default",
    `--data-dir=${join(folder, "etcd")}`,
    "--unsafe-no-fsync",
    "--log-level=warn",
    `--listen-client-urls=${client}`,
    `--advertise-client-urls=${client}`,
    `--listen-peer-urls=${peer}`,
    `--initial-advertise-peer-urls=${peer}`,
    `--initial-cluster=default=${peer}`,
  ];
}

function apiServerArguments(folder: string, etcd: string, port: number, auditLog: string): string[] {
  const audit = [
    `--audit-policy-file=${join(folder, "audit-policy.yaml")}`,
    `--audit-log-path=${auditLog}`,
    "--audit-log-mode=blocking",
  ];
  return [
    `--etcd-servers=${etcd}`,
    "--bind-address=127.0.0.1",
    "--advertise-address=127.0.0.1",
    `--secure-port=${port}`,
    `--cert-dir=${join(folder, "certs")}`,
    "--service-cluster-ip-range=10.96.0.0/16",
    `--token-auth-file=${join(folder, "tokens.csv")}`,
    `--service-account-key-file=${join(folder, "sa.pub")}`,
    `--service-account-signing-key-file=${join(folder, "sa.key")}`,
    "--service-account-issuer=https://kubernetes.default.svc",
    "--authorization-mode=RBAC",
    "--endpoint-reconciler-type=none",
    // Nobody makes the ServiceAccounts that pods would need.
    "--disable-admission-plugins=ServiceAccount",
    ...(auditLog === "" ? [] : audit),
  ];
}

interface Program {
  readonly child: ChildProcess;
  readonly log: string;
  /** kill -9: it keeps nothing that is wanted again, and a polite end waits for its watches. */
  kill(): Promise<void>;
}

function startProgram(path: string, flags: readonly string[], log: string): Program {
  const output = openSync(log, "a");
  const child = spawn(path, flags, { stdio: ["ignore", output, output] });
  closeSync(output);
  leash(child);
  const ended = once(child, "exit");
  return {
    child,
    log,
    async kill() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
      await ended;
    },
  };
}

async function untilReady(url: string, token: string, processes: readonly Program[], log: string): Promise<void> {
  const deadlineMs = performance.now() + READY_WITHIN_MS;
  while (!(await isApiServerReady(url, token))) {
    const ended = processes.find(({ child }) => child.exitCode !== null || child.signalCode !== null);
    if (ended !== undefined) throw new Error(`It ended at once: ${await lastLines(ended.log)}`);
    if (performance.now() > deadlineMs) throw new Error(`The API server is not ready: ${await lastLines(log)}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
}

/** Whether it has begun in full; its certificate is not looked at. */
export async function isApiServerReady(url: string, token: string): Promise<boolean> {
  return await new Promise((resolve) => {
    // Its certificate is known only once it is there.
    const asked = request(`${url}/readyz`, {
      rejectUnauthorized: false,
      agent: false,
      timeout: 2000,
      headers: { authorization: `Bearer ${token}` },
    });
    asked.once("response", (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    asked.once("timeout", () => asked.destroy());
    asked.once("error", () => resolve(false));
    asked.once("close", () => resolve(false));
    asked.end();
  });
}

async function lastLines(path: string): Promise<string> {
  const text = await readFile(path, "utf8").catch(() => "it wrote no log");
  return text.trim().split("\n").slice(-8).join("\n");
}
