// The rights that the chart gives the operator are those that it uses, in both modes: nothing that it asks is refused, and
// nothing that it may do is something that it never does. Counted from the API server's own audit log.

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { ACCESS_KEYS } from "../crds/names.ts";
import type { ConditionType } from "../crds/reasons.ts";
import { mustAsk } from "../e2e/cluster/apiserver.ts";
import { type ControlPlane, startControlPlane } from "../e2e/cluster/controlplane.ts";
import { installDefinitions } from "../e2e/cluster/crds.ts";
import { podEnvironment } from "../e2e/cluster/operator.ts";
import { RESOURCES } from "./kube/resources.ts";
import { conditionIn, createOperatorWorld, isTrue, type OperatorWorld } from "./world.ts";

const never = new AbortController().signal;
const RULES = join(import.meta.dirname, "..", "charts", "coffer", "templates", "_rules.tpl");
const RBAC = "/apis/rbac.authorization.k8s.io/v1";
const ACCOUNT = "coffer-operator";
const EVERYTHING = ["Read", "Write", "List", "Delete"];

interface PolicyRule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

interface AuditEvent {
  readonly user?: { readonly username?: string };
  readonly verb?: string;
  readonly objectRef?: { readonly apiGroup?: string; readonly resource?: string; readonly subresource?: string };
  readonly responseStatus?: { readonly code?: number };
  readonly requestURI?: string;
}

let controlPlane: ControlPlane;
let folder: string;

beforeAll(async () => {
  controlPlane = await startControlPlane({ audit: true });
  await installDefinitions(controlPlane);
  folder = await mkdtemp(join(tmpdir(), "coffer-rights-"));
});

afterAll(async () => {
  await controlPlane.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Between the words that the chart's other templates call them by, they are plain YAML. */
async function rulesNamed(name: string): Promise<PolicyRule[]> {
  const text = await readFile(RULES, "utf8");
  const body = new RegExp(`define "${name}" -}}\\n([^]*?){{- end -}}`).exec(text)?.[1];
  if (body === undefined) throw new Error(`${RULES} has no "${name}"`);
  return parse(body) as PolicyRule[];
}

const LEASE_RULES: readonly PolicyRule[] = [
  {
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    resourceNames: ["coffer-operator"],
    verbs: ["get", "update"],
  },
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["create"] },
];

async function grant(namespace: string, isEverywhere: boolean): Promise<readonly PolicyRule[]> {
  const own = await rulesNamed("coffer.ownRules");
  const there = await rulesNamed("coffer.namespaceRules");
  const subjects = [{ kind: "ServiceAccount", name: ACCOUNT, namespace }];
  const apiGroup = "rbac.authorization.k8s.io";
  const clusterName = `coffer-${namespace}`;
  const bind = (kind: string, name: string) => ({ metadata: { name }, roleRef: { apiGroup, kind, name }, subjects });
  const cluster = isEverywhere ? [...own, ...there] : own;
  const local = isEverywhere ? LEASE_RULES : [...there, ...LEASE_RULES];
  await mustAsk(controlPlane, "POST", `/api/v1/namespaces/${namespace}/serviceaccounts`, {
    metadata: { name: ACCOUNT },
  });
  await mustAsk(controlPlane, "POST", `${RBAC}/clusterroles`, { metadata: { name: clusterName }, rules: cluster });
  await mustAsk(controlPlane, "POST", `${RBAC}/clusterrolebindings`, bind("ClusterRole", clusterName));
  const roles = `${RBAC}/namespaces/${namespace}`;
  await mustAsk(controlPlane, "POST", `${roles}/roles`, { metadata: { name: ACCOUNT }, rules: local });
  await mustAsk(controlPlane, "POST", `${roles}/rolebindings`, bind("Role", ACCOUNT));
  return [...cluster, ...local];
}

/** With the token of its ServiceAccount, as its Deployment would run it. */
async function environmentOf(namespace: string, isEverywhere: boolean): Promise<Record<string, string>> {
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${ACCOUNT}/token`;
  const wanted = { spec: { audiences: ["https://kubernetes.default.svc"], expirationSeconds: 3600 } };
  const { status } = (await mustAsk(controlPlane, "POST", path, wanted)) as {
    readonly status: { readonly token: string };
  };
  const environment = await podEnvironment({ ...controlPlane, token: status.token }, folder);
  return { ...environment, COFFER_WATCH_NAMESPACES: isEverywhere ? "" : namespace };
}

/** As much of what the operator ever does as can be brought about. */
async function useAll(world: OperatorWorld): Promise<void> {
  const { namespace, kube } = world;
  await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" });
  const two = ["app", "second"].map((name) => ({ name, permissions: EVERYTHING }));
  await world.applyBucket("photos", { access: two, deletionPolicy: "DeleteWithObjects" });
  await world.untilReady(RESOURCES.encryptedBuckets, "photos", 45_000);
  const token = (await world.secret("photos-app"))[ACCESS_KEYS.token] ?? "";
  expect((await world.rest("PUT", "photos", "a", token, "a")).status).toBeLessThan(300);
  await world.applyBucket("photos", { access: two.slice(0, 1), deletionPolicy: "DeleteWithObjects" });
  await world.untilGone(RESOURCES.secrets, "photos-second");
  await world.apply(RESOURCES.kmsProviders, "local", { type: "Local", keyRotation: { keyGeneration: 1 } });
  await world.until(RESOURCES.encryptedBuckets, "photos", (one) => one.status.encryption?.keyVersion === "2");
  const secret = { namespace, name: "photos-app" };
  await kube.patch(RESOURCES.secrets, secret, { data: { [ACCESS_KEYS.token]: null } }, never);
  await world.until(RESOURCES.secrets, "photos-app", ({ data }) => data?.[ACCESS_KEYS.token] !== undefined);
  const store = { backend: { type: "Filesystem" }, networkPolicy: { enabled: false } };
  await world.apply(RESOURCES.encryptedStores, "default", store);
  await world.untilGone(RESOURCES.networkPolicies, "coffer-default");
  const vault = {
    address: "http://127.0.0.1:9",
    allowInsecure: true,
    keyName: "photos",
    auth: { kubernetes: { role: "r" } },
  };
  const spec = { type: "Vault", vault, healthCheck: { interval: "5s", timeout: "1s" } };
  const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { namespace, name: "coffer-kms" } };
  await kube.create(RESOURCES.serviceAccounts, account, never);
  await world.apply(RESOURCES.kmsProviders, "vault", spec);
  await world.apply(RESOURCES.kmsProviders, "authorities", {
    ...spec,
    vault: { ...vault, caBundleRef: { name: "authorities" } },
  });
  const reason = async (name: string, type: ConditionType, wanted: string) =>
    await world.until(RESOURCES.kmsProviders, name, (one) => conditionIn(one, type)?.reason === wanted, 30_000);
  await reason("vault", "Reachable", "ConnectionFailed");
  await reason("authorities", "CredentialsResolved", "ConfigMapNotFound");
  // Several times: the same thing told again is one Event.
  for (let time = 0; time < 2; time += 1) {
    await world.apply(RESOURCES.encryptedStores, "default", { ...store, suspend: true });
    await world.until(RESOURCES.encryptedStores, "default", (one) => isTrue(one, "Suspended"));
    await world.apply(RESOURCES.encryptedStores, "default", { ...store, suspend: false });
    await world.until(RESOURCES.encryptedStores, "default", (one) => !isTrue(one, "Suspended"));
  }
  await world.remove(RESOURCES.kmsProviders, "local");
  await world.remove(RESOURCES.encryptedBuckets, "photos");
  await world.untilGone(RESOURCES.encryptedBuckets, "photos", 45_000);
  await world.untilGone(RESOURCES.kmsProviders, "local");
}

async function askedBy(user: string): Promise<readonly AuditEvent[]> {
  const text = await readFile(controlPlane.auditLog, "utf8");
  const events = text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as AuditEvent]));
  return events.filter((event) => event.user?.username === user);
}

/** An apply that makes an object needs two rights. */
function rightsUsed({ verb, objectRef, responseStatus }: AuditEvent): string[] {
  const { apiGroup = "", resource = "", subresource } = objectRef ?? {};
  const verbs = verb === "patch" && responseStatus?.code === 201 ? ["patch", "create"] : [verb];
  return verbs.map((one) => `${one} ${apiGroup}/${resource}${subresource === undefined ? "" : `/${subresource}`}`);
}

describe.each([
  ["one namespace", false],
  ["all namespaces", true],
])("an operator of %s", (_, isEverywhere) => {
  it("is refused nothing, and may do nothing that it does not do", async () => {
    const rules: PolicyRule[] = [];
    const world = await createOperatorWorld("rights", {
      access: controlPlane,
      async prepare(namespace) {
        rules.push(...(await grant(namespace, isEverywhere)));
        return await environmentOf(namespace, isEverywhere);
      },
    });
    try {
      await useAll(world);
    } finally {
      await world.close();
    }
    const events = await askedBy(`system:serviceaccount:${world.namespace}:${ACCOUNT}`);
    const refused = events.filter(({ responseStatus }) => responseStatus?.code === 403 || responseStatus?.code === 401);
    expect(refused.map(({ verb, requestURI }) => `${verb} ${requestURI}`)).toEqual([]);
    const used = new Set(events.flatMap(rightsUsed));
    const granted = rules.flatMap(({ apiGroups, resources, verbs }) =>
      apiGroups.flatMap((group) =>
        resources.flatMap((resource) => verbs.map((verb) => `${verb} ${group}/${resource}`)),
      ),
    );
    expect(granted.filter((right) => !used.has(right))).toEqual([]);
  }, 180_000);
});
