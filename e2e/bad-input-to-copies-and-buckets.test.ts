// What is wrong with a copy, a list of names to delete, tags, a bucket or its encryption gets its code, and changes nothing.

import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Pair } from "./dataplane.ts";
import { type Credentials, removeFolders } from "./harness.ts";
import { codeOf, elements } from "./s3.ts";
import { createMd5Bucket, type SelfService, startSelfService } from "./selfservice.ts";
import { sha256, signHeaders } from "./signature.ts";
import { converse, headOf } from "./wire.ts";

const MIB = 1024 * 1024;

let service: SelfService;
let app: Credentials;
let admin: Credentials;
let pid: number;
let upload: string;
let before: unknown;

interface Sent {
  readonly method?: string;
  readonly target: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** Of a bucket's own credentials, unless said otherwise. */
  readonly as?: "app" | "admin";
  readonly payload?: string;
}

async function send({ method = "PUT", target, headers = {}, body = "", as = "app", payload }: Sent) {
  const { accessKeyId, secretAccessKey, endpoint } = as === "app" ? app : admin;
  const { port, host } = new URL(endpoint);
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const pair: Pair = { accessKeyId, secret: secretAccessKey, token: "" };
  const hash = payload ?? sha256(bytes);
  const signed = signHeaders(pair, { method, target, headers: { host, ...headers } }, hash);
  const length = method === "GET" ? {} : { "content-length": String(bytes.length) };
  const answer = await converse(Number(port), [headOf(method, target, { ...length, ...signed.headers }), bytes]);
  if (answer === undefined) throw new Error(`${method} ${target} got no answer`);
  return answer;
}

async function codeOfAnswer(sent: Sent): Promise<string> {
  const answer = await send(sent);
  return `${answer.status}${answer.broken ? " broken" : ""} ${codeOf(answer)}`.trim();
}

/** A table of what is sent, by a sentence, and what answers it. */
function refused(cases: Readonly<Record<string, readonly [sent: () => Sent, answer: string]>>): void {
  it.each(Object.entries(cases))("%s", async (_sentence, [sent, answer]) => {
    expect(await codeOfAnswer(sent())).toBe(answer);
  });
}

const md5Of = (text: string | Uint8Array) => createHash("md5").update(text).digest("base64");

async function everything(): Promise<unknown> {
  const listings = [];
  for (const [as, bucket] of [
    ["app", "photos"],
    ["admin", "wrongs"],
  ] as const) {
    const listed = await send({ method: "GET", target: `/${bucket}?list-type=2`, as });
    const text = listed.body.toString();
    listings.push(["Key", "ETag", "LastModified"].map((name) => elements(text, name)));
  }
  const buckets = await send({ method: "GET", target: "/", as: "admin" });
  const uploads = await send({ method: "GET", target: "/photos?uploads" });
  return {
    listings,
    buckets: elements(buckets.body.toString(), "Name"),
    uploads: elements(uploads.body.toString(), "Key"),
  };
}

beforeAll(async () => {
  service = await startSelfService();
  ({ app } = service);
  admin = await createMd5Bucket(service.admin, "wrongs");
  pid = await service.store.dataPlanePid();
  for (const [target, as] of [
    ["/photos/there", "app"],
    ["/photos/other", "app"],
    ["/wrongs/there", "admin"],
  ] as const) {
    expect((await send({ target, as, body: "hello" })).status).toBe(200);
  }
  const created = await send({ method: "POST", target: "/photos/parts?uploads" });
  upload = elements(created.body.toString(), "UploadId")[0] ?? "";
  before = await everything();
});
afterAll(async () => {
  await service?.store.stop();
  if (service !== undefined) await removeFolders(service.store);
});

describe("a list of names to delete", () => {
  const target = "/photos?delete";
  const list =
    (body: string | Uint8Array, headers: Readonly<Record<string, string>> = {}) =>
    (): Sent => ({
      method: "POST",
      target,
      body,
      headers: { "content-md5": md5Of(body), ...headers },
    });
  const names = (count: number) => "<Object><Key>none</Key></Object>".repeat(count);
  const there = "<Delete><Object><Key>there</Key></Object></Delete>";
  refused({
    "without a checksum": [() => ({ method: "POST", target, body: there }), "400 InvalidRequest"],
    "with an MD5 that is none": [list(there, { "content-md5": "?" }), "400 InvalidDigest"],
    "with the MD5 of another": [list(there, { "content-md5": md5Of("other") }), "400 BadDigest"],
    "with a CRC32 of another": [list(there, { "x-amz-checksum-crc32": "AAAAAA==" }), "400 BadDigest"],
    "with a checksum that there is not": [
      list(there, { "x-amz-checksum-xxhash64": "AAAAAAAAAAA=" }),
      "400 InvalidRequest",
    ],
    "with another hash than is signed": [
      () => ({ ...list(there)(), payload: sha256("other") }),
      "400 XAmzContentSHA256Mismatch",
    ],
    "that is empty": [list(""), "400 MalformedXML"],
    "without a name": [list("<Delete></Delete>"), "400 MalformedXML"],
    "that does not end": [list("<Delete><Object><Key>there</Key></Object>"), "400 MalformedXML"],
    "that is something else": [list("<Tagging><Object><Key>there</Key></Object></Tagging>"), "400 MalformedXML"],
    "that is JSON": [list('{"Objects":[{"Key":"there"}]}'), "400 MalformedXML"],
    "with an object that has no name": [list("<Delete><Object></Object></Delete>"), "400 MalformedXML"],
    "with an object that has an empty name": [
      list("<Delete><Object><Key></Key></Object></Delete>"),
      "400 MalformedXML",
    ],
    "with a document type": [list(`<!DOCTYPE d [<!ENTITY a "there">]>${there}`), "400 MalformedXML"],
    "with an entity that there is not": [
      list("<Delete><Object><Key>&there;</Key></Object></Delete>"),
      "400 MalformedXML",
    ],
    "that is no UTF-8": [
      list(Buffer.from("<Delete><Object><Key>\xff</Key></Object></Delete>", "latin1")),
      "400 MalformedXML",
    ],
    "of more than a thousand": [list(`<Delete>${names(1001)}</Delete>`), "400 MalformedXML"],
    "of more than eight MiB": [list(`<Delete>${" ".repeat(8 * MIB)}${names(1)}</Delete>`), "400 MalformedXML"],
    "of another's bucket": [() => ({ ...list(there)(), target: "/wrongs?delete" }), "403 AccessDenied"],
    "of no bucket": [() => ({ ...list(there)(), target: "/nowhere?delete", as: "admin" }), "404 NoSuchBucket"],
  });

  it("tells of each name that it cannot be one, and deletes the others", async () => {
    const body = `<Delete><Object><Key>${"x".repeat(1025)}</Key></Object>${names(1)}</Delete>`;
    const answer = await send(list(body)());
    expect(answer.status).toBe(200);
    const text = answer.body.toString();
    expect(elements(elements(text, "Error")[0] ?? "", "Code")).toEqual(["KeyTooLongError"]);
    expect(elements(elements(text, "Deleted")[0] ?? "", "Key")).toEqual(["none"]);
  });
});

describe("a copy", () => {
  const copy =
    (source: string, headers: Readonly<Record<string, string>> = {}, target = "/photos/copied") =>
    (): Sent => ({
      target,
      headers: { "x-amz-copy-source": source, ...headers },
    });
  refused({
    "of nothing": [copy(""), "400 InvalidArgument"],
    "of a name alone": [copy("there"), "400 InvalidArgument"],
    "of a bucket alone": [copy("/photos/"), "400 InvalidArgument"],
    "of a name that is not encoded well": [copy("photos/%zz"), "400 InvalidURI"],
    "of a name that is no UTF-8": [copy("photos/%ff"), "400 InvalidURI"],
    "of a name with a NUL": [copy("photos/%00"), "400 InvalidURI"],
    "of a name that is too long": [copy(`photos/${"x".repeat(1025)}`), "400 KeyTooLongError"],
    "of an object that is not there": [copy("photos/none"), "404 NoSuchKey"],
    "of a version that is not there": [copy("photos/there?versionId=3"), "400 InvalidArgument"],
    "of another's object": [copy("wrongs/there"), "403 AccessDenied"],
    "of no bucket": [copy("nowhere/there"), "403 AccessDenied"],
    "onto another's name": [copy("photos/there", {}, "/wrongs/copied"), "403 AccessDenied"],
    "onto itself, without a change": [copy("photos/there", {}, "/photos/there"), "400 InvalidRequest"],
    "with a directive that there is not": [
      copy("photos/there", { "x-amz-metadata-directive": "MOVE" }),
      "400 InvalidArgument",
    ],
    "with a directive for tags that there is not": [
      copy("photos/there", { "x-amz-tagging-directive": "MOVE" }),
      "400 InvalidArgument",
    ],
    "whose condition does not hold": [
      copy("photos/there", { "x-amz-copy-source-if-match": '"other"' }),
      "412 PreconditionFailed",
    ],
    "whose condition on what is there does not hold": [
      copy("photos/there", { "if-none-match": "*" }, "/photos/other"),
      "412 PreconditionFailed",
    ],
    "with too many metadata": [
      copy("photos/there", { "x-amz-metadata-directive": "REPLACE", "x-amz-meta-a": "x".repeat(2049) }),
      "400 MetadataTooLarge",
    ],
    "with a key that is not the bucket's": [
      copy("photos/there", {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "other",
      }),
      "400 KMS.NotFoundException",
    ],
    "with a cipher that there is not": [
      copy("photos/there", { "x-amz-server-side-encryption": "ROT13" }),
      "400 InvalidArgument",
    ],
    "with two layers": [copy("photos/there", { "x-amz-server-side-encryption": "aws:kms:dsse" }), "501 NotImplemented"],
    "with a context that is no base64": [
      copy("photos/there", {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-context": "{}",
      }),
      "400 InvalidArgument",
    ],
  });
});

describe("a copied part", () => {
  const part =
    (query: string, headers: Readonly<Record<string, string>> = {}) =>
    (): Sent => ({
      target: `/photos/parts?${query.replace("UPLOAD", upload)}`,
      headers: { "x-amz-copy-source": "photos/there", ...headers },
    });
  const first = "partNumber=1&uploadId=UPLOAD";
  refused({
    "of an upload that is not there": [part("partNumber=1&uploadId=none"), "404 NoSuchUpload"],
    "with the number 0": [part("partNumber=0&uploadId=UPLOAD"), "400 InvalidArgument"],
    "with a number that is too high": [part("partNumber=10001&uploadId=UPLOAD"), "400 InvalidArgument"],
    "with a number that is none": [part("partNumber=x&uploadId=UPLOAD"), "400 InvalidArgument"],
    "with a range that is none": [part(first, { "x-amz-copy-source-range": "bytes=a-b" }), "400 InvalidArgument"],
    "with a range that has no end": [part(first, { "x-amz-copy-source-range": "bytes=0-" }), "400 InvalidArgument"],
    "with a range behind the end": [part(first, { "x-amz-copy-source-range": "bytes=0-5" }), "416 InvalidRange"],
    "of an object that is not there": [part(first, { "x-amz-copy-source": "photos/none" }), "404 NoSuchKey"],
    "whose condition does not hold": [
      part(first, { "x-amz-copy-source-if-match": '"other"' }),
      "412 PreconditionFailed",
    ],
  });
});

describe("tags", () => {
  const tags =
    (body: string, target = "/photos/there?tagging") =>
    (): Sent => ({ target, body });
  const tag = (name: string, value = "x") => `<Tag><Key>${name}</Key><Value>${value}</Value></Tag>`;
  const tagged = (inner: string) => `<Tagging><TagSet>${inner}</TagSet></Tagging>`;
  const many = Array.from({ length: 11 }, (_, at) => tag(`t${at}`)).join("");
  refused({
    "that are nothing": [tags(""), "400 MalformedXML"],
    "without a set": [tags("<Tagging></Tagging>"), "400 MalformedXML"],
    "that do not end": [tags("<Tagging><TagSet>"), "400 MalformedXML"],
    "without a name": [tags(tagged("<Tag><Value>x</Value></Tag>")), "400 MalformedXML"],
    "without a value": [tags(tagged("<Tag><Key>x</Key></Tag>")), "400 MalformedXML"],
    "with an empty name": [tags(tagged(tag(""))), "400 InvalidTag"],
    "with a name that is too long": [tags(tagged(tag("x".repeat(129)))), "400 InvalidTag"],
    "with a value that is too long": [tags(tagged(tag("x", "y".repeat(257)))), "400 InvalidTag"],
    "twice of one name": [tags(tagged(tag("x") + tag("x"))), "400 InvalidTag"],
    "of more than ten": [tags(tagged(many)), "400 InvalidTag"],
    "of an object that is not there": [tags(tagged(tag("x")), "/photos/none?tagging"), "404 NoSuchKey"],
    "of another's object": [tags(tagged(tag("x")), "/wrongs/there?tagging"), "403 AccessDenied"],
    "in a header that is not encoded well": [
      () => ({ target: "/photos/bad", headers: { "x-amz-tagging": "a=%zz" } }),
      "400 InvalidArgument",
    ],
    "in a header, twice of one name": [
      () => ({ target: "/photos/bad", headers: { "x-amz-tagging": "a=1&a=2" } }),
      "400 InvalidTag",
    ],
    "with another MD5": [
      () => ({ ...tags(tagged(tag("x")))(), headers: { "content-md5": md5Of("other") } }),
      "400 BadDigest",
    ],
  });
});

describe("a bucket", () => {
  const make =
    (name: string, body = "") =>
    (): Sent => ({ target: `/${name}`, body, as: "admin" });
  refused({
    "with a name that is too short": [make("ab"), "400 InvalidBucketName"],
    "with capital letters": [make("Wrongs"), "400 InvalidBucketName"],
    "with two dots": [make("a..b"), "400 InvalidBucketName"],
    "with the name of an address": [make("10.0.0.1"), "400 InvalidBucketName"],
    "with a name that is too long": [make("a".repeat(64)), "400 InvalidBucketName"],
    "that is there": [make("wrongs"), "409 BucketAlreadyOwnedByYou"],
    "that is another's": [make("photos"), "409 BucketAlreadyExists"],
    "with settings that are no XML": [make("new-one", "{}"), "400 MalformedXML"],
    "with settings of something else": [make("new-one", "<Tagging></Tagging>"), "400 MalformedXML"],
    "made by who may not": [() => ({ target: "/new-one" }), "403 AccessDenied"],
    "removed by who may not": [() => ({ method: "DELETE", target: "/photos" }), "403 AccessDenied"],
    "removed while it holds something": [
      () => ({ method: "DELETE", target: "/wrongs", as: "admin" }),
      "409 BucketNotEmpty",
    ],
    "removed that is not there": [() => ({ method: "DELETE", target: "/nowhere", as: "admin" }), "404 NoSuchBucket"],
  });
});

describe("the encryption of a bucket", () => {
  const set =
    (rules: string, target = "/wrongs?encryption", as: "app" | "admin" = "admin") =>
    (): Sent => ({
      target,
      as,
      body: `<ServerSideEncryptionConfiguration>${rules}</ServerSideEncryptionConfiguration>`,
    });
  const rule = (inner: string) =>
    `<Rule><ApplyServerSideEncryptionByDefault>${inner}</ApplyServerSideEncryptionByDefault></Rule>`;
  const aes = "<SSEAlgorithm>AES256</SSEAlgorithm>";
  const kms = "<SSEAlgorithm>aws:kms</SSEAlgorithm>";
  refused({
    "that is nothing": [() => ({ target: "/wrongs?encryption", as: "admin" }), "400 MalformedXML"],
    "without a rule": [set(""), "400 MalformedXML"],
    "with two rules": [set(rule(aes) + rule(aes)), "400 MalformedXML"],
    "without a cipher": [set(rule("")), "400 MalformedXML"],
    "with a cipher that there is not": [set(rule("<SSEAlgorithm>ROT13</SSEAlgorithm>")), "400 MalformedXML"],
    "with two layers": [set(rule("<SSEAlgorithm>aws:kms:dsse</SSEAlgorithm>")), "501 NotImplemented"],
    "with a key and without a KMS": [set(rule(`${aes}<KMSMasterKeyID>a</KMSMasterKeyID>`)), "400 InvalidArgument"],
    "with a key that is not the bucket's": [
      set(rule(`${kms}<KMSMasterKeyID>other</KMSMasterKeyID>`)),
      "409 OperationAborted",
    ],
    "set by who may not": [set(rule(aes), "/photos?encryption", "app"), "403 AccessDenied"],
    "of no bucket": [set(rule(aes), "/nowhere?encryption"), "404 NoSuchBucket"],
  });
});

describe("attributes", () => {
  const ask =
    (wanted: string | undefined, name = "there") =>
    (): Sent => ({
      method: "GET",
      target: `/photos/${name}?attributes`,
      headers: wanted === undefined ? {} : { "x-amz-object-attributes": wanted },
    });
  refused({
    "of which none is wanted": [ask(undefined), "400 InvalidArgument"],
    "that there are not": [ask("ETag,Weight"), "400 InvalidArgument"],
    "of an object that is not there": [ask("ETag", "none"), "404 NoSuchKey"],
  });
});

describe("after all of it", () => {
  it("nothing has changed, and it is the same process", async () => {
    expect(await everything()).toEqual(before);
    expect(await service.store.dataPlanePid()).toBe(pid);
    expect((await send({ method: "GET", target: "/photos/there" })).body.toString()).toBe("hello");
    const tags = await send({ method: "GET", target: "/photos/there?tagging" });
    expect(elements(tags.body.toString(), "Tag")).toEqual([]);
  });
});
