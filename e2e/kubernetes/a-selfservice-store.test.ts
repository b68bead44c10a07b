// A team that makes its buckets itself: in its pods, by S3, with the credentials of a store's selfService. What it makes
// is encrypted and is its own; a bucket of an EncryptedBucket beside it is out of its reach.

import { join } from "node:path";
import { GetObjectCommand, ListBucketsCommand, PutObjectCommand, S3ServiceException } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { API_VERSION, DEFAULT_STORE } from "../../crds/names.ts";
import { s3Client } from "../clients.ts";
import { type Credentials, ROOT, waitFor } from "../harness.ts";
import { formsOf } from "../search.ts";
import { applicationPod, installApplication, untilReachable } from "./application.ts";
import { conditionOf, type KubeObject } from "./objects.ts";
import { createTeam, type Team } from "./team.ts";
import { volumeFilesWith } from "./volumes.ts";

const READY_MS = 120_000;
const SOON_MS = 60_000;
const EXAMPLE = join(ROOT, "examples", "self-service");

const PHOTOS = {
  apiVersion: API_VERSION,
  kind: "EncryptedBucket",
  metadata: { name: "photos" },
  spec: {
    encryption: { kmsProviderRef: { name: "local" } },
    access: [{ name: "app", permissions: ["Read", "Write", "List", "Delete"] }],
  },
};

/** Makes a bucket, uses it, and says what else it may; `steps` are lines of JavaScript that fill `out`. */
function script(steps: string): string {
  return `
    import * as sdk from "@aws-sdk/client-s3";
    const s3 = new sdk.S3Client({ forcePathStyle: true });
    const out = {};
    const refusal = async (command) => {
      try {
        await s3.send(command);
        return "done";
      } catch (error) {
        return error.$metadata.httpStatusCode + " " + error.name;
      }
    };
    ${steps}
    process.stdout.write(JSON.stringify(out));
  `;
}

const SECRET_TEXT = "what-nobody-may-read-on-the-volume";

const MAKE_AND_USE = script(`
  const where = { Bucket: "reports", Key: "2026/a.txt" };
  await s3.send(new sdk.CreateBucketCommand({ Bucket: "reports" }));
  await s3.send(new sdk.PutObjectCommand({ ...where, Body: "${SECRET_TEXT}" }));
  const got = await s3.send(new sdk.GetObjectCommand(where));
  out.got = [await got.Body.transformToString(), got.ServerSideEncryption];
  out.buckets = (await s3.send(new sdk.ListBucketsCommand({}))).Buckets.map(({ Name }) => Name);
  out.full = await refusal(new sdk.DeleteBucketCommand({ Bucket: "reports" }));
`);

const REACH_FARTHER = script(`
  out.make = await refusal(new sdk.CreateBucketCommand({ Bucket: "photos" }));
  out.read = await refusal(new sdk.GetObjectCommand({ Bucket: "photos", Key: "a.txt" }));
  out.write = await refusal(new sdk.PutObjectCommand({ Bucket: "photos", Key: "a.txt", Body: "x" }));
  out.list = await refusal(new sdk.ListObjectsV2Command({ Bucket: "photos" }));
  out.remove = await refusal(new sdk.DeleteBucketCommand({ Bucket: "photos" }));
  out.buckets = (await s3.send(new sdk.ListBucketsCommand({}))).Buckets.map(({ Name }) => Name);
`);

const REMOVE = script(`
  await s3.send(new sdk.DeleteObjectCommand({ Bucket: "reports", Key: "2026/a.txt" }));
  out.empty = await refusal(new sdk.DeleteBucketCommand({ Bucket: "reports" }));
  out.gone = await refusal(new sdk.ListObjectsV2Command({ Bucket: "reports" }));
`);

/** Their names, or the refusal. */
async function listBuckets(credentials: Credentials): Promise<string> {
  const s3 = s3Client(credentials);
  try {
    const { Buckets = [] } = await s3.send(new ListBucketsCommand({}));
    return Buckets.map(({ Name }) => Name).join();
  } catch (error) {
    if (!(error instanceof S3ServiceException)) throw error;
    return error.name;
  } finally {
    s3.destroy();
  }
}

describe("a store whose users make their buckets", () => {
  let team: Team;
  let run: (lines: string) => Promise<string>;

  beforeAll(async () => {
    team = await createTeam("self-service");
    await team.apply(EXAMPLE);
    await team.apply([PHOTOS, applicationPod("team", [`${DEFAULT_STORE}-team`])]);
    [run] = await Promise.all([
      installApplication(team, "team", "javascript"),
      team.untilReady("encryptedstores", DEFAULT_STORE, READY_MS),
      team.untilReady("encryptedbuckets", "photos", READY_MS),
    ]);
    await untilReachable(team, "team");
  });

  afterAll(async () => await team?.remove());

  it("gives each entry a Secret of its own, which names no bucket", async () => {
    const [one, other] = await Promise.all([team.secret("default-team"), team.secret("default-backups")]);
    expect(Object.keys(one ?? {})).not.toContain("BUCKET_NAME");
    expect(one?.["AWS_ACCESS_KEY_ID"]).toMatch(/^CFR/);
    expect(one?.["AWS_ACCESS_KEY_ID"]).not.toBe(other?.["AWS_ACCESS_KEY_ID"]);
  });

  it("lets a pod make a bucket by S3, write, read and list", async () => {
    expect(JSON.parse(await run(MAKE_AND_USE))).toEqual({
      got: [SECRET_TEXT, "aws:kms"],
      buckets: ["reports"],
      full: "409 BucketNotEmpty",
    });
  });

  it("encrypts what lies in such a bucket", async () => {
    const holding = async (text: string) => (await volumeFilesWith(team, DEFAULT_STORE, formsOf(text))).found;
    expect(await holding(SECRET_TEXT)).toEqual([]);
    expect(await holding("2026/a.txt")).not.toEqual([]);
  });

  it("shows the bucket to its other credentials, and to no others", async () => {
    const ways = { "default-backups": true, "photos-app": false };
    for (const [secret, isLetIn] of Object.entries(ways)) {
      const credentials = await team.credentials(secret);
      const s3 = s3Client(credentials);
      const got = await s3.send(new GetObjectCommand({ Bucket: "reports", Key: "2026/a.txt" })).then(
        ({ Body }) => Body?.transformToString(),
        (error: Error) => error.name,
      );
      s3.destroy();
      expect({ secret, got }).toEqual({ secret, got: isLetIn ? SECRET_TEXT : "AccessDenied" });
      expect(await listBuckets(credentials)).toBe(isLetIn ? "reports" : "photos");
    }
  });

  it("lets nobody reach or take the bucket of an EncryptedBucket", async () => {
    const s3 = s3Client(await team.credentials("photos-app"));
    await s3.send(new PutObjectCommand({ Bucket: "photos", Key: "a.txt", Body: "a" }));
    s3.destroy();
    const denied = "403 AccessDenied";
    expect(JSON.parse(await run(REACH_FARTHER))).toEqual({
      make: "409 BucketAlreadyExists",
      read: denied,
      write: denied,
      list: denied,
      remove: denied,
      buckets: ["reports"],
    });
  });

  it("gives nobody the name of an EncryptedBucket that was deleted and whose objects stay", async () => {
    await team.delete("encryptedbuckets", "photos");
    await team.untilGone("encryptedbuckets", "photos", SOON_MS);
    const take = script(`out.make = await refusal(new sdk.CreateBucketCommand({ Bucket: "photos" }));`);
    expect(JSON.parse(await run(take))).toEqual({ make: "409 BucketAlreadyExists" });
  });

  it("keeps its KmsProvider, and says why", async () => {
    await team.delete("kmsproviders", "local");
    const isBlocked = "to say why it stays";
    const provider = await team.until(
      "kmsproviders",
      "local",
      isBlocked,
      (object) => conditionOf(object, "DeletionBlocked") !== undefined,
      SOON_MS,
    );
    expect(conditionOf(provider, "DeletionBlocked")).toMatchObject({ status: "True", reason: "InUse" });
    expect(conditionOf(provider, "DeletionBlocked")?.message).toContain(`"${DEFAULT_STORE}"`);
    await waitFor("the Event about it", SOON_MS, async () =>
      (await team.list("events")).some(({ type, reason }) => type === "Warning" && reason === "InUse"),
    );
  });

  it("makes new credentials when their Secret is deleted, and ends the old ones", async () => {
    const old = await team.credentials("default-backups");
    await team.delete("secrets", "default-backups");
    await waitFor("the end of the old ones", SOON_MS, async () => (await listBuckets(old)) === "InvalidAccessKeyId");
    const isThere = (secret: KubeObject | undefined) => secret !== undefined;
    await team.until("secrets", "default-backups", "to be there again", isThere, SOON_MS);
    const now = await team.credentials("default-backups");
    await waitFor("the new ones to be served", SOON_MS, async () => (await listBuckets(now)) === "reports");
  });

  it("lets a pod remove a bucket that is empty", async () => {
    expect(JSON.parse(await run(REMOVE))).toEqual({ empty: "done", gone: "404 NoSuchBucket" });
  });
});
