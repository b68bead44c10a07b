// An OpenBao on this machine that pods reach: with the login by Kubernetes set up as docs/kmsprovider.md says, and for each
// team that is let in a key, policies and roles of its own.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { mustAsk } from "../cluster/apiserver.ts";
import { ROOT } from "../harness.ts";
import { OpenBao } from "../openbao.ts";
import { kubectl, sharedCluster } from "./cluster.ts";
import type { Team } from "./team.ts";

const POLICIES = ["data-plane", "operator"] as const;
/** The key of the example's policies. */
const EXAMPLE_KEY = "photos";
const REVIEWER = "vault-reviewer";
const REVIEW_S = 6 * 3600;

export class Vault {
  /** To seal, pause, kill and start it, and a shell with its command line. */
  readonly bao: OpenBao;
  /** As pods reach it. */
  readonly address: string;

  private constructor(bao: OpenBao, address: string) {
    this.bao = bao;
    this.address = address;
  }

  static async create(): Promise<Vault> {
    const { hostAddress, hostName } = sharedCluster();
    if (hostName === "") throw new Error("COFFER_E2E_HOST must be set: the name by which pods reach this machine");
    const bao = await OpenBao.create(hostAddress);
    try {
      const { port } = new URL(bao.address);
      await setUp(bao);
      return new Vault(bao, `http://${hostName}:${port}`);
    } catch (error) {
      await bao.remove();
      throw error;
    }
  }

  async remove(): Promise<void> {
    await this.bao.remove();
  }

  /** Makes a key for a team, and lets the stores and the operator of its namespace use it. Returns the key's name. */
  async letIn({ name }: Team, stores: readonly string[] = ["default"]): Promise<string> {
    await this.bao.shell(`bao write -f transit/keys/${name} derived=true`);
    const accounts = { "data-plane": stores.map((store) => `coffer-${store}`).join(","), operator: "coffer-kms" };
    for (const policy of POLICIES) {
      const text = await readFile(join(ROOT, "examples", "vault", `${policy}.hcl`), "utf8");
      const role = `${name}-${policy}`;
      await this.bao.shell(`
        bao policy write ${role} - <<'END'
${text.replaceAll(`/${EXAMPLE_KEY}`, `/${name}`)}
END
        bao write auth/kubernetes/role/${role} audience=vault token_policies=${role} token_ttl=1h \
          bound_service_account_namespaces=${name} bound_service_account_names=${accounts[policy]}
      `);
    }
    return name;
  }

  /** A KmsProvider of that team which logs in by Kubernetes; `spec` goes over what is said here. */
  provider({ name }: Team, spec: object = {}): object {
    const vault = {
      address: this.address,
      allowInsecure: true,
      keyName: name,
      auth: { kubernetes: { role: `${name}-data-plane`, operatorRole: `${name}-operator` } },
    };
    const metadata = { name: "vault" };
    return {
      apiVersion: "coffer.dev/v1alpha1",
      kind: "KmsProvider",
      metadata,
      spec: { type: "Vault", vault, ...spec },
    };
  }
}

async function setUp(bao: OpenBao): Promise<void> {
  const { url, caPem, operatorNamespace } = sharedCluster();
  const account = `${operatorNamespace}:${REVIEWER}`;
  // OpenBao stands outside of the cluster: it has no ServiceAccount but this one to ask who has logged in.
  const objects = [
    { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: REVIEWER, namespace: operatorNamespace } },
    {
      apiVersion: "rbac.authorization.k8s.io/v1",
      kind: "ClusterRoleBinding",
      metadata: { name: account },
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "system:auth-delegator" },
      subjects: [{ kind: "ServiceAccount", name: REVIEWER, namespace: operatorNamespace }],
    },
  ];
  // Other tests do the same at the same time: of two that find nothing there, this way of applying fails neither.
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items: objects });
  await kubectl(["apply", "--server-side", "-f", "-"], list);
  const path = `/api/v1/namespaces/${operatorNamespace}/serviceaccounts/${REVIEWER}/token`;
  const request = { spec: { expirationSeconds: REVIEW_S } };
  const { status } = (await mustAsk(sharedCluster(), "POST", path, request)) as { status: { token: string } };
  await bao.shell(`
    bao secrets enable transit
    bao auth enable kubernetes
    bao write auth/kubernetes/config kubernetes_host=${url} token_reviewer_jwt=${status.token} \
      kubernetes_ca_cert='${caPem}'
  `);
}
