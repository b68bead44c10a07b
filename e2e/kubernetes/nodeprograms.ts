// What runs on the node of the one-node cluster: the programs of Kubernetes, containerd and CoreDNS, with the files and
// the flags that each is started with. Who asks the API server says so by a token of its own.

import { generateKeyPairSync, randomBytes } from "node:crypto";
import { mkdir, readFile, statfs, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { kubeconfigOf } from "../cluster/controlplane.ts";
import type { Addresses } from "./addresses.ts";
import { PAUSE_IMAGE } from "./pause.ts";

export interface Node {
  readonly name: string;
  readonly folder: string;
  readonly addresses: Addresses;
  /** Of who may do everything. */
  readonly adminToken: string;
  /** The program that has all of Kubernetes in it. */
  readonly kubernetes: string;
  readonly coreDns: string;
}

export type Command = readonly [name: string, command: readonly string[]];

const USERS = {
  "kube-scheduler": () => "system:kube-scheduler,scheduler",
  "kube-proxy": () => "system:kube-proxy,proxy",
  kubelet: (node: string) => `system:node:${node},kubelet,"system:nodes"`,
} as const;
const OVERLAY_MAGIC = 0x794c7630;
/** Bit 24 of the capabilities: root may raise limits. */
const SYS_RESOURCE = 1n << 24n;
const CLUSTER_DOMAIN = "cluster.local";
/** The name that pods know this machine by. */
export const HOST_NAME = "host.test";

export const AUDIT_POLICY =
  "apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules: [{level: Metadata}]\n";

export function apiUrl({ addresses }: Pick<Node, "addresses">): string {
  return `https://${addresses.node}:6443`;
}

export function auditLogOf({ folder }: Pick<Node, "folder">): string {
  return join(folder, "audit.log");
}

/** The API server writes it when it first starts. */
export function caOf({ folder }: Pick<Node, "folder">): Promise<string> {
  return readFile(join(folder, "certs", "apiserver.crt"), "utf8");
}

/** What the API server reads: keys, tokens, and what to log. */
export async function writeControlPlaneFiles(node: Node): Promise<void> {
  const { folder, adminToken } = node;
  const { privateKey, publicKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "sec1", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  const secret = { mode: 0o600 };
  const tokens = [`${adminToken},admin,admin,"system:masters"`];
  for (const [program, user] of Object.entries(USERS)) {
    const token = randomBytes(24).toString("hex");
    tokens.push(`${token},${user(node.name)}`);
    await writeFile(join(folder, `${program}.token`), token, secret);
  }
  await writeFile(join(folder, "tokens.csv"), `${tokens.join("\n")}\n`, secret);
  await writeFile(join(folder, "sa.key"), privateKey, secret);
  await writeFile(join(folder, "sa.pub"), publicKey);
  await writeFile(join(folder, "audit-policy.yaml"), AUDIT_POLICY);
  await writeFile(join(folder, "containerd.toml"), await containerdToml(node));
  await mkdir(join(folder, "cni"), { recursive: true });
  await writeFile(join(folder, "cni", "10-pods.conflist"), JSON.stringify(podNetwork(node)));
}

export function controlPlane(node: Node): readonly Command[] {
  const { folder, addresses, kubernetes } = node;
  return [
    ["containerd", ["containerd", "--config", join(folder, "containerd.toml")]],
    ["etcd", [kubernetes, "etcd", `--data-dir=${join(folder, "etcd")}`, "--unsafe-no-fsync", "--log-level=warn"]],
    [
      "kube-apiserver",
      [
        kubernetes,
        "kube-apiserver",
        "--etcd-servers=http://127.0.0.1:2379",
        "--bind-address=0.0.0.0",
        `--advertise-address=${addresses.node}`,
        `--cert-dir=${join(folder, "certs")}`,
        `--service-cluster-ip-range=${addresses.serviceRange}`,
        `--token-auth-file=${join(folder, "tokens.csv")}`,
        `--service-account-key-file=${join(folder, "sa.pub")}`,
        `--service-account-signing-key-file=${join(folder, "sa.key")}`,
        `--service-account-issuer=https://kubernetes.default.svc.${CLUSTER_DOMAIN}`,
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--kubelet-preferred-address-types=InternalIP",
        `--audit-policy-file=${join(folder, "audit-policy.yaml")}`,
        `--audit-log-path=${auditLogOf(node)}`,
        // An entry is there before its request is answered.
        "--audit-log-mode=blocking",
      ],
    ],
  ];
}

/** What needs the API server to be there: its certificate is in all of their kubeconfigs. */
export async function nodeParts(node: Node): Promise<readonly Command[]> {
  const { folder, addresses, kubernetes } = node;
  const caPem = await caOf(node);
  const as = async (program: string, token: string) => {
    const path = join(folder, `${program}.kubeconfig`);
    await writeFile(path, kubeconfigOf({ url: apiUrl(node), caPem, token }), { mode: 0o600 });
    return `--kubeconfig=${path}`;
  };
  const asItself = async (program: keyof typeof USERS) =>
    await as(program, await readFile(join(folder, `${program}.token`), "utf8"));
  await writeFile(join(folder, "kubelet.json"), JSON.stringify(kubeletConfig(node)));
  await writeFile(join(folder, "resolv.conf"), `nameserver ${addresses.node}\n`);
  await writeFile(join(folder, "hosts"), `${addresses.host} ${HOST_NAME}\n`);
  const dns = await as("coredns", node.adminToken);
  await writeFile(join(folder, "Corefile"), corefile(node, dns.replace("--kubeconfig=", "")));
  return [
    ["coredns", [node.coreDns, "-conf", join(folder, "Corefile")]],
    [
      "kube-controller-manager",
      [
        kubernetes,
        "kube-controller-manager",
        await as("kube-controller-manager", node.adminToken),
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        // One identity and no waiting: the first ServiceAccounts are there at once.
        "--use-service-account-credentials=false",
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        "--concurrent-namespace-syncs=20",
        `--service-account-private-key-file=${join(folder, "sa.key")}`,
        `--root-ca-file=${join(folder, "certs", "apiserver.crt")}`,
        `--cluster-cidr=${addresses.podRange}`,
      ],
    ],
    [
      "kube-scheduler",
      [
        kubernetes,
        "kube-scheduler",
        await asItself("kube-scheduler"),
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
      ],
    ],
    [
      "kube-proxy",
      [
        kubernetes,
        "kube-proxy",
        await asItself("kube-proxy"),
        "--proxy-mode=nftables",
        `--cluster-cidr=${addresses.podRange}`,
        `--hostname-override=${node.name}`,
        // Settings of the whole machine, which are not ours.
        "--conntrack-max-per-core=0",
        "--conntrack-tcp-timeout-established=0",
        "--conntrack-tcp-timeout-close-wait=0",
      ],
    ],
    [
      "kubelet",
      [
        kubernetes,
        "kubelet",
        `--config=${join(folder, "kubelet.json")}`,
        await asItself("kubelet"),
        `--hostname-override=${node.name}`,
        `--node-ip=${addresses.node}`,
        `--cert-dir=${join(folder, "kubelet-certs")}`,
        "--v=2",
      ],
    ],
  ];
}

/** Everything at its default that users notice: a changed Secret reaches a volume after a minute or more. */
function kubeletConfig({ folder, addresses }: Node): object {
  return {
    apiVersion: "kubelet.config.k8s.io/v1beta1",
    kind: "KubeletConfiguration",
    containerRuntimeEndpoint: "unix:///run/containerd/containerd.sock",
    cgroupDriver: "cgroupfs",
    cgroupRoot: `/${cgroupOf(folder)}`,
    failCgroupV1: false,
    failSwapOn: false,
    // Whoever reaches the node's address is on this machine, and root there.
    authentication: { anonymous: { enabled: true }, webhook: { enabled: false } },
    authorization: { mode: "AlwaysAllow" },
    clusterDNS: [addresses.node],
    clusterDomain: CLUSTER_DOMAIN,
    resolvConf: join(folder, "resolv.conf"),
    makeIPTablesUtilChains: false,
    // Nothing can be pulled again.
    imageGCHighThresholdPercent: 100,
    evictionHard: {
      "memory.available": "50Mi",
      "nodefs.available": "0%",
      "nodefs.inodesFree": "0%",
      "imagefs.available": "0%",
    },
    maxPods: 200,
  };
}

/** Its own, so that it meets no other kubelet's. */
export function cgroupOf(folder: string): string {
  return basename(folder);
}

async function containerdToml({ folder }: Node): Promise<string> {
  const folders = await statfs("/var/lib");
  const snapshotter = folders.type === OVERLAY_MAGIC ? "native" : "overlayfs";
  const cri = '[plugins."io.containerd.grpc.v1.cri"';
  return [
    "version = 2",
    'root = "/var/lib/containerd"',
    'state = "/run/containerd"',
    "[grpc]",
    '  address = "/run/containerd/containerd.sock"',
    `${cri}]`,
    `  sandbox_image = "${PAUSE_IMAGE}"`,
    `  restrict_oom_score_adj = ${!(await mayRaiseLimits())}`,
    `${cri}.containerd]`,
    `  snapshotter = "${snapshotter}"`,
    '  default_runtime_name = "runc"',
    `${cri}.containerd.runtimes.runc]`,
    '  runtime_type = "io.containerd.runc.v2"',
    `${cri}.containerd.runtimes.runc.options]`,
    "  SystemdCgroup = false",
    `${cri}.cni]`,
    '  bin_dir = "/usr/lib/cni"',
    `  conf_dir = "${join(folder, "cni")}"`,
    "",
  ].join("\n");
}

async function mayRaiseLimits(): Promise<boolean> {
  const mask = /^CapEff:\s+([0-9a-f]+)$/m.exec(await readFile("/proc/self/status", "utf8"))?.[1] ?? "0";
  return (BigInt(`0x${mask}`) & SYS_RESOURCE) !== 0n;
}

function podNetwork({ addresses }: Node): object {
  const ranges = [[{ subnet: addresses.podRange }]];
  return {
    cniVersion: "0.4.0",
    name: "pods",
    plugins: [{ type: "ptp", ipMasq: false, ipam: { type: "host-local", ranges, routes: [{ dst: "0.0.0.0/0" }] } }],
  };
}

/** A process on the node's own address, so that it needs neither an image nor a Service. */
function corefile({ folder, addresses }: Node, kubeconfig: string): string {
  return `.:53 {
    bind ${addresses.node}
    errors
    hosts ${join(folder, "hosts")} {
        reload 1s
        fallthrough
    }
    kubernetes ${CLUSTER_DOMAIN} in-addr.arpa {
        kubeconfig ${kubeconfig} test
        ttl 5
    }
}
`;
}
