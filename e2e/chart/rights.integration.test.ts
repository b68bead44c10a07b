// The operator with the rights that the chart gives it, and its environment: by the API server's audit log nothing that it
// asks for is refused, and nothing that it is granted stays unused. In both modes.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { askApiServer, mustAsk } from "../cluster/apiserver.ts";
import { type ControlPlane, kubeconfigOf, startControlPlane } from "../cluster/controlplane.ts";
import { leash } from "../cluster/leash.ts";
import { startTestNode, type TestNode } from "../cluster/node.ts";
import { askHelm, CHART, prepareHelm, type Rendered, render, withValues } from "./helm.ts";

const RELEASE = "coffer-system";
const TEAM = "team-a";
const OPERATOR = `system:serviceaccount:${RELEASE}:coffer-operator`;
const ROOT = join(import.meta.dirname, "..", "..");
const OURS = `/apis/coffer.dev/v1alpha1/namespaces/${TEAM}`;
const CORE = `/api/v1/namespaces/${TEAM}`;
const BUILD_MS = 30 * 60_000;
/** On a machine that is busy; a third of it for each thing that is waited for. */
const SCENE_MS = 540_000;
const LOOK_EVERY_MS = 100;

const MODES: Readonly<Record<string, object>> = {
  "all namespaces": {},
  "one namespace": { operator: { watchNamespaces: [TEAM] } },
};

interface AuditLine {
  readonly verb: string;
  readonly user: { readonly username: string };
  readonly objectRef?: { readonly apiGroup?: string; readonly resource: string; readonly subresource?: string };
  readonly responseStatus?: { readonly code: number };
  readonly requestURI: string;
}

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly verbs: readonly string[];
}

describe.each(Object.entries(MODES))("in the mode of %s", (_mode, values) => {
  let server: ControlPlane;
  let node: TestNode;
  let operator: ChildProcess;
  let objects: Rendered[];
  let folder: string;
  let printed = "";

  beforeAll(async () => {
    const helm = await prepareHelm(() => {});
    folder = await mkdtemp(join(tmpdir(), "coffer-rights-"));
    server = await startControlPlane({ audit: true });
    for (const name of [RELEASE, TEAM]) await mustAsk(server, "POST", "/api/v1/namespaces", { metadata: { name } });
    const flags = ["install", "coffer", CHART, "-n", RELEASE, "--values", "-"];
    expect(await withValues(helm, flags, values, server.kubeconfig)).toMatchObject({ code: 0 });
    expect((await askHelm(helm, ["status", "coffer", "-n", RELEASE], server.kubeconfig)).output).toContain("deployed");
    objects = await render(helm, values);
    node = await startTestNode(server, TEAM);
    await untilGranted();
    operator = await start();
  }, BUILD_MS);

  afterAll(async () => {
    await stop();
    await node?.close();
    await server?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  /** The API server acts by roles and bindings a moment after it has them, by each kind of them on its own. */
  async function untilGranted(): Promise<void> {
    const lease = { group: "coordination.k8s.io", resource: "leases", name: "coffer-operator", verb: "update" };
    const rights = [
      { group: "coffer.dev", resource: "kmsproviders", verb: "watch", namespace: TEAM },
      { group: "", resource: "secrets", verb: "get", namespace: TEAM },
      { ...lease, namespace: RELEASE },
    ];
    const deadlineMs = performance.now() + SCENE_MS / 3;
    for (const resourceAttributes of rights) {
      const spec = { user: OPERATOR, groups: [`system:serviceaccounts:${RELEASE}`], resourceAttributes };
      for (;;) {
        const review = await mustAsk(server, "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", { spec });
        if ((review as { readonly status?: { readonly allowed: boolean } }).status?.allowed === true) break;
        if (performance.now() > deadlineMs) throw new Error(`Never granted: ${JSON.stringify(resourceAttributes)}`);
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      }
    }
  }

  /** As the Deployment would: with its environment, and its ServiceAccount's token. */
  async function start(): Promise<ChildProcess> {
    const path = `/api/v1/namespaces/${RELEASE}/serviceaccounts/coffer-operator/token`;
    const { status } = (await mustAsk(server, "POST", path, { spec: { expirationSeconds: 3600 } })) as {
      status: { token: string };
    };
    const kubeconfig = join(folder, "kubeconfig");
    await writeFile(kubeconfig, kubeconfigOf({ ...server, token: status.token }), { mode: 0o600 });
    const environment = { PATH: process.env["PATH"], ...environmentOf(objects), COFFER_KUBECONFIG: kubeconfig };
    const child = spawn(join(ROOT, "node_modules", ".bin", "node"), [join(ROOT, "operator", "main.ts")], {
      env: { ...environment, COFFER_HEALTH_PORT: "0" },
    });
    leash(child);
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece: Buffer) => (printed += String(piece)));
    return child;
  }

  async function stop(): Promise<void> {
    if (operator === undefined || operator.exitCode !== null || operator.signalCode !== null) return;
    const ended = once(operator, "exit");
    operator.kill("SIGTERM");
    await ended;
  }

  async function apply(plural: string, kind: string, name: string, spec: object): Promise<void> {
    const object = { apiVersion: "coffer.dev/v1alpha1", kind, metadata: { name }, spec };
    const query = "fieldManager=user&force=true";
    const headers = { "content-type": "application/apply-patch+yaml" };
    const { status, body } = await askApiServer(server, "PATCH", `${OURS}/${plural}/${name}?${query}`, object, headers);
    expect(`${status} ${String(body["message"] ?? "")}`).toMatch(/^20[01] $/);
  }

  interface Seen {
    readonly metadata: { readonly resourceVersion: string };
    readonly status?: { readonly key?: { readonly version?: string }; readonly conditions?: readonly Condition[] };
    readonly data?: Readonly<Record<string, string>>;
  }
  interface Condition {
    readonly type: string;
    readonly status: string;
    readonly reason: string;
  }

  /** undefined is what is not there. */
  async function until(path: string, holds: (object: Seen | undefined) => boolean): Promise<Seen | undefined> {
    const deadlineMs = performance.now() + SCENE_MS / 3;
    for (;;) {
      const { status, body } = await askApiServer(server, "GET", path);
      const seen = status === 404 ? undefined : (body as unknown as Seen);
      if (holds(seen)) return seen;
      if (performance.now() > deadlineMs) {
        throw new Error(`${path} never came to that: ${JSON.stringify(body)}\n${printed.slice(-4000)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  const conditionIs = (object: Seen | undefined, type: string, wanted: string) =>
    object?.status?.conditions?.some((one) => one.type === type && one.status === wanted) === true;
  const reasonIs = (object: Seen | undefined, type: string, wanted: string) =>
    object?.status?.conditions?.some((one) => one.type === type && one.reason === wanted) === true;
  const ready = async (path: string) => await until(path, (object) => conditionIs(object, "Ready", "True"));
  const bucket = (access: readonly object[]) => ({ encryption: { kmsProviderRef: { name: "local" } }, access });
  const app = { name: "app", permissions: ["Read", "Write"] };
  const reports = { name: "reports", permissions: ["Read"] };

  it("does all of its work", { timeout: SCENE_MS }, async () => {
    // From two resources to Ready: the default store, its objects, the key ring, the Secrets.
    await apply("kmsproviders", "KmsProvider", "local", { type: "Local" });
    await apply("encryptedbuckets", "EncryptedBucket", "photos", bucket([app, reports]));
    for (const path of ["kmsproviders/local", "encryptedbuckets/photos", "encryptedstores/default"]) {
      await ready(`${OURS}/${path}`);
    }
    // Rotation of the key and of credentials, and an entry that goes.
    await apply("kmsproviders", "KmsProvider", "local", { type: "Local", keyRotation: { keyGeneration: 1 } });
    await until(`${OURS}/kmsproviders/local`, (object) => object?.status?.key?.version === "2");
    const before = await until(`${CORE}/secrets/photos-app`, (secret) => secret !== undefined);
    await apply("encryptedbuckets", "EncryptedBucket", "photos", bucket([{ ...app, credentialsGeneration: 1 }]));
    await until(
      `${CORE}/secrets/photos-app`,
      (secret) => JSON.stringify(secret?.data) !== JSON.stringify(before?.data),
    );
    await until(`${CORE}/secrets/photos-reports`, (secret) => secret === undefined);
    // A NetworkPolicy that is no longer wanted.
    const policy = `/apis/networking.k8s.io/v1/namespaces/${TEAM}/networkpolicies/coffer-default`;
    await until(policy, (object) => object !== undefined);
    const unfenced = { backend: { type: "Filesystem" }, networkPolicy: { enabled: false } };
    await apply("encryptedstores", "EncryptedStore", "default", unfenced);
    await until(policy, (object) => object === undefined);
    // A login to Vault by Kubernetes, with a CA from a ConfigMap.
    const vault = {
      address: "https://127.0.0.1:9",
      keyName: "photos",
      caBundleRef: { name: "ca" },
      auth: { kubernetes: { role: "coffer" } },
    };
    await mustAsk(server, "POST", `${CORE}/configmaps`, { metadata: { name: "ca" }, data: { "ca.crt": server.caPem } });
    await apply("kmsproviders", "KmsProvider", "vault", { type: "Vault", vault });
    await until(`${OURS}/kmsproviders/vault`, (object) => reasonIs(object, "Reachable", "ConnectionFailed"));
    // The same news twice is one Event with a count; a lease that somebody removed is made anew.
    for (const word of ["a", "b"]) {
      const mistaken = { type: "Local", keyRotation: { schedule: "* * * * *", timeZone: "Nowhere/At-all" } };
      await apply("kmsproviders", "KmsProvider", "mistaken", mistaken);
      await until(`${OURS}/kmsproviders/mistaken`, (object) => conditionIs(object, "Ready", "False"));
      const right = { type: "Local", healthCheck: { interval: word === "a" ? "50s" : "40s" } };
      await apply("kmsproviders", "KmsProvider", "mistaken", right);
      await ready(`${OURS}/kmsproviders/mistaken`);
    }
    const events = `/apis/events.k8s.io/v1/namespaces/${TEAM}/events`;
    await until(events, (list) => JSON.stringify(list).includes('"series"'));
    await stop();
    const lease = `/apis/coordination.k8s.io/v1/namespaces/${RELEASE}/leases/coffer-operator`;
    await mustAsk(server, "DELETE", lease);
    operator = await start();
    await until(lease, (object) => object !== undefined);
    const second = { ...bucket([app]), deletionPolicy: "DeleteIfEmpty" };
    await apply("encryptedbuckets", "EncryptedBucket", "second", second);
    await ready(`${OURS}/encryptedbuckets/second`);
    // What a bucket's deletion needs.
    await mustAsk(server, "DELETE", `${OURS}/encryptedbuckets/second`);
    await until(`${OURS}/encryptedbuckets/second`, (object) => object === undefined);
    await stop();
  });

  it("is refused nothing", async () => {
    const refused = (await auditOf(server)).filter(({ responseStatus }) =>
      [401, 403].includes(responseStatus?.code ?? 0),
    );
    expect(refused.map(({ verb, requestURI }) => `${verb} ${requestURI}`)).toEqual([]);
  });

  it("has no right that it did not use", async () => {
    const used = new Set((await auditOf(server)).flatMap(rightsUsed));
    const granted = rightsGranted(objects);
    expect(granted.length).toBeGreaterThan(30);
    expect(granted.filter((right) => !used.has(right))).toEqual([]);
  });
});

interface PodSpec {
  readonly containers: readonly { readonly env: readonly { readonly name: string; readonly value?: string }[] }[];
}

/** What the container of the Deployment has in its environment. */
function environmentOf(objects: readonly Rendered[]): Record<string, string> {
  const deployment = objects.find(({ kind }) => kind === "Deployment");
  const spec = deployment?.["spec"] as { readonly template: { readonly spec: PodSpec } } | undefined;
  const given = spec?.template.spec.containers[0]?.env ?? [];
  const environment = Object.fromEntries(given.map(({ name, value }) => [name, value ?? ""]));
  return { ...environment, COFFER_NAMESPACE: RELEASE, COFFER_POD_NAME: "coffer-operator-0" };
}

async function auditOf({ auditLog }: ControlPlane): Promise<readonly AuditLine[]> {
  // The last one may be half-way into the file: others ask as well.
  const lines = (await readFile(auditLog, "utf8")).split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as AuditLine).filter(({ user }) => user.username === OPERATOR);
}

/** A server-side apply of what was not there needs the right to create it too. */
function rightsUsed({ verb, objectRef, responseStatus }: AuditLine): readonly string[] {
  if (objectRef === undefined) return [];
  const { apiGroup = "", resource, subresource } = objectRef;
  const what = `${apiGroup}/${subresource === undefined ? resource : `${resource}/${subresource}`}`;
  return verb === "patch" && responseStatus?.code === 201 ? [`patch ${what}`, `create ${what}`] : [`${verb} ${what}`];
}

function rightsGranted(objects: readonly Rendered[]): readonly string[] {
  const isPeoples = ({ metadata }: Rendered) =>
    Object.keys(metadata.labels ?? {}).some((label) => label.startsWith("rbac.authorization.k8s.io/aggregate-to-"));
  const roles = objects.filter((object) => /^(Cluster)?Role$/.test(object.kind) && !isPeoples(object));
  const rules = roles.flatMap((role) => role["rules"] as readonly Rule[]);
  const rights = rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((one) => verbs.map((verb) => `${verb} ${group}/${one}`))),
  );
  return [...new Set(rights)].sort();
}
