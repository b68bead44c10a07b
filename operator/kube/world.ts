// What tests of this room have around them: the API server behind a proxy that breaks things, a client of it, and a
// namespace of their own.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freshNamespace, sharedApiServer } from "../../e2e/cluster/apiserver.ts";
import { type FaultProxy, startFaultProxy } from "../../e2e/cluster/faults.ts";
import { type Clock, systemClock } from "../clock.ts";
import { createKube, type Kube } from "./client.ts";
import { type Connection, openConnection } from "./connection.ts";
import type { KubeObject, ResourceType } from "./resources.ts";

export interface KubeWorld {
  readonly proxy: FaultProxy;
  readonly connection: Connection;
  /** Through the proxy. */
  readonly kube: Kube;
  /** Past the proxy: what somebody else does meanwhile. */
  readonly other: Kube;
  readonly namespace: string;
  close(): Promise<void>;
}

export async function createKubeWorld(what: string, clock: Clock = systemClock): Promise<KubeWorld> {
  const access = sharedApiServer();
  const proxy = await startFaultProxy(access);
  const folder = await mkdtemp(join(tmpdir(), "coffer-kube-"));
  await proxy.writeKubeconfig(join(folder, "kubeconfig"));
  const connection = openConnection({ kubeconfig: join(folder, "kubeconfig"), inCluster: undefined });
  const direct = openConnection({ kubeconfig: access.kubeconfig, inCluster: undefined });
  return {
    proxy,
    connection,
    kube: createKube(connection, clock),
    other: createKube(direct, systemClock),
    namespace: await freshNamespace(access, what),
    async close() {
      connection.close();
      direct.close();
      await proxy.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A resource type whose lists bring everything, though the operator's own do not: for tests that need many objects. */
export const CONFIG_MAPS_WHOLE: ResourceType<KubeObject & { data?: Record<string, string> }> = {
  apiVersion: "v1",
  kind: "ConfigMap",
  plural: "configmaps",
  listed: "whole",
};

export function configMap(namespace: string, name: string, data: Record<string, string> = {}) {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { namespace, name }, data };
}

/** Of a machine that does ten other things, and does them slowly; what takes long for other reasons has its own. */
const WITHIN_MS = 150_000;
/** At first; less and less often then, for looking costs the same machine. */
const LOOK_EVERY_MS = 10;
const LOOK_AT_LEAST_EVERY_MS = 100;

/** Resolves once `holds`, and fails with what it was last. */
export async function eventually<Value>(
  look: () => Value | Promise<Value>,
  holds: (value: Value) => boolean,
  withinMs = WITHIN_MS,
): Promise<Value> {
  const beganMs = performance.now();
  for (;;) {
    const value = await look();
    if (holds(value)) return value;
    const tookMs = performance.now() - beganMs;
    if (tookMs > withinMs) throw new Error(`It never came to that: ${JSON.stringify(value)}`);
    const waitMs = Math.min(LOOK_AT_LEAST_EVERY_MS, LOOK_EVERY_MS + tookMs / 50);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
