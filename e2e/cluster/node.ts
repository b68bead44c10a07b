// What a cluster does with the StatefulSets of one namespace, without a node: makes their pods, runs a real data plane for
// each as a process on an address of its own, and reports them as a kubelet does. It is as slow as a kubelet is: a Secret
// that has changed reaches a pod when the pod's annotations change, or after a minute. Images of the registry
// "nowhere.invalid" cannot be pulled.

import { type ChildProcess, spawn } from "node:child_process";
import { randomInt } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { askApiServer, mustAsk } from "./apiserver.ts";
import type { ApiServerAccess } from "./controlplane.ts";
import { leash } from "./leash.ts";

export interface TestNode {
  /** By name of the pod. */
  addressOf(pod: string): string | undefined;
  /** kill -9 of a pod's process; it is started again, as a container is. */
  kill(pod: string): Promise<void>;
  /** Once it resolves, no pod is started or refreshed until it goes on. */
  pause(isPaused: boolean): Promise<void>;
  close(): Promise<void>;
}

interface ObjectSeen {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly deletionTimestamp?: string;
  };
}

interface StatefulSetSeen extends ObjectSeen {
  readonly spec: { readonly replicas: number; readonly template: PodTemplate };
}

interface PodTemplate {
  readonly metadata: { readonly labels: Record<string, string>; readonly annotations?: Record<string, string> };
  readonly spec: {
    readonly containers: readonly Container[];
    readonly volumes: readonly { readonly name: string; readonly secret?: { readonly secretName: string } }[];
  };
}

interface Container {
  readonly name: string;
  readonly image: string;
  readonly env: readonly { readonly name: string; readonly value: string }[];
}

interface PodSeen extends ObjectSeen {
  readonly spec: PodTemplate["spec"];
  readonly status?: { readonly containerStatuses?: readonly unknown[] };
}

interface RunningPod {
  readonly name: string;
  readonly address: string;
  readonly folder: string;
  readonly secretName: string;
  child: ChildProcess | undefined;
  annotations: string;
  refreshedMs: number;
  isReported: boolean;
}

const EVERY_MS = 100;
const REFRESH_MS = 60_000;
const ROOT = join(import.meta.dirname, "..", "..");
const PROGRAM = join(ROOT, "dataplane", "main.ts");
const NODE = join(ROOT, "node_modules", ".bin", "node");

/** Of 127.0.0.0/8: every pod has an address of its own, so that all may have the same ports, whichever test has them. */
function nextAddress(): string {
  return `127.${randomInt(1, 255)}.${randomInt(256)}.${randomInt(1, 255)}`;
}

export async function startTestNode(access: ApiServerAccess, namespace: string): Promise<TestNode> {
  const home = await mkdtemp(join(tmpdir(), "coffer-node-"));
  const pods = new Map<string, RunningPod>();
  const stopping = new AbortController();
  let isPaused = false;

  const core = `/api/v1/namespaces/${namespace}`;
  async function list<Shape>(path: string): Promise<readonly Shape[]> {
    return ((await mustAsk(access, "GET", path)) as { readonly items: readonly Shape[] }).items;
  }

  async function turn(): Promise<void> {
    const sets = await list<StatefulSetSeen>(`/apis/apps/v1/namespaces/${namespace}/statefulsets`);
    const there = new Map((await list<PodSeen>(`${core}/pods`)).map((pod) => [pod.metadata.name, pod]));
    const wanted = new Map<string, StatefulSetSeen>(
      sets.flatMap((set) =>
        Array.from({ length: set.spec.replicas }, (_, index) => [`${set.metadata.name}-${index}`, set] as const),
      ),
    );
    for (const [name, set] of wanted) {
      const pod = there.get(name);
      if (pod === undefined) await mustAsk(access, "POST", `${core}/pods`, podOf(name, set));
      else if (cannotBePulled(pod.spec)) await hold(set, pod);
      else await keep(name, set, pod);
    }
    for (const [name, pod] of pods) if (!there.has(name) || !wanted.has(name)) await end(pod);
  }

  /** A pod whose image is not to be had waits for it, and is made anew when the StatefulSet has another. */
  async function hold(set: StatefulSetSeen, { metadata: { name }, spec, status = {} }: PodSeen): Promise<void> {
    const image = imageOf(spec);
    if (imageOf(set.spec.template.spec) !== image) {
      await mustAsk(access, "DELETE", `${core}/pods/${name}?gracePeriodSeconds=0`);
      return;
    }
    if (status.containerStatuses !== undefined) return;
    const waiting = { reason: "ImagePullBackOff", message: `Back-off pulling image "${image}"` };
    const container = { name: "data-plane", image, imageID: "", ready: false, restartCount: 0, state: { waiting } };
    await patch(`${core}/pods/${name}/status`, { status: { phase: "Pending", containerStatuses: [container] } });
  }

  async function keep(name: string, set: StatefulSetSeen, seen: ObjectSeen): Promise<void> {
    let pod = pods.get(name);
    if (pod === undefined) {
      pod = await prepare(name, set, home);
      pods.set(name, pod);
    }
    const annotations = JSON.stringify(seen.metadata.annotations ?? {});
    const isDue = annotations !== pod.annotations || performance.now() - pod.refreshedMs > REFRESH_MS;
    if (isDue && (await refresh(access, core, pod))) pod.annotations = annotations;
    if (
      pod.refreshedMs > 0 &&
      (pod.child === undefined || pod.child.exitCode !== null || pod.child.signalCode !== null)
    ) {
      run(pod, set.spec.template);
    }
    if (pod.child !== undefined && !pod.isReported) {
      const status = {
        phase: "Running",
        podIP: pod.address,
        podIPs: [{ ip: pod.address }],
        conditions: [{ type: "PodScheduled", status: "True" }],
      };
      await patch(`${core}/pods/${name}/status`, { status });
      pod.isReported = true;
    }
  }

  async function patch(path: string, body: unknown): Promise<void> {
    const merge = { "content-type": "application/merge-patch+json" };
    const { status, body: answer } = await askApiServer(access, "PATCH", path, body, merge);
    if (status > 299) throw new Error(`PATCH ${path}: ${status} ${String(answer["message"])}`);
  }

  async function end(pod: RunningPod): Promise<void> {
    pods.delete(pod.name);
    await stop(pod);
    await rm(pod.folder, { recursive: true, force: true });
  }

  /** What fails is tried again: a test may have taken the API server away. Whoever waits in vain finds here why. */
  let told = "";
  async function tryTurn(): Promise<void> {
    let failed = "";
    await turn().catch((error: unknown) => {
      failed = String(error);
    });
    if (failed !== told && failed !== "") process.stderr.write(`the node of namespace ${namespace}: ${failed}\n`);
    told = failed;
  }

  let turning: Promise<void> | undefined;
  const running = (async () => {
    while (!stopping.signal.aborted) {
      turning = isPaused ? undefined : tryTurn();
      await turning;
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
    }
  })();

  return {
    addressOf: (name) => pods.get(name)?.address,
    async kill(name) {
      const pod = pods.get(name);
      if (pod !== undefined) await stop(pod);
    },
    async pause(wanted) {
      isPaused = wanted;
      // The turn under way knows nothing of it, and would start again what is killed now.
      await turning;
    },
    async close() {
      stopping.abort();
      await running;
      for (const pod of [...pods.values()]) await end(pod);
      await rm(home, { recursive: true, force: true });
    },
  };
}

function imageOf({ containers: [container] }: PodTemplate["spec"]): string {
  return container?.image ?? "";
}

function cannotBePulled(spec: PodTemplate["spec"]): boolean {
  return imageOf(spec).startsWith("nowhere.invalid/");
}

function podOf(name: string, set: StatefulSetSeen): object {
  const { metadata, spec } = set.spec.template;
  const owner = { apiVersion: "apps/v1", kind: "StatefulSet", name: set.metadata.name, uid: set.metadata.uid };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...metadata, name, ownerReferences: [{ ...owner, controller: true }] },
    spec,
  };
}

async function prepare(name: string, set: StatefulSetSeen, home: string): Promise<RunningPod> {
  const folder = join(home, name);
  await mkdir(join(folder, "data"), { recursive: true });
  await mkdir(join(folder, "config"), { recursive: true });
  const secretName =
    set.spec.template.spec.volumes.find((volume) => volume.name === "config")?.secret?.secretName ?? "";
  const fresh = { child: undefined, annotations: "", refreshedMs: 0, isReported: false };
  return { name, address: nextAddress(), folder, secretName, ...fresh };
}

/** What the kubelet does with a Secret volume; false: there is no such Secret yet. */
async function refresh(access: ApiServerAccess, core: string, pod: RunningPod): Promise<boolean> {
  const { status, body } = await askApiServer(access, "GET", `${core}/secrets/${pod.secretName}`);
  if (status !== 200) return false;
  for (const [file, value] of Object.entries((body["data"] ?? {}) as Record<string, string>)) {
    const path = join(pod.folder, "config", file);
    await writeFile(`${path}.new`, Buffer.from(value, "base64"));
    await rename(`${path}.new`, path);
  }
  pod.refreshedMs = performance.now();
  return true;
}

/** With the environment that the pod has, and the paths that it would have in its container. */
function run(pod: RunningPod, template: PodTemplate): void {
  const [container] = template.spec.containers;
  const given = Object.fromEntries((container?.env ?? []).map(({ name, value }) => [name, value]));
  const environment = {
    ...process.env,
    ...given,
    COFFER_CONFIG: join(pod.folder, "config", "config.json"),
    COFFER_DATA_DIR: join(pod.folder, "data"),
    COFFER_LISTEN: pod.address,
  };
  pod.child = spawn(NODE, ["--disable-warning=ExperimentalWarning", PROGRAM], { env: environment, stdio: "ignore" });
  pod.child.on("error", () => undefined);
  leash(pod.child);
}

async function stop({ child }: RunningPod): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}
