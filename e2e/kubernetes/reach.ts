// How this machine reaches a port of a Service: by the Service's own address where packets find the way, else through a
// forward of kubectl, which is started again when it ends.

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { freePort } from "../ports.ts";
import { getObject, sharedCluster } from "./cluster.ts";

interface Forward {
  readonly namespace: string;
  readonly address: string;
  readonly child: () => ChildProcess;
  isOver: boolean;
}

const forwards = new Map<string, Forward>();
const AGAIN_MS = 200;

export async function addressOfService(namespace: string, service: string, port: number): Promise<string> {
  if (!sharedCluster().isRouted) return await forwarded(namespace, service, port);
  const found = await getObject("services", namespace, service);
  if (found === undefined) throw new Error(`There is no Service ${namespace}/${service}`);
  const { clusterIP } = found.spec as { clusterIP: string };
  if (clusterIP !== "None") return `${clusterIP}:${port}`;
  throw new Error(`The Service ${namespace}/${service} has no address`);
}

/** Of a namespace that nobody needs any more. */
export function endForwards(namespace: string): void {
  for (const [key, forward] of forwards) {
    if (forward.namespace !== namespace) continue;
    forward.isOver = true;
    forward.child().kill("SIGKILL");
    forwards.delete(key);
  }
}

async function forwarded(namespace: string, service: string, port: number): Promise<string> {
  const key = `${namespace}/${service}:${port}`;
  const known = forwards.get(key);
  if (known !== undefined) return known.address;
  const local = await freePort();
  const { kubectl, kubeconfig } = sharedCluster();
  const flags = ["--kubeconfig", kubeconfig, "-n", namespace, "port-forward", `service/${service}`, `${local}:${port}`];
  let child: ChildProcess;
  const forward: Forward = { namespace, address: `127.0.0.1:${local}`, child: () => child, isOver: false };
  const start = () => {
    child = spawn(kubectl, flags, { stdio: ["ignore", "pipe", "ignore"] });
    child.once("exit", () => {
      if (!forward.isOver) setTimeout(start, AGAIN_MS).unref();
    });
  };
  start();
  process.once("exit", () => child.kill("SIGKILL"));
  forwards.set(key, forward);
  const { stdout } = forward.child();
  // It prints where it listens.
  if (stdout !== null) await once(stdout, "data");
  return forward.address;
}
