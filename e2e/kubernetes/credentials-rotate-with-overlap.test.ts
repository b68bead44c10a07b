// New credentials without an outage: raising a number makes a new pair beside the old one, which ends after its time;
// deleting the Secret ends it at once; and an entry that goes takes its Secret along. No pod is restarted for any of it.

import { ListObjectsV2Command, PutObjectCommand, S3ServiceException } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { API_VERSION, DEFAULT_STORE } from "../../crds/names.ts";
import { restObject, s3Client } from "../clients.ts";
import { type Credentials, waitFor } from "../harness.ts";
import type { KubeObject } from "./objects.ts";
import { createTeam, type Team } from "./team.ts";
import { podOf } from "./volumes.ts";

const READY_MS = 120_000;
const SOON_MS = 60_000;
const OVERLAP_S = 8;
const ALL = ["Read", "Write", "List", "Delete"];

const PROVIDER = {
  apiVersion: API_VERSION,
  kind: "KmsProvider",
  metadata: { name: "local" },
  spec: { type: "Local" },
};
const BUCKET = {
  apiVersion: API_VERSION,
  kind: "EncryptedBucket",
  metadata: { name: "photos" },
  spec: {
    encryption: { kmsProviderRef: { name: "local" } },
    access: [
      { name: "app", permissions: ALL },
      { name: "reports", permissions: ["Read", "List"] },
    ],
  },
};

/** What a pair is told by both protocols: "yes", or the refusals. */
async function isServed(credentials: Credentials): Promise<string> {
  const s3 = s3Client(credentials);
  try {
    const listed = await s3.send(new ListObjectsV2Command({ Bucket: credentials.bucket })).then(
      () => "yes",
      (error: unknown) => {
        if (!(error instanceof S3ServiceException)) throw error;
        return `${error.$metadata.httpStatusCode} ${error.name}`;
      },
    );
    const { status } = await restObject(credentials, "a.txt", { method: "HEAD" });
    return listed === "yes" && status === 200 ? "yes" : `${listed}, ${status}`;
  } finally {
    s3.destroy();
  }
}

const REFUSED = "403 InvalidAccessKeyId, 401";

describe("credentials of a bucket", () => {
  let team: Team;
  const pairs: Credentials[] = [];
  const newest = () => pairs.at(-1) as Credentials;

  /** The pair that the Secret has now, once it is another. */
  async function nextPair(): Promise<Credentials> {
    const known = pairs.map(({ accessKeyId }) => accessKeyId);
    await waitFor("a new pair in the Secret", SOON_MS, async () => {
      const values = await team.secret("photos-app");
      return values !== undefined && !known.includes(values["AWS_ACCESS_KEY_ID"] ?? "");
    });
    const pair = await team.credentials("photos-app");
    pairs.push(pair);
    return pair;
  }

  function raise(credentialsGeneration: number, more: object = {}): Promise<KubeObject> {
    const [app, reports] = BUCKET.spec.access;
    const spec = { access: [{ ...app, credentialsGeneration }, reports], ...more };
    return team.patch("encryptedbuckets", "photos", { spec });
  }

  beforeAll(async () => {
    team = await createTeam("credentials");
    await team.apply([PROVIDER, BUCKET]);
    await team.untilReady("encryptedbuckets", "photos", READY_MS);
    pairs.push(await team.credentials("photos-app"));
    const s3 = s3Client(newest());
    await s3.send(new PutObjectCommand({ Bucket: "photos", Key: "a.txt", Body: "a" }));
    s3.destroy();
  });

  afterAll(async () => await team?.remove());

  it("are another pair after the number was raised, and the old pair works beside it", async () => {
    const pod = await team.get("pods", podOf(DEFAULT_STORE));
    await raise(1);
    const pair = await nextPair();
    // Whoever reads the Secret at the very moment can use what it has.
    expect(await isServed(pair)).toBe("yes");
    const bucket = await team.untilReady("encryptedbuckets", "photos", SOON_MS);
    expect(bucket.status.access).toContainEqual({ name: "app", secretName: "photos-app", credentialsGeneration: 1 });
    for (const one of pairs) expect(await isServed(one)).toBe("yes");
    const after = await team.get("pods", podOf(DEFAULT_STORE));
    expect(after?.metadata.uid).toBe(pod?.metadata.uid);
    expect(after?.status.containerStatuses[0].restartCount).toBe(0);
  });

  it("end after the overlap, while whoever reads the Secret each time is served without an error", async () => {
    const ending = newest();
    const beganMs = performance.now();
    await raise(2, { credentialsOverlap: `${OVERLAP_S}s` });
    await waitFor("the end of the old pair", SOON_MS, async () => {
      expect(await isServed(await team.credentials("photos-app"))).toBe("yes");
      return (await isServed(ending)) !== "yes";
    });
    const tookMs = performance.now() - beganMs;
    process.stdout.write(`the old pair ended after ${(tookMs / 1000).toFixed(1)} s of ${OVERLAP_S} s\n`);
    expect(tookMs).toBeGreaterThanOrEqual(OVERLAP_S * 1000);
    expect(await isServed(ending)).toBe(REFUSED);
    expect(await isServed(await nextPair())).toBe("yes");
    // What it was told when it was replaced holds for the first pair.
    expect(await isServed(pairs[0] as Credentials)).toBe("yes");
  });

  it("end at once when the Secret is deleted, and another pair is made", async () => {
    const known = [pairs[0], pairs[2]] as readonly Credentials[];
    const beganMs = performance.now();
    await team.delete("secrets", "photos-app");
    for (const one of known) await waitFor("its end", SOON_MS, async () => (await isServed(one)) === REFUSED);
    const tookMs = performance.now() - beganMs;
    process.stdout.write(`all pairs ended ${(tookMs / 1000).toFixed(1)} s after their Secret\n`);
    const pair = await nextPair();
    await waitFor("the new pair to be served", SOON_MS, async () => (await isServed(pair)) === "yes");
    const bucket = await team.untilReady("encryptedbuckets", "photos", SOON_MS);
    expect(bucket.status.access).toContainEqual({ name: "app", secretName: "photos-app", credentialsGeneration: 2 });
  });

  it("go with their entry, and leave those of others alone", async () => {
    const reports = await team.credentials("photos-reports");
    expect(await isServed(reports)).toBe("yes");
    const before = await team.get("secrets", "photos-app");
    const [app] = BUCKET.spec.access;
    await team.patch("encryptedbuckets", "photos", { spec: { access: [{ ...app, credentialsGeneration: 2 }] } });
    await team.untilGone("secrets", "photos-reports", SOON_MS);
    await waitFor("their end", SOON_MS, async () => (await isServed(reports)) === REFUSED);
    const bucket = await team.untilReady("encryptedbuckets", "photos", SOON_MS);
    expect(bucket.status.access).toEqual([{ name: "app", secretName: "photos-app", credentialsGeneration: 2 }]);
    const after = await team.get("secrets", "photos-app");
    expect(after?.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
    expect(await isServed(newest())).toBe("yes");
  });

  it("are told of by Events, in words", async () => {
    const told = new Set<string>();
    const wanted = [
      "CredentialsRotated: new credentials for access entry app",
      "CredentialsRotated: new credentials for access entry app: its Secret was gone, so the old ones have ended",
      "CredentialsEnded: access entry reports has gone: its credentials end",
    ];
    await waitFor("what is told", SOON_MS, async () => {
      for (const { reason, note } of await team.list("events")) told.add(`${reason}: ${note}`);
      return wanted.every((one) => told.has(one));
    });
  });
});
