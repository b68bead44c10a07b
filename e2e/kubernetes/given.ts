// A cluster that somebody else made: its kubeconfig is given, and the name of an image that its nodes have or can pull.

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { mustAsk } from "../cluster/apiserver.ts";
import { prepareKubectl } from "../cluster/binaries.ts";
import type { ApiServerAccess } from "../cluster/controlplane.ts";
import type { Brought, BroughtImage } from "./brought.ts";

const run = promisify(execFile);

const ACCOUNT = "coffer-e2e";
const TOKEN_DURATION = "12h";

export interface Given {
  readonly kubeconfig: string;
  readonly image: BroughtImage;
}

/** Undefined: no cluster is given. */
export function givenCluster(): Given | undefined {
  const kubeconfig = process.env["KUBECONFIG"] ?? "";
  const isKept = (process.env["COFFER_E2E_KEEP"] ?? "") !== "";
  const image = givenImage();
  return kubeconfig === "" || isKept || image === undefined ? undefined : { kubeconfig, image };
}

export async function bringGiven({ kubeconfig, image }: Given, say: (line: string) => void): Promise<Brought> {
  const kubectl = await prepareKubectl(say);
  const access = await accessBy(kubectl, kubeconfig);
  return {
    cluster: {
      ...access,
      kind: "given",
      what: `The cluster at ${access.url}, by KUBECONFIG`,
      kubeconfig,
      kubectl,
      hostName: process.env["COFFER_E2E_HOST"] ?? "",
      hostAddress: "0.0.0.0",
      isRouted: false,
      auditLog: undefined,
      volumes: undefined,
    },
    image,
    stop: async () => {
      await kubectlOf(kubectl, kubeconfig, "delete", "clusterrolebinding", ACCOUNT, "--ignore-not-found");
      await kubectlOf(kubectl, kubeconfig, "-n", "default", "delete", "serviceaccount", ACCOUNT, "--ignore-not-found");
    },
  };
}

/** Of COFFER_E2E_IMAGE; undefined: it is not set. */
export function givenImage(): BroughtImage | undefined {
  const name = process.env["COFFER_E2E_IMAGE"] ?? "";
  if (name === "") return undefined;
  const [, repository, tag] = /^(\S+):([\w.-]+)$/.exec(name) ?? [];
  if (repository === undefined || tag === undefined) throw new Error("COFFER_E2E_IMAGE must be REPOSITORY:TAG");
  return { repository, tag, isDefault: false };
}

/** Whatever way the kubeconfig has to log in: a token of a ServiceAccount of ours that may do everything. */
export async function accessBy(kubectl: string, kubeconfig: string): Promise<ApiServerAccess> {
  const ask = (...flags: readonly string[]) => kubectlOf(kubectl, kubeconfig, ...flags);
  const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: ACCOUNT, namespace: "default" } };
  const binding = {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "ClusterRoleBinding",
    metadata: { name: ACCOUNT },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "cluster-admin" },
    subjects: [{ kind: "ServiceAccount", name: ACCOUNT, namespace: "default" }],
  };
  await applyObjects(kubectl, kubeconfig, [account, binding]);
  const token = await ask("-n", "default", "create", "token", ACCOUNT, `--duration=${TOKEN_DURATION}`);
  const { clusters } = JSON.parse(await ask("config", "view", "--raw", "--minify", "--flatten", "-o", "json")) as {
    clusters: readonly { cluster: { server: string; "certificate-authority-data"?: string } }[];
  };
  const [{ cluster } = { cluster: { server: "" } }] = clusters;
  const caPem = Buffer.from(cluster["certificate-authority-data"] ?? "", "base64").toString("utf8");
  const access = { url: cluster.server, token: token.trim(), caPem };
  await mustAsk(access, "GET", "/api/v1/namespaces/default");
  return access;
}

async function applyObjects(kubectl: string, kubeconfig: string, items: readonly object[]): Promise<void> {
  const applying = run(kubectl, ["--kubeconfig", kubeconfig, "apply", "-f", "-"]);
  applying.child.stdin?.end(JSON.stringify({ apiVersion: "v1", kind: "List", items }));
  await applying;
}

async function kubectlOf(kubectl: string, kubeconfig: string, ...flags: readonly string[]): Promise<string> {
  const { stdout } = await run(kubectl, ["--kubeconfig", kubeconfig, ...flags]);
  return stdout;
}
