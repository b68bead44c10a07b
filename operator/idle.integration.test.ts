// An operator that has nothing to do leaves the API server alone: counted from the server's own audit log, it writes its
// lease, asks for the tokens that its logins need, and nothing else.

import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type ControlPlane, startControlPlane } from "../e2e/cluster/controlplane.ts";
import { installDefinitions } from "../e2e/cluster/crds.ts";
import { RESOURCES } from "./kube/resources.ts";
import { eventually } from "./kube/world.ts";
import { conditionIn, createOperatorWorld, isTrue, type OperatorWorld } from "./world.ts";

/** Short: what comes rarely, a watch that is opened again, comes within ten minutes. */
const IDLE_MS = 20_000;
/** What comes late, as the third failure of a probe does, has come by then. */
const QUIET_MS = 20_000;
const SETTLED_MS = 200_000;
const LOOK_EVERY_MS = 1000;
const BUCKETS = 10;

interface AuditLine {
  readonly verb: string;
  readonly userAgent?: string;
  readonly requestReceivedTimestamp: string;
  readonly objectRef?: { readonly resource: string; readonly subresource?: string; readonly name?: string };
}

let controlPlane: ControlPlane;
let world: OperatorWorld;

beforeAll(async () => {
  controlPlane = await startControlPlane({ audit: true });
  await installDefinitions(controlPlane);
  world = await createOperatorWorld("idle", { access: controlPlane, prepare: async () => ({}) });
});

afterAll(async () => {
  await world?.close();
  await controlPlane?.stop();
});

/** What the operator has written since then; nobody else writes meanwhile. */
async function written(sinceMs: number): Promise<readonly string[]> {
  const text = await readFile(controlPlane.auditLog, "utf8");
  // The last one may be half-way into the file.
  const lines = text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as AuditLine);
  return lines
    .filter(({ userAgent, verb }) => userAgent === "coffer" && !["get", "list", "watch"].includes(verb))
    .filter(({ requestReceivedTimestamp }) => Date.parse(requestReceivedTimestamp) > sinceMs)
    .map(({ verb, objectRef: { resource = "", subresource = "", name = "" } = {} }) =>
      [verb, resource, subresource, name].filter((word) => word !== "").join(" "),
    );
}

function isHousekeeping(request: string): boolean {
  return request.startsWith("update leases ") || request === "create serviceaccounts token coffer-kms";
}

it("writes nothing but its lease and requests for tokens while nothing happens", async () => {
  await world.apply(RESOURCES.kmsProviders, "local", { type: "Local" });
  // One that works, and one that is probed for ever.
  const vault = {
    address: "http://127.0.0.1:9",
    allowInsecure: true,
    keyName: "photos",
    auth: { kubernetes: { role: "r" } },
  };
  await world.apply(RESOURCES.kmsProviders, "vault", {
    type: "Vault",
    vault,
    // Time enough to be refused in, always in the same words.
    healthCheck: { interval: "10s", timeout: "9s" },
  });
  for (let index = 0; index < BUCKETS; index += 1) {
    await world.applyBucket(`bucket-${index}`, { deletionPolicy: "DeleteIfEmpty" });
  }
  for (let index = 0; index < BUCKETS; index += 1) {
    await world.until(
      RESOURCES.encryptedBuckets,
      `bucket-${index}`,
      (one) => isTrue(one, "Ready") && isTrue(one, "RewrapComplete"),
    );
  }
  await world.until(RESOURCES.kmsProviders, "vault", (one) => conditionIn(one, "Reachable")?.status === "False");
  await eventually(
    async () => {
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      return (await written(Date.now() - QUIET_MS)).filter((request) => !isHousekeeping(request));
    },
    (requests) => requests.length === 0,
    SETTLED_MS,
  );
  const sinceMs = Date.now();
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
  const requests = await written(sinceMs);
  expect(requests.filter((request) => !isHousekeeping(request))).toEqual([]);
  // So that it is alive, and counted at all.
  expect(requests.some((request) => request.startsWith("update leases "))).toBe(true);
}, 600_000);
