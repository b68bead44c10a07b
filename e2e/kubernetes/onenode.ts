// A real cluster of one node, on Linux, for root, in namespaces of its own: pods run, Services lead to them, names are
// resolved, volumes are bound. This machine reaches its pods and Services, and pods reach this machine as `host.test`.

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { askApiServer, mustAsk } from "../cluster/apiserver.ts";
import { prepareKubernetes } from "../cluster/binaries.ts";
import { type ApiServerAccess, isApiServerReady, kubeconfigOf } from "../cluster/controlplane.ts";
import { waitFor } from "../harness.ts";
import { machineFolder } from "../temporary.ts";
import { type Addresses, connect, disconnect } from "./addresses.ts";
import { makeCgroup, removeCgroup } from "./cgroups.ts";
import { withLock } from "./lock.ts";
import {
  apiUrl,
  auditLogOf,
  caOf,
  cgroupOf,
  controlPlane,
  type Node,
  nodeParts,
  writeControlPlaneFiles,
} from "./nodeprograms.ts";
import { prepareNodePackages } from "./packages.ts";
import { packPause } from "./pause.ts";
import { endSandbox, isSandbox, Sandbox } from "./sandbox.ts";

export interface OneNode extends ApiServerAccess {
  readonly folder: string;
  readonly kubeconfig: string;
  readonly kubectl: string;
  readonly addresses: Addresses;
  readonly auditLog: string;
  /** Each volume is a folder of it. */
  readonly volumes: string;
  readonly readyMs: number;
}

/** What must be cleaned up. */
interface Held {
  readonly folder: string;
  readonly holderPid: number;
  readonly initPid: number;
  readonly addresses: Addresses;
}

/** What is written down of one that runs, for whoever comes later. */
interface Written extends Held {
  /** Once it is ready. */
  readonly cluster?: OneNode;
}

const FOLDER = "coffer-cluster-";
const NODE_NAME = "node";
const READY_MS = 180_000;
/** A claim gets one of its own, and a volume that was let go serves no other. */
const VOLUMES = 120;
const VOLUME_SIZE = "10Gi";

/** One that was made to stay, and that still runs. */
export async function findOneNode(name: string): Promise<OneNode | undefined> {
  const written = await readWritten(folderOf(name));
  return written !== undefined && (await isSandbox(written.initPid)) ? written.cluster : undefined;
}

/** Without a name it ends with this process at the latest; with one it stays until it is stopped. */
export async function startOneNode(name: string | undefined, say: (line: string) => void): Promise<OneNode> {
  const whyNot = whyNoOneNode();
  if (whyNot !== undefined) throw new Error(whyNot);
  await prepareNodePackages(say);
  const programs = await prepareKubernetes(say);
  const beganMs = performance.now();
  const { sandbox, ...held } = await withLock(join(machineFolder(), "coffer-clusters.lock"), READY_MS, () =>
    claim(name),
  );
  const { folder, addresses } = held;
  try {
    const adminToken = randomBytes(24).toString("hex");
    const { kubernetes, coreDns } = programs;
    const node = { name: NODE_NAME, folder, addresses, adminToken, kubernetes, coreDns };
    await sandbox.run(["bash", "-ec", preparation(node)]);
    await makeCgroup(cgroupOf(folder));
    await writeControlPlaneFiles(node);
    for (const [part, command] of controlPlane(node)) sandbox.start(part, command);
    const access = await untilApiServer(node, sandbox);
    const pause = await packPause(programs.pause, folder);
    await importImage(sandbox, pause);
    for (const [part, command] of await nodeParts(node)) sandbox.start(part, command);
    const volumes = await makeVolumes(access, folder);
    await untilNodeReady(access, sandbox);
    const kubeconfig = join(folder, "kubeconfig");
    await writeFile(kubeconfig, kubeconfigOf(access), { mode: 0o600 });
    const cluster = {
      ...access,
      folder,
      kubeconfig,
      kubectl: programs.kubectl,
      addresses,
      auditLog: auditLogOf(node),
      volumes,
      readyMs: performance.now() - beganMs,
    };
    await write({ ...held, cluster });
    return cluster;
  } catch (error) {
    await clear(folder, held);
    throw error;
  }
}

/** A folder, namespaces, and addresses that no other cluster has. What runs left behind that were ended hard goes first. */
async function claim(name: string | undefined): Promise<Held & { readonly sandbox: Sandbox }> {
  for (const found of await readdir(machineFolder())) {
    if (!found.startsWith(FOLDER)) continue;
    const left = join(machineFolder(), found);
    const written = await readWritten(left);
    if (written === undefined) await rm(left, { recursive: true, force: true });
    // Its processes have ended with whoever made it: the kernel saw to that.
    else if (!(await isSandbox(written.initPid))) await clear(left, written);
  }
  const folder = name === undefined ? await mkdtemp(join(machineFolder(), FOLDER)) : folderOf(name);
  if ((await readWritten(folder)) !== undefined) {
    throw new Error(`Another run makes the cluster "${name}". If none does: npx node e2e/kubernetes/end.ts ${name}`);
  }
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const sandbox = await Sandbox.create({ folder, ownNetwork: true, stays: name !== undefined });
  try {
    const { holderPid, initPid } = sandbox;
    const held = { folder, holderPid, initPid, addresses: await connect(initPid) };
    await write(held);
    return { ...held, sandbox };
  } catch (error) {
    await sandbox.close();
    await rm(folder, { recursive: true, force: true });
    throw error;
  }
}

/** Undefined where it can. */
export function whyNoOneNode(): string | undefined {
  if (process.platform !== "linux") return "A cluster of one node runs on Linux alone.";
  if (process.getuid?.() !== 0) return "A cluster of one node needs root: it makes namespaces, mounts and containers.";
  return undefined;
}

/** Makes an image that `docker save` wrote known to its containers. */
export async function loadImage({ folder }: OneNode, archive: string): Promise<void> {
  const written = await readWritten(folder);
  if (written === undefined) throw new Error(`${folder} has no cluster`);
  await importImage(Sandbox.found(folder, written.holderPid, written.initPid), archive);
}

export async function stopOneNode({ folder }: Pick<OneNode, "folder">): Promise<void> {
  const written = await readWritten(folder);
  if (written !== undefined) await clear(folder, written);
}

/** One that was kept, also if it never became ready; false: there is none. */
export async function endOneNode(name: string): Promise<boolean> {
  const folder = folderOf(name);
  if ((await readWritten(folder)) === undefined) return false;
  await stopOneNode({ folder });
  return true;
}

function folderOf(name: string): string {
  return join(machineFolder(), `${FOLDER}${name}`);
}

/** The wire goes first: with the last process its addresses are free for others. */
async function clear(folder: string, { holderPid, initPid, addresses }: Held): Promise<void> {
  await disconnect(addresses);
  if (await isSandbox(initPid)) await endSandbox(holderPid, initPid);
  await removeCgroup(cgroupOf(folder));
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
}

async function importImage(sandbox: Sandbox, archive: string): Promise<void> {
  await sandbox.run(["ctr", "--namespace", "k8s.io", "images", "import", archive]);
}

/** Mounts and addresses, as a machine has them before its programs start. What it writes stays in our folder. */
function preparation({ folder, addresses }: Node): string {
  const { node, host, podRange } = addresses;
  return `
    mount --make-rshared /
    mount -t tmpfs tmpfs /run
    mkdir -p /run/lock
    for kept in lib log; do
      mkdir -p ${folder}/var/$kept
      mount --bind ${folder}/var/$kept /var/$kept
    done
    # Images are unpacked in memory: a busy disk would take a minute over it.
    mkdir -p /var/lib/containerd
    mount -t tmpfs tmpfs /var/lib/containerd
    mount --make-rshared /
    hostname ${NODE_NAME}
    ip link set lo up
    ip addr add ${node}/30 dev eth0
    ip link set eth0 up
    ip route add default via ${host}
    # Each pod has a route of its own. What is sent to one that has gone is refused, in place of lost behind the host.
    ip route add unreachable ${podRange}
    echo 1 > /proc/sys/net/ipv4/ip_forward
  `;
}

async function untilApiServer(node: Node, sandbox: Sandbox): Promise<ApiServerAccess> {
  const url = apiUrl(node);
  const { adminToken: token } = node;
  await waitFor("the API server", READY_MS, async () => {
    await sandbox.mustRun();
    return await isApiServerReady(url, token);
  });
  return { url, token, caPem: await caOf(node) };
}

async function untilNodeReady(access: ApiServerAccess, sandbox: Sandbox): Promise<void> {
  await waitFor("the node to be ready", READY_MS, async () => {
    await sandbox.mustRun();
    const { body } = await askApiServer(access, "GET", `/api/v1/nodes/${NODE_NAME}`);
    const { status } = body as { status?: { conditions?: readonly { type: string; status: string }[] } };
    if (status?.conditions?.some(({ type, status: is }) => type === "Ready" && is === "True") !== true) return false;
    const account = await askApiServer(access, "GET", "/api/v1/namespaces/default/serviceaccounts/default");
    return account.status === 200;
  });
}

/** A default StorageClass with local volumes that keep to a pod's fsGroup; they cannot grow. */
async function makeVolumes(access: ApiServerAccess, folder: string): Promise<string> {
  const volumes = join(folder, "volumes");
  await mustAsk(access, "POST", "/apis/storage.k8s.io/v1/storageclasses", {
    metadata: { name: "standard", annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
    provisioner: "kubernetes.io/no-provisioner",
    volumeBindingMode: "WaitForFirstConsumer",
  });
  const here = { key: "kubernetes.io/hostname", operator: "In", values: [NODE_NAME] };
  const make = async (at: number) => {
    const path = join(volumes, String(at));
    await mkdir(path, { recursive: true });
    await mustAsk(access, "POST", "/api/v1/persistentvolumes", {
      metadata: { name: `volume-${at}` },
      spec: {
        capacity: { storage: VOLUME_SIZE },
        accessModes: ["ReadWriteOnce"],
        persistentVolumeReclaimPolicy: "Retain",
        storageClassName: "standard",
        local: { path },
        nodeAffinity: { required: { nodeSelectorTerms: [{ matchExpressions: [here] }] } },
      },
    });
  };
  await Promise.all(Array.from({ length: VOLUMES }, (_, at) => make(at)));
  return volumes;
}

async function write(written: Written): Promise<void> {
  const path = join(written.folder, "cluster.json");
  // Whole or not at all: another run may look for what was left behind.
  await writeFile(`${path}.new`, JSON.stringify(written), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

async function readWritten(folder: string): Promise<Written | undefined> {
  const path = join(folder, "cluster.json");
  if (!existsSync(path)) return undefined;
  return JSON.parse(await readFile(path, "utf8")) as Written;
}
