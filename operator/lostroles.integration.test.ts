// An operator that looks after several namespaces, one of which gave it no roles, or has lost them: with itself, or by a hand.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { freshNamespace, mustAsk, sharedApiServer } from "../e2e/cluster/apiserver.ts";
import { podEnvironment } from "../e2e/cluster/operator.ts";
import { RESOURCES } from "./kube/resources.ts";
import { eventually } from "./kube/world.ts";
import { createOperatorWorld, isTrue, type OperatorWorld } from "./world.ts";

const never = new AbortController().signal;
const access = sharedApiServer();
const ACCOUNT = `operator-${process.pid}`;
const RBAC = "/apis/rbac.authorization.k8s.io/v1";
/** A list that was refused is asked for again after at most half a minute. */
const FOUND_MS = 120_000;
const READY_MS = 120_000;
const TEST_MS = 600_000;

let world: OperatorWorld;
let lost: string;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "coffer-roles-"));
  lost = await freshNamespace(access, "lost");
  await mustAsk(access, "POST", "/api/v1/namespaces/default/serviceaccounts", { metadata: { name: ACCOUNT } });
  const rules = ["coffer.dev", "coordination.k8s.io"].map((group) => ({
    apiGroups: [group],
    resources: ["*"],
    verbs: ["*"],
  }));
  await mustAsk(access, "POST", `${RBAC}/clusterroles`, { metadata: { name: ACCOUNT }, rules });
  await mustAsk(access, "POST", `${RBAC}/clusterrolebindings`, binding(ACCOUNT));
  const path = `/api/v1/namespaces/default/serviceaccounts/${ACCOUNT}/token`;
  const { status } = (await mustAsk(access, "POST", path, { spec: { expirationSeconds: 3600 } })) as {
    status: { token: string };
  };
  world = await createOperatorWorld("kept", {
    access,
    async prepare(namespace) {
      await giveRoles(namespace);
      const environment = await podEnvironment({ ...access, token: status.token }, folder);
      return { ...environment, COFFER_WATCH_NAMESPACES: `${lost},${namespace}` };
    },
  });
});

afterAll(async () => {
  await world?.close();
  await rm(folder, { recursive: true, force: true });
});

function binding(role: string): object {
  return {
    metadata: { name: ACCOUNT },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: role },
    subjects: [{ kind: "ServiceAccount", name: ACCOUNT, namespace: "default" }],
  };
}

async function giveRoles(namespace: string): Promise<void> {
  await mustAsk(access, "POST", `${RBAC}/namespaces/${namespace}/rolebindings`, binding("cluster-admin"));
}

describe("a namespace without roles", () => {
  it("holds up no other", { timeout: TEST_MS }, async () => {
    await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" });
    await world.applyBucket("photos");
    await world.untilReady(RESOURCES.encryptedBuckets, "photos", READY_MS);
  });

  it("is looked after as soon as it has them", { timeout: TEST_MS }, async () => {
    const { apiVersion, kind } = RESOURCES.kmsProviders;
    const provider = { apiVersion, kind, metadata: { namespace: lost, name: "local" }, spec: { type: "Local" } };
    await world.kube.apply(RESOURCES.kmsProviders, provider, { force: true }, never);
    const look = async () => await world.kube.read(RESOURCES.kmsProviders, { namespace: lost, name: "local" }, never);
    await eventually(
      () => world.operator.printed(),
      (printed) => /"a pass failed, and is tried again".*"name":"local"/.test(printed),
      FOUND_MS,
    );
    expect(isTrue((await look()) as never, "Ready")).toBe(false);
    await giveRoles(lost);
    await eventually(look, (found) => found !== undefined && isTrue(found, "Ready"), FOUND_MS);
  });
});
