// What a user stores is nowhere to be read but by that user: a random marker goes in by every way there is, and is then
// looked for in all that the store has written and said.

import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { Readable } from "node:stream";
import {
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type S3Client,
  S3ServiceException,
  UploadPartCommand,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MIB } from "./bodies.ts";
import { restObject, runPython, s3Client } from "./clients.ts";
import { type Credentials, removeFolders, type Store, startStore } from "./harness.ts";
import { filesWith, formsOf, includesAny } from "./search.ts";

const MARKER = `marker-${randomBytes(18).toString("hex")}`;
const FORMS = formsOf(MARKER);

let store: Store;
let credentials: Credentials;
let s3: S3Client;

beforeAll(async () => {
  store = await startStore();
  credentials = await store.credentials();
  s3 = s3Client(credentials);
});
afterAll(async () => {
  s3?.destroy();
  await store?.stop();
  if (store !== undefined) await removeFolders(store);
});

/** The marker at the start, at chunk edges and at the end, and noise between. */
function marked(totalBytes: number): Buffer {
  const body = randomBytes(totalBytes);
  for (let at = 0; at + MARKER.length <= totalBytes; at += 65_536 - 7) body.write(MARKER, at);
  body.write(MARKER, totalBytes - MARKER.length);
  return body;
}

const SIZES: Readonly<Record<string, number>> = {
  "a body as small as the marker": MARKER.length,
  "a small body": 1000,
  "the largest body in the index": 65_536,
  "a body in a file": 65_537,
  "a body of many chunks": 3 * MIB + 1,
};

describe("the marker goes in", () => {
  const metadata = { note: MARKER, "other-note": `x ${MARKER} y` };
  for (const [name, size] of Object.entries(SIZES)) {
    test(`by S3: ${name}, metadata and content type`, async () => {
      const where = { Bucket: credentials.bucket, Key: `s3/${size}` };
      const body = marked(size);
      await s3.send(
        new PutObjectCommand({
          ...where,
          Body: body,
          Metadata: metadata,
          ContentType: `text/${MARKER}`,
          ContentDisposition: `attachment; filename="${MARKER}"`,
          CacheControl: MARKER,
          ContentLanguage: MARKER,
        }),
      );
      const got = await s3.send(new GetObjectCommand(where));
      expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
      expect(got.Metadata).toEqual(metadata);
      expect(got.ContentType).toBe(`text/${MARKER}`);
    });
    test(`by REST: ${name}, and content type`, async () => {
      const body = marked(size);
      const put = await restObject(credentials, `rest/${size}`, {
        method: "PUT",
        body,
        headers: { "Content-Type": `text/${MARKER}`, "x-amz-meta-note": MARKER },
      });
      expect(put.ok).toBe(true);
      const got = await restObject(credentials, `rest/${size}`);
      expect(Buffer.from(await got.arrayBuffer()).equals(body)).toBe(true);
      expect(got.headers.get("content-type")).toBe(`text/${MARKER}`);
    });
  }

  test("by parts, of an upload that is completed, and of one that is left", async () => {
    const body = marked(11 * MIB);
    const where = { Bucket: credentials.bucket, Key: "parts" };
    const described = { ...where, Metadata: metadata, ContentType: `text/${MARKER}` };
    await new Upload({ client: s3, params: { ...described, Body: Readable.from([body]) } }).done();
    expect((await s3.send(new HeadObjectCommand(where))).Metadata).toEqual(metadata);
    const left = await s3.send(new CreateMultipartUploadCommand({ ...described, Key: "left" }));
    const part = { ...where, Key: "left", UploadId: left.UploadId ?? "", PartNumber: 1, Body: marked(5 * MIB) };
    await s3.send(new UploadPartCommand(part));
  });

  test("by a presigned address, by boto3, over an older object, and into one that is deleted", async () => {
    const put = await getSignedUrl(s3, new PutObjectCommand({ Bucket: credentials.bucket, Key: "presigned" }));
    expect((await fetch(put, { method: "PUT", body: marked(100_000) })).status).toBe(200);
    expect((await fetch(put, { method: "PUT", body: marked(200_000) })).status).toBe(200);
    const script = [
      "import boto3, json, os",
      `s3 = boto3.client("s3")`,
      `s3.put_object(Bucket=os.environ["BUCKET_NAME"], Key="boto3", Body=b"${MARKER}" * 5000, Metadata={"note": "${MARKER}"})`,
      "print(json.dumps(True))",
    ].join("\n");
    expect(await runPython<boolean>(script, credentials)).toBe(true);
    await restObject(credentials, "gone", { method: "PUT", body: marked(500_000) });
    expect((await restObject(credentials, "gone", { method: "DELETE" })).status).toBe(204);
  });

  const context = Buffer.from(JSON.stringify({ project: MARKER, [`of-${MARKER}`]: "x" })).toString("base64");
  const sealedFor = { ServerSideEncryption: "aws:kms", SSEKMSEncryptionContext: context } as const;
  const tagging = `kind=${MARKER}&${MARKER}=yes`;

  test("in tags, sent with the object and later", async () => {
    const where = { Bucket: credentials.bucket, Key: "tagged" };
    await s3.send(new PutObjectCommand({ ...where, Body: marked(1000), Tagging: tagging }));
    const TagSet = [
      { Key: "kind", Value: MARKER },
      { Key: MARKER, Value: "yes" },
    ];
    expect((await s3.send(new GetObjectTaggingCommand(where))).TagSet).toEqual(TagSet);
    await s3.send(new PutObjectTaggingCommand({ ...where, Tagging: { TagSet: [...TagSet].reverse() } }));
    expect((await s3.send(new GetObjectTaggingCommand(where))).TagSet).toHaveLength(2);
  });

  for (const size of [1000, 100_000]) {
    test(`in an encryption context of an object of ${size} bytes, and of its copies`, async () => {
      const where = { Bucket: credentials.bucket, Key: `context/${size}` };
      const body = marked(size);
      await s3.send(new PutObjectCommand({ ...where, Body: body, Metadata: metadata, ...sealedFor }));
      const source = { Bucket: where.Bucket, CopySource: `${where.Bucket}/${where.Key}` };
      await s3.send(new CopyObjectCommand({ ...source, Key: `copied/${size}`, ...sealedFor }));
      await s3.send(
        new CopyObjectCommand({
          ...source,
          Key: `replaced/${size}`,
          MetadataDirective: "REPLACE",
          Metadata: metadata,
          ContentType: `text/${MARKER}`,
          TaggingDirective: "REPLACE",
          Tagging: tagging,
        }),
      );
      for (const Key of [where.Key, `copied/${size}`, `replaced/${size}`]) {
        const got = await s3.send(new GetObjectCommand({ Bucket: where.Bucket, Key }));
        expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
        expect(got.Metadata).toEqual(metadata);
      }
    });
  }

  test("in tags and an encryption context of an upload that is completed, and of one that is left", async () => {
    const body = marked(6 * MIB);
    const where = { Bucket: credentials.bucket, Key: "context/parts" };
    const described = { ...where, Tagging: tagging, ...sealedFor };
    await new Upload({ client: s3, params: { ...described, Body: Readable.from([body]) } }).done();
    const got = await s3.send(new GetObjectCommand(where));
    expect(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body)).toBe(true);
    expect((await s3.send(new GetObjectTaggingCommand(where))).TagSet).toContainEqual({ Key: "kind", Value: MARKER });
    await s3.send(new CreateMultipartUploadCommand({ ...described, Key: "context/left" }));
  });

  test("in refused tags and contexts", async () => {
    const where = { Bucket: credentials.bucket, Key: "refused" };
    const doubled = Buffer.from(`{"a":"${MARKER}","a":"${MARKER}"}`).toString("base64");
    const ours = Buffer.from(JSON.stringify({ "coffer:bucket": MARKER })).toString("base64");
    const wrongs: Readonly<Record<string, () => Promise<unknown>>> = {
      "a tag twice": () => s3.send(new PutObjectCommand({ ...where, Body: "x", Tagging: `${MARKER}=1&${MARKER}=2` })),
      "a tag that is too long": () =>
        s3.send(new PutObjectCommand({ ...where, Body: "x", Tagging: `${MARKER.repeat(10)}=1` })),
      "a tag that is too long, in XML": () =>
        s3.send(
          new PutObjectTaggingCommand({ ...where, Tagging: { TagSet: [{ Key: MARKER.repeat(10), Value: MARKER }] } }),
        ),
      "a name twice in a context": () =>
        s3.send(new PutObjectCommand({ ...where, Body: "x", ...sealedFor, SSEKMSEncryptionContext: doubled })),
      "a name of ours in a context": () =>
        s3.send(new PutObjectCommand({ ...where, Body: "x", ...sealedFor, SSEKMSEncryptionContext: ours })),
    };
    for (const [name, wrong] of Object.entries(wrongs)) {
      const error = await wrong().catch((caught: unknown) => caught);
      expect({ name, error: error instanceof S3ServiceException }).toEqual({ name, error: true });
      const { $metadata, message } = error as S3ServiceException;
      expect({ name, status: $metadata.httpStatusCode }).toEqual({ name, status: 400 });
      expect({ name, repeats: includesAny(Buffer.from(message), FORMS) }).toEqual({ name, repeats: false });
    }
  });

  test("in requests that are refused, whose answers do not repeat it", async () => {
    const { restUrl, endpoint, bucket, token } = credentials;
    const bearer = { Authorization: `Bearer ${token}` };
    const put = (headers: Record<string, string>) => ({ method: "PUT", body: marked(1000), headers });
    const refused: Readonly<Record<string, readonly [string, RequestInit]>> = {
      "a body of the wrong checksum": [
        `${restUrl}/api/v1/buckets/${bucket}/objects/a`,
        put({ ...bearer, "Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA==" }),
      ],
      "a token that is none": [`${restUrl}/api/v1/buckets`, { headers: { Authorization: `Bearer ${MARKER}` } }],
      "metadata without a right to write": [`${endpoint}/${bucket}/a`, put({ "x-amz-meta-note": MARKER })],
      "a condition that does not hold": [
        `${restUrl}/api/v1/buckets/${bucket}/objects/rest/1000`,
        put({ ...bearer, "If-None-Match": "*", "Content-Type": `text/${MARKER}` }),
      ],
      "a signature that is none": [
        `${endpoint}/${bucket}/a`,
        put({ Authorization: `AWS4-HMAC-SHA256 Credential=${MARKER}, SignedHeaders=host, Signature=${MARKER}` }),
      ],
      "more metadata than fits": [
        `${restUrl}/api/v1/buckets/${bucket}/objects/a`,
        put({ ...bearer, "x-amz-meta-note": MARKER.repeat(60) }),
      ],
      "a setting that is none": [
        `${restUrl}/api/v1/buckets/${bucket}/encryption`,
        { method: "PUT", headers: bearer, body: JSON.stringify({ enabled: true, algorithm: MARKER }) },
      ],
      "a document that is none": [
        `${restUrl}/api/v1/buckets/${bucket}/encryption`,
        { method: "PUT", headers: bearer, body: `{"${MARKER}` },
      ],
    };
    for (const [name, [url, init]] of Object.entries(refused)) {
      const answer = await fetch(url, init);
      expect({ name, isRefused: answer.status >= 400 && answer.status < 500 }).toEqual({ name, isRefused: true });
      const head = JSON.stringify([...answer.headers]);
      const isRepeated = includesAny(Buffer.from(head + (await answer.text())), FORMS);
      expect({ name, isRepeated }).toEqual({ name, isRepeated: false });
    }
  });
});

describe("and is nowhere", () => {
  test("in what the admin listener says", async () => {
    for (const path of ["/metrics", "/config", "/jobs", "/readyz", "/healthz"]) {
      const text = await (await fetch(store.urls.admin + path)).text();
      expect(text.length).toBeGreaterThan(0);
      expect({ path, found: includesAny(Buffer.from(text), FORMS) }).toEqual({ path, found: false });
    }
  });

  test("in a listing", async () => {
    const { restUrl, bucket, token } = credentials;
    const listing = await fetch(`${restUrl}/api/v1/buckets/${bucket}/objects`, {
      headers: { Authorization: `Bearer ${token}` },
    });
    expect(includesAny(Buffer.from(await listing.text()), FORMS)).toBe(false);
  });

  test("in what was printed, and in no file of data, logs, audit and secrets, while it runs and after it", async () => {
    for (const moment of ["running", "stopped"]) {
      if (moment === "stopped") await store.stop();
      const { found, files } = await filesWith(store.home, FORMS);
      expect({ moment, found }).toEqual({ moment, found: [] });
      expect(files).toBeGreaterThan(10);
    }
    expect(includesAny(Buffer.from(store.printed()), FORMS)).toBe(false);
  });

  test("although the search finds it where it is", async () => {
    const hidden = randomBytes(5 * MIB);
    hidden.write(Buffer.from(`ab${MARKER}`).toString("base64"), 4 * MIB - 5);
    await writeFile(`${store.home}/hidden`, hidden);
    const { found } = await filesWith(store.home, FORMS);
    expect(found).toEqual([`${store.home}/hidden`]);
  });
});
