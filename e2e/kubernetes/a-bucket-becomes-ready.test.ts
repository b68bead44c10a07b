// The first promise: a chart, two resources, and an application has a bucket with credentials, from its pod and from
// wherever the Service is reached.

import { join } from "node:path";
import { GetObjectCommand, PutObjectCommand } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ACCESS_KEYS } from "../../crds/names.ts";
import { restObject, s3Client } from "../clients.ts";
import { ROOT } from "../harness.ts";
import { sharedCluster } from "./cluster.ts";
import type { KubeObject } from "./objects.ts";
import { createTeam, type Team } from "./team.ts";

/** What a quiet machine is promised, and what a busy one is given beside it. */
const PATIENCE = 12;
const INSTALL_MS = 15_000;
const QUICKSTART_MS = 20_000;
const SECOND_BUCKET_MS = 5_000;

const QUICKSTART = join(ROOT, "examples", "quickstart");

/** An application that knows nothing but its environment. */
const APPLICATION = `
  const { ${ACCESS_KEYS.restUrl}: url, ${ACCESS_KEYS.token}: token, ${ACCESS_KEYS.bucketName}: bucket } = process.env;
  const address = url + "/api/v1/buckets/" + bucket + "/objects/from-a-pod.txt";
  const headers = { authorization: "Bearer " + token };
  const put = await fetch(address, { method: "PUT", headers, body: "written in a pod" });
  const got = await fetch(address, { headers });
  process.stdout.write(put.status + " " + got.status + " " + (await got.text()));
`;

function tell(what: string, tookMs: number, promisedMs: number): void {
  process.stdout.write(`${what}: ${(tookMs / 1000).toFixed(1)} s of ${promisedMs / 1000} s\n`);
  expect(tookMs).toBeLessThan(promisedMs * PATIENCE);
}

function restartsOf(pod: KubeObject): unknown {
  return pod.status?.containerStatuses?.map(({ restartCount }: { restartCount: number }) => restartCount);
}

describe("a bucket on a cluster", () => {
  let team: Team;

  beforeAll(async () => {
    team = await createTeam("ready");
    const beganMs = performance.now();
    await team.apply(QUICKSTART);
    await team.untilReady("kmsproviders", "local", QUICKSTART_MS * PATIENCE);
    await team.untilReady("encryptedbuckets", "photos", QUICKSTART_MS * PATIENCE);
    tell("kubectl apply to both Ready", performance.now() - beganMs, QUICKSTART_MS);
  });

  afterAll(async () => await team?.remove());

  it("has an operator soon after helm install", () => {
    tell("helm install to an operator that is ready", sharedCluster().installMs, INSTALL_MS);
  });

  it("is written and read through its Service, by S3 and by REST", async () => {
    const credentials = await team.credentials("photos-app");
    const client = s3Client(credentials);
    const name = { Bucket: credentials.bucket, Key: "from-outside.txt" };
    await client.send(new PutObjectCommand({ ...name, Body: "written outside" }));
    const { Body } = await client.send(new GetObjectCommand(name));
    expect(await Body?.transformToString()).toBe("written outside");
    expect(await (await restObject(credentials, "from-outside.txt")).text()).toBe("written outside");
    client.destroy();
  });

  it("is written and read in a pod that has its Secret", async () => {
    const printed = await team.runInPod({ script: APPLICATION, secret: "photos-app" });
    expect(printed).toMatch(/^20[01] 200 written in a pod$/);
  });

  it("gets a second bucket beside it without the restart of a pod", async () => {
    const labels = "app.kubernetes.io/component=data-plane";
    const before = await team.list("pods", labels);
    const beganMs = performance.now();
    await team.apply({
      apiVersion: "coffer.dev/v1alpha1",
      kind: "EncryptedBucket",
      metadata: { name: "second" },
      spec: {
        encryption: { kmsProviderRef: { name: "local" } },
        access: [{ name: "app", permissions: ["Read", "Write", "List", "Delete"] }],
      },
    });
    await team.untilReady("encryptedbuckets", "second", SECOND_BUCKET_MS * PATIENCE);
    tell("a second bucket to Ready", performance.now() - beganMs, SECOND_BUCKET_MS);
    const after = await team.list("pods", labels);
    expect(after.map(({ metadata }) => metadata.uid)).toEqual(before.map(({ metadata }) => metadata.uid));
    expect(after.map(restartsOf)).toEqual([[0]]);
    const credentials = await team.credentials("second-app");
    expect((await restObject(credentials, "a.txt", { method: "PUT", body: "a" })).ok).toBe(true);
  });
});
