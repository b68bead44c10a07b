import { createHash } from "node:crypto";
import { request } from "node:http";
import { crc32 } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createLocalKms } from "../../kms/local.ts";
import { createRing, printRing } from "../../kms/ring.ts";
import { Failure } from "../failure.ts";
import type { ObjectStore } from "../objects/objects.ts";
import { ACCESS_KEY_ID, type HeaderList, SECRET } from "./contract/requests.ts";
import { chunkedBody, type Signing, sha256Hex, signRequest } from "./contract/signer.ts";
import { type Answer, type Asked, ask, CREDENTIAL, send, startWorld, type World } from "./contract/world.ts";

const READER = { ...CREDENTIAL, accessKeyId: "READER", tokenSha256: "b".repeat(64), permissions: ["Read" as const] };
const WRITER = { ...CREDENTIAL, accessKeyId: "WRITER", tokenSha256: "c".repeat(64), permissions: ["Write" as const] };
/** A busy machine is not late by that much. */
const SLOW_ANSWER_MS = 2000;
const ENDED = { ...CREDENTIAL, accessKeyId: "ENDED", tokenSha256: "d".repeat(64), endsMs: 1 };

let complete: ObjectStore["completeUpload"] | undefined;
const ring = createRing(new Date());
let world: World;

beforeAll(async () => {
  const around = (objects: ObjectStore): ObjectStore => ({
    ...objects,
    completeUpload: (...given) => (complete ?? objects.completeUpload)(...given),
  });
  world = await startWorld(
    { kms: createLocalKms(ring), kmsKeyId: ring.id, ring: printRing(ring) },
    { credentials: [READER, WRITER, ENDED], around, slowAnswerMs: SLOW_ANSWER_MS },
  );
  await ask(world, { method: "PUT", target: "/photos/there", body: Buffer.from("hello") });
});

afterAll(async () => {
  await world.close();
  expect(world.errors).toEqual([]);
});

afterEach(() => {
  complete = undefined;
});

function crc(text: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(text));
  return bytes.toString("base64");
}

/** A PUT whose body is aws-chunked. */
async function putChunked(target: string, chunks: string[], options: Chunked): Promise<Answer> {
  const {
    payload,
    trailers,
    plainBytes = chunks.join("").length,
    around = (body) => body,
    transfer = "length",
  } = options;
  const timestamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, "");
  const headers: [string, string][] = [
    ["Host", `127.0.0.1:${world.port}`],
    ["x-amz-date", timestamp],
    ["x-amz-content-sha256", payload],
    ["Content-Encoding", "aws-chunked"],
    ["x-amz-decoded-content-length", String(plainBytes)],
    ...(trailers === undefined ? [] : [["x-amz-trailer", "x-amz-checksum-crc32"] as [string, string]]),
  ];
  const signing: Signing = {
    method: "PUT",
    target,
    headers,
    payload,
    timestamp,
    accessKeyId: ACCESS_KEY_ID,
    secret: SECRET,
  };
  const { authorization, signature } = signRequest(signing);
  const seed = payload.startsWith("STREAMING-AWS4") ? { signature, signing } : undefined;
  const body = around(
    chunkedBody(
      chunks.map((chunk) => Buffer.from(chunk)),
      { seed, trailers },
    ),
  );
  const sent: HeaderList = [...headers, ["Authorization", authorization]];
  return send(world, "PUT", target, transfer === "chunked" ? [...sent, ["Transfer-Encoding", "chunked"]] : sent, body);
}

interface Chunked {
  readonly payload: string;
  readonly trailers?: string[];
  readonly plainBytes?: number;
  readonly around?: (body: Buffer) => Buffer;
  readonly transfer?: "length" | "chunked";
}

const SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
const SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
const UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

describe("a body comes in every form", () => {
  const text = "hello world";
  const good = `x-amz-checksum-crc32:${crc(text)}`;
  const forms: Record<string, Chunked> = {
    "signed chunks": { payload: SIGNED },
    "signed chunks with a signed trailer": { payload: SIGNED_TRAILER, trailers: [good] },
    "unsigned chunks with a trailer": { payload: UNSIGNED_TRAILER, trailers: [good] },
    "unsigned chunks with a trailer, without Content-Length": {
      payload: UNSIGNED_TRAILER,
      trailers: [good],
      transfer: "chunked",
    },
    "signed chunks without Content-Length": { payload: SIGNED, transfer: "chunked" },
  };
  test.each(Object.entries(forms))("%s", async (_name, form) => {
    expect((await putChunked("/photos/form", ["hello", " ", "world"], form)).status).toBe(200);
    const got = await ask(world, { target: "/photos/form", headers: [["x-amz-checksum-mode", "ENABLED"]] });
    expect(got.text).toBe(text);
    expect(got.headers["content-encoding"]).toBeUndefined();
    expect(got.headers["x-amz-checksum-crc32"]).toBe(form.trailers === undefined ? undefined : crc(text));
    expect(got.headers["x-amz-checksum-type"]).toBe(form.trailers === undefined ? undefined : "FULL_OBJECT");
  });

  test("one hash, unsigned, or none at all with nothing in it", async () => {
    expect((await ask(world, { method: "PUT", target: "/photos/form", body: Buffer.from("1") })).status).toBe(200);
    const unsigned = { payload: "UNSIGNED-PAYLOAD", body: Buffer.from("2") };
    expect((await ask(world, { method: "PUT", target: "/photos/form", ...unsigned })).status).toBe(200);
    expect((await ask(world, { target: "/photos/form" })).text).toBe("2");
    expect((await ask(world, { method: "PUT", target: "/photos/form", body: Buffer.alloc(0) })).status).toBe(200);
    expect((await ask(world, { target: "/photos/form" })).headers["content-length"]).toBe("0");
  });
});

describe("a body that is not what it should be is refused, and nothing is stored", () => {
  const body = Buffer.from("hello");
  const put =
    (asked: Asked): (() => Promise<Answer>) =>
    () =>
      ask(world, { method: "PUT", target: "/photos/never", body, ...asked });
  const chunked = (form: Chunked) => () => putChunked("/photos/never", ["hel", "lo"], form);
  const flip = (at: string) => (bytes: Buffer) => {
    const index = bytes.indexOf(at);
    return Buffer.from(bytes.fill(bytes[index] === 0x30 ? 0x31 : 0x30, index, index + 1));
  };
  const wrong = createHash("md5").update("other").digest("base64");
  const cases: Record<string, [status: number, code: string, work: () => Promise<Answer>]> = {
    "another hash than stated": [400, "XAmzContentSHA256Mismatch", put({ payload: sha256Hex("other") })],
    "another MD5 than stated": [400, "BadDigest", put({ headers: [["Content-MD5", wrong]] })],
    "an MD5 that is none": [400, "InvalidDigest", put({ headers: [["Content-MD5", "AAAA"]] })],
    "another checksum than stated": [400, "BadDigest", put({ headers: [["x-amz-checksum-crc32", "AAAAAA=="]] })],
    "a checksum that is none": [400, "InvalidDigest", put({ headers: [["x-amz-checksum-crc32", "AAAA"]] })],
    "an unknown checksum": [400, "InvalidRequest", put({ headers: [["x-amz-checksum-xxhash3", "AAAAAAAAAAA="]] })],
    "an empty body of another MD5": [
      400,
      "BadDigest",
      put({ body: Buffer.alloc(0), headers: [["Content-MD5", wrong]] }),
    ],
    "a chunk that was changed": [403, "SignatureDoesNotMatch", chunked({ payload: SIGNED, around: flip("hel") })],
    "another checksum in the trailer": [
      400,
      "BadDigest",
      chunked({ payload: UNSIGNED_TRAILER, trailers: ["x-amz-checksum-crc32:AAAAAA=="] }),
    ],
    "no trailer": [
      400,
      "MalformedTrailerError",
      chunked({ payload: UNSIGNED_TRAILER, trailers: [], around: (bytes) => bytes }),
    ],
    "a changed trailer": [
      403,
      "SignatureDoesNotMatch",
      chunked({
        payload: SIGNED_TRAILER,
        trailers: [`x-amz-checksum-crc32:${crc("hello")}`],
        around: flip(crc("hello").slice(0, 4)),
      }),
    ],
    "fewer bytes than stated": [400, "IncompleteBody", chunked({ payload: SIGNED, plainBytes: 6 })],
    "more bytes than stated": [400, "IncompleteBody", chunked({ payload: SIGNED, plainBytes: 4 })],
    "no last chunk": [400, "IncompleteBody", chunked({ payload: SIGNED, around: (bytes) => bytes.subarray(0, -88) })],
    "no length": [
      411,
      "MissingContentLength",
      put({ payload: "UNSIGNED-PAYLOAD", unsigned: [["Transfer-Encoding", "chunked"]] }),
    ],
    "no decoded length": [411, "MissingContentLength", put({ payload: SIGNED })],
    "more than 5 GiB": [
      400,
      "EntityTooLarge",
      put({ payload: SIGNED, headers: [["x-amz-decoded-content-length", String(5 * 1024 ** 3 + 1)]] }),
    ],
    "metadata that is no UTF-8": [400, "InvalidArgument", put({ headers: [["x-amz-meta-a", "\xff"]] })],
  };
  test.each(Object.entries(cases))("%s", async (_name, [status, code, work]) => {
    const answer = await work();
    expect({ status: answer.status, code: answer.code }).toEqual({ status, code });
    expect((await ask(world, { target: "/photos/never" })).code).toBe("NoSuchKey");
  });
});

test("a client that goes away before its body is whole leaves nothing behind", async () => {
  for (const [target, length] of [
    ["/photos/gone", 10],
    ["/photos/gone-large", 10_000_000],
  ] as const) {
    const timestamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, "");
    const headers: HeaderList = [
      ["Host", `127.0.0.1:${world.port}`],
      ["x-amz-date", timestamp],
      ["x-amz-content-sha256", "UNSIGNED-PAYLOAD"],
    ];
    const signing = { method: "PUT", target, headers, payload: "UNSIGNED-PAYLOAD", timestamp };
    const { authorization } = signRequest({ ...signing, accessKeyId: ACCESS_KEY_ID, secret: SECRET });
    const sent: HeaderList = [...headers, ["Authorization", authorization], ["Content-Length", String(length)]];
    const lines = world.lines.length;
    await new Promise<void>((resolve) => {
      const options = { host: "127.0.0.1", port: world.port, method: "PUT", path: target, headers: sent.flat() };
      const client = request({ ...options, agent: false });
      client.on("error", () => resolve());
      client.write(Buffer.alloc(length / 2), () => setImmediate(() => client.destroy(new Error("gone"))));
    });
    await expect.poll(() => world.lines.length).toBeGreaterThan(lines);
    expect((await ask(world, { target })).code).toBe("NoSuchKey");
  }
});

describe("refusals come in their order:", () => {
  const BAD_HEADER: HeaderList = [["x-amz-acl", "public-read"]];
  const cases: Record<string, [status: number, code: string, asked: Asked]> = {
    "a malformed target before the signature": [400, "InvalidURI", { target: "/photos/%zz", secret: "wrong" }],
    "a bucket name that is none before the signature": [400, "InvalidBucketName", { target: "//a", secret: "wrong" }],
    "a name that is too long before the signature": [
      400,
      "KeyTooLongError",
      { target: `/photos/${"a".repeat(1025)}`, secret: "x" },
    ],
    "the signature before the operation": [403, "SignatureDoesNotMatch", { target: "/photos?abac", secret: "wrong" }],
    "an ended credential before the operation": [
      403,
      "InvalidAccessKeyId",
      { target: "/photos?abac", accessKeyId: "ENDED" },
    ],
    "the operation before the bucket": [501, "NotImplemented", { target: "/nowhere?abac" }],
    "a method before the bucket": [405, "MethodNotAllowed", { method: "PATCH", target: "/nowhere/a" }],
    "permission for any other bucket, whether it exists or not": [403, "AccessDenied", { target: "/nowhere/a" }],
    "permission for a bucket that exists": [403, "AccessDenied", { target: "/music/a" }],
    "permission before headers, to write": [
      403,
      "AccessDenied",
      { method: "PUT", target: "/photos/a", headers: BAD_HEADER, body: Buffer.from("x"), accessKeyId: "READER" },
    ],
    "permission before headers, to read": [
      403,
      "AccessDenied",
      { target: "/photos/there?partNumber=0", accessKeyId: "WRITER" },
    ],
    "permission before the list of parts": [
      403,
      "AccessDenied",
      { method: "POST", target: "/photos/a?uploadId=1", body: Buffer.from("<"), accessKeyId: "READER" },
    ],
    "headers before conditions": [
      400,
      "AccessControlListNotSupported",
      {
        method: "PUT",
        target: "/photos/there",
        headers: [...BAD_HEADER, ["If-None-Match", "*"]],
        body: Buffer.from("x"),
      },
    ],
    "conditions before the body": [
      412,
      "PreconditionFailed",
      {
        method: "PUT",
        target: "/photos/there",
        headers: [["If-None-Match", "*"]],
        body: Buffer.from("x"),
        payload: sha256Hex("y"),
      },
    ],
    "a name that is not there, for who may list": [404, "NoSuchKey", { target: "/photos/nothing" }],
    "a name that is not there, for who may not": [
      403,
      "AccessDenied",
      { target: "/photos/nothing", accessKeyId: "READER" },
    ],
    "an upload that is not there": [404, "NoSuchUpload", { target: "/photos/a?uploadId=nothing" }],
    "an upload without an id": [404, "NoSuchUpload", { target: "/photos/a?uploadId=" }],
    "a version that is none": [400, "InvalidArgument", { target: "/photos/there?versionId=7" }],
  };
  test.each(Object.entries(cases))("%s", async (_name, [status, code, asked]) => {
    const answer = await ask(world, asked);
    expect({ status: answer.status, code: answer.code }).toEqual({ status, code });
  });

  test("no signature at all", async () => {
    const answer = await send(world, "GET", "/photos/there", [["Host", "h"]]);
    expect(answer).toMatchObject({ status: 403, code: "AccessDenied" });
  });

  test("a refusal comes before the client is told to send its body", async () => {
    const refused = await expectContinue("/photos/a", [["x-amz-acl", "public-read"]]);
    expect(refused).toEqual({ continued: false, status: 400 });
    expect(await expectContinue("/photos/a", [])).toEqual({ continued: true, status: 200 });
  });
});

/** A PUT that waits for 100 before it sends. */
function expectContinue(
  target: string,
  headers: HeaderList,
): Promise<{ continued: boolean; status: number | undefined }> {
  const timestamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, "");
  const all: HeaderList = [
    ["Host", `127.0.0.1:${world.port}`],
    ["x-amz-date", timestamp],
    ["x-amz-content-sha256", sha256Hex("hello")],
    ...headers,
  ];
  const signing = { method: "PUT", target, headers: all, payload: sha256Hex("hello"), timestamp };
  const { authorization } = signRequest({ ...signing, accessKeyId: ACCESS_KEY_ID, secret: SECRET });
  const sent: HeaderList = [
    ...all,
    ["Authorization", authorization],
    ["Expect", "100-continue"],
    ["Content-Length", "5"],
  ];
  return new Promise((resolve, reject) => {
    let continued = false;
    const client = request({
      host: "127.0.0.1",
      port: world.port,
      method: "PUT",
      path: target,
      headers: sent.flat(),
      agent: false,
    });
    client.on("continue", () => {
      continued = true;
      client.end("hello");
    });
    client.on("response", (answer) => {
      answer.resume();
      resolve({ continued, status: answer.statusCode });
      client.destroy();
    });
    client.on("error", reject);
    client.flushHeaders();
  });
}

describe("answers", () => {
  test("bring metadata back byte for byte", async () => {
    const value = Buffer.from("Grüße 🎉", "utf8").toString("latin1");
    const headers: HeaderList = [
      ["x-amz-meta-who", value],
      ["Content-Disposition", `attachment; filename="${value}"`],
    ];
    await ask(world, { method: "PUT", target: "/photos/meta", headers, body: Buffer.from("x") });
    for (const method of ["GET", "HEAD"]) {
      const answer = await ask(world, { method, target: "/photos/meta" });
      expect(answer.headers["x-amz-meta-who"]).toBe(value);
      expect(answer.headers["content-disposition"]).toBe(`attachment; filename="${value}"`);
      expect(answer.headers["content-type"]).toBe("binary/octet-stream");
    }
  });

  test("of an error say what, where and for which request, and escape what came", async () => {
    const answer = await ask(world, { target: "/photos/a%26%3Cb%3E?x=secret" });
    expect(answer.headers["content-type"]).toBe("application/xml");
    expect(answer.text).toContain("<Resource>/photos/a%26%3Cb%3E</Resource>");
    expect(answer.text).toContain(`<RequestId>${String(answer.headers["x-amz-request-id"])}</RequestId>`);
    expect(answer.text).not.toContain("secret");
    expect(answer.text).not.toMatch(/a&<b>/);
    expect(answer.headers["date"]).toBeDefined();
  });

  test("have no body for HEAD, nor for 304", async () => {
    const head = await ask(world, { method: "HEAD", target: "/photos/nothing" });
    expect(head).toMatchObject({ status: 404, text: "" });
    const { headers } = await ask(world, { method: "HEAD", target: "/photos/there" });
    const same = await ask(world, { target: "/photos/there", headers: [["If-None-Match", String(headers["etag"])]] });
    expect(same).toMatchObject({ status: 304, text: "" });
    expect(same.headers["etag"]).toBe(headers["etag"]);
    expect(same.headers["last-modified"]).toBe(headers["last-modified"]);
  });

  test("of a range say so, and never bring the checksum of the whole", async () => {
    const put = { method: "PUT", target: "/photos/summed", body: Buffer.from("hello") };
    const stored = await ask(world, { ...put, headers: [["x-amz-checksum-crc32", crc("hello")]] });
    expect(stored.headers["x-amz-checksum-crc32"]).toBe(crc("hello"));
    const mode: HeaderList = [["x-amz-checksum-mode", "ENABLED"]];
    const part = await ask(world, { target: "/photos/summed", headers: [...mode, ["Range", "bytes=1-2"]] });
    expect(part).toMatchObject({ status: 206, text: "el" });
    expect(part.headers).toMatchObject({ "content-range": "bytes 1-2/5", "content-length": "2" });
    expect(part.headers["x-amz-checksum-crc32"]).toBeUndefined();
    const head = await ask(world, { method: "HEAD", target: "/photos/summed", headers: [["Range", "bytes=1-2"]] });
    expect(head).toMatchObject({ status: 206, text: "" });
    expect(head.headers["content-range"]).toBe("bytes 1-2/5");
    const past = await ask(world, { target: "/photos/summed", headers: [["Range", "bytes=5-"]] });
    expect(past).toMatchObject({ status: 416, code: "InvalidRange" });
    expect(past.headers["content-range"]).toBe("bytes */5");
    const empty = await ask(world, { target: "/photos/summed", headers: mode });
    expect(empty.headers["x-amz-checksum-crc32"]).toBe(crc("hello"));
    expect((await ask(world, { target: "/photos/summed" })).headers["x-amz-checksum-crc32"]).toBeUndefined();
  });

  test("never let an override break out of its header", async () => {
    const target = "/photos/there?response-content-type=a%0D%0Ax-evil%3A1";
    expect(await ask(world, { target })).toMatchObject({ status: 400, code: "InvalidArgument" });
  });
});

describe("what is not there answers as if nothing were set:", () => {
  const cases: [target: string, status: number, says: string][] = [
    ["/photos?acl", 200, "<Permission>FULL_CONTROL</Permission>"],
    ["/photos/there?acl", 200, "<Permission>FULL_CONTROL</Permission>"],
    ["/photos/nothing?acl", 404, "NoSuchKey"],
    [
      "/photos?versioning",
      200,
      '<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"></VersioningConfiguration>',
    ],
    ["/photos?policy", 404, "NoSuchBucketPolicy"],
    ["/photos?policyStatus", 404, "NoSuchBucketPolicy"],
    ["/photos?cors", 404, "NoSuchCORSConfiguration"],
    ["/photos?lifecycle", 404, "NoSuchLifecycleConfiguration"],
    ["/photos?object-lock", 404, "ObjectLockConfigurationNotFoundError"],
    ["/photos?publicAccessBlock", 404, "NoSuchPublicAccessBlockConfiguration"],
    ["/photos?tagging", 404, "NoSuchTagSet"],
    ["/photos?website", 404, "NoSuchWebsiteConfiguration"],
    ["/photos?replication", 404, "ReplicationConfigurationNotFoundError"],
    ["/photos?ownershipControls", 404, "OwnershipControlsNotFoundError"],
    ["/photos?logging", 200, "<BucketLoggingStatus"],
    ["/photos?notification", 200, "<NotificationConfiguration"],
    ["/photos?accelerate", 200, "<AccelerateConfiguration"],
    ["/photos?requestPayment", 200, "<Payer>BucketOwner</Payer>"],
    ["/photos?inventory", 200, "<IsTruncated>false</IsTruncated>"],
    ["/photos?inventory&id=1", 404, "<Code>NoSuchConfiguration</Code>"],
    ["/photos/there?tagging", 200, "<TagSet></TagSet>"],
    ["/photos/there?retention", 400, "InvalidRequest"],
    ["/photos/there?legal-hold", 400, "InvalidRequest"],
    ["/music?acl", 403, "AccessDenied"],
    ["/music?policy", 403, "AccessDenied"],
  ];
  test.each(cases)("GET %s", async (target, status, says) => {
    const answer = await ask(world, { target });
    expect(answer.status).toBe(status);
    expect(answer.text).toContain(says);
  });

  test("a private ACL may be set, and no other", async () => {
    for (const target of ["/photos?acl", "/photos/there?acl"]) {
      const set = (headers: HeaderList, body?: Buffer) =>
        ask(world, { method: "PUT", target, headers, ...(body && { body }) });
      expect((await set([["x-amz-acl", "private"]])).status).toBe(200);
      expect((await set([["x-amz-acl", "public-read"]])).code).toBe("AccessControlListNotSupported");
      expect((await set([], Buffer.from("<AccessControlPolicy/>"))).code).toBe("NotImplemented");
    }
  });
});

describe("encryption", () => {
  const SSE = "x-amz-server-side-encryption";
  test("headers are refused where they mean nothing", async () => {
    for (const method of ["GET", "HEAD"]) {
      expect((await ask(world, { method, target: "/photos/there", headers: [[SSE, "AES256"]] })).status).toBe(400);
    }
  });

  test("of double KMS encryption is refused, and nothing is stored", async () => {
    const put = { method: "PUT", target: "/photos/dsse", body: Buffer.from("x") };
    expect((await ask(world, { ...put, headers: [[SSE, "aws:kms:dsse"]] })).status).toBe(501);
    expect((await ask(world, { target: "/photos/dsse" })).code).toBe("NoSuchKey");
  });

  test("under a key per object is told by the flag alone", async () => {
    const put = { method: "PUT", target: "/photos/own", body: Buffer.from("x") };
    const headers: HeaderList = [[`${SSE}-bucket-key-enabled`, "false"]];
    const stored = await ask(world, { ...put, headers });
    expect(stored.headers[SSE]).toBe("aws:kms");
    expect(stored.headers[`${SSE}-bucket-key-enabled`]).toBeUndefined();
    expect(stored.headers[`${SSE}-aws-kms-key-id`]).toMatch(/^[0-9a-f-]+$/);
    expect((await ask(world, { target: "/photos/own" })).text).toBe("x");
  });
});

describe("a completion", () => {
  const list = Buffer.from(
    "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>",
  );
  const post = (body: Buffer, headers: HeaderList = []) =>
    ask(world, { method: "POST", target: "/photos/slow?uploadId=u", body, headers });
  const later = async (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 3.5 * SLOW_ANSWER_MS));

  test("that takes long begins with spaces and ends with its document", async () => {
    complete = async (_call, upload) => {
      await later();
      const info = { ref: upload, sizeBytes: 1, etag: "abc-1", modifiedMs: 0, headers: new Map(), tags: new Map() };
      const rest = {
        shown: "aws:kms" as const,
        kmsKeyId: "k",
        bucketKeyEnabled: true,
        context: new Map(),
        partsCount: 1,
      };
      return { ...info, ...rest, checksums: [] };
    };
    const answer = await post(list);
    expect(answer.status).toBe(200);
    expect(answer.text).toMatch(
      /^<\?xml [^>]*\?>\n {2,}<CompleteMultipartUploadResult .*<ETag>&quot;abc-1&quot;<\/ETag>/,
    );
  });

  test("that takes long and fails ends with an error", async () => {
    complete = async () => {
      await later();
      throw new Failure("InvalidPart", "A part is not the one that was listed");
    };
    const answer = await post(list);
    expect(answer.status).toBe(200);
    expect(answer.text).toMatch(/^<\?xml [^>]*\?>\n {2,}<Error><Code>InvalidPart<\/Code>/);
  });

  test("that fails at once has a status of its own", async () => {
    complete = () => Promise.reject(new Failure("InvalidPart", "A part is not the one that was listed"));
    expect(await post(list)).toMatchObject({ status: 400, code: "InvalidPart" });
  });

  test("is told what its client says of the whole", async () => {
    let wanted: unknown;
    let parts: unknown;
    complete = (_call, _upload, listed, given) => {
      parts = listed;
      wanted = given;
      return Promise.reject(new Failure("InvalidPart", "enough"));
    };
    const body = `<CompleteMultipartUpload xmlns="x"><Part><ETag>&quot;a-1&quot;</ETag><PartNumber>3</PartNumber>
      <ChecksumCRC32>${crc("x")}</ChecksumCRC32></Part></CompleteMultipartUpload>`;
    const sum = createHash("sha256").update("x").digest("base64");
    const headers: HeaderList = [
      ["x-amz-mp-object-size", "12"],
      ["x-amz-checksum-sha256", `${sum}-1`],
      ["x-amz-checksum-type", "COMPOSITE"],
      ["If-None-Match", "*"],
    ];
    await post(Buffer.from(body), headers);
    expect(parts).toEqual([
      { partNumber: 3, etag: "a-1", checksums: new Map([["CRC32", Buffer.from(crc("x"), "base64")]]) },
    ]);
    expect(wanted).toEqual({
      conditions: { ifMatch: undefined, ifNoneMatch: "*" },
      sizeBytes: 12,
      kind: "composite",
      checksums: new Map([["SHA256", { value: Buffer.from(sum, "base64"), parts: 1 }]]),
    });
  });

  const refusals: Record<string, [code: string, body: string, headers?: HeaderList]> = {
    nothing: ["MalformedXML", ""],
    "no XML": ["MalformedXML", "hello"],
    "no part": ["MalformedXML", "<CompleteMultipartUpload></CompleteMultipartUpload>"],
    "a part without ETag": [
      "MalformedXML",
      "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
    ],
    "a part number of 0": ["InvalidArgument", list.toString().replace(">1<", ">0<")],
    "a part without number": [
      "MalformedXML",
      "<CompleteMultipartUpload><Part><ETag>e</ETag></Part></CompleteMultipartUpload>",
    ],
    "bytes that are no UTF-8": ["MalformedXML", "\xff"],
    "a document type": ["MalformedXML", `<!DOCTYPE x [<!ENTITY e "1">]>${list}`],
    "more than 8 MiB": ["MalformedXML", `${list}${" ".repeat(8 * 1024 * 1024)}`],
    "another MD5 than stated": ["BadDigest", list.toString(), [["Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA=="]]],
    "an object size that is none": ["InvalidArgument", list.toString(), [["x-amz-mp-object-size", "x"]]],
    "customer's keys": ["InvalidArgument", list.toString(), [["x-amz-server-side-encryption-customer-key", "x"]]],
  };
  test.each(Object.entries(refusals))("is refused: %s", async (_name, [code, body, headers]) => {
    expect(await post(Buffer.from(body, "latin1"), headers)).toMatchObject({ status: 400, code });
  });
});

test("a credential of one bucket lists that one alone, and sees no other", async () => {
  const { text } = await ask(world, {});
  expect(text).toContain("<Name>photos</Name>");
  expect(text).not.toContain("music");
  expect((await ask(world, { target: "/?prefix=x" })).text).toContain("<Buckets></Buckets>");
});
