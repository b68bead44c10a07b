// What applications have today works without a setting that they did not need before: the AWS SDK for JavaScript and
// boto3 put, get, list, copy, tag, delete and upload in parts, with opaque and with MD5 ETags.

import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import {
  type ChecksumAlgorithm,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  DeleteObjectTaggingCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  NoSuchKey,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type S3Client,
  UploadPartCopyCommand,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MIB } from "./bodies.ts";
import { restObject, runPython, s3Client } from "./clients.ts";
import { type Credentials, removeFolders } from "./harness.ts";
import { md5 } from "./s3.ts";
import { createMd5Bucket, type SelfService, startSelfService } from "./selfservice.ts";

let service: SelfService;
beforeAll(async () => {
  service = await startSelfService();
});
afterAll(async () => {
  await service?.store.stop();
  if (service !== undefined) await removeFolders(service.store);
});

interface Kind {
  readonly kind: string;
  readonly hasMd5: boolean;
  bucketFor(client: string): Promise<Credentials> | Credentials;
}

const KINDS: readonly Kind[] = [
  { kind: "opaque ETags", hasMd5: false, bucketFor: () => service.app },
  { kind: "MD5 ETags", hasMd5: true, bucketFor: (client) => createMd5Bucket(service.admin, `md5-${client}`) },
];

describe.each(KINDS)("the AWS SDK for JavaScript with $kind", ({ hasMd5, bucketFor }) => {
  let credentials: Credentials;
  let s3: S3Client;
  let bucket: string;
  beforeAll(async () => {
    credentials = await bucketFor("javascript");
    s3 = s3Client(credentials);
    bucket = credentials.bucket;
  });
  afterAll(() => s3?.destroy());

  const putBytes = (key: string, body: Buffer | string) =>
    s3.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: body }));
  const getBytes = async (key: string): Promise<Buffer> => {
    const got = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    return Buffer.from((await got.Body?.transformToByteArray()) ?? []);
  };

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
        if (hasMd5) expect(put.ETag).toBe(`"${md5(body)}"`);
        else expect(put.ETag).toMatch(/^"[0-9a-f]{32}-1"$/);
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

  test("copies: to another name, and onto itself with other metadata", async () => {
    const body = randomBytes(100_000);
    const put = await s3.send(
      new PutObjectCommand({ Bucket: bucket, Key: "copy/a ä+%", Body: body, Metadata: { camera: "pinhole" } }),
    );
    const source = `${bucket}/copy/${encodeURIComponent("a ä+%")}`;
    const copied = await s3.send(new CopyObjectCommand({ Bucket: bucket, Key: "copy/b", CopySource: source }));
    expect(copied.CopyObjectResult?.ETag).toBe(put.ETag);
    const got = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: "copy/b" }));
    expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
    expect(got).toMatchObject({ ETag: put.ETag, Metadata: { camera: "pinhole" } });
    await s3.send(
      new CopyObjectCommand({
        Bucket: bucket,
        Key: "copy/b",
        CopySource: `${bucket}/copy/b`,
        MetadataDirective: "REPLACE",
        Metadata: { lens: "none" },
      }),
    );
    const replaced = await s3.send(new HeadObjectCommand({ Bucket: bucket, Key: "copy/b" }));
    expect(replaced.Metadata).toEqual({ lens: "none" });
    expect((await getBytes("copy/b")).equals(body)).toBe(true);
  });

  test("copies in parts", async () => {
    const body = randomBytes(6 * MIB);
    await putBytes("copy/large", body);
    const where = { Bucket: bucket, Key: "copy/parts" };
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(where));
    const parts = [];
    for (const [PartNumber, range] of [
      [1, `bytes=0-${5 * MIB - 1}`],
      [2, `bytes=${5 * MIB}-${6 * MIB - 1}`],
    ] as const) {
      const from = { CopySource: `${bucket}/copy/large`, CopySourceRange: range };
      const copied = await s3.send(new UploadPartCopyCommand({ ...where, UploadId, PartNumber, ...from }));
      parts.push({ PartNumber, ETag: copied.CopyPartResult?.ETag });
    }
    await s3.send(new CompleteMultipartUploadCommand({ ...where, UploadId, MultipartUpload: { Parts: parts } }));
    expect((await getBytes("copy/parts")).equals(body)).toBe(true);
  });

  test("deletes many at once, some of which are not there", async () => {
    const keys = ["many/a", "many/b ä+%", "many/<&>"];
    for (const key of keys) await putBytes(key, "x");
    const Objects = [...keys, "many/none"].map((Key) => ({ Key }));
    const deleted = await s3.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects } }));
    expect(deleted.Errors ?? []).toEqual([]);
    expect((deleted.Deleted ?? []).map(({ Key }) => Key).sort()).toEqual([...keys, "many/none"].sort());
    const left = await s3.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: "many/" }));
    expect(left.KeyCount).toBe(0);
  });

  test("keeps tags, changes them and takes them away", async () => {
    const where = { Bucket: bucket, Key: "tagged" };
    await s3.send(new PutObjectCommand({ ...where, Body: "x", Tagging: "kind=photo&place=K%C3%B6ln" }));
    const tagsOf = async () => (await s3.send(new GetObjectTaggingCommand(where))).TagSet;
    expect(await tagsOf()).toEqual([
      { Key: "kind", Value: "photo" },
      { Key: "place", Value: "Köln" },
    ]);
    const TagSet = [{ Key: "kind", Value: "<&> ä" }];
    await s3.send(new PutObjectTaggingCommand({ ...where, Tagging: { TagSet } }));
    expect(await tagsOf()).toEqual(TagSet);
    await s3.send(new DeleteObjectTaggingCommand(where));
    expect(await tagsOf()).toEqual([]);
    expect((await getBytes("tagged")).toString()).toBe("x");
  });

  const checksums: readonly ChecksumAlgorithm[] = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"];
  for (const algorithm of checksums) {
    test(`keeps a ${algorithm} and tells it`, async () => {
      const where = { Bucket: bucket, Key: `checksum/${algorithm}` };
      const put = await s3.send(
        new PutObjectCommand({ ...where, Body: randomBytes(70_000), ChecksumAlgorithm: algorithm }),
      );
      const field = `Checksum${algorithm}` as const;
      expect((put as unknown as Record<string, unknown>)[field]).toEqual(expect.stringMatching(/^[A-Za-z0-9+/]+=*$/));
      const head = await s3.send(new HeadObjectCommand({ ...where, ChecksumMode: "ENABLED" }));
      expect(head).toMatchObject({ [field]: (put as unknown as Record<string, unknown>)[field] });
      const attributes = await s3.send(
        new GetObjectAttributesCommand({ ...where, ObjectAttributes: ["Checksum", "ETag", "ObjectSize"] }),
      );
      expect(attributes).toMatchObject({
        ObjectSize: 70_000,
        ETag: put.ETag?.replaceAll('"', ""),
        Checksum: { [field]: (put as unknown as Record<string, unknown>)[field] },
      });
    });
  }

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
import boto3, hashlib, io, json, os, urllib.request
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
out["etag of parts"] = s3.head_object(Bucket=bucket, Key="boto3/parts")["ETag"].strip('"')[32:]

source = {"Bucket": bucket, "Key": "boto3/parts"}
s3.copy(source, bucket, "boto3/parts copied")
target = io.BytesIO()
s3.download_fileobj(bucket, "boto3/parts copied", target)
out["parts copied in parts"] = target.getvalue() == body

body = os.urandom(70000)
put = s3.put_object(Bucket=bucket, Key="boto3/copy ä+%", Body=body, ContentType="image/x-test", Metadata={"camera": "pinhole"})
out["etag is md5"] = put["ETag"].strip('"') == hashlib.md5(body).hexdigest()
s3.copy_object(Bucket=bucket, Key="boto3/copied", CopySource={"Bucket": bucket, "Key": "boto3/copy ä+%"})
got = s3.get_object(Bucket=bucket, Key="boto3/copied")
out["copied"] = [got["Body"].read() == body, got["ContentType"], got["Metadata"]]

for name in ["a", "b/1 ä+%"]:
    s3.put_object(Bucket=bucket, Key="boto3-many/" + name, Body=b"x")
many = boto3.resource("s3").Bucket(bucket).objects.filter(Prefix="boto3-many/")
many.delete()
out["deleted many"] = [entry.key for entry in many]

s3 = boto3.client("s3")
url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "boto3/presigned"}, ExpiresIn=60)
request = urllib.request.Request(url, data=b"presigned", method="PUT")
out["presigned put"] = urllib.request.urlopen(request).status
url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "boto3/presigned"}, ExpiresIn=60)
out["presigned get"] = urllib.request.urlopen(url).read().decode()

print(json.dumps(out))
`;

describe.each(KINDS)("boto3 with $kind", ({ hasMd5, bucketFor }) => {
  test("puts, gets, lists, copies, deletes, uploads in parts and presigns", async () => {
    const credentials = await bucketFor("boto3");
    const out = await runPython<Record<string, unknown>>(PYTHON, credentials);
    const headers = ["image/x-test", { camera: "pinhole" }] as const;
    expect(out).toEqual({
      roundtrips: [0, 1, 65_537, 3 * MIB].map((size) => [true, ...headers, size]),
      range: true,
      listed: ["boto3-list/a", "boto3-list/b/", "boto3-list/c"],
      "listed v1": ["boto3-list/a", "boto3-list/b/1", "boto3-list/b/2", "boto3-list/c"],
      buckets: expect.arrayContaining([credentials.bucket]),
      deleted: 204,
      gone: "NoSuchKey",
      "head of gone": "404",
      parts: true,
      "etag of parts": "-3",
      "etag is md5": hasMd5,
      "parts copied in parts": true,
      copied: [true, "image/x-test", { camera: "pinhole" }],
      "deleted many": [],
      "presigned put": 200,
      "presigned get": "presigned",
    });
  });
});

function* slices(body: Buffer): Generator<Buffer> {
  for (let at = 0; at < body.length; at += 100_000) yield body.subarray(at, at + 100_000);
}
