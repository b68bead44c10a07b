// A cluster by kind (Kubernetes in Docker), where a Docker engine answers and can pull the image of its nodes.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { prepareKubectl } from "../cluster/binaries.ts";
import { prepareGoProgram } from "../goprogram.ts";
import { isRunning } from "../processes.ts";
import type { Brought } from "./brought.ts";
import { type Engine, runningEngine } from "./engine.ts";
import { accessBy } from "./given.ts";
import { prepareImage } from "./image.ts";
import { AUDIT_POLICY } from "./nodeprograms.ts";
import { errorsOf } from "./sandbox.ts";

const run = promisify(execFile);

const SOURCES = join(import.meta.dirname, "go");
/** The one that this version of kind makes by default. */
const NODE_IMAGE = "kindest/node:v1.34.0";
const PULL_MS = 10 * 60_000;
const CREATE_MS = 10 * 60_000;
const READY = "180s";
/** The process that made it is in the name. */
const PREFIX = "coffer-e2e-";
const POLICY = "/etc/kubernetes/audit";
const LOGS = "/var/log/kubernetes";

/** Undefined where it can be. */
export async function whyNoKind(): Promise<string | undefined> {
  if ((await runningEngine()) === undefined) return "no Docker engine answers";
  return await run("docker", ["pull", "--quiet", NODE_IMAGE], { timeout: PULL_MS }).then(
    () => undefined,
    (error: unknown) => `Docker cannot pull ${NODE_IMAGE}: ${errorsOf(error).split("\n").at(-1)}`,
  );
}

/** Path of kind, in the cache. */
export async function prepareKind(say: (line: string) => void): Promise<string> {
  const program = {
    name: "kind",
    module: SOURCES,
    files: ["go.mod", "go.sum"],
    target: "sigs.k8s.io/kind",
    linkerFlags: "-s -w",
    neededFor: "the tests on a cluster by kind",
  };
  return await prepareGoProgram(program, say);
}

export async function createKind(say: (line: string) => void): Promise<Brought> {
  const engine = await runningEngine();
  if (engine === undefined) throw new Error("No Docker engine answers");
  const kind = await prepareKind(say);
  const kubectl = await prepareKubectl(say);
  await removeLeftOver(kind);
  const name = `${PREFIX}${process.pid}`;
  const folder = await mkdtemp(join(tmpdir(), PREFIX));
  const stop = async () => {
    await run(kind, ["delete", "cluster", "--name", name], { timeout: CREATE_MS });
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const beganMs = performance.now();
    const kubeconfig = join(folder, "kubeconfig");
    const config = await writeConfig(folder);
    const making = ["create", "cluster", "--name", name, "--config", config, "--kubeconfig", kubeconfig];
    await run(kind, [...making, "--wait", READY], { timeout: CREATE_MS });
    const seconds = ((performance.now() - beganMs) / 1000).toFixed(1);
    const { repository, defaultTag, archive } = await prepareImage(say);
    await run(kind, ["load", "image-archive", archive, "--name", name], { timeout: CREATE_MS });
    const gateway = await gatewayOf(engine);
    return {
      cluster: {
        ...(await accessBy(kubectl, kubeconfig)),
        kind: "kind",
        what: `A cluster by kind, made in ${seconds} s with ${engine.name}`,
        kubeconfig,
        kubectl,
        hostName: gateway,
        hostAddress: gateway,
        isRouted: false,
        auditLog: join(folder, "logs", "audit.log"),
        volumes: join(folder, "volumes"),
      },
      image: { repository, tag: defaultTag, isDefault: true },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** What the node shares with this machine: the audit log and the volumes. */
async function writeConfig(folder: string): Promise<string> {
  for (const shared of ["policy", "logs", "volumes"]) await mkdir(join(folder, shared));
  await writeFile(join(folder, "policy", "policy.yaml"), AUDIT_POLICY);
  const volume = (name: string, path: string, readOnly: boolean) => ({
    name,
    hostPath: path,
    mountPath: path,
    readOnly,
    pathType: "DirectoryOrCreate",
  });
  const patch = {
    kind: "ClusterConfiguration",
    apiServer: {
      extraArgs: { "audit-policy-file": `${POLICY}/policy.yaml`, "audit-log-path": `${LOGS}/audit.log` },
      extraVolumes: [volume("audit-policy", POLICY, true), volume("audit-log", LOGS, false)],
    },
  };
  const config = {
    kind: "Cluster",
    apiVersion: "kind.x-k8s.io/v1alpha4",
    nodes: [
      {
        role: "control-plane",
        kubeadmConfigPatches: [JSON.stringify(patch)],
        extraMounts: [
          { hostPath: join(folder, "policy"), containerPath: POLICY, readOnly: true },
          { hostPath: join(folder, "logs"), containerPath: LOGS },
          { hostPath: join(folder, "volumes"), containerPath: "/var/local-path-provisioner" },
        ],
      },
    ],
  };
  const path = join(folder, "kind.json");
  await writeFile(path, JSON.stringify(config));
  return path;
}

/** This machine, as containers of kind's network see it. */
async function gatewayOf({ docker }: Engine): Promise<string> {
  const networks = JSON.parse(await docker("network", "inspect", "kind")) as readonly {
    IPAM: { Config: readonly { Gateway?: string }[] };
  }[];
  const gateways = networks.flatMap(({ IPAM }) => IPAM.Config.map(({ Gateway = "" }) => Gateway));
  const found = gateways.find((address) => /^[\d.]+$/.test(address));
  if (found === undefined) throw new Error("The network of kind has no gateway of IPv4");
  return found;
}

/** Clusters of runs that were ended hard. */
async function removeLeftOver(kind: string): Promise<void> {
  const { stdout } = await run(kind, ["get", "clusters"]);
  for (const name of stdout.split("\n").filter((line) => line.startsWith(PREFIX))) {
    if (!isRunning(Number(name.slice(PREFIX.length)))) await run(kind, ["delete", "cluster", "--name", name]);
  }
}
