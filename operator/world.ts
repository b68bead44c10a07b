// What tests of the whole operator have around them: the program itself as a process, behind a proxy that breaks things,
// a namespace whose pods are real data planes, and words for what they wait for.

import type { Condition } from "../crds/kind.ts";
import type { ConditionType } from "../crds/reasons.ts";
import { freshNamespace, sharedApiServer } from "../e2e/cluster/apiserver.ts";
import type { ApiServerAccess } from "../e2e/cluster/controlplane.ts";
import type { FaultProxy, SeenRequest } from "../e2e/cluster/faults.ts";
import { startTestNode, type TestNode } from "../e2e/cluster/node.ts";
import { type RunningOperator, startOperator } from "../e2e/cluster/operator.ts";
import { sleep, systemClock } from "./clock.ts";
import { conditionOf } from "./conditions.ts";
import { createKube, type Kube } from "./kube/client.ts";
import { openConnection } from "./kube/connection.ts";
import { type EventObject, type KubeObject, type ObjectName, RESOURCES, type ResourceType } from "./kube/resources.ts";
import { eventually } from "./kube/world.ts";

export interface OperatorWorld {
  readonly namespace: string;
  /** What somebody else does: past the operator's proxy. */
  readonly kube: Kube;
  readonly node: TestNode;
  /** The one that was started last. */
  readonly operator: RunningOperator;
  /** Runs one more: with what the world's wishes add to the environment, or with this instead. */
  startAnother(instead?: Record<string, string>): Promise<RunningOperator>;
  apply(type: ResourceType<KubeObject>, name: string, spec: object, metadata?: object): Promise<void>;
  find<Shape extends KubeObject>(type: ResourceType<Shape>, name: string): Promise<Shape | undefined>;
  /** Resolves once `holds`, and fails with what it was last. */
  until<Shape extends KubeObject>(
    type: ResourceType<Shape>,
    name: string,
    holds: (object: Shape) => boolean,
    withinMs?: number,
  ): Promise<Shape>;
  untilReady(type: ResourceType<KubeObject>, name: string, withinMs?: number): Promise<void>;
  remove(type: ResourceType<KubeObject>, name: string): Promise<void>;
  untilGone(type: ResourceType<KubeObject>, name: string, withinMs?: number): Promise<void>;
  /** Applies an EncryptedBucket with one access entry "app", over what the spec says besides. */
  applyBucket(name: string, spec?: object): Promise<void>;
  /** The values of a Secret, once it has some. */
  secret(name: string): Promise<Record<string, string>>;
  /** Reasons of the Events about a resource. */
  events(name: string): Promise<string[]>;
  /** How often something was told of it, counting repetitions. */
  tellings(name: string, reason: string): Promise<number>;
  /** Over REST, at the pod of the store "default". */
  rest(method: string, bucket: string, object: string, token: string, body?: string): Promise<Response>;
  close(): Promise<void>;
}

const never = new AbortController().signal;

/** Where the operator is to run, and as whom, if not before the shared API server as a user who may do everything. */
export interface OperatorWishes {
  readonly access: ApiServerAccess & { readonly kubeconfig: string };
  /** After the namespace was made, and before the operator runs: its environment. */
  prepare(namespace: string): Promise<Record<string, string>>;
}

export async function createOperatorWorld(what: string, wishes?: OperatorWishes): Promise<OperatorWorld> {
  const access = wishes?.access ?? sharedApiServer();
  const namespace = await freshNamespace(access, what);
  const connection = openConnection({ kubeconfig: access.kubeconfig, inCluster: undefined });
  const kube = createKube(connection, systemClock);
  const node = await startTestNode(access, namespace);
  const operators = await startOperators(namespace, await wishes?.prepare(namespace), access);

  async function find<Shape extends KubeObject>(type: ResourceType<Shape>, name: string) {
    return await kube.read(type, { namespace, name }, never);
  }

  const world: OperatorWorld = {
    namespace,
    kube,
    node,
    get operator() {
      return operators.last();
    },
    startAnother: operators.startAnother,
    async apply(type, name, spec, metadata = {}) {
      const object = { apiVersion: type.apiVersion, kind: type.kind, metadata: { namespace, name, ...metadata }, spec };
      await kube.apply(type, object, { force: true }, never);
    },
    find,
    async until(type, name, holds, withinMs) {
      const look = async () => await find(type, name);
      const found = await eventually(look, (object) => object !== undefined && holds(object), withinMs).catch(
        async () => {
          const came = `${type.kind} "${name}" never came to that: ${described(await look())}`;
          throw new Error(`${came}\n${operators.printed()}`);
        },
      );
      return found as NonNullable<typeof found>;
    },
    async untilReady(type, name, withinMs) {
      await world.until(type, name, (object) => isTrue(object, "Ready"), withinMs);
    },
    async remove(type, name) {
      await kube.remove(type, { namespace, name }, {}, never);
    },
    async untilGone(type, name, withinMs) {
      await eventually(
        async () => await find(type, name),
        (object) => object === undefined,
        withinMs,
      );
    },
    async applyBucket(name, spec = {}) {
      const access = [{ name: "app", permissions: ["Read", "Write", "List", "Delete"] }];
      const encryption = { kmsProviderRef: { name: "local" } };
      await world.apply(RESOURCES.encryptedBuckets, name, { encryption, access, ...spec });
    },
    secret: async (name) => {
      const { data = {} } = await world.until(RESOURCES.secrets, name, (secret) => secret.data !== undefined);
      return decoded(data);
    },
    events: async (name) => (await eventsAbout(kube, { namespace, name })).map(({ reason }) => reason),
    tellings: async (name, reason) => tellingsIn(await eventsAbout(kube, { namespace, name }), reason),
    rest: async (method, bucket, object, token, body) => {
      return await askRest(node, { method, bucket, object, token, body });
    },
    async close() {
      await operators.stop();
      await node.close();
      connection.close();
    },
  };
  return world;
}

/** One, and those that tests start beside it or after it. */
async function startOperators(
  namespace: string,
  environment: Record<string, string> | undefined,
  access: ApiServerAccess,
) {
  const first = await startOperator(namespace, environment, access);
  const running = [first];
  return {
    last: () => running.at(-1) ?? first,
    async startAnother(instead = environment) {
      const another = await startOperator(namespace, instead, access);
      running.push(another);
      return another;
    },
    printed: () => running.map((one) => one.printed()).join("— another operator —\n"),
    async stop() {
      await Promise.all(running.map(async (one) => await one.stop()));
    },
  };
}

async function eventsAbout(kube: Kube, { namespace, name }: ObjectName): Promise<readonly EventObject[]> {
  const page = await kube.page(RESOURCES.events, { namespace }, { limit: 500, after: undefined }, never);
  return page.items.filter(({ regarding }) => regarding.name === name);
}

function tellingsIn(events: readonly EventObject[], reason: string): number {
  const told = events.filter((event) => event.reason === reason);
  return told.reduce((sum, { series }) => sum + (series?.count ?? 1), 0);
}

const QUIET_MS = 3000;

/** What an operator has asked of the API server since then, but for its lease, and for watches that the API server ends
 *  every few minutes and that are opened again. */
export function askedSince({ seen }: FaultProxy, before: number): readonly SeenRequest[] {
  return seen.slice(before).filter(({ path, isWatch }) => !path.includes("/leases/") && !isWatch);
}

/** Until an operator has ended what it had to do when it began. */
export async function untilQuiet(proxy: FaultProxy, withinMs?: number): Promise<void> {
  await eventually(
    async () => {
      const before = proxy.seen.length;
      await sleep(QUIET_MS, systemClock, never);
      return askedSince(proxy, before).length;
    },
    (asked) => asked === 0,
    withinMs,
  );
}

export function isTrue(object: KubeObject, type: ConditionType): boolean {
  return conditionIn(object, type)?.status === "True";
}

export function conditionIn(object: KubeObject, type: ConditionType): Condition | undefined {
  const { status } = object as KubeObject & { readonly status?: { readonly conditions?: readonly Condition[] } };
  return conditionOf(status?.conditions, type);
}

/** What a person would look at first. */
function described(object: KubeObject | undefined): string {
  const { status, spec, metadata } = (object ?? {}) as Partial<KubeObject & { status: unknown; spec: unknown }>;
  return JSON.stringify(status ?? spec ?? metadata, undefined, 1);
}

interface RestQuestion {
  readonly method: string;
  readonly bucket: string;
  readonly object: string;
  readonly token: string;
  readonly body: string | undefined;
}

async function askRest(node: TestNode, { method, bucket, object, token, body }: RestQuestion): Promise<Response> {
  const url = `http://${node.addressOf("coffer-default-0")}:8080/api/v1/buckets/${bucket}/objects/${object}`;
  // A connection that was kept may be closed by the pod in the moment in which it is used again.
  const headers = { authorization: `Bearer ${token}`, connection: "close" };
  return await fetch(url, { method, headers, ...(body === undefined ? {} : { body }) });
}

function decoded(data: Readonly<Record<string, string>>): Record<string, string> {
  const values = Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]);
  return Object.fromEntries(values) as Record<string, string>;
}
