// A cluster by kind (Kubernetes in Docker), where a Docker engine answers that has the image of its nodes, or can pull it.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { prepareKubectl } from "../cluster/binaries.ts";
import { prepareGoProgram } from "../goprogram.ts";
import { isRunning } from "../processes.ts";
import type { Brought } from "./brought.ts";
import { type Engine, hasImage, runningEngine } from "./engine.ts";
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
const VOLUMES = "/var/local-path-provisioner";

/** Undefined where it can be. */
export async function whyNoKind(): Promise<string | undefined> {
  const engine = await runningEngine();
  if (engine === undefined) return "no Docker engine answers";
  if (await hasImage(engine, NODE_IMAGE)) return undefined;
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
    const auditLog = join(folder, "logs", "audit.log");
    const volumes = process.getuid?.() === 0 ? join(folder, "volumes") : undefined;
    const config = await writeConfig({ folder, auditLog, volumes });
    const making = ["create", "cluster", "--name", name, "--config", config, "--kubeconfig", kubeconfig];
    // By name: kind's own default is a digest, and what the engine has under the name may be another one.
    await run(kind, [...making, "--image", NODE_IMAGE, "--wait", READY], { timeout: CREATE_MS });
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
        auditLog,
        volumes,
      },
      image: { repository, tag: defaultTag, isDefault: true },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

interface Shared {
  readonly folder: string;
  readonly auditLog: string;
  /** undefined: they stay in the node. */
  readonly volumes: string | undefined;
}

/** What the node shares with this machine. Its programs are root: whoever is not root here could not read what they write,
 *  nor remove it. */
async function writeConfig({ folder, auditLog, volumes }: Shared): Promise<string> {
  const policy = join(folder, "policy");
  await mkdir(policy);
  await mkdir(dirname(auditLog));
  if (volumes !== undefined) await mkdir(volumes);
  await writeFile(join(policy, "policy.yaml"), AUDIT_POLICY);
  // The API server goes on with a file that is there, and leaves it its owner.
  await writeFile(auditLog, "");
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
          { hostPath: policy, containerPath: POLICY, readOnly: true },
          { hostPath: dirname(auditLog), containerPath: LOGS },
          ...(volumes === undefined ? [] : [{ hostPath: volumes, containerPath: VOLUMES }]),
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
