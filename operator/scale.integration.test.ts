// Many resources in one namespace and one store: what they cost, that a new leader knows them at once, and that one edit
// costs no more than it does with few. The operator runs as in a pod: without the client that a kubeconfig needs, and
// with the limits that its container gives it.

import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { sharedApiServer } from "../e2e/cluster/apiserver.ts";
import { podEnvironment, type RunningOperator } from "../e2e/cluster/operator.ts";
import { RESOURCES } from "./kube/resources.ts";
import { eventually } from "./kube/world.ts";
import { askedSince, createOperatorWorld, isTrue, type OperatorWorld, untilQuiet } from "./world.ts";

const BUCKETS = 500;
const PROVIDERS = 50;
const RSS_MIB_MAX = 200;
const SYNCED_MS = 15_000;
/** What a busy machine is given beside it. */
const PATIENCE = 10;
const SETTLED_MS = 300_000;
const TEST_MS = 900_000;
/** Two passes of the bucket, its Event, the configuration and its pod. */
const REQUESTS_MAX = 12;
const LIMITS = "--max-semi-space-size=4 --max-old-space-size=192";
const never = new AbortController().signal;
let world: OperatorWorld;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "coffer-scale-"));
  const access = sharedApiServer();
  const asPod = async () => ({ ...(await podEnvironment(access, folder)), NODE_OPTIONS: LIMITS });
  world = await createOperatorWorld("scale", { access, prepare: asPod });
});

afterAll(async () => {
  await world.close();
  await rm(folder, { recursive: true, force: true });
});

function rssMib({ pid }: RunningOperator): number {
  const kibibytes = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kibibytes) / 1024;
}

/** It may have to collect what it needs no more, but to keep more than that it may not. */
async function untilLittleMemory(operator: RunningOperator): Promise<void> {
  const mib = await eventually(
    () => rssMib(operator),
    (now) => now < RSS_MIB_MAX,
  );
  process.stdout.write(`The operator's memory with ${BUCKETS} buckets: ${mib.toFixed(0)} MiB of ${RSS_MIB_MAX}\n`);
}

/** Of which nothing more is to be told. */
async function settledBuckets(): Promise<number> {
  const scope = { namespace: world.namespace };
  const page = await world.kube.page(RESOURCES.encryptedBuckets, scope, { limit: 1000, after: undefined }, never);
  return page.items.filter((bucket) => isTrue(bucket, "Ready") && isTrue(bucket, "RewrapComplete")).length;
}

async function untilWorking(operator: RunningOperator): Promise<void> {
  await eventually(
    () => operator.printed(),
    (text) => text.includes("work begins"),
    SYNCED_MS * PATIENCE,
  );
}

describe("500 buckets of 50 providers", () => {
  it(
    "become ready, in little memory",
    async () => {
      for (let index = 0; index < PROVIDERS; index += 1) {
        await world.apply(RESOURCES.kmsProviders, `provider-${index}`, { type: "Local" });
      }
      for (let index = 0; index < BUCKETS; index += 1) {
        const encryption = { kmsProviderRef: { name: `provider-${index % PROVIDERS}` } };
        await world.applyBucket(`bucket-${index}`, { encryption });
      }
      await eventually(settledBuckets, (count) => count === BUCKETS, TEST_MS);
      await untilLittleMemory(world.operator);
    },
    2 * TEST_MS,
  );

  it(
    "are known to a new leader at once, which finds nothing to write and nobody unready",
    async () => {
      await world.operator.stop();
      const scope = { namespace: world.namespace };
      const whole = { limit: 1000, after: undefined };
      const before = await world.kube.page(RESOURCES.encryptedBuckets, scope, whole, never);
      const beganMs = performance.now();
      const operator = await world.startAnother();
      await untilWorking(operator);
      const tookMs = performance.now() - beganMs;
      process.stdout.write(`${BUCKETS} buckets, until a new leader knows them: ${(tookMs / 1000).toFixed(1)} s\n`);
      expect(tookMs).toBeLessThan(SYNCED_MS * PATIENCE);
      await new Promise((resolve) => setTimeout(resolve, 10_000));
      const after = await world.kube.page(RESOURCES.encryptedBuckets, scope, whole, never);
      expect(after.items).toHaveLength(before.items.length);
      const moved = after.items.filter(
        ({ metadata }, at) => metadata.resourceVersion !== before.items[at]?.metadata.resourceVersion,
      );
      // With what they say now, for whoever looks why.
      expect(moved.map(({ metadata: { name }, status }) => ({ name, status })).slice(0, 3)).toEqual([]);
      await untilLittleMemory(world.operator);
    },
    TEST_MS,
  );

  it(
    "make one edit no dearer than few do",
    async () => {
      await world.operator.stop();
      // Through the proxy, which counts.
      const operator = await world.startAnother({});
      await untilWorking(operator);
      await untilQuiet(operator.proxy, SETTLED_MS);
      const before = operator.proxy.seen.length;
      const encryption = { kmsProviderRef: { name: "provider-7" } };
      await world.applyBucket("bucket-7", { encryption, access: [{ name: "app", permissions: ["Read"] }] });
      await world.until(
        RESOURCES.encryptedBuckets,
        "bucket-7",
        (one) => one.status.observedGeneration === one.metadata.generation && isTrue(one, "Ready"),
      );
      await new Promise((resolve) => setTimeout(resolve, 3000));
      const asked = askedSince(operator.proxy, before);
      process.stdout.write(`One edit among ${BUCKETS} buckets: ${asked.length} requests of ${REQUESTS_MAX}\n`);
      const words = asked.map(({ method, path }) => `${method} ${path}`).join("\n");
      expect(asked.length, words).toBeLessThanOrEqual(REQUESTS_MAX);
      expect(asked.filter(({ path }) => path.includes("encryptedbuckets/") && !path.includes("bucket-7"))).toEqual([]);
      expect(operator.proxy.violations).toEqual([]);
    },
    TEST_MS,
  );
});
