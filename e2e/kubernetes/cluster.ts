// What a test has of the cluster that setup.ts brought. A test file begins like this:
//
//   let team: Team;
//   beforeAll(async () => { team = await createTeam("photos"); });
//   afterAll(async () => await team.remove());
//
//   await team.apply(join(ROOT, "examples", "quickstart"));            a file, a folder, YAML, or objects
//   await team.untilReady("encryptedbuckets", "photos", 60_000);
//   const credentials = await team.credentials("photos-app");          an access Secret, with addresses for this machine
//   await s3Client(credentials).send(new PutObjectCommand(…));         ../clients.ts has the clients
//   await team.exec("coffer-default-0", ["sh", "-c", "ls /data"]);
//   const log = await team.runInPod({ script: "…", secret: "photos-app" });
//
// A Team (team.ts) is a namespace and all that a user does in it; operatorpods.ts is the operator; audit.ts what the API
// server was asked; vault.ts an OpenBao that pods reach. Files called *.serial.test.ts run after all others, alone:
// whatever disturbs the operator, or the node, belongs there.
//
// One file against a cluster that stays up:  COFFER_E2E_KEEP=NAME npx vitest run --config e2e/kubernetes/vitest.config.ts FILE
// Its end:                                   npx node e2e/kubernetes/end.ts NAME

import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { inject } from "vitest";
import { askApiServer, mustAsk } from "../cluster/apiserver.ts";
import type { SharedCluster } from "./brought.ts";
import { type KubeObject, pathOf, type Resource } from "./objects.ts";
import { errorsOf } from "./sandbox.ts";

const run = promisify(execFile);

declare module "vitest" {
  interface ProvidedContext {
    cluster: SharedCluster;
  }
}

const RUN_MS = 240_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** Where it is, and what can be done with this one. */
export function sharedCluster(): SharedCluster {
  return inject("cluster");
}

/** `kubectl` as a person types it; what it prints. Fails with what it says of a failure. */
export async function kubectl(flags: readonly string[], input?: string | Uint8Array): Promise<string> {
  const cluster = sharedCluster();
  const settings = {
    timeout: RUN_MS,
    maxBuffer: OUTPUT_BYTES_MAX,
    env: { ...process.env, KUBECONFIG: cluster.kubeconfig },
  };
  const running = run(cluster.kubectl, [...flags], settings);
  running.child.stdin?.on("error", () => undefined);
  running.child.stdin?.end(input);
  const { stdout } = await running.catch((cause: unknown) => {
    throw new Error(`kubectl ${flags.slice(0, 4).join(" ")}: ${errorsOf(cause)}`, { cause });
  });
  return stdout;
}

/** undefined: it does not exist. */
export async function getObject(
  resource: Resource,
  namespace: string | undefined,
  name: string,
): Promise<KubeObject | undefined> {
  const path = pathOf(resource, namespace, name);
  const { status, body } = await askApiServer(sharedCluster(), "GET", path);
  if (status === 404) return undefined;
  if (status !== 200) throw new Error(`GET ${path}: ${status} ${String(body["message"])}`);
  return body as unknown as KubeObject;
}

/** `labels` as a selector: "app=photos". */
export async function listObjects(
  resource: Resource,
  namespace: string | undefined,
  labels = "",
): Promise<readonly KubeObject[]> {
  const path = `${pathOf(resource, namespace)}?labelSelector=${encodeURIComponent(labels)}`;
  const { items } = (await mustAsk(sharedCluster(), "GET", path)) as { items: readonly KubeObject[] };
  return items;
}

/** A merge patch: lists are replaced whole. */
export async function patchObject(
  resource: Resource,
  namespace: string | undefined,
  name: string,
  patch: object,
): Promise<KubeObject> {
  const path = pathOf(resource, namespace, name);
  const headers = { "content-type": "application/merge-patch+json" };
  const { status, body } = await askApiServer(sharedCluster(), "PATCH", path, patch, headers);
  if (status !== 200) throw new Error(`PATCH ${path}: ${status} ${String(body["message"])}`);
  return body as unknown as KubeObject;
}

/** Deletes it and does not wait until it has gone; nothing happens if it has gone already. */
export async function deleteObject(resource: Resource, namespace: string | undefined, name: string): Promise<void> {
  const path = pathOf(resource, namespace, name);
  const { status, body } = await askApiServer(sharedCluster(), "DELETE", path);
  if (status !== 404 && (status < 200 || status > 299)) {
    throw new Error(`DELETE ${path}: ${status} ${String(body["message"])}`);
  }
}
