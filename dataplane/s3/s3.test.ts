import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import * as sdk from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLocalKms } from "../../kms/local.ts";
import { createRing, printRing } from "../../kms/ring.ts";
import { ACCESS_KEY_ID, SECRET } from "./contract/requests.ts";
import { MAKER, startWorld, type World } from "./contract/world.ts";

const Bucket = "photos";
const ring = createRing(new Date());
let world: World;
let client: sdk.S3Client;

beforeAll(async () => {
  world = await startWorld({ kms: createLocalKms(ring), kmsKeyId: ring.id, ring: printRing(ring) });
  const credentials = { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET };
  client = new sdk.S3Client({ endpoint: world.endpoint, region: "local", forcePathStyle: true, credentials });
});

afterAll(async () => {
  client.destroy();
  await world.close();
  expect(world.errors).toEqual([]);
});

async function bytesOf(answer: sdk.GetObjectCommandOutput): Promise<Uint8Array> {
  return (await answer.Body?.transformToByteArray()) ?? new Uint8Array(0);
}

async function errorOf(work: Promise<unknown>): Promise<{ name: string; status: number | undefined }> {
  const error = (await work.then(
    () => new Error("it succeeded"),
    (reason: unknown) => reason,
  )) as sdk.S3ServiceException;
  return { name: error.name, status: error.$metadata?.httpStatusCode };
}

describe("the SDK for JavaScript, as it comes,", () => {
  test.each([0, 1, 16_383, 16_384, 16_385, 100_000, 3_000_000])("puts and gets %i bytes", async (size) => {
    const Key = `sizes/${size}`;
    const body = randomBytes(size);
    const put = await client.send(new sdk.PutObjectCommand({ Bucket, Key, Body: body, ContentType: "image/png" }));
    expect(put.ETag).toMatch(/^"[0-9a-f]{32}-1"$/);
    expect(put.ServerSideEncryption).toBe("aws:kms");
    expect(put.BucketKeyEnabled).toBe(true);
    expect(put.ChecksumCRC32).toBeDefined();
    const got = await client.send(new sdk.GetObjectCommand({ Bucket, Key }));
    expect(Buffer.compare(await bytesOf(got), body)).toBe(0);
    expect(got).toMatchObject({ ContentLength: size, ContentType: "image/png", ETag: put.ETag, AcceptRanges: "bytes" });
    expect(got.ChecksumCRC32).toBe(put.ChecksumCRC32);
    const head = await client.send(new sdk.HeadObjectCommand({ Bucket, Key }));
    expect(head).toMatchObject({ ContentLength: size, ETag: put.ETag, ServerSideEncryption: "aws:kms" });
    expect(head.LastModified).toEqual(got.LastModified);
  });

  test("puts a stream, whose checksum follows as a trailer", async () => {
    const body = randomBytes(300_000);
    const Body = Readable.from([body.subarray(0, 7), body.subarray(7, 200_000), body.subarray(200_000)]);
    const put = await client.send(
      new sdk.PutObjectCommand({ Bucket, Key: "stream", Body, ContentLength: body.length }),
    );
    expect(put.ChecksumCRC32).toBeDefined();
    const got = await client.send(new sdk.GetObjectCommand({ Bucket, Key: "stream" }));
    expect(Buffer.compare(await bytesOf(got), body)).toBe(0);
  });

  const SUMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"] as const;
  test.each(SUMS)("puts with %s", async (ChecksumAlgorithm) => {
    const Key = `sums/${ChecksumAlgorithm}`;
    const body = randomBytes(50_000);
    const put = await client.send(new sdk.PutObjectCommand({ Bucket, Key, Body: body, ChecksumAlgorithm }));
    const member = `Checksum${ChecksumAlgorithm}` as const;
    expect(put[member]).toBeDefined();
    const got = await client.send(new sdk.GetObjectCommand({ Bucket, Key, ChecksumMode: "ENABLED" }));
    expect(got[member]).toBe(put[member]);
    expect(got.ChecksumType).toBe("FULL_OBJECT");
    expect(Buffer.compare(await bytesOf(got), body)).toBe(0);
  });

  test("keeps headers and metadata", async () => {
    const kept = {
      CacheControl: "max-age=60",
      ContentDisposition: 'attachment; filename="a.txt"',
      ContentEncoding: "gzip",
      ContentLanguage: "de",
      ContentType: "text/plain; charset=utf-8",
      Metadata: { plain: "value", empty: "" },
    };
    const Expires = new Date("2030-01-02T03:04:05Z");
    await client.send(new sdk.PutObjectCommand({ Bucket, Key: "kept", Body: "x", Expires, ...kept }));
    const got = await client.send(new sdk.GetObjectCommand({ Bucket, Key: "kept" }));
    expect(got).toMatchObject({ ...kept, ExpiresString: "Wed, 02 Jan 2030 03:04:05 GMT" });
    const other = await client.send(
      new sdk.GetObjectCommand({
        Bucket,
        Key: "kept",
        ResponseContentType: "image/gif",
        ResponseCacheControl: "no-store",
      }),
    );
    expect(other).toMatchObject({ ContentType: "image/gif", CacheControl: "no-store", ContentLanguage: "de" });
  });

  test("keeps tags that come with the object", async () => {
    await client.send(new sdk.PutObjectCommand({ Bucket, Key: "tagged", Body: "x", Tagging: "a=1&b%20c=%C3%A4" }));
    expect((await client.send(new sdk.GetObjectCommand({ Bucket, Key: "tagged" }))).TagCount).toBe(2);
    const { TagSet } = await client.send(new sdk.GetObjectTaggingCommand({ Bucket, Key: "tagged" }));
    expect(TagSet).toEqual([
      { Key: "a", Value: "1" },
      { Key: "b c", Value: "ä" },
    ]);
  });

  test("asks for SSE-S3 and gets an MD5 as ETag", async () => {
    const put = await client.send(
      new sdk.PutObjectCommand({ Bucket, Key: "md5", Body: "hello", ServerSideEncryption: "AES256" }),
    );
    expect(put).toMatchObject({
      ETag: `"${createHash("md5").update("hello").digest("hex")}"`,
      ServerSideEncryption: "AES256",
    });
    expect(put.SSEKMSKeyId).toBeUndefined();
  });

  test("names the KMS key and a context of its own, and no other key", async () => {
    const { SSEKMSKeyId } = await client.send(new sdk.PutObjectCommand({ Bucket, Key: "kms", Body: "x" }));
    const SSEKMSEncryptionContext = Buffer.from('{"team":"blue"}').toString("base64");
    const sse = { ServerSideEncryption: "aws:kms", SSEKMSKeyId, SSEKMSEncryptionContext } as const;
    const put = await client.send(new sdk.PutObjectCommand({ Bucket, Key: "kms", Body: "hello", ...sse }));
    expect(put).toMatchObject(sse);
    const got = await client.send(new sdk.GetObjectCommand({ Bucket, Key: "kms" }));
    expect(Buffer.from(await bytesOf(got)).toString()).toBe("hello");
    const other = { ...sse, SSEKMSKeyId: "another" };
    expect(await errorOf(client.send(new sdk.PutObjectCommand({ Bucket, Key: "kms", Body: "x", ...other })))).toEqual({
      name: "KMS.NotFoundException",
      status: 400,
    });
  });

  test("gets ranges", async () => {
    const body = randomBytes(50_000);
    await client.send(new sdk.PutObjectCommand({ Bucket, Key: "ranges", Body: body }));
    const cases: [range: string, from: number, to: number][] = [
      ["bytes=0-0", 0, 1],
      ["bytes=16383-16384", 16_383, 16_385],
      ["bytes=49999-", 49_999, 50_000],
      ["bytes=-10", 49_990, 50_000],
      ["bytes=-99999", 0, 50_000],
      ["bytes=100-99999", 100, 50_000],
    ];
    for (const [Range, from, to] of cases) {
      const got = await client.send(new sdk.GetObjectCommand({ Bucket, Key: "ranges", Range }));
      expect(got).toMatchObject({ ContentRange: `bytes ${from}-${to - 1}/50000`, ContentLength: to - from });
      expect(got.$metadata.httpStatusCode).toBe(206);
      expect(Buffer.compare(await bytesOf(got), body.subarray(from, to)), Range).toBe(0);
    }
    const past = client.send(new sdk.GetObjectCommand({ Bucket, Key: "ranges", Range: "bytes=50000-" }));
    expect(await errorOf(past)).toEqual({ name: "InvalidRange", status: 416 });
  });

  test("reads and writes under conditions", async () => {
    const Key = "conditions";
    const { ETag } = await client.send(new sdk.PutObjectCommand({ Bucket, Key, Body: "1", IfNoneMatch: "*" }));
    const again = client.send(new sdk.PutObjectCommand({ Bucket, Key, Body: "2", IfNoneMatch: "*" }));
    expect(await errorOf(again)).toEqual({ name: "PreconditionFailed", status: 412 });
    const wrong = client.send(new sdk.PutObjectCommand({ Bucket, Key, Body: "2", IfMatch: '"0"' }));
    expect(await errorOf(wrong)).toEqual({ name: "PreconditionFailed", status: 412 });
    const nothing = client.send(new sdk.PutObjectCommand({ Bucket, Key: "nowhere", Body: "2", IfMatch: ETag }));
    expect(await errorOf(nothing)).toEqual({ name: "NoSuchKey", status: 404 });
    await client.send(new sdk.PutObjectCommand({ Bucket, Key, Body: "2", IfMatch: ETag }));
    const stale = client.send(new sdk.GetObjectCommand({ Bucket, Key, IfMatch: ETag }));
    expect(await errorOf(stale)).toEqual({ name: "PreconditionFailed", status: 412 });
    const { ETag: newer } = await client.send(new sdk.HeadObjectCommand({ Bucket, Key }));
    const same = client.send(new sdk.GetObjectCommand({ Bucket, Key, IfNoneMatch: newer }));
    expect((await errorOf(same)).status).toBe(304);
    const since = client.send(new sdk.HeadObjectCommand({ Bucket, Key, IfModifiedSince: new Date(Date.now() + 5000) }));
    expect((await errorOf(since)).status).toBe(304);
  });

  test("deletes, and once more", async () => {
    await client.send(new sdk.PutObjectCommand({ Bucket, Key: "gone", Body: "x" }));
    for (let time = 0; time < 2; time += 1) {
      const { $metadata } = await client.send(new sdk.DeleteObjectCommand({ Bucket, Key: "gone" }));
      expect($metadata.httpStatusCode).toBe(204);
    }
    const got = client.send(new sdk.GetObjectCommand({ Bucket, Key: "gone" }));
    expect(await errorOf(got)).toEqual({ name: "NoSuchKey", status: 404 });
    expect((await errorOf(client.send(new sdk.HeadObjectCommand({ Bucket, Key: "gone" })))).status).toBe(404);
  });

  test.each(["a//b", "/a", "a/", ".", "..", "a/../b", "a b+c%2Fd", "ä/🎉", "#?&=;:@!$'()*,~[]", "\u0001\u007f\n"])(
    "gives %j back under that very name",
    async (name) => {
      const Key = `names/${name}`;
      await client.send(new sdk.PutObjectCommand({ Bucket, Key, Body: name }));
      const got = await client.send(new sdk.GetObjectCommand({ Bucket, Key }));
      expect(Buffer.from(await bytesOf(got)).toString()).toBe(name);
      const listed = await client.send(new sdk.ListObjectsV2Command({ Bucket, Prefix: Key, EncodingType: "url" }));
      expect(listed.Contents?.map((one) => decodeURIComponent(one.Key ?? ""))).toContain(Key);
      await client.send(new sdk.DeleteObjectCommand({ Bucket, Key }));
    },
  );
});

describe("the SDK lists", () => {
  const names = ["list/a", "list/b/1", "list/b/2", "list/c&<>", "list/d/1", "list/e"];
  beforeAll(async () => {
    for (const Key of names) await client.send(new sdk.PutObjectCommand({ Bucket, Key, Body: Key }));
  });

  test("all names, page by page, in both versions", async () => {
    const found: (string | undefined)[] = [];
    for await (const page of sdk.paginateListObjectsV2({ client, pageSize: 2 }, { Bucket, Prefix: "list/" })) {
      for (const one of page.Contents ?? []) found.push(one.Key);
    }
    expect(found).toEqual(names);
    const { Contents, IsTruncated } = await client.send(
      new sdk.ListObjectsCommand({ Bucket, Prefix: "list/", MaxKeys: 4 }),
    );
    expect(Contents?.map((one) => one.Key)).toEqual(names.slice(0, 4));
    expect(IsTruncated).toBe(true);
    const rest = await client.send(
      new sdk.ListObjectsCommand({ Bucket, Prefix: "list/", Marker: Contents?.at(-1)?.Key }),
    );
    expect(rest.Contents?.map((one) => one.Key)).toEqual(names.slice(4));
    expect(rest.Contents?.[0]).toMatchObject({
      Size: 8,
      StorageClass: "STANDARD",
      ETag: expect.stringMatching(/^".*"$/),
    });
  });

  test("common prefixes once, across pages", async () => {
    const seen: string[] = [];
    let token: string | undefined;
    do {
      const page: sdk.ListObjectsV2CommandOutput = await client.send(
        new sdk.ListObjectsV2Command({ Bucket, Prefix: "list/", Delimiter: "/", MaxKeys: 1, ContinuationToken: token }),
      );
      expect(page.KeyCount).toBe(1);
      seen.push(
        ...(page.Contents ?? []).map((one) => one.Key ?? ""),
        ...(page.CommonPrefixes ?? []).map((one) => one.Prefix ?? ""),
      );
      token = page.NextContinuationToken;
    } while (token !== undefined);
    expect(seen).toEqual(["list/a", "list/b/", "list/c&<>", "list/d/", "list/e"]);
    const first = await client.send(
      new sdk.ListObjectsCommand({ Bucket, Prefix: "list/", Delimiter: "/", MaxKeys: 2 }),
    );
    expect(first.NextMarker).toBe("list/b/");
    const second = await client.send(
      new sdk.ListObjectsCommand({ Bucket, Prefix: "list/", Delimiter: "/", MaxKeys: 2, Marker: first.NextMarker }),
    );
    expect(second.Contents?.map((one) => one.Key)).toEqual(["list/c&<>"]);
    expect(second.CommonPrefixes).toEqual([{ Prefix: "list/d/" }]);
  });

  test("nothing when it asks for none, and refuses a token that is none", async () => {
    const none = await client.send(new sdk.ListObjectsV2Command({ Bucket, MaxKeys: 0 }));
    expect(none).toMatchObject({ KeyCount: 0, IsTruncated: false });
    for (const ContinuationToken of ["x", "not a token", "AAAAAA==YQ==", ""]) {
      const bad = client.send(new sdk.ListObjectsV2Command({ Bucket, ContinuationToken }));
      expect(await errorOf(bad), ContinuationToken).toEqual({ name: "InvalidArgument", status: 400 });
    }
  });

  test("the buckets that it may use, and knows them", async () => {
    const { Buckets, Owner } = await client.send(new sdk.ListBucketsCommand({}));
    expect(Buckets?.map((one) => one.Name)).toEqual([Bucket]);
    expect(Owner?.ID).toBe("coffer");
    expect((await client.send(new sdk.HeadBucketCommand({ Bucket }))).BucketRegion).toBe("local");
    expect((await client.send(new sdk.GetBucketLocationCommand({ Bucket }))).LocationConstraint).toBe("local");
    expect((await errorOf(client.send(new sdk.HeadBucketCommand({ Bucket: "music" })))).status).toBe(403);
    expect((await errorOf(client.send(new sdk.HeadBucketCommand({ Bucket: "nowhere" })))).status).toBe(403);
  });
});

describe("the SDK uploads in parts", () => {
  const PART = 5 * 1024 * 1024;

  test("by its own means, whatever it sends", async () => {
    const body = randomBytes(2 * PART + 12_345);
    const upload = new Upload({
      client,
      params: { Bucket, Key: "large", Body: Readable.from([body]) },
      partSize: PART,
    });
    const done = await upload.done();
    expect(done.ETag).toMatch(/^"[0-9a-f]{32}-3"$/);
    expect(done.Location).toBe(`${world.endpoint}/photos/large`);
    const got = await client.send(new sdk.GetObjectCommand({ Bucket, Key: "large" }));
    expect(got.ETag).toBe(done.ETag);
    expect(Buffer.compare(await bytesOf(got), body)).toBe(0);
    const second = await client.send(new sdk.GetObjectCommand({ Bucket, Key: "large", PartNumber: 2 }));
    expect(second).toMatchObject({ PartsCount: 3, ContentRange: `bytes ${PART}-${2 * PART - 1}/${body.length}` });
    expect(Buffer.compare(await bytesOf(second), body.subarray(PART, 2 * PART))).toBe(0);
  });

  test.each(["CRC32", "CRC64NVME", "SHA256"] as const)(
    "with %s, step by step, and completes twice",
    async (ChecksumAlgorithm) => {
      const Key = `parts/${ChecksumAlgorithm}`;
      const bodies = [randomBytes(PART), randomBytes(100)];
      const { UploadId, ...created } = await client.send(
        new sdk.CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm }),
      );
      expect(created).toMatchObject({ ChecksumAlgorithm, ServerSideEncryption: "aws:kms" });
      const Parts: sdk.CompletedPart[] = [];
      for (const [index, Body] of bodies.entries()) {
        const PartNumber = index + 1;
        const part = await client.send(
          new sdk.UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ChecksumAlgorithm }),
        );
        expect(part.ServerSideEncryption).toBe("aws:kms");
        const member = `Checksum${ChecksumAlgorithm}` as const;
        Parts.push({ PartNumber, ETag: part.ETag, [member]: part[member] });
      }
      const listed = await client.send(new sdk.ListPartsCommand({ Bucket, Key, UploadId, MaxParts: 1 }));
      expect(listed).toMatchObject({ IsTruncated: true, NextPartNumberMarker: "1", ChecksumAlgorithm });
      expect(listed.Parts?.[0]).toMatchObject({ PartNumber: 1, Size: PART, ETag: Parts[0]?.ETag });
      const uploads = await client.send(new sdk.ListMultipartUploadsCommand({ Bucket, Prefix: "parts/" }));
      expect(uploads.Uploads).toMatchObject([{ Key, UploadId }]);
      const complete = new sdk.CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } });
      const first = await client.send(complete);
      const second = await client.send(complete);
      expect(second.ETag).toBe(first.ETag);
      const member = `Checksum${ChecksumAlgorithm}` as const;
      expect(first[member]).toMatch(ChecksumAlgorithm === "CRC64NVME" ? /^[^-]+$/ : /-2$/);
      const got = await client.send(new sdk.GetObjectCommand({ Bucket, Key, ChecksumMode: "ENABLED" }));
      expect(got.ChecksumType).toBe(ChecksumAlgorithm === "CRC64NVME" ? "FULL_OBJECT" : "COMPOSITE");
      expect((await bytesOf(got)).length).toBe(PART + 100);
    },
  );

  test("and aborts", async () => {
    const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand({ Bucket, Key: "aborted" }));
    await client.send(new sdk.UploadPartCommand({ Bucket, Key: "aborted", UploadId, PartNumber: 1, Body: "x" }));
    await client.send(new sdk.AbortMultipartUploadCommand({ Bucket, Key: "aborted", UploadId }));
    const part = client.send(new sdk.UploadPartCommand({ Bucket, Key: "aborted", UploadId, PartNumber: 2, Body: "x" }));
    expect(await errorOf(part)).toEqual({ name: "NoSuchUpload", status: 404 });
    const uploads = await client.send(new sdk.ListMultipartUploadsCommand({ Bucket, Prefix: "aborted" }));
    expect(uploads.Uploads ?? []).toEqual([]);
  });

  test("and is told what is wrong with its list", async () => {
    const Key = "wrong";
    const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand({ Bucket, Key }));
    const tags: (string | undefined)[] = [];
    for (const PartNumber of [1, 2]) {
      tags.push((await client.send(new sdk.UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body: "x" }))).ETag);
    }
    const complete = (Parts: sdk.CompletedPart[]) =>
      errorOf(
        client.send(new sdk.CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } })),
      );
    const [one, two] = tags.map((ETag, index) => ({ ETag, PartNumber: index + 1 })) as [
      sdk.CompletedPart,
      sdk.CompletedPart,
    ];
    expect((await complete([two, one])).name).toBe("InvalidPartOrder");
    expect((await complete([one, { ...two, ETag: '"0"' }])).name).toBe("InvalidPart");
    expect((await complete([one, two])).name).toBe("EntityTooSmall");
    expect((await complete([])).name).toBe("MalformedXML");
  });
});

describe("the SDK copies, deletes many, tags and describes", () => {
  const CopySource = "/photos/copies/from%20%2B%C3%A4";
  const Key = "copies/to";
  beforeAll(async () => {
    const from = { Bucket, Key: "copies/from +ä", Body: "hello", Metadata: { a: "1" }, Tagging: "t=1" };
    await client.send(new sdk.PutObjectCommand(from));
  });

  test("an object, with its metadata or other", async () => {
    const copied = await client.send(new sdk.CopyObjectCommand({ Bucket, Key, CopySource }));
    expect(copied.CopyObjectResult).toMatchObject({
      ETag: expect.stringMatching(/^"[0-9a-f]{32}-1"$/),
      LastModified: expect.any(Date),
      ChecksumType: "FULL_OBJECT",
    });
    expect(copied).toMatchObject({ ServerSideEncryption: "aws:kms", BucketKeyEnabled: true });
    const got = await client.send(new sdk.GetObjectCommand({ Bucket, Key }));
    expect([Buffer.from(await bytesOf(got)).toString(), got.Metadata, got.TagCount]).toEqual(["hello", { a: "1" }, 1]);
    const REPLACE = { MetadataDirective: "REPLACE", Metadata: { b: "2" }, ContentType: "image/png" } as const;
    await client.send(new sdk.CopyObjectCommand({ Bucket, Key, CopySource, ...REPLACE }));
    const head = await client.send(new sdk.HeadObjectCommand({ Bucket, Key }));
    expect(head).toMatchObject({ Metadata: { b: "2" }, ContentType: "image/png" });
  });

  test("a range into a part", async () => {
    const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand({ Bucket, Key }));
    const part = { Bucket, Key, UploadId, PartNumber: 1, CopySource, CopySourceRange: "bytes=1-3" };
    const { CopyPartResult } = await client.send(new sdk.UploadPartCopyCommand(part));
    const Parts = [{ PartNumber: 1, ETag: CopyPartResult?.ETag }];
    await client.send(new sdk.CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }));
    expect(Buffer.from(await bytesOf(await client.send(new sdk.GetObjectCommand({ Bucket, Key })))).toString()).toBe(
      "ell",
    );
  });

  test.each(["CRC32", "SHA256", "MD5"] as const)("and deletes a list that is summed by %s", async (sum) => {
    const names = ["many/a", "many/b &<>", "many/ä "];
    for (const name of names) await client.send(new sdk.PutObjectCommand({ Bucket, Key: name, Body: "x" }));
    const Delete = { Objects: [...names, "many/none"].map((name) => ({ Key: name })) };
    const gone = await client.send(new sdk.DeleteObjectsCommand({ Bucket, Delete, ChecksumAlgorithm: sum }));
    expect(gone.Deleted?.map((one) => one.Key)).toEqual([...names, "many/none"]);
    expect(gone.Errors ?? []).toEqual([]);
    const left = await client.send(new sdk.ListObjectsV2Command({ Bucket, Prefix: "many/" }));
    expect(left.KeyCount).toBe(0);
  });

  test("tags, attributes and another encryption", async () => {
    const at = { Bucket, Key: "copies/tagged" };
    await client.send(new sdk.PutObjectCommand({ ...at, Body: "hello", ChecksumAlgorithm: "SHA256" }));
    const TagSet = [{ Key: "a", Value: "ä" }];
    await client.send(new sdk.PutObjectTaggingCommand({ ...at, Tagging: { TagSet } }));
    expect((await client.send(new sdk.GetObjectTaggingCommand(at))).TagSet).toEqual(TagSet);
    await client.send(new sdk.DeleteObjectTaggingCommand(at));
    expect((await client.send(new sdk.GetObjectTaggingCommand(at))).TagSet ?? []).toEqual([]);
    const ObjectAttributes = ["ETag", "Checksum", "ObjectSize", "StorageClass", "ObjectParts"] as const;
    const attributes = await client.send(
      new sdk.GetObjectAttributesCommand({ ...at, ObjectAttributes: [...ObjectAttributes] }),
    );
    expect(attributes).toMatchObject({
      ObjectSize: 5,
      StorageClass: "STANDARD",
      Checksum: { ChecksumSHA256: expect.any(String), ChecksumType: "FULL_OBJECT" },
      ETag: expect.stringMatching(/^[0-9a-f]{32}-1$/),
    });
    const ObjectEncryption = { SSEKMS: { KMSKeyArn: ring.id, BucketKeyEnabled: false } };
    await client.send(new sdk.UpdateObjectEncryptionCommand({ ...at, ObjectEncryption }));
    const got = await client.send(new sdk.GetObjectCommand(at));
    expect([got.BucketKeyEnabled, Buffer.from(await bytesOf(got)).toString()]).toEqual([undefined, "hello"]);
  });

  test("and makes, sets and removes a bucket by self-service", async () => {
    const credentials = { accessKeyId: MAKER.accessKeyId, secretAccessKey: MAKER.secret };
    const options = { endpoint: world.endpoint, region: "local", forcePathStyle: true, credentials };
    const maker = new sdk.S3Client(options);
    const made = { Bucket: "made-by-sdk" };
    const created = await maker.send(new sdk.CreateBucketCommand(made));
    expect(created.Location).toBe("/made-by-sdk");
    expect(await errorOf(maker.send(new sdk.CreateBucketCommand(made)))).toEqual({
      name: "BucketAlreadyOwnedByYou",
      status: 409,
    });
    const Rules = [{ ApplyServerSideEncryptionByDefault: { SSEAlgorithm: "AES256" as const } }];
    const ServerSideEncryptionConfiguration = { Rules };
    await maker.send(new sdk.PutBucketEncryptionCommand({ ...made, ServerSideEncryptionConfiguration }));
    const { ServerSideEncryptionConfiguration: set } = await maker.send(new sdk.GetBucketEncryptionCommand(made));
    expect(set?.Rules?.[0]).toMatchObject(Rules[0] ?? {});
    const put = await maker.send(new sdk.PutObjectCommand({ ...made, Key: "a", Body: "hello" }));
    expect(put.ETag).toBe(`"${createHash("md5").update("hello").digest("hex")}"`);
    await maker.send(new sdk.DeleteBucketEncryptionCommand(made));
    expect((await errorOf(maker.send(new sdk.DeleteBucketCommand(made)))).name).toBe("BucketNotEmpty");
    await maker.send(new sdk.DeleteObjectCommand({ ...made, Key: "a" }));
    await maker.send(new sdk.DeleteBucketCommand(made));
    expect((await errorOf(maker.send(new sdk.HeadBucketCommand(made)))).status).toBe(404);
    maker.destroy();
  });
});

describe("a presigned URL", () => {
  const options = { expiresIn: 60 };

  test("puts and gets without credentials", async () => {
    const put = await getSignedUrl(client, new sdk.PutObjectCommand({ Bucket, Key: "by url/ä" }), options);
    expect((await fetch(put, { method: "PUT", body: "hello" })).status).toBe(200);
    const get = await getSignedUrl(client, new sdk.GetObjectCommand({ Bucket, Key: "by url/ä" }), options);
    const got = await fetch(get);
    expect(await got.text()).toBe("hello");
    expect(got.headers.get("x-amz-server-side-encryption")).toBe("aws:kms");
  });

  test("carries what the headers would have said", async () => {
    const command = new sdk.PutObjectCommand({
      Bucket,
      Key: "with",
      Metadata: { a: "1" },
      ServerSideEncryption: "AES256",
    });
    const hoistableHeaders = new Set(["x-amz-server-side-encryption"]);
    const put = await fetch(await getSignedUrl(client, command, { ...options, hoistableHeaders }), {
      method: "PUT",
      body: "hello",
    });
    expect(put.headers.get("x-amz-server-side-encryption")).toBe("AES256");
    const head = await client.send(new sdk.HeadObjectCommand({ Bucket, Key: "with" }));
    expect(head).toMatchObject({ Metadata: { a: "1" }, ServerSideEncryption: "AES256" });
  });

  test("holds for its own request alone", async () => {
    const get = await getSignedUrl(client, new sdk.GetObjectCommand({ Bucket, Key: "with" }), options);
    expect((await fetch(get, { method: "DELETE" })).status).toBe(403);
    expect((await fetch(get.replace("/with?", "/other?"))).status).toBe(403);
    expect((await fetch(get.replace("Expires=60", "Expires=61"))).status).toBe(403);
    expect((await fetch(get, { headers: { "x-amz-meta-x": "1" } })).status).toBe(403);
  });
});
