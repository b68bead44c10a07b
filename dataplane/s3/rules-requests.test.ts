import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLocalKms } from "../../kms/local.ts";
import { createRing, printRing } from "../../kms/ring.ts";
import type { HeaderList } from "./contract/requests.ts";
import { presign, sha256Hex, signRequest } from "./contract/signer.ts";
import { type Answer, type Asked, ask, CREDENTIAL, send, startWorld, type World } from "./contract/world.ts";

const READER = { ...CREDENTIAL, accessKeyId: "READER", tokenSha256: "b".repeat(64), permissions: ["Read" as const] };
const WRITER = { ...CREDENTIAL, accessKeyId: "WRITER", tokenSha256: "c".repeat(64), permissions: ["Write" as const] };
const ring = createRing(new Date());
let world: World;

beforeAll(async () => {
  world = await startWorld(
    { kms: createLocalKms(ring), kmsKeyId: ring.id, ring: printRing(ring) },
    { credentials: [READER, WRITER], config: { hostNames: ["s3.example.org", "example.org"] } },
  );
  await put("/photos/there");
});

afterAll(async () => {
  await world.close();
  expect(world.errors).toEqual([]);
});

const put = (target: string, headers: HeaderList = [], text = "hello", more: Asked = {}): Promise<Answer> =>
  ask(world, { method: "PUT", target, body: Buffer.from(text), headers, ...more });

const outcome = ({ status, code }: Answer) => [status, code];

const stampAt = (ms: number): string => new Date(ms).toISOString().replace(/[-:]|\.\d{3}/g, "");

interface Raw {
  readonly method?: string;
  readonly target?: string;
  readonly host?: string;
  readonly atMs?: number;
  readonly region?: string;
  /** Signed. */
  readonly headers?: HeaderList;
  /** Sent beside them. */
  readonly unsigned?: HeaderList;
  readonly payload?: string;
  readonly omitPayload?: boolean;
  readonly secret?: string;
  readonly body?: Uint8Array;
  readonly edit?: (authorization: string) => string;
  readonly date?: string;
}

/** A request whose every part can be wrong. */
function raw(given: Raw): Promise<Answer> {
  const { method = "GET", target = "/photos/there", host = `127.0.0.1:${world.port}`, atMs = Date.now() } = given;
  const payload = given.payload ?? sha256Hex(given.body ?? "");
  const timestamp = stampAt(atMs);
  const headers: HeaderList = [
    ["Host", host],
    ...(given.date === undefined ? [["x-amz-date", timestamp] as const] : [["Date", given.date] as const]),
    ...(given.omitPayload === true ? [] : [["x-amz-content-sha256", payload] as const]),
    ...(given.headers ?? []),
  ];
  const { accessKeyId, secret } = CREDENTIAL;
  const { authorization } = signRequest({
    method,
    target,
    headers,
    payload,
    timestamp,
    accessKeyId,
    secret: given.secret ?? secret,
    ...(given.region === undefined ? {} : { region: given.region }),
  });
  const sent: HeaderList = [
    ...headers,
    ...(given.unsigned ?? []),
    ["Authorization", given.edit?.(authorization) ?? authorization],
  ];
  return send(world, method, target, sent, given.body);
}

function presigned(more: {
  expires?: string | number;
  atMs?: number;
  extra?: string[];
  method?: string;
  target?: string;
}) {
  const { expires = 60, atMs = Date.now(), extra = [], method = "GET", target = "/photos/there" } = more;
  const host = `127.0.0.1:${world.port}`;
  const { accessKeyId, secret } = CREDENTIAL;
  const signing = { method, target, headers: [["Host", host]] as const, payload: "UNSIGNED-PAYLOAD" };
  return presign({ ...signing, timestamp: stampAt(atMs), accessKeyId, secret }, expires, extra);
}

const follow = (url: string, method = "GET", headers: HeaderList = [], body?: Uint8Array): Promise<Answer> =>
  send(world, method, url, [["Host", `127.0.0.1:${world.port}`], ...headers], body);

describe("Addressing:", () => {
  test("path style, and virtual-host style when Host is BUCKET. plus a configured name", async () => {
    expect((await raw({ host: "photos.s3.example.org", target: "/there" })).text).toBe("hello");
    expect((await raw({ host: "PHOTOS.S3.EXAMPLE.ORG:9000", target: "/there" })).text).toBe("hello");
    expect((await raw({ host: "s3.example.org" })).text).toBe("hello");
    expect((await raw({ host: "photos.elsewhere.org", target: "/photos/there" })).text).toBe("hello");
    expect((await raw({ host: "photos.s3.example.org", target: "/" })).text).toContain("<ListBucketResult");
  });

  test("/b and /b/ are the bucket; an empty bucket segment (//b/k) is 400 InvalidBucketName", async () => {
    for (const target of ["/photos", "/photos/"]) {
      expect((await ask(world, { target })).text).toContain("<ListBucketResult");
    }
    expect(outcome(await ask(world, { target: "//photos/there" }))).toEqual([400, "InvalidBucketName"]);
  });
});

describe("Dispatch:", () => {
  test("a request that names a sub-resource never falls through to PutObject or GetObject", async () => {
    for (const target of ["/photos/there?torrent", "/photos/there?renameObject", "/photos/there?acl&tagging"]) {
      expect((await ask(world, { target })).status).toBe(501);
      expect((await put(target, [], "overwritten")).status).toBe(501);
    }
    expect((await ask(world, { target: "/photos/there" })).text).toBe("hello");
  });

  test("other unknown parameters (x-id) are signed and ignored", async () => {
    expect((await ask(world, { target: "/photos/there?x-id=GetObject&nonsense=1" })).text).toBe("hello");
    expect(outcome(await raw({ target: "/photos/there?x-id=GetObject", edit: (a) => a.replace(/.$/, "0") }))[0]).toBe(
      403,
    );
  });

  test("PUT ?acl needs the right to write, and of an object also to read whether it is there", async () => {
    const set = (target: string, accessKeyId: string, acl = "private") =>
      ask(world, { method: "PUT", target: `${target}?acl`, headers: [["x-amz-acl", acl]], accessKeyId });
    for (const target of ["/photos", "/photos/there"]) {
      expect(outcome(await set(target, READER.accessKeyId))).toEqual([403, "AccessDenied"]);
      expect(outcome(await set(target, READER.accessKeyId, "public-read"))).toEqual([403, "AccessDenied"]);
      expect((await set(target, CREDENTIAL.accessKeyId)).status).toBe(200);
    }
    expect((await set("/photos", WRITER.accessKeyId)).status).toBe(200);
    expect(outcome(await set("/photos/there", WRITER.accessKeyId))).toEqual([403, "AccessDenied"]);
  });

  test("x-amz-acl: private and x-amz-storage-class: STANDARD are accepted; other ACLs and classes are 400", async () => {
    const ok: HeaderList = [
      ["x-amz-acl", "private"],
      ["x-amz-storage-class", "STANDARD"],
    ];
    expect((await put("/photos/plain", ok)).status).toBe(200);
    for (const acl of ["public-read", "bucket-owner-full-control", "authenticated-read"]) {
      expect(outcome(await put("/photos/plain", [["x-amz-acl", acl]]))).toEqual([400, "AccessControlListNotSupported"]);
    }
    for (const storageClass of ["GLACIER", "STANDARD_IA", "standard"]) {
      const headers: HeaderList = [["x-amz-storage-class", storageClass]];
      expect(outcome(await put("/photos/plain", headers))).toEqual([400, "InvalidStorageClass"]);
    }
  });
});

describe("Who asks:", () => {
  test("SigV4 by header, with or without a space after its commas", async () => {
    expect((await raw({})).status).toBe(200);
    expect((await raw({ edit: (authorization) => authorization.replaceAll(", ", ",") })).status).toBe(200);
    expect((await raw({ secret: "wrong" })).code).toBe("SignatureDoesNotMatch");
  });

  test("by header and by query at once: 400 InvalidArgument", async () => {
    const answer = await follow(presigned({}), "GET", [["Authorization", "AWS4-HMAC-SHA256 Credential=x"]]);
    expect(outcome(answer)).toEqual([400, "InvalidArgument"]);
  });

  test("x-amz-date (or Date) within 15 minutes, else 403 RequestTimeTooSkewed", async () => {
    const minutes = (count: number) => Date.now() + count * 60_000;
    expect((await raw({ atMs: minutes(14) })).status).toBe(200);
    expect((await raw({ atMs: minutes(-14) })).status).toBe(200);
    expect(outcome(await raw({ atMs: minutes(16) }))).toEqual([403, "RequestTimeTooSkewed"]);
    expect(outcome(await raw({ atMs: minutes(-16) }))).toEqual([403, "RequestTimeTooSkewed"]);
    const now = Math.floor(Date.now() / 1000) * 1000;
    expect((await raw({ atMs: now, date: new Date(now).toUTCString() })).status).toBe(200);
  });

  test("the scope's day is that date's, its service s3, any region name (s3cmd signs CreateBucket with US)", async () => {
    for (const region of ["US", "local", "eu-central-1", "x"]) expect((await raw({ region })).status).toBe(200);
    const day = stampAt(Date.now()).slice(0, 8);
    expect((await raw({ edit: (a) => a.replace(`/${day}/`, "/20200101/") })).status).toBe(400);
    expect((await raw({ edit: (a) => a.replace("/s3/", "/ec2/") })).status).toBe(400);
  });

  test("Signature V2: 400 InvalidRequest, telling to use V4", async () => {
    const header = await send(world, "GET", "/photos/there", [
      ["Host", "h"],
      ["Authorization", "AWS AKIA:signature"],
    ]);
    const query = await send(world, "GET", "/photos/there?AWSAccessKeyId=A&Expires=1&Signature=x", [["Host", "h"]]);
    for (const answer of [header, query]) {
      expect(outcome(answer)).toEqual([400, "InvalidRequest"]);
      expect(answer.text).toContain("Signature Version 4");
    }
  });

  test("header values are hashed as latin1, trimmed, runs of spaces become one, repeated headers joined by a comma", async () => {
    const value = Buffer.from("ü  two   spaces").toString("latin1");
    expect((await put("/photos/latin", [["x-amz-meta-who", ` ${value} `]])).status).toBe(200);
    const got = await ask(world, { target: "/photos/latin" });
    expect(Buffer.from(String(got.headers["x-amz-meta-who"]), "latin1").toString()).toContain("ü");
    const joined = await raw({
      method: "PUT",
      target: "/photos/joined",
      body: Buffer.from("x"),
      headers: [["x-amz-meta-a", "1,2"]],
    });
    expect(joined.status).toBe(200);
  });

  test("the path is cut by hand: //, . and .. stay, + is a plus, # and % belong to the name", async () => {
    for (const name of ["a//b", "./a", "../a", "a/./b", "a%2Bb", "a%23b", "a%25b", "%20", "a%3Fb"]) {
      expect([name, (await put(`/photos/${name}`, [], name)).status]).toEqual([name, 200]);
      expect((await ask(world, { target: `/photos/${name}` })).text).toBe(name);
    }
  });

  test("host and every x-amz-* header present must be signed, in both forms, else 403 AccessDenied", async () => {
    expect(outcome(await raw({ unsigned: [["x-amz-meta-a", "1"]] }))).toEqual([403, "AccessDenied"]);
    expect((await raw({ unsigned: [["X-Other", "1"]] })).status).toBe(200);
    expect(outcome(await follow(presigned({}), "GET", [["x-amz-meta-a", "1"]]))).toEqual([403, "AccessDenied"]);
    expect((await follow(presigned({}), "GET", [["x-amz-content-sha256", "UNSIGNED-PAYLOAD"]])).status).toBe(200);
    const withoutHost = await raw({ edit: (a) => a.replace("SignedHeaders=host;", "SignedHeaders=") });
    expect(withoutHost.status).toBe(403);
  });

  test("x-amz-content-sha256 is 64 hex digits or one of the four words, else 400", async () => {
    expect(outcome(await raw({ payload: "nothing" }))).toEqual([400, "InvalidArgument"]);
    expect(outcome(await raw({ payload: "A".repeat(64) }))).toEqual([400, "InvalidArgument"]);
    expect((await raw({ payload: "UNSIGNED-PAYLOAD" })).status).toBe(200);
    expect(outcome(await raw({ payload: "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" }))).toEqual([
      400,
      "InvalidArgument",
    ]);
  });

  test("absent: in the header form the empty body's hash, with a body 400 InvalidRequest; in the query form unsigned", async () => {
    expect((await raw({ omitPayload: true })).status).toBe(200);
    const withBody = await raw({ omitPayload: true, method: "PUT", target: "/photos/absent", body: Buffer.from("x") });
    expect(outcome(withBody)).toEqual([400, "InvalidRequest"]);
    const url = presigned({ method: "PUT", target: "/photos/absent" });
    expect((await follow(url, "PUT", [], Buffer.from("any"))).status).toBe(200);
  });

  test("X-Amz-Expires 1–604800; expired or not yet valid 403 AccessDenied; a missing part 400", async () => {
    const bad = [400, "AuthorizationQueryParametersError"];
    for (const expires of [0, 604_801, -1, "x", ""]) expect(outcome(await follow(presigned({ expires })))).toEqual(bad);
    expect((await follow(presigned({ expires: 604_800 }))).status).toBe(200);
    const denied = [403, "AccessDenied"];
    expect(outcome(await follow(presigned({ expires: 1, atMs: Date.now() - 5000 })))).toEqual(denied);
    expect(outcome(await follow(presigned({ atMs: Date.now() + 3_600_000 })))).toEqual(denied);
    for (const part of ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"]) {
      const url = presigned({}).replace(new RegExp(`[&?]X-Amz-${part}=[^&]*`), (found) =>
        found[0] === "?" ? "?" : "",
      );
      expect([part, ...outcome(await follow(url))]).toEqual([part, ...bad]);
    }
  });

  test("signed x-amz-* parameters stand for headers, except x-amz-checksum-* and x-amz-sdk-checksum-algorithm", async () => {
    const url = presigned({
      method: "PUT",
      target: "/photos/by-url",
      extra: [
        "x-amz-meta-a=1",
        "x-amz-checksum-crc32=AAAAAA%3D%3D",
        "x-amz-sdk-checksum-algorithm=CRC32",
        "x-amz-server-side-encryption=AES256",
      ],
    });
    const stored = await follow(url, "PUT", [], Buffer.from("hello"));
    expect([stored.status, stored.headers["x-amz-server-side-encryption"]]).toEqual([200, "AES256"]);
    expect((await ask(world, { target: "/photos/by-url" })).headers["x-amz-meta-a"]).toBe("1");
  });

  test("a credential limited to some buckets gets 403 for any other name, whether it exists or not", async () => {
    for (const target of ["/music/a", "/nowhere/a", "/music", "/nowhere"]) {
      expect(outcome(await ask(world, { target }))).toEqual([403, "AccessDenied"]);
    }
  });

  test("NoSuchKey needs List permission, else 403. No signature at all: 403 AccessDenied", async () => {
    expect(outcome(await ask(world, { target: "/photos/none" }))).toEqual([404, "NoSuchKey"]);
    expect(outcome(await ask(world, { target: "/photos/none", accessKeyId: "READER" }))).toEqual([403, "AccessDenied"]);
    expect(outcome(await send(world, "GET", "/photos/there", [["Host", "h"]]))).toEqual([403, "AccessDenied"]);
  });
});

describe("A request that expects an owner", () => {
  const EXPECTED = "x-amz-expected-bucket-owner";
  const ordinary: readonly (readonly [method: string, target: string])[] = [
    ["GET", "/photos/there"],
    ["PUT", "/photos/owned"],
    ["DELETE", "/photos/there"],
    ["PUT", "/photos/there?tagging"],
    ["POST", "/photos?delete"],
    ["GET", "/photos?list-type=2"],
    ["HEAD", "/photos"],
    ["GET", "/photos?acl"],
    ["PUT", "/made"],
    ["POST", "/photos/there?uploads"],
  ];
  test.each(ordinary)("of another name gets 403 AccessDenied: %s %s", async (method, target) => {
    const body = method === "PUT" ? { body: Buffer.from("other") } : {};
    const refused = await ask(world, { method, target, headers: [[EXPECTED, "111122223333"]], ...body });
    expect(refused.status).toBe(403);
    if (method !== "HEAD") expect(refused.code).toBe("AccessDenied");
    expect((await ask(world, { target: "/photos/there" })).text).toBe("hello");
    expect((await ask(world, { target: "/photos/owned" })).code).toBe("NoSuchKey");
  });

  test("that the answers name is served, and one without a bucket has none", async () => {
    expect((await ask(world, { target: "/photos?acl" })).text).toContain("<Owner><ID>coffer</ID>");
    expect((await ask(world, { target: "/photos/there", headers: [[EXPECTED, "coffer"]] })).text).toBe("hello");
    expect((await ask(world, { headers: [[EXPECTED, "111122223333"]] })).status).toBe(200);
  });

  test("is judged by who signed it, and a presigned one too", async () => {
    const unknown = { accessKeyId: "NOBODY", headers: [[EXPECTED, "111122223333"]] as const };
    expect((await ask(world, { target: "/photos/there", ...unknown })).code).toBe("InvalidAccessKeyId");
    const other = presigned({ extra: [`${EXPECTED}=111122223333`] });
    expect(outcome(await follow(other))).toEqual([403, "AccessDenied"]);
    expect((await follow(presigned({ extra: [`${EXPECTED}=coffer`] }))).status).toBe(200);
  });

  test("of the source of a copy is held to it as well", async () => {
    const copy = (owner: string, target = "/photos/copied") =>
      ask(world, {
        method: "PUT",
        target,
        headers: [
          ["x-amz-copy-source", "photos/there"],
          ["x-amz-source-expected-bucket-owner", owner],
        ],
      });
    expect(outcome(await copy("111122223333"))).toEqual([403, "AccessDenied"]);
    const part = await copy("111122223333", "/photos/copied?partNumber=1&uploadId=none");
    expect(outcome(part)).toEqual([403, "AccessDenied"]);
    expect((await ask(world, { target: "/photos/copied" })).code).toBe("NoSuchKey");
    expect((await copy("coffer")).status).toBe(200);
  });
});

describe("Names:", () => {
  test("a name is 1–1,024 bytes of UTF-8 after one decoding: longer 400 KeyTooLongError", async () => {
    expect((await put(`/photos/${"a".repeat(1024)}`)).status).toBe(200);
    expect(outcome(await put(`/photos/${"a".repeat(1025)}`))).toEqual([400, "KeyTooLongError"]);
    expect((await put(`/photos/${"%C3%BC".repeat(512)}`)).status).toBe(200);
    expect(outcome(await put(`/photos/${"%C3%BC".repeat(512)}a`))).toEqual([400, "KeyTooLongError"]);
  });

  test("invalid UTF-8, a bad % or NUL 400 InvalidURI", async () => {
    for (const name of ["%ff", "%zz", "%2", "%", "%00", "a%00b", "%C3"]) {
      expect([name, ...outcome(await ask(world, { target: `/photos/${name}` }))]).toEqual([name, 400, "InvalidURI"]);
    }
  });

  test("a//b, /a, a/, ., a/../b are ordinary, different names, kept byte for byte", async () => {
    const names = ["x//b", "x/b", "/x", "x/", ".", "..", "x/../b", "x/./b"];
    for (const name of names) await put(`/photos/${name}`, [], name);
    for (const name of names) expect((await ask(world, { target: `/photos/${name}` })).text).toBe(name);
  });

  test("ordered, compared and paged as UTF-8 bytes, whose order differs from UTF-16 beyond U+FFFF", async () => {
    const names = ["z\uffee", "z\u{1f600}", "za", "zZ", "z\u00e9"];
    for (const name of names) await put(`/photos/order/${encodeURIComponent(name)}`);
    const sorted = names.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    const found: string[] = [];
    for (let after = ""; ; ) {
      const target = `/photos?list-type=2&max-keys=1&prefix=order%2F&start-after=${encodeURIComponent(after)}`;
      const key = /<Key>([^<]*)<\/Key>/.exec((await ask(world, { target })).text)?.[1];
      if (key === undefined) break;
      found.push(key);
      after = key;
    }
    expect(found).toEqual(sorted.map((name) => `order/${name}`));
  });

  test("user metadata: at most 2 KiB of names and values (400 MetadataTooLarge), returned with the bytes that came", async () => {
    const value = (length: number): HeaderList => [["x-amz-meta-k", "v".repeat(length)]];
    expect((await put("/photos/meta", value(2047))).status).toBe(200);
    expect(outcome(await put("/photos/meta", value(2048)))).toEqual([400, "MetadataTooLarge"]);
    const bytes = Buffer.from("Grüße 🎉", "utf8").toString("latin1");
    await put("/photos/meta", [["x-amz-meta-who", bytes]]);
    expect((await ask(world, { target: "/photos/meta" })).headers["x-amz-meta-who"]).toBe(bytes);
  });
});

describe("Bodies:", () => {
  const sums: Record<string, string> = {
    "x-amz-checksum-sha1": createHash("sha1").update("hello").digest("base64"),
    "x-amz-checksum-sha256": createHash("sha256").update("hello").digest("base64"),
    "x-amz-checksum-sha512": createHash("sha512").update("hello").digest("base64"),
    "x-amz-checksum-md5": createHash("md5").update("hello").digest("base64"),
    "x-amz-checksum-crc32": "NhCmhg==",
    "x-amz-checksum-crc32c": "mnG7TA==",
    "x-amz-checksum-crc64nvme": "M3eFcAZSQlc=",
  };
  test.each(Object.entries(sums))("%s is verified, kept, and answered with its type", async (name, value) => {
    const stored = await put("/photos/summed", [[name, value]]);
    expect([stored.status, stored.headers[name]]).toEqual([200, value]);
    const mode: HeaderList = [["x-amz-checksum-mode", "ENABLED"]];
    for (const method of ["GET", "HEAD"]) {
      const { headers } = await ask(world, { method, target: "/photos/summed", headers: mode });
      expect([headers[name], headers["x-amz-checksum-type"]]).toEqual([value, "FULL_OBJECT"]);
      const range = await ask(world, { method, target: "/photos/summed", headers: [...mode, ["Range", "bytes=0-1"]] });
      expect([range.status, range.headers[name]]).toEqual([206, undefined]);
    }
    expect(outcome(await put("/photos/summed", [[name, value]], "other"))).toEqual([400, "BadDigest"]);
    expect(outcome(await put("/photos/summed", [[name, "x"]]))).toEqual([400, "InvalidDigest"]);
  });

  test("one that we lack (XXHASH…), or two values: 400 InvalidRequest, naming ours; never stored unverified", async () => {
    for (const name of ["xxhash3", "xxhash64", "xxhash128", "crc16"]) {
      const refused = await put("/photos/never", [[`x-amz-checksum-${name}`, "AAAAAAAAAAA="]]);
      expect(outcome(refused)).toEqual([400, "InvalidRequest"]);
      expect(refused.text).toContain("CRC64NVME");
    }
    const two = Object.entries(sums).slice(0, 2);
    expect(outcome(await put("/photos/never", two))).toEqual([400, "InvalidRequest"]);
    expect(outcome(await put("/photos/never", [["x-amz-sdk-checksum-algorithm", "CRC32"]]))[0]).toBe(400);
    expect((await ask(world, { target: "/photos/never" })).status).toBe(404);
  });

  test("Content-MD5 is verified over the decoded bytes, empty bodies too", async () => {
    const md5 = (text: string): HeaderList => [["Content-MD5", createHash("md5").update(text).digest("base64")]];
    expect((await put("/photos/md5", md5("hello"))).status).toBe(200);
    expect(outcome(await put("/photos/md5", md5("other")))).toEqual([400, "BadDigest"]);
    expect((await put("/photos/md5", md5(""), "")).status).toBe(200);
    expect(outcome(await put("/photos/md5", md5("x"), ""))).toEqual([400, "BadDigest"]);
    expect(outcome(await put("/photos/md5", [["Content-MD5", "AAAA"]]))).toEqual([400, "InvalidDigest"]);
  });

  test("aws-chunked is taken out of the stored Content-Encoding", async () => {
    await put("/photos/encoded", [["Content-Encoding", "gzip,aws-chunked"]]);
    expect((await ask(world, { target: "/photos/encoded" })).headers["content-encoding"]).toBe("gzip");
  });
});

describe("Every answer", () => {
  test("has x-amz-request-id and Date; errors are XML with Code, Message, Resource, RequestId; HEAD and 304 without body", async () => {
    for (const target of ["/photos/there", "/photos/none"]) {
      const { headers } = await ask(world, { target });
      expect([headers["x-amz-request-id"], headers["date"]]).toEqual([expect.any(String), expect.any(String)]);
    }
    const error = await ask(world, { target: "/photos/none" });
    expect(error.text).toMatch(
      /<Error><Code>NoSuchKey<\/Code><Message>.+<\/Message><Resource>\/photos\/none<\/Resource><RequestId>.+<\/RequestId><\/Error>$/,
    );
    expect((await ask(world, { method: "HEAD", target: "/photos/none" })).text).toBe("");
  });
});
