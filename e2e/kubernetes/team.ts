// A namespace with a name of its own, and what a user does in it. `remove` lets go of it; nobody waits until it has gone.

import { existsSync } from "node:fs";
import { ACCESS_KEYS } from "../../crds/names.ts";
import { mustAsk } from "../cluster/apiserver.ts";
import { type Credentials, waitFor } from "../harness.ts";
import { deleteObject, getObject, kubectl, listObjects, patchObject, sharedCluster } from "./cluster.ts";
import { conditionOf, describeObject, type KubeObject, type Resource } from "./objects.ts";
import { addressOfService, endForwards } from "./reach.ts";

const LOOK_EVERY_MS = 100;
const POD_MS = 120_000;
const LEADS_MS = 30_000;
const TOLD_MS = 60_000;

let count = 0;

/** `what` is in its name, for whoever looks at the cluster. */
export async function createTeam(what: string, labels: Readonly<Record<string, string>> = {}): Promise<Team> {
  count += 1;
  const name = `${what}-${process.pid}-${count}`;
  await mustAsk(sharedCluster(), "POST", "/api/v1/namespaces", { metadata: { name, labels } });
  return new Team(name);
}

export interface PodWishes {
  /** An ES module that the pod's Node runs. */
  readonly script: string;
  /** A Secret whose keys become its environment, as applications have it. */
  readonly secret?: string;
  readonly environment?: Readonly<Record<string, string>>;
  readonly name?: string;
}

export class Team {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }

  async remove(): Promise<void> {
    endForwards(this.name);
    await deleteObject("namespaces", undefined, this.name);
  }

  /** `kubectl -n NAME …`. */
  kubectl(flags: readonly string[], input?: string | Uint8Array): Promise<string> {
    return kubectl(["--namespace", this.name, ...flags], input);
  }

  /** `kubectl apply` of a file or folder, of YAML, or of objects; what it prints. Fails with what the API server says. */
  apply(what: string | object | readonly object[], more: readonly string[] = []): Promise<string> {
    if (typeof what === "string" && !what.includes("\n") && existsSync(what)) {
      return this.kubectl(["apply", ...more, "-f", what]);
    }
    const list = (items: readonly object[]) => JSON.stringify({ apiVersion: "v1", kind: "List", items });
    const text = typeof what === "string" ? what : list(Array.isArray(what) ? what : [what]);
    return this.kubectl(["apply", ...more, "-f", "-"], text);
  }

  get(resource: Resource, name: string): Promise<KubeObject | undefined> {
    return getObject(resource, this.name, name);
  }

  list(resource: Resource, labels?: string): Promise<readonly KubeObject[]> {
    return listObjects(resource, this.name, labels);
  }

  /** A merge patch. */
  patch(resource: Resource, name: string, patch: object): Promise<KubeObject> {
    return patchObject(resource, this.name, name, patch);
  }

  /** Does not wait until it has gone: `untilGone` does. */
  delete(resource: Resource, name: string): Promise<void> {
    return deleteObject(resource, this.name, name);
  }

  /** Looks until it is so; the object as it is then. In vain: fails with what its status says. */
  async until(
    resource: Resource,
    name: string,
    what: string,
    isSo: (object: KubeObject | undefined) => boolean,
    withinMs: number,
  ): Promise<KubeObject | undefined> {
    const endMs = performance.now() + withinMs;
    for (;;) {
      const object = await this.get(resource, name);
      if (isSo(object)) return object;
      if (performance.now() > endMs) {
        throw new Error(`Waited ${withinMs} ms for ${resource}/${name} ${what}, in vain:\n  ${describeObject(object)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }

  /** Of the generation that is there now, unless the kind has none in its conditions. */
  async untilCondition(
    resource: Resource,
    name: string,
    type: string,
    status: "True" | "False",
    withinMs: number,
  ): Promise<KubeObject> {
    const isSo = (object: KubeObject | undefined) => {
      const condition = conditionOf(object, type);
      const generation = condition?.observedGeneration ?? object?.metadata.generation;
      return condition?.status === status && generation === object?.metadata.generation;
    };
    return (await this.until(resource, name, `to be ${type}=${status}`, isSo, withinMs)) as KubeObject;
  }

  untilReady(resource: Resource, name: string, withinMs: number): Promise<KubeObject> {
    return this.untilCondition(resource, name, "Ready", "True", withinMs);
  }

  /** Until it says that of the generation that is there now: another reason may come before. */
  async untilReason(
    resource: Resource,
    name: string,
    type: string,
    reason: string,
    withinMs: number,
  ): Promise<KubeObject> {
    const isSo = (object: KubeObject | undefined) => {
      const condition = conditionOf(object, type);
      return condition?.reason === reason && condition.observedGeneration === object?.metadata.generation;
    };
    return (await this.until(resource, name, `to tell ${reason}`, isSo, withinMs)) as KubeObject;
  }

  /** All Events, once one is so: each is written a while after what it tells of. */
  async untilEvent(what: string, isSo: (event: KubeObject) => boolean): Promise<readonly KubeObject[]> {
    let events: readonly KubeObject[] = [];
    await waitFor(`the Event ${what}`, TOLD_MS, async () => {
      events = await this.list("events");
      return events.some(isSo);
    });
    return events;
  }

  async untilGone(resource: Resource, name: string, withinMs: number): Promise<void> {
    await this.until(resource, name, "to be gone", (object) => object === undefined, withinMs);
  }

  /** Runs a command in a pod's container; what it prints. */
  exec(pod: string, command: readonly string[], input?: string | Uint8Array): Promise<string> {
    const flags = input === undefined ? ["exec"] : ["exec", "--stdin"];
    return this.kubectl([...flags, pod, "--", ...command], input);
  }

  logs(pod: string, more: readonly string[] = []): Promise<string> {
    return this.kubectl(["logs", pod, ...more]);
  }

  /** The Secret's values, as they are; undefined: it does not exist. */
  async secret(name: string): Promise<Readonly<Record<string, string>> | undefined> {
    const secret = await this.get("secrets", name);
    if (secret === undefined) return undefined;
    const decoded = Object.entries(secret.data ?? {}).map(([key, value]) => [
      key,
      Buffer.from(value, "base64").toString(),
    ]);
    return Object.fromEntries(decoded) as Record<string, string>;
  }

  /** HOST:PORT at which this machine reaches a port of a Service. */
  address(service: string, port: number): Promise<string> {
    return addressOfService(this.name, service, port);
  }

  /** What an access Secret says, with addresses that this machine reaches in place of the names that pods use. */
  async credentials(secretName: string): Promise<Credentials> {
    const values = await this.secret(secretName);
    if (values === undefined) throw new Error(`There is no Secret ${this.name}/${secretName}`);
    const read = (key: string) => {
      const value = values[key];
      if (value === undefined || value === "") throw new Error(`The Secret ${secretName} has no ${key}`);
      return value;
    };
    return {
      endpoint: await this.#fromHere(read(ACCESS_KEYS.s3Endpoint)),
      region: read(ACCESS_KEYS.region),
      accessKeyId: read(ACCESS_KEYS.accessKeyId),
      secretAccessKey: read(ACCESS_KEYS.secretAccessKey),
      bucket: values[ACCESS_KEYS.bucketName] ?? "",
      restUrl: await this.#fromHere(read(ACCESS_KEYS.restUrl)),
      token: read(ACCESS_KEYS.token),
    };
  }

  async #fromHere(url: string): Promise<string> {
    const { protocol, hostname, port } = new URL(url);
    const [service = ""] = hostname.split(".");
    const here = `${protocol}//${await this.address(service, Number(port))}`;
    await untilLed(here);
    return here;
  }

  /** Starts a pod of our image with a script, waits for its end, and removes it. What it printed; fails if it failed. */
  async runInPod({ script, secret, environment = {}, name = "client" }: PodWishes): Promise<string> {
    const container = {
      name: "client",
      image: sharedCluster().image,
      command: ["node", "--input-type=module", "--eval", script],
      env: Object.entries(environment).map(([key, value]) => ({ name: key, value })),
      ...(secret === undefined ? {} : { envFrom: [{ secretRef: { name: secret } }] }),
    };
    await mustAsk(sharedCluster(), "POST", `/api/v1/namespaces/${this.name}/pods`, {
      metadata: { name },
      spec: { restartPolicy: "Never", enableServiceLinks: false, containers: [container] },
    });
    const isOver = (pod: KubeObject | undefined) => ["Succeeded", "Failed"].includes(pod?.status?.phase);
    const pod = await this.until("pods", name, "to end", isOver, POD_MS);
    const printed = await this.logs(name);
    await this.delete("pods", name);
    await this.untilGone("pods", name, POD_MS);
    if (pod?.status?.phase === "Failed") throw new Error(`The pod ${name} failed:\n${printed}`);
    return printed;
  }
}

/** What is ready is in its Service. Each node learns of that a moment later, and refuses connections until then. Of a
 *  store that serves nobody there is nothing to wait for. */
async function untilLed(url: string): Promise<void> {
  const ask = () => fetch(url, { method: "HEAD", signal: AbortSignal.timeout(LEADS_MS) });
  const isLed = async () => (await ask().catch(() => undefined)) !== undefined;
  await waitFor(`an answer of ${url}`, LEADS_MS, isLed).catch(() => undefined);
}
