// What applications have today works without a setting that they did not need before: the AWS SDK for JavaScript and
// boto3 put, get, list, delete and upload in parts.

import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  type S3Client,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { restObject, runPython, s3Client } from "./clients.ts";
import { type Credentials, removeFolders, type Store, startStore } from "./harness.ts";

const MIB = 1024 * 1024;

let store: Store;
let credentials: Credentials;
beforeAll(async () => {
  store = await startStore();
  credentials = await store.credentials();
});
afterAll(async () => {
  await store?.stop();
  if (store !== undefined) await removeFolders(store);
});

describe("the AWS SDK for JavaScript", () => {
  let s3: S3Client;
  let bucket: string;
  beforeAll(() => {
    s3 = s3Client(credentials);
    bucket = credentials.bucket;
  });
  afterAll(() => s3?.destroy());

  const bodies: Readonly<Record<string, Buffer>> = {
    "an empty body": Buffer.alloc(0),
    "one byte": Buffer.from("x"),
    "a chunk and a byte": randomBytes(65_537),
    "three MiB": randomBytes(3 * MIB),
  };
  for (const [name, body] of Object.entries(bodies)) {
    test(`puts and gets ${name}, as bytes and as a stream`, async () => {
      const inputs = { bytes: body, stream: Readable.from(body.length > 0 ? [body] : []) };
      for (const [form, input] of Object.entries(inputs)) {
        const key = `sdk/${name}/${form} ä+%`;
        const length = form === "stream" ? { ContentLength: body.length } : {};
        const put = await s3.send(
          new PutObjectCommand({
            Bucket: bucket,
            Key: key,
            Body: input,
            ContentType: "image/x-test",
            Metadata: { camera: "pinhole" },
            ...length,
          }),
        );
        const got = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
        expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
        expect(got).toMatchObject({ ETag: put.ETag, ContentType: "image/x-test", Metadata: { camera: "pinhole" } });
        const head = await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
        expect(head.ContentLength).toBe(body.length);
      }
    });
  }

  test("gets a range", async () => {
    const body = randomBytes(200_000);
    await s3.send(new PutObjectCommand({ Bucket: bucket, Key: "range", Body: body }));
    const got = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: "range", Range: "bytes=65530-131080" }));
    expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body.subarray(65_530, 131_081))).toBe(
      true,
    );
    expect(got.ContentRange).toBe("bytes 65530-131080/200000");
  });

  test("lists by prefix and delimiter, page by page", async () => {
    for (const name of ["list/a", "list/b/1", "list/b/2", "list/c"]) {
      await s3.send(new PutObjectCommand({ Bucket: bucket, Key: name, Body: name }));
    }
    const found: string[] = [];
    let token: string | undefined;
    do {
      const page = await s3.send(
        new ListObjectsV2Command({
          Bucket: bucket,
          Prefix: "list/",
          Delimiter: "/",
          MaxKeys: 1,
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
      );
      found.push(...(page.Contents ?? []).map(({ Key }) => Key ?? ""));
      found.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix ?? ""));
      token = page.NextContinuationToken;
    } while (token !== undefined);
    expect(found).toEqual(["list/a", "list/b/", "list/c"]);
  });

  test("deletes, twice too, and what is gone is not found", async () => {
    await s3.send(new PutObjectCommand({ Bucket: bucket, Key: "gone", Body: "x" }));
    await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: "gone" }));
    await s3.send(new DeleteObjectCommand({ Bucket: bucket, Key: "gone" }));
    await expect(s3.send(new GetObjectCommand({ Bucket: bucket, Key: "gone" }))).rejects.toBeInstanceOf(NoSuchKey);
    const left = await s3.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: "gone" }));
    expect(left.KeyCount).toBe(0);
  });

  test("uploads in parts, and gets the whole and a range across a border of parts", async () => {
    const body = randomBytes(12 * MIB + 7);
    const upload = new Upload({
      client: s3,
      params: { Bucket: bucket, Key: "parts", Body: Readable.from(slices(body)) },
    });
    await upload.done();
    const got = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: "parts" }));
    expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
    const [from, to] = [5 * MIB - 3, 5 * MIB + 3];
    const range = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: "parts", Range: `bytes=${from}-${to}` }));
    expect(Buffer.from((await range.Body?.transformToByteArray()) ?? []).equals(body.subarray(from, to + 1))).toBe(
      true,
    );
  });

  test("hands out addresses for a plain PUT and a plain GET", async () => {
    const body = randomBytes(100_000);
    const put = await getSignedUrl(s3, new PutObjectCommand({ Bucket: bucket, Key: "presigned" }), { expiresIn: 60 });
    expect((await fetch(put, { method: "PUT", body })).status).toBe(200);
    const get = await getSignedUrl(s3, new GetObjectCommand({ Bucket: bucket, Key: "presigned" }), { expiresIn: 60 });
    expect(Buffer.from(await (await fetch(get)).arrayBuffer()).equals(body)).toBe(true);
  });

  test("and REST see the same objects", async () => {
    const put = await restObject(credentials, "by/rest ä.txt", { method: "PUT", body: "from REST" });
    expect(put.ok).toBe(true);
    const got = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: "by/rest ä.txt" }));
    expect(await got.Body?.transformToString()).toBe("from REST");
    expect((await restObject(credentials, "by/rest ä.txt", { method: "DELETE" })).status).toBe(204);
    await expect(s3.send(new HeadObjectCommand({ Bucket: bucket, Key: "by/rest ä.txt" }))).rejects.toMatchObject({
      name: "NotFound",
    });
  });
});

const PYTHON = `
import boto3, io, json, os, urllib.request
from botocore.exceptions import ClientError

# Everything comes from the environment, as an application has it.
s3 = boto3.client("s3")
bucket = os.environ["BUCKET_NAME"]
out = {}

sizes = [0, 1, 65537, 3 * 1024 * 1024]
out["roundtrips"] = []
for size in sizes:
    body = os.urandom(size)
    key = "boto3/%d ä+%%" % size
    s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="image/x-test", Metadata={"camera": "pinhole"})
    got = s3.get_object(Bucket=bucket, Key=key)
    out["roundtrips"].append([got["Body"].read() == body, got["ContentType"], got["Metadata"], got["ContentLength"]])

body = os.urandom(200000)
s3.put_object(Bucket=bucket, Key="boto3/range", Body=body)
out["range"] = s3.get_object(Bucket=bucket, Key="boto3/range", Range="bytes=65530-131080")["Body"].read() == body[65530:131081]

for name in ["a", "b/1", "b/2", "c"]:
    s3.put_object(Bucket=bucket, Key="boto3-list/" + name, Body=b"x")
pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="boto3-list/", Delimiter="/", PaginationConfig={"PageSize": 1})
found = []
for page in pages:
    found += [entry["Key"] for entry in page.get("Contents", [])] + [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
out["listed"] = found
out["listed v1"] = [entry["Key"] for entry in s3.list_objects(Bucket=bucket, Prefix="boto3-list/")["Contents"]]
out["buckets"] = [entry["Name"] for entry in s3.list_buckets()["Buckets"]]

s3.delete_object(Bucket=bucket, Key="boto3-list/a")
out["deleted"] = s3.delete_object(Bucket=bucket, Key="boto3-list/never")["ResponseMetadata"]["HTTPStatusCode"]
try:
    s3.get_object(Bucket=bucket, Key="boto3-list/a")
    out["gone"] = "still there"
except s3.exceptions.NoSuchKey:
    out["gone"] = "NoSuchKey"
try:
    s3.head_object(Bucket=bucket, Key="boto3-list/a")
    out["head of gone"] = "still there"
except ClientError as error:
    out["head of gone"] = error.response["Error"]["Code"]

body = os.urandom(20 * 1024 * 1024 + 7)
s3.upload_fileobj(io.BytesIO(body), bucket, "boto3/parts")
target = io.BytesIO()
s3.download_fileobj(bucket, "boto3/parts", target)
out["parts"] = target.getvalue() == body
out["etag of parts"] = s3.head_object(Bucket=bucket, Key="boto3/parts")["ETag"].count("-")

s3 = boto3.client("s3")
url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "boto3/presigned"}, ExpiresIn=60)
request = urllib.request.Request(url, data=b"presigned", method="PUT")
out["presigned put"] = urllib.request.urlopen(request).status
url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "boto3/presigned"}, ExpiresIn=60)
out["presigned get"] = urllib.request.urlopen(url).read().decode()

print(json.dumps(out))
`;

describe("boto3", () => {
  test("puts, gets, lists, deletes, uploads in parts and presigns", async () => {
    const out = await runPython<Record<string, unknown>>(PYTHON, credentials);
    const headers = ["image/x-test", { camera: "pinhole" }] as const;
    expect(out).toEqual({
      roundtrips: [0, 1, 65_537, 3 * MIB].map((size) => [true, ...headers, size]),
      range: true,
      listed: ["boto3-list/a", "boto3-list/b/", "boto3-list/c"],
      "listed v1": ["boto3-list/a", "boto3-list/b/1", "boto3-list/b/2", "boto3-list/c"],
      buckets: ["photos"],
      deleted: 204,
      gone: "NoSuchKey",
      "head of gone": "404",
      parts: true,
      "etag of parts": 1,
      "presigned put": 200,
      "presigned get": "presigned",
    });
  });
});

function* slices(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += 100_000) yield body.subarray(at, at + 100_000);
}
