// The end of an installation against a real API server: what is let go of, what is not, and that nobody leads after.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, beforeEach, expect, it } from "vitest";
import { API_VERSION, FINALIZERS } from "../crds/names.ts";
import { sharedApiServer } from "../e2e/cluster/apiserver.ts";
import { systemClock } from "./clock.ts";
import { contend, type LeaseNews, type LeaseTimes } from "./kube/lease.ts";
import { type KubeObject, RESOURCES, type ResourceType } from "./kube/resources.ts";
import { createKubeWorld, eventually, type KubeWorld } from "./kube/world.ts";
import { createLog } from "./log.ts";
import { letGo } from "./uninstall.ts";

const never = new AbortController().signal;
/** Long enough that no leader is late with its renewals because the machine has others to run. */
const TIMES: LeaseTimes = { lastsMs: 15_000, renewWithinMs: 12_000, everyMs: 250 };
/** Longer than a lease that nobody renews. */
const OUTLASTS_MS = TIMES.lastsMs + 5000;
const FOREIGN = "example.com/theirs";

let world: KubeWorld;
let said: string[];

beforeEach(async () => {
  world = await createKubeWorld("uninstall");
  said = [];
});
afterEach(async () => await world.close());

function needs(settleMs = 1200) {
  return {
    kube: world.kube,
    lease: { namespace: world.namespace, name: "operator" },
    namespaces: [world.namespace],
    clock: systemClock,
    log: createLog({ write: (line) => said.push(line) }, "info", () => new Date()),
    settleMs,
  };
}

async function make(
  type: ResourceType<KubeObject>,
  name: string,
  finalizers: string[],
  spec: object,
): Promise<KubeObject> {
  const { namespace } = world;
  const object = { apiVersion: API_VERSION, kind: type.kind, metadata: { namespace, name, finalizers }, spec };
  return await world.other.create(type, object, never);
}

const makeProvider = (name: string, finalizers: string[]) =>
  make(RESOURCES.kmsProviders as ResourceType<KubeObject>, name, finalizers, { type: "Local" });
const makeStore = (name: string, finalizers: string[]) =>
  make(RESOURCES.encryptedStores as ResourceType<KubeObject>, name, finalizers, { backend: { type: "Filesystem" } });
const makeBucket = (name: string, finalizers: string[]) =>
  make(RESOURCES.encryptedBuckets as ResourceType<KubeObject>, name, finalizers, {
    encryption: { kmsProviderRef: { name: "local" } },
  });

async function finalizersOf(type: ResourceType<KubeObject>, name: string): Promise<readonly string[] | undefined> {
  const object = await world.other.read(type, { namespace: world.namespace, name }, never);
  return object === undefined ? undefined : (object.metadata.finalizers ?? []);
}

it("takes both finalizers off all three kinds, and leaves those of others", async () => {
  await makeProvider("local", [FINALIZERS.inUse, FOREIGN]);
  await makeStore("default", [FINALIZERS.inUse]);
  await makeBucket("photos", [FINALIZERS.deleteBucket]);
  await makeBucket("plain", [FOREIGN]);
  await letGo(needs(), never);
  expect(await finalizersOf(RESOURCES.kmsProviders, "local")).toEqual([FOREIGN]);
  expect(await finalizersOf(RESOURCES.encryptedStores, "default")).toEqual([]);
  expect(await finalizersOf(RESOURCES.encryptedBuckets, "photos")).toEqual([]);
  expect(await finalizersOf(RESOURCES.encryptedBuckets, "plain")).toEqual([FOREIGN]);
  expect(said.join("")).toContain("finalizers taken off encryptedbuckets");
});

it("ends the deletion of what waited for a finalizer", async () => {
  await makeProvider("local", [FINALIZERS.inUse]);
  const name = { namespace: world.namespace, name: "local" };
  await world.other.remove(RESOURCES.kmsProviders, name, {}, never);
  expect(await finalizersOf(RESOURCES.kmsProviders, "local")).toEqual([FINALIZERS.inUse]);
  await letGo(needs(), never);
  expect(await finalizersOf(RESOURCES.kmsProviders, "local")).toBeUndefined();
});

it("leaves the resources of namespaces that another installation looks after", async () => {
  const other = await createKubeWorld("uninstall");
  await makeProvider("local", [FINALIZERS.inUse]);
  await letGo({ ...needs(), namespaces: [other.namespace] }, never);
  expect(await finalizersOf(RESOURCES.kmsProviders, "local")).toEqual([FINALIZERS.inUse]);
  await other.close();
});

it("holds the lease for ten minutes, and a leader stops and never leads again", async () => {
  const news: LeaseNews[] = [];
  const stopping = new AbortController();
  const { kube, lease, clock } = needs();
  const leader = contend(
    { kube, lease, identity: "leader", times: TIMES, clock, report: (one) => news.push(one) },
    async ({ signal }) => {
      if (!signal.aborted) await once(signal, "abort");
    },
    stopping.signal,
  );
  await eventually(
    () => news,
    (all) => all.some(({ kind }) => kind === "leading"),
  );
  await letGo(needs(), never);
  const held = await world.other.read(RESOURCES.leases, lease, never);
  expect(held?.spec.leaseDurationSeconds).toBe(600);
  expect(held?.spec.holderIdentity).toMatch(/^uninstall_/);
  await eventually(
    () => news,
    (all) => all.some(({ kind }) => kind === "lost"),
  );
  await new Promise((resolve) => setTimeout(resolve, OUTLASTS_MS));
  expect(news.filter(({ kind }) => kind === "leading")).toHaveLength(1);
  stopping.abort(new Error("done"));
  await leader;
});

it("takes off what a leader puts back before it knows that it leads no more", async () => {
  await makeProvider("local", []);
  const { kube, lease } = needs();
  const before = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { ...lease } };
  await kube.create(RESOURCES.leases, { ...before, spec: { holderIdentity: "leader" } }, never);
  // Time enough for somebody who does not know yet.
  const letting = letGo(needs(10_000), never);
  await eventually(
    () => said.join(""),
    (text) => text.includes("the lease is taken"),
  );
  const patch = { metadata: { finalizers: [FINALIZERS.inUse] } };
  await world.other.patch(RESOURCES.kmsProviders, { namespace: world.namespace, name: "local" }, patch, never);
  await letting;
  expect(await finalizersOf(RESOURCES.kmsProviders, "local")).toEqual([]);
});

it("repeats what was refused since somebody else changed the resource", async () => {
  await makeBucket("photos", [FINALIZERS.deleteBucket]);
  let changes = 0;
  const kube = {
    ...world.kube,
    patch: async (...[type, name, patch, signal]: Parameters<typeof world.kube.patch>) => {
      changes += 1;
      if (changes === 1) {
        await world.other.patch(type, name, { metadata: { labels: { changed: "meanwhile" } } }, never);
      }
      return await world.kube.patch(type, name, patch, signal);
    },
  } as typeof world.kube;
  await letGo({ ...needs(), kube }, never);
  expect(changes).toBe(2);
  expect(await finalizersOf(RESOURCES.encryptedBuckets, "photos")).toEqual([]);
});

it("lets go of the rest when one kind cannot be listed, and says so", async () => {
  await makeProvider("local", [FINALIZERS.inUse]);
  world.proxy.fault(({ path, method }) =>
    method === "GET" && path.endsWith("/encryptedbuckets") ? { kind: "answer", status: 403 } : undefined,
  );
  await expect(letGo(needs(), never)).rejects.toThrow("could not be let go of");
  expect(await finalizersOf(RESOURCES.kmsProviders, "local")).toEqual([]);
});

it("as a program ends with success, whether it did its work or could not", async () => {
  await makeProvider("local", [FINALIZERS.inUse]);
  const { kubeconfig } = sharedApiServer();
  expect(await runProgram({ COFFER_KUBECONFIG: kubeconfig })).toBe(0);
  expect(await finalizersOf(RESOURCES.kmsProviders, "local")).toEqual([]);
  expect(await runProgram({ COFFER_KUBECONFIG: "/nowhere" })).toBe(0);
});

async function runProgram(environment: Record<string, string>): Promise<number> {
  const program = spawn(process.execPath, ["operator/uninstall.ts"], {
    stdio: "ignore",
    env: {
      ...environment,
      COFFER_NAMESPACE: world.namespace,
      COFFER_WATCH_NAMESPACES: world.namespace,
      COFFER_LEASE_NAME: "operator",
      COFFER_IMAGE: "none",
    },
  });
  const [code] = (await once(program, "exit")) as [number];
  return code;
}
