// An application is applied together with its bucket, names one Secret, and sets nothing else: boto3 as it is, and the
// AWS SDK for JavaScript with path style, each in a pod of its own.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3ServiceException,
} from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ACCESS_KEYS, API_VERSION } from "../../crds/names.ts";
import { restObject, s3Client } from "../clients.ts";
import { ROOT } from "../harness.ts";
import { applicationPod, installApplication, untilReachable } from "./application.ts";
import { createTeam, type Team } from "./team.ts";

const READY_MS = 120_000;

const BUCKET = {
  apiVersion: API_VERSION,
  kind: "EncryptedBucket",
  metadata: { name: "photos" },
  spec: {
    encryption: { kmsProviderRef: { name: "local" } },
    access: [
      { name: "app", permissions: ["Read", "Write", "List", "Delete"] },
      { name: "viewer", permissions: ["Read", "List"], secretName: "look-only" },
    ],
  },
};
const PROVIDER = {
  apiVersion: API_VERSION,
  kind: "KmsProvider",
  metadata: { name: "local" },
  spec: { type: "Local" },
};

const PYTHON = `
import boto3, io, json, os, urllib.request
s3 = boto3.client("s3")
bucket = os.environ["BUCKET_NAME"]
out = {}
s3.put_object(Bucket=bucket, Key="python/a ä+%", Body=b"from boto3", ContentType="text/x-test", Metadata={"by": "boto3"})
got = s3.get_object(Bucket=bucket, Key="python/a ä+%")
out["got"] = [got["Body"].read().decode(), got["ContentType"], got["Metadata"], got["ServerSideEncryption"]]
out["listed"] = [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix="python/")["Contents"]]
body = os.urandom(9 * 1024 * 1024)
s3.upload_fileobj(io.BytesIO(body), bucket, "python/parts")
target = io.BytesIO()
s3.download_fileobj(bucket, "python/parts", target)
out["parts"] = target.getvalue() == body
url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "python/a ä+%"}, ExpiresIn=60)
out["presigned"] = urllib.request.urlopen(url).read().decode()
s3.delete_object(Bucket=bucket, Key="python/parts")
out["left"] = [entry.key for entry in boto3.resource("s3").Bucket(bucket).objects.filter(Prefix="python/")]
print(json.dumps(out))
`;

const JAVASCRIPT = `
import { DeleteObjectCommand, GetObjectCommand, ListObjectsV2Command, PutObjectCommand, S3Client } from "@aws-sdk/client-s3";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
const s3 = new S3Client({ forcePathStyle: true });
const Bucket = process.env.BUCKET_NAME;
const where = { Bucket, Key: "javascript/a ä+%" };
const out = {};
await s3.send(new PutObjectCommand({ ...where, Body: "from the SDK", ContentType: "text/x-test", Metadata: { by: "sdk" } }));
const got = await s3.send(new GetObjectCommand(where));
out.got = [await got.Body.transformToString(), got.ContentType, got.Metadata, got.ServerSideEncryption];
const listed = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: "javascript/" }));
out.listed = listed.Contents.map(({ Key }) => Key);
out.presigned = await (await fetch(await getSignedUrl(s3, new GetObjectCommand(where)))).text();
const other = await s3.send(new GetObjectCommand({ Bucket, Key: "python/a ä+%" }));
out.other = await other.Body.transformToString();
await s3.send(new DeleteObjectCommand(where));
out.left = (await s3.send(new ListObjectsV2Command({ Bucket, Prefix: "javascript/" }))).KeyCount;
process.stdout.write(JSON.stringify(out));
`;

/** The examples of a language in the page on EncryptedBucket. */
async function documented(language: string): Promise<string> {
  const page = await readFile(join(ROOT, "docs", "encryptedbucket.md"), "utf8");
  const blocks = [...page.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].filter(([, found]) => found === language);
  expect(blocks).toHaveLength(1);
  return blocks[0]?.[2] ?? "";
}

describe("applications that have an access Secret as their environment", () => {
  let team: Team;
  let python: (script: string) => Promise<string>;
  let javascript: (script: string) => Promise<string>;

  beforeAll(async () => {
    team = await createTeam("applications");
    // In an order in which nothing that is named is there yet.
    const pods = ["python", "javascript"].map((name) => applicationPod(name, ["photos-app"]));
    await team.apply([...pods, BUCKET, PROVIDER]);
    [python, javascript] = await Promise.all([
      installApplication(team, "python", "python"),
      installApplication(team, "javascript", "javascript"),
      team.untilReady("encryptedbuckets", "photos", READY_MS),
    ]);
    await untilReachable(team, "python");
  });

  afterAll(async () => await team?.remove());

  it("use boto3 as it is", async () => {
    expect(JSON.parse(await python(PYTHON))).toEqual({
      got: ["from boto3", "text/x-test", { by: "boto3" }, "aws:kms"],
      listed: ["python/a ä+%"],
      parts: true,
      presigned: "from boto3",
      left: ["python/a ä+%"],
    });
  });

  it("use the AWS SDK for JavaScript with path style, and read what others wrote", async () => {
    expect(JSON.parse(await javascript(JAVASCRIPT))).toEqual({
      got: ["from the SDK", "text/x-test", { by: "sdk" }, "aws:kms"],
      listed: ["javascript/a ä+%"],
      presigned: "from the SDK",
      other: "from boto3",
      left: 0,
    });
  });

  it("run the lines that the documentation shows", async () => {
    const credentials = await team.credentials("photos-app");
    const ways = { python, js: javascript };
    for (const [language, way] of Object.entries(ways)) {
      await way(await documented(language));
      expect(await (await restObject(credentials, "hello.txt")).text()).toBe("hello");
      expect((await restObject(credentials, "hello.txt", { method: "DELETE" })).ok).toBe(true);
    }
  });

  it("find in it what the documentation says, and no more", async () => {
    const page = await readFile(join(ROOT, "docs", "encryptedbucket.md"), "utf8");
    const table = page.slice(page.indexOf("| variable"), page.indexOf("In a cluster the endpoint"));
    const rows = [...table.matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map(([, name = ""]) => name);
    expect(Object.keys((await team.secret("photos-app")) ?? {}).sort()).toEqual(rows.sort());
    expect(rows.sort()).toEqual(Object.values(ACCESS_KEYS).sort());
    const variables = (await team.exec("python", ["env"])).split("\n").map((line) => line.split("=")[0] ?? "");
    for (const name of rows) expect(variables).toContain(name);
  });

  it("may do what their entry permits, and nothing else", async () => {
    const { secretName } = BUCKET.spec.access[1] ?? {};
    const credentials = await team.credentials(secretName ?? "");
    const viewer = s3Client(credentials);
    const where = { Bucket: credentials.bucket, Key: "python/a ä+%" };
    try {
      const got = await viewer.send(new GetObjectCommand(where));
      expect(await got.Body?.transformToString()).toBe("from boto3");
      const listed = await viewer.send(new ListObjectsV2Command({ Bucket: where.Bucket, Prefix: "python/" }));
      expect(listed.Contents?.map(({ Key }) => Key)).toEqual([where.Key]);
      const refused = [new PutObjectCommand({ ...where, Body: "x" }), new DeleteObjectCommand(where)];
      for (const command of refused) {
        const error = await viewer.send(command as PutObjectCommand).catch((caught: unknown) => caught);
        expect(error).toBeInstanceOf(S3ServiceException);
        const { name, $metadata } = error as S3ServiceException;
        expect({ name, status: $metadata.httpStatusCode }).toEqual({ name: "AccessDenied", status: 403 });
      }
    } finally {
      viewer.destroy();
    }
  });
});
