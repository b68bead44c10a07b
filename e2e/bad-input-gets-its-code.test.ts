// Requests that no client library would send, over plain sockets: each gets its code, the process lives, and nothing of what
// was refused stays. Clients who are slow take their minute beside all others.

import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BUCKET, DataPlane, type Pair } from "./dataplane.ts";
import { bodyOf } from "./load.ts";
import { elements, S3 } from "./s3.ts";
import { type Chain, encodeName, presign, type SigningOptions, sha256, signHeaders } from "./signature.ts";
import { misfits, openVolume } from "./volume.ts";
import { converse, headOf, type Move, type WireAnswer } from "./wire.ts";

const HELLO = Buffer.from("hello");
const LARGE = bodyOf("300000-large");
const ENCRYPTION = `/api/v1/buckets/${BUCKET}/encryption`;
const MINUTE_MS = 60_000;

let plane: DataPlane;
let s3: S3;
let pair: Pair;
let host: string;
let pid: number;
let slow: Promise<SlowAnswers>;

/** What is refused, as `status code`: of S3 in XML, of REST in JSON, of a HEAD its status alone. */
async function refusalOf(port: number, moves: readonly Move[]): Promise<string> {
  return printed(await converse(port, moves));
}

function printed(answer: WireAnswer | undefined): string {
  if (answer === undefined) return "no answer";
  const text = answer.body.toString();
  const code = text.startsWith("{") ? (JSON.parse(text) as { code?: string }).code : elements(text, "Code")[0];
  return `${answer.status}${answer.broken ? " broken" : ""} ${code ?? ""}`.trim();
}

interface Sent {
  readonly method?: string;
  readonly target?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  readonly payload?: string;
  readonly signing?: SigningOptions;
  readonly pair?: Pair;
  /** Changes the head once it has been signed. */
  readonly spoil?: (head: Record<string, string>) => void;
}

/** A signed request of S3, by default a PUT of five bytes. */
function signed(sent: Sent): readonly Move[] {
  const { method = "PUT", target = `/${BUCKET}/bad`, body = HELLO } = sent;
  const bytes = typeof body === "string" ? Buffer.from(body) : body;
  const payload = sent.payload ?? "UNSIGNED-PAYLOAD";
  const unsigned = { method, target, headers: { host, ...sent.headers } };
  const { headers } = signHeaders(sent.pair ?? pair, unsigned, payload, sent.signing);
  const length = { "content-length": String(bytes.length) };
  const whole: Record<string, string> = { ...(method === "GET" || method === "HEAD" ? {} : length), ...headers };
  sent.spoil?.(whole);
  return [headOf(method, target, whole), bytes];
}

const put = (sent: Sent = {}) => refusalOf(plane.s3Port, signed(sent));
const get = (sent: Sent = {}) => refusalOf(plane.s3Port, signed({ method: "GET", body: "", ...sent }));

/** What a PUT in chunks sends behind its head, given the chain of their signatures. */
type Chunks = (chain: Chain) => string;

interface Chunked {
  readonly payload?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly decoded?: number;
  readonly chunks: Chunks;
  readonly end?: boolean;
}

const SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";

function chunked({
  payload = SIGNED_CHUNKS,
  headers = {},
  decoded = 5,
  chunks,
  end = false,
}: Chunked): Promise<string> {
  const target = `/${BUCKET}/bad`;
  const all = { host, "x-amz-decoded-content-length": String(decoded), "content-encoding": "aws-chunked", ...headers };
  const { headers: ready, chain } = signHeaders(pair, { method: "PUT", target, headers: all }, payload);
  const body = chunks(chain);
  const length = String(body.length + (end ? 1000 : 0));
  const head = headOf("PUT", target, { ...ready, "content-length": length });
  return refusalOf(plane.s3Port, end ? [head, body, "END"] : [head, body]);
}

const chunk = (chain: Chain, text: string) =>
  `${text.length.toString(16)};chunk-signature=${chain.chunk(Buffer.from(text))}\r\n${text}\r\n`;
const lastChunk = (chain: Chain) => `0;chunk-signature=${chain.chunk(Buffer.alloc(0))}\r\n`;

const crcOf = (text: string): string => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(text));
  return bytes.toString("base64");
};

/** Unsigned chunks with these lines behind them. */
const trailing = (lines: string, announced = "x-amz-checksum-crc32"): Promise<string> =>
  chunked({
    payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    headers: { "x-amz-trailer": announced },
    chunks: () => `5\r\nhello\r\n0\r\n${lines}\r\n`,
  });

function counts(): object {
  const { index } = openVolume(plane.dataDir);
  const count = (table: string) => index.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"];
  const found = {
    records: count("records"),
    uploads: count("uploads"),
    parts: count("parts"),
    bodies: count("bodies"),
  };
  index.close();
  return found;
}

let before: object;

beforeAll(async () => {
  plane = await DataPlane.create();
  const begunMs = performance.now();
  await plane.start();
  const startedMs = performance.now();
  s3 = new S3(plane);
  pair = plane.pair;
  host = `127.0.0.1:${plane.s3Port}`;
  pid = plane.pid;
  expect((await s3.put("hello", HELLO)).status).toBe(200);
  expect((await s3.put("large", LARGE)).status).toBe(200);
  expect((await s3.put("empty", new Uint8Array())).status).toBe(200);
  before = counts();
  // Once a minute the store looks who sends too slowly, and ends him the second time: who takes one must meet it once.
  const nowMs = performance.now();
  if (nowMs - begunMs > MINUTE_MS / 2) await sleep(MINUTE_MS - ((nowMs - startedMs) % MINUTE_MS));
  slow = slowClients();
});
afterAll(async () => {
  await slow;
  await plane?.remove();
});

/** A table of what is sent, by a sentence, and what answers it. */
function refused(cases: Readonly<Record<string, readonly [send: () => Promise<string>, answer: string]>>): void {
  it.each(Object.entries(cases))("%s", async (_sentence, [send, answer]) => {
    expect(await send()).toBe(answer);
  });
}

describe("no HTTP at all", () => {
  const wire = (...moves: readonly Move[]) => refusalOf(plane.s3Port, moves);
  refused({
    "is refused when it is noise": [
      () => wire("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
      "400 InvalidRequest",
    ],
    "is refused without a version, as what is not signed": [() => wire("GET /\r\n\r\n"), "403 AccessDenied"],
    "is refused with a version of its own": [
      () => wire(`GET / HTTP/9.9\r\nhost: ${host}\r\n\r\n`),
      "400 InvalidRequest",
    ],
    "is refused with a method that there is not": [
      () => wire(`FROB / HTTP/1.1\r\nhost: ${host}\r\n\r\n`),
      "400 InvalidRequest",
    ],
    "is refused with a header without a name": [
      () => wire(`GET / HTTP/1.1\r\nhost: ${host}\r\n: x\r\n\r\n`),
      "400 InvalidRequest",
    ],
    "is refused with a NUL in a header": [
      () => wire(`GET / HTTP/1.1\r\nhost: ${host}\r\na: \0\r\n\r\n`),
      "400 InvalidRequest",
    ],
    "is refused without a host": [() => wire("GET / HTTP/1.1\r\n\r\n"), "400 InvalidRequest"],
    "is refused with two lengths": [
      () => wire(`PUT /${BUCKET}/bad HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na`),
      "400 InvalidRequest",
    ],
    "is refused with a length and chunks": [
      () =>
        wire(
          `PUT /${BUCKET}/bad HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
        ),
      "400 InvalidRequest",
    ],
    "is refused with ten thousand headers": [
      () => wire(`GET /${BUCKET}/hello HTTP/1.1\r\nhost: ${host}\r\n${"a: b\r\n".repeat(10_000)}\r\n`),
      "400 RequestHeaderSectionTooLarge",
    ],
    "is refused with one header that is too long": [
      () => wire(`GET /${BUCKET}/hello HTTP/1.1\r\nhost: ${host}\r\nx: ${"a".repeat(100_000)}\r\n\r\n`),
      "400 RequestHeaderSectionTooLarge",
    ],
  });

  it("has its limit in bytes: two thousand short headers are well", async () => {
    const [head = "", body = ""] = signed({ method: "GET", target: `/${BUCKET}/hello`, body: "" });
    const many = String(head).replace("\r\n\r\n", `\r\n${"a: b\r\n".repeat(2_000)}\r\n`);
    expect((await converse(plane.s3Port, [many, body]))?.body.toString()).toBe("hello");
  });
});

describe("a signature", () => {
  const at = (minutes: number) => ({ signing: { at: new Date(Date.now() + minutes * MINUTE_MS) } });
  refused({
    "that is not there": [() => put({ spoil: (head) => delete head["authorization"] }), "403 AccessDenied"],
    "of another secret": [() => put({ pair: { ...pair, secret: "x".repeat(20) } }), "403 SignatureDoesNotMatch"],
    "of nobody": [() => put({ pair: { ...pair, accessKeyId: "AKNOBODY" } }), "403 InvalidAccessKeyId"],
    "of a quarter of an hour ago, and more": [() => put(at(-16)), "403 RequestTimeTooSkewed"],
    "from the future": [() => put(at(16)), "403 RequestTimeTooSkewed"],
    "of another day than its date": [() => put({ signing: { day: "20200101" } }), "400 AuthorizationHeaderMalformed"],
    "for another service": [() => put({ signing: { service: "ec2" } }), "400 AuthorizationHeaderMalformed"],
    "whose date is none": [() => put({ headers: { "x-amz-date": "yesterday" } }), "403 AccessDenied"],
    "of a scheme that there is not": [
      () => put({ spoil: (head) => (head["authorization"] = "Basic YTpi") }),
      "400 InvalidArgument",
    ],
    "of version 2": [() => put({ spoil: (head) => (head["authorization"] = "AWS AK:sig") }), "400 InvalidRequest"],
    "of version 2 in the query": [
      () =>
        refusalOf(plane.s3Port, [headOf("GET", `/${BUCKET}/hello?AWSAccessKeyId=a&Signature=b&Expires=1`, { host })]),
      "400 InvalidRequest",
    ],
    "that is cut": [
      () => put({ spoil: (head) => (head["authorization"] = head["authorization"]?.slice(0, -1) ?? "") }),
      "403 SignatureDoesNotMatch",
    ],
    "without its parts": [
      () => put({ spoil: (head) => (head["authorization"] = "AWS4-HMAC-SHA256 Credential=a/b") }),
      "400 AuthorizationHeaderMalformed",
    ],
    "with a credential that is none": [
      () =>
        put({
          spoil: (head) => (head["authorization"] = "AWS4-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=b"),
        }),
      "400 AuthorizationHeaderMalformed",
    ],
    "with its parts twice": [
      () => put({ spoil: (head) => (head["authorization"] = `${head["authorization"]}, Signature=b`) }),
      "400 AuthorizationHeaderMalformed",
    ],
    "in the header and in the query": [
      () => put({ target: `/${BUCKET}/bad?X-Amz-Signature=a` }),
      "400 InvalidArgument",
    ],
    "that leaves a header of Amazon's out": [
      () => put({ spoil: (head) => (head["x-amz-meta-a"] = "b") }),
      "403 AccessDenied",
    ],
    "over another target": [
      async () => {
        const [head = "", body = ""] = signed({});
        return refusalOf(plane.s3Port, [String(head).replace("/bad", "/bad2"), body]);
      },
      "403 SignatureDoesNotMatch",
    ],
    "over a payload that is no hash": [() => put({ payload: "hash" }), "400 InvalidArgument"],
    "that says nothing of the payload": [
      () => put({ spoil: (head) => delete head["x-amz-content-sha256"] }),
      "400 InvalidRequest",
    ],
  });
});

describe("a presigned request", () => {
  const minutesAgo = (minutes: number) => new Date(Date.now() - minutes * MINUTE_MS);
  const target = `/${BUCKET}/hello`;
  const by = (options: SigningOptions, spoil: (target: string) => string = (ready) => ready): Promise<string> => {
    const ready = presign(pair, { method: "GET", target, headers: { host } }, options);
    return refusalOf(plane.s3Port, [headOf("GET", spoil(ready), { host })]);
  };
  const without = (name: string) => (ready: string) => ready.replace(new RegExp(`&?${name}=[^&]*`), "");
  refused({
    "that holds": [() => by({}), "200"],
    "that has expired": [() => by({ at: minutesAgo(2), expiresSeconds: 60 }), "403 AccessDenied"],
    "that is not valid yet": [() => by({ at: minutesAgo(-20) }), "403 AccessDenied"],
    "that holds for no time": [() => by({ expiresSeconds: 0 }), "400 AuthorizationQueryParametersError"],
    "that holds for more than a week": [() => by({ expiresSeconds: 604_801 }), "400 AuthorizationQueryParametersError"],
    "that holds for a negative time": [() => by({ expiresSeconds: -1 }), "400 AuthorizationQueryParametersError"],
    "without its date": [() => by({}, without("X-Amz-Date")), "400 AuthorizationQueryParametersError"],
    "without its end": [() => by({}, without("X-Amz-Expires")), "400 AuthorizationQueryParametersError"],
    "without its signature": [() => by({}, without("X-Amz-Signature")), "400 AuthorizationQueryParametersError"],
    "without its credential": [() => by({}, without("X-Amz-Credential")), "400 AuthorizationQueryParametersError"],
    "of another algorithm": [
      () => by({}, (ready) => ready.replace("HMAC-SHA256", "HMAC-MD5")),
      "400 AuthorizationQueryParametersError",
    ],
    "with another end than was signed": [
      () => by({ expiresSeconds: 60 }, (ready) => ready.replace("Expires=60", "Expires=600")),
      "403 SignatureDoesNotMatch",
    ],
    "for another name": [() => by({}, (ready) => ready.replace("/hello", "/large")), "403 SignatureDoesNotMatch"],
    "whose date is none": [
      () => by({}, (ready) => ready.replace(/X-Amz-Date=\w+/, "X-Amz-Date=20261331T250000Z")),
      "400 AuthorizationQueryParametersError",
    ],
  });
});

describe("a body in signed chunks", () => {
  refused({
    "that is whole is taken": [
      async () => {
        const answer = await chunked({ chunks: (chain) => `${chunk(chain, "hello")}${lastChunk(chain)}\r\n` });
        expect((await s3.delete("bad")).status).toBe(204);
        return answer;
      },
      "200",
    ],
    "that ends in a chunk": [
      () => chunked({ chunks: (chain) => chunk(chain, "hello").slice(0, -5), end: true }),
      "400 IncompleteBody",
    ],
    "that ends in a chunk, by its length": [
      () => chunked({ chunks: (chain) => chunk(chain, "hello").slice(0, -5) }),
      "400 IncompleteBody",
    ],
    "without its last chunk": [() => chunked({ chunks: (chain) => chunk(chain, "hello") }), "400 IncompleteBody"],
    "with fewer bytes than it says": [
      () => chunked({ decoded: 6, chunks: (chain) => `${chunk(chain, "hello")}${lastChunk(chain)}\r\n` }),
      "400 IncompleteBody",
    ],
    "with more bytes than it says": [
      () => chunked({ decoded: 4, chunks: (chain) => `${chunk(chain, "hello")}${lastChunk(chain)}\r\n` }),
      "400 IncompleteBody",
    ],
    "with a chunk longer than its size": [
      () =>
        chunked({ chunks: (chain) => `${chunk(chain, "hello").replace("hello", "hello!")}${lastChunk(chain)}\r\n` }),
      "400 InvalidRequest",
    ],
    "with a chunk of another content": [
      () => chunked({ chunks: (chain) => `${chunk(chain, "hello").replace("hello", "hallo")}${lastChunk(chain)}\r\n` }),
      "403 SignatureDoesNotMatch",
    ],
    "with its chunks swapped": [
      () =>
        chunked({
          chunks: (chain) => {
            const [first, second] = [chunk(chain, "hel"), chunk(chain, "lo")];
            return `${second}${first}${lastChunk(chain)}\r\n`;
          },
        }),
      "403 SignatureDoesNotMatch",
    ],
    "with a forged end": [
      () => chunked({ chunks: (chain) => `${chunk(chain, "hello")}0;chunk-signature=${"0".repeat(64)}\r\n\r\n` }),
      "403 SignatureDoesNotMatch",
    ],
    "without a signature": [() => chunked({ chunks: () => "5\r\nhello\r\n0\r\n\r\n" }), "400 InvalidRequest"],
    "with a size that is none": [
      () => chunked({ chunks: () => `five;chunk-signature=${"0".repeat(64)}\r\n` }),
      "400 InvalidRequest",
    ],
    "with a size beyond all": [
      () => chunked({ chunks: () => `ffffffffffffffffff;chunk-signature=${"0".repeat(64)}\r\n` }),
      "400 InvalidRequest",
    ],
    "with a header without end": [() => chunked({ chunks: () => "5".repeat(10_000) }), "400 InvalidRequest"],
    "with something behind its end": [
      () => chunked({ chunks: (chain) => `${chunk(chain, "hello")}${lastChunk(chain)}x-amz-a: b\r\n\r\n` }),
      "400 InvalidRequest",
    ],
    "without the length that it will have": [
      () => chunked({ headers: { "x-amz-decoded-content-length": "many" }, chunks: () => "" }),
      "400 InvalidArgument",
    ],
  });
});

describe("trailers", () => {
  refused({
    "with another checksum than the body's": [
      () => trailing(`x-amz-checksum-crc32:${crcOf("hallo")}\r\n`),
      "400 BadDigest",
    ],
    "with a checksum that is none": [() => trailing("x-amz-checksum-crc32:zzz\r\n"), "400 InvalidDigest"],
    "that were announced and did not come": [() => trailing(""), "400 MalformedTrailerError"],
    "that were not announced": [
      () => trailing(`x-amz-checksum-sha1:${crcOf("hello")}\r\n`),
      "400 MalformedTrailerError",
    ],
    "that come twice": [
      () => trailing(`x-amz-checksum-crc32:${crcOf("hello")}\r\n`.repeat(2)),
      "400 MalformedTrailerError",
    ],
    "that are no lines": [() => trailing("hello\r\n"), "400 MalformedTrailerError"],
    "without end": [() => trailing(`x-amz-checksum-crc32:${"a".repeat(20_000)}`), "400 InvalidRequest"],
    "of an algorithm that there is not": [() => trailing("", "x-amz-checksum-xxhash"), "400 InvalidRequest"],
  });
});

describe("a body", () => {
  const md5 = (text: string) => createHash("md5").update(text).digest("base64");
  const withHeaders = (headers: Readonly<Record<string, string>>) => put({ headers });
  const raw = (length: string, body: string, ...more: readonly Move[]) =>
    refusalOf(plane.s3Port, [String(signed({ spoil: (head) => (head["content-length"] = length) })[0]), body, ...more]);
  refused({
    "shorter than its length": [() => raw("1000", "hello", "END"), "400 IncompleteBody"],
    "of no length at all": [() => put({ spoil: (head) => delete head["content-length"] }), "411 MissingContentLength"],
    "with a length that is none": [() => raw("five", "hello"), "400 InvalidRequest"],
    "larger than may be": [() => raw(String(6 * 1024 ** 4), ""), "400 EntityTooLarge"],
    "in broken transfer chunks": [
      () =>
        refusalOf(plane.s3Port, [
          String(
            signed({
              spoil: (head) => {
                delete head["content-length"];
                head["transfer-encoding"] = "chunked";
              },
              headers: { "x-amz-decoded-content-length": "5" },
              payload: "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            })[0],
          ),
          "zzz\r\nhello\r\n",
        ]),
      "400 IncompleteBody",
    ],
    "with another hash": [() => put({ payload: sha256("hallo") }), "400 XAmzContentSHA256Mismatch"],
    "that is empty, with another hash": [
      () => put({ payload: sha256("hallo"), body: "" }),
      "400 XAmzContentSHA256Mismatch",
    ],
    "with another MD5": [() => withHeaders({ "content-md5": md5("hallo") }), "400 BadDigest"],
    "with an MD5 that is none": [() => withHeaders({ "content-md5": "hello" }), "400 InvalidDigest"],
    "with another CRC32": [() => withHeaders({ "x-amz-checksum-crc32": crcOf("hallo") }), "400 BadDigest"],
    "with a CRC32 that is none": [() => withHeaders({ "x-amz-checksum-crc32": "AAAA" }), "400 InvalidDigest"],
    "with a SHA-256 of another length": [
      () => withHeaders({ "x-amz-checksum-sha256": md5("hello") }),
      "400 InvalidDigest",
    ],
    "with two checksums": [
      () =>
        withHeaders({ "x-amz-checksum-crc32": crcOf("hello"), "x-amz-checksum-sha1": "2jmj7l5rSw0yVb/vlWAYkK/YBwk=" }),
      "400 InvalidRequest",
    ],
    "with a checksum that there is not": [
      () => withHeaders({ "x-amz-checksum-xxhash64": "AAAA" }),
      "400 InvalidRequest",
    ],
    "with too much metadata": [() => withHeaders({ "x-amz-meta-a": "a".repeat(2048) }), "400 MetadataTooLarge"],
    "with metadata that is no text": [() => withHeaders({ "x-amz-meta-a": "\xff\xfe" }), "400 InvalidArgument"],
    "under a condition that there is not": [() => withHeaders({ "if-none-match": "abc" }), "501 NotImplemented"],
    "of a class that there is not": [
      () => withHeaders({ "x-amz-storage-class": "GLACIER" }),
      "400 InvalidStorageClass",
    ],
    "for everybody": [() => withHeaders({ "x-amz-acl": "public-read" }), "400 AccessControlListNotSupported"],
    "under a customer's key, where none may be": [
      () =>
        withHeaders({
          "x-amz-server-side-encryption-customer-algorithm": "AES256",
          "x-amz-server-side-encryption-customer-key": Buffer.alloc(32).toString("base64"),
          "x-amz-server-side-encryption-customer-key-md5": md5("\0".repeat(32)),
        }),
      "403 AccessDenied",
    ],
    "under an encryption that there is not": [
      () => withHeaders({ "x-amz-server-side-encryption": "ROT13" }),
      "400 InvalidArgument",
    ],
  });
});

describe("a name", () => {
  const target = (encoded: string) => ({ target: `/${BUCKET}/${encoded}` });
  refused({
    "with a NUL": [() => put(target("a%00b")), "400 InvalidURI"],
    "that is no UTF-8": [() => put(target("%ff%fe")), "400 InvalidURI"],
    "with half a surrogate": [() => put(target("%ed%a0%80")), "400 InvalidURI"],
    "with a longer form of a slash": [() => put(target("%c0%af")), "400 InvalidURI"],
    "with a bad percent sign": [() => put(target("a%2")), "400 InvalidURI"],
    "with a percent sign and no digits": [() => put(target("a%zz")), "400 InvalidURI"],
    "of 1,025 bytes": [() => put(target("a".repeat(1025))), "400 KeyTooLongError"],
    "of 1,025 bytes in 513 letters": [() => put(target(encodeName(`a${"ä".repeat(512)}`))), "400 KeyTooLongError"],
    "of a bucket that cannot be": [() => put({ target: "/No_Bucket/a" }), "400 InvalidBucketName"],
    "of no bucket": [() => put({ target: "//a" }), "400 InvalidBucketName"],
    "of a bucket that climbs": [() => put({ target: "/../etc/passwd" }), "400 InvalidBucketName"],
    "of another bucket": [() => put({ target: "/another/a" }), "403 AccessDenied"],
    "that is not there": [() => get({ target: `/${BUCKET}/nothing` }), "404 NoSuchKey"],
  });

  const NAMES = {
    "two dots": "..",
    "one dot": ".",
    "a way up": "../../../../etc/passwd",
    "a way up and down": "a/../b",
    "what is at the end of it": "b",
    slashes: "//a//",
    "a slash in front": "/a",
    "a folder": "a/",
    "a backslash": "a\\..\\b",
    controls: "\u0001\u001f\u007f\n\r\t",
    markup: '<a href="b">&amp;</a>\'',
    query: "?a=b&c#d+e%20f",
    "right to left": "\u202e\u0627\u0644",
    "combining signs": "e\u0301\u0301\u0301",
    "the same letter in one": "é",
    "beyond the first plane": "\u{1f512}\u{10ffff}",
    "the end of the first plane": "\uffff\ufffe",
    "1,024 of one byte": "a".repeat(1024),
    "1,024 of two": "ä".repeat(512),
    "1,024 of three and one": `${"€".repeat(341)}a`,
    "1,024 of four": "\u{1f512}".repeat(256),
    "1,024 slashes": "/".repeat(1024),
    "1,024 of all": `${"/ä€\u{1f512}".repeat(102)}abcd`,
  };

  it.each(Object.entries(NAMES))("made of %s is a name like any other", async (what, name) => {
    const body = Buffer.from(what);
    expect((await s3.put(name, body)).status).toBe(200);
    expect((await s3.get(name)).body.toString()).toBe(what);
  });

  it("is listed byte for byte, and every one is gone once it is deleted", async () => {
    const listed = (await s3.list(3)).map(({ name }) => name);
    expect(listed).toEqual(expect.arrayContaining(Object.values(NAMES)));
    expect(listed).toEqual(listed.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
    for (const name of Object.values(NAMES)) expect((await s3.delete(name)).status).toBe(204);
    expect((await s3.list()).map(({ name }) => name)).toEqual(["empty", "hello", "large"]);
  });
});

describe("a range", () => {
  const sizes: Readonly<Record<string, string>> = { hello: "5", empty: "0" };
  const ask = async (name: string, range: string): Promise<string> => {
    const answer = await s3.get(name, { range });
    const size = answer.status === 416 ? answer.headers["content-range"] : answer.body.toString();
    return `${answer.status} ${size}`;
  };
  it.each([
    ["hello", "bytes=0-0", "206 h"],
    ["hello", "bytes=1-99999999999999999999", "206 ello"],
    ["hello", "bytes=-2", "206 lo"],
    ["hello", "bytes=-99999999999999999999", "206 hello"],
    ["hello", "bytes=5-", "416 bytes */5"],
    ["hello", "bytes=5-9", "416 bytes */5"],
    ["hello", "bytes=99999999999999999999-", "416 bytes */5"],
    ["hello", "bytes=-0", "416 bytes */5"],
    ["hello", "bytes=3-2", "200 hello"],
    ["hello", "bytes=a-b", "200 hello"],
    ["hello", "bytes=0-0,2-2", "200 hello"],
    ["hello", "bytes=", "200 hello"],
    ["hello", "lines=0-1", "200 hello"],
    ["hello", "bytes=--1", "200 hello"],
    ["hello", "bytes=0x1-2", "200 hello"],
    ["empty", "bytes=0-", "416 bytes */0"],
    ["empty", "bytes=-1", "416 bytes */0"],
    ["empty", "bytes=0-0", "416 bytes */0"],
  ])("of %s: %s", async (name, range, answer) => {
    expect(sizes[name]).toBeDefined();
    expect(await ask(name, range)).toBe(answer);
  });
  refused({
    "and a part at once": [
      () => get({ target: `/${BUCKET}/hello?partNumber=1`, headers: { range: "bytes=0-1" } }),
      "400 InvalidRequest",
    ],
    "of a part that is none": [() => get({ target: `/${BUCKET}/hello?partNumber=zero` }), "400 InvalidArgument"],
    "of a part past the last": [() => get({ target: `/${BUCKET}/hello?partNumber=2` }), "416 InvalidPartNumber"],
  });
});

describe("XML", () => {
  const part = "<Part><PartNumber>1</PartNumber><ETag>a</ETag></Part>";
  const wrap = (inner: string) => `<CompleteMultipartUpload>${inner}</CompleteMultipartUpload>`;
  const BAD: Record<string, string | Uint8Array> = {
    "that is empty": "",
    "that is not XML": "hello",
    "that is JSON": '{"a":1}',
    "that ends early": wrap(part).slice(0, -4),
    "with another root": `<Delete>${part}</Delete>`,
    "with two roots": wrap(part).repeat(2),
    "without parts": wrap(""),
    "with a part without its ETag": wrap("<Part><PartNumber>1</PartNumber></Part>"),
    "with a part without its number": wrap("<Part><ETag>a</ETag></Part>"),
    "with text for a part": wrap("<Part>1</Part>"),
    "with a document type": `<!DOCTYPE a [<!ENTITY b "c">]>${wrap(part)}`,
    "with entities that grow": `<!DOCTYPE a [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>${wrap("&b;")}`,
    "with a file for an entity": `<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]>${wrap("<ETag>&b;</ETag>")}`,
    "that is no UTF-8": Buffer.from("<CompleteMultipartUpload>\xff</CompleteMultipartUpload>", "latin1"),
    "nested without end": "<a>".repeat(100_000),
    "with a name of Object's": wrap("<__proto__><a>1</a></__proto__>"),
    "with more parts than may be": wrap(part.repeat(10_001)),
  };
  let uploadId: string;
  beforeAll(async () => {
    uploadId = await s3.createUpload("upload");
  });
  afterAll(async () => {
    expect((await s3.abort("upload", uploadId)).status).toBe(204);
  });
  const complete = (body: string | Uint8Array) =>
    refusalOf(plane.s3Port, signed({ method: "POST", target: `/${BUCKET}/upload?uploadId=${uploadId}`, body }));

  it.each<[string, string | Uint8Array]>(Object.entries(BAD))("%s", async (_sentence, body) => {
    expect(await complete(body)).toBe("400 MalformedXML");
  });
  refused({
    "with a number that is none": [
      () => complete(wrap("<Part><PartNumber>one</PartNumber><ETag>a</ETag></Part>")),
      "400 InvalidArgument",
    ],
    "with parts out of order": [() => complete(wrap(part.replace("1", "2") + part)), "400 InvalidPartOrder"],
    "with a part that was not uploaded": [() => complete(wrap(part)), "400 InvalidPart"],
    "of more than eight mebibytes": [() => complete(wrap(" ".repeat(9 * 1024 * 1024))), "400 MalformedXML"],
    "for an upload that there is not": [
      () =>
        refusalOf(plane.s3Port, signed({ method: "POST", target: `/${BUCKET}/upload?uploadId=x`, body: wrap(part) })),
      "404 NoSuchUpload",
    ],
    "with a part of no number": [
      () => put({ target: `/${BUCKET}/upload?uploadId=${uploadId}&partNumber=0` }),
      "400 InvalidArgument",
    ],
    "with a part of too high a number": [
      () => put({ target: `/${BUCKET}/upload?uploadId=${uploadId}&partNumber=10001` }),
      "400 InvalidArgument",
    ],
  });
});

describe("a question", () => {
  const ask = (query: string) => get({ target: `/${BUCKET}?${query}` });
  refused({
    "for a negative number of names": [() => ask("list-type=2&max-keys=-1"), "400 InvalidArgument"],
    "for no number of names": [() => ask("list-type=2&max-keys=ten"), "400 InvalidArgument"],
    "with a token of its own": [() => ask("list-type=2&continuation-token=abc"), "400 InvalidArgument"],
    "for another encoding": [() => ask("list-type=2&encoding-type=base64"), "400 InvalidArgument"],
    "for another kind of list": [() => ask("list-type=3"), "501 NotImplemented"],
    "for two things at once": [() => ask("acl=&tagging="), "501 NotImplemented"],
    "for a torrent": [() => get({ target: `/${BUCKET}/hello?torrent=` }), "501 NotImplemented"],
    "in a way that there is not": [() => get({ method: "PATCH", target: `/${BUCKET}/hello` }), "405 MethodNotAllowed"],
  });
});

describe("REST", () => {
  const send = (method: string, target: string, body = "", headers: Readonly<Record<string, string>> = {}) => {
    const authorization = `Bearer ${pair.token}`;
    const all = { host, authorization, "content-length": String(Buffer.byteLength(body)), ...headers };
    return refusalOf(plane.restPort, [headOf(method, target, all), body]);
  };
  const object = (name: string) => `/api/v1/buckets/${BUCKET}/objects/${name}`;
  refused({
    "without a token": [() => send("GET", object("hello"), "", { authorization: "" }), "401 InvalidToken"],
    "with a token of nobody": [
      () => send("GET", object("hello"), "", { authorization: "Bearer abc" }),
      "401 InvalidToken",
    ],
    "with a token in another scheme": [
      () => send("GET", object("hello"), "", { authorization: `Basic ${pair.token}` }),
      "401 InvalidToken",
    ],
    "with an access key for a token": [
      () => send("GET", object("hello"), "", { authorization: `Bearer ${pair.accessKeyId}` }),
      "401 InvalidToken",
    ],
    "with what is no JSON": [() => send("PUT", ENCRYPTION, "{"), "400 MalformedJSON"],
    "with no JSON": [() => send("PUT", ENCRYPTION, ""), "400 MalformedJSON"],
    "with JSON of another kind": [() => send("PUT", ENCRYPTION, "[]"), "400 MalformedJSON"],
    "with an unknown member": [() => send("PUT", ENCRYPTION, '{"enabled":true,"x":1}'), "400 MalformedJSON"],
    "with a member of another kind": [() => send("PUT", ENCRYPTION, '{"enabled":"yes"}'), "400 MalformedJSON"],
    "with JSON that is no UTF-8": [
      () => send("PUT", ENCRYPTION, '{"enabled":"\u{80}"}'.replace("\u{80}", "\xff")),
      "400 MalformedJSON",
    ],
    "with JSON without end": [() => send("PUT", ENCRYPTION, `{"a":${"[".repeat(100_000)}`), "400 EntityTooLarge"],
    "with JSON nested deeply": [() => send("PUT", ENCRYPTION, `${"[".repeat(30_000)}`), "400 MalformedJSON"],
    "to store without encryption": [() => send("PUT", ENCRYPTION, '{"enabled":false}'), "409 ConfigurationConflict"],
    "with a bad percent sign": [() => send("GET", object("a%zz")), "400 InvalidURI"],
    "with a NUL in a name": [() => send("PUT", object("a%00"), "hello"), "400 InvalidURI"],
    "with a name of 1,025 bytes": [() => send("PUT", object("a".repeat(1025)), "hello"), "400 KeyTooLongError"],
    "with an MD5 that is not the body's": [
      () => send("PUT", object("bad"), "hallo", { "content-md5": "XUFAKrxLKna5cZ2REBfFkA==" }),
      "400 BadDigest",
    ],
    "with a body that ends early": [
      () =>
        refusalOf(plane.restPort, [
          headOf("PUT", object("bad2"), { host, authorization: `Bearer ${pair.token}`, "content-length": "100" }),
          "hello",
          "END",
        ]),
      "400 IncompleteBody",
    ],
    "with a cursor of its own": [
      () => send("GET", `/api/v1/buckets/${BUCKET}/objects?cursor=abc`),
      "400 InvalidArgument",
    ],
    "with a limit that is none": [
      () => send("GET", `/api/v1/buckets/${BUCKET}/objects?limit=-1`),
      "400 InvalidArgument",
    ],
    "to no resource": [() => send("GET", "/api/v2"), "404 NotFound"],
    "to a path of Express's": [() => send("GET", "/%"), "404 NotFound"],
    "in a way that there is not": [() => send("POST", object("hello")), "405 MethodNotAllowed"],
    "for a key that a folder rules": [() => send("POST", "/api/v1/keys/local/rotate"), "409 ConfigurationConflict"],
  });
});

describe("the admin listener", () => {
  const send = (method: string, target: string) => refusalOf(plane.adminPort, [headOf(method, target, { host })]);
  refused({
    "answers no POST": [() => send("POST", "/jobs"), "405 MethodNotAllowed"],
    "answers no DELETE": [() => send("DELETE", "/healthz"), "405 MethodNotAllowed"],
    "knows no other page": [() => send("GET", "/../config"), "404 NotFound"],
    "answers noise": [() => refusalOf(plane.adminPort, ["noise\r\n\r\n"]), "400 BadRequest"],
  });
});

interface SlowAnswers {
  readonly headless: WireAnswer | undefined;
  readonly bodiless: WireAnswer | undefined;
  readonly chunkless: WireAnswer | undefined;
  readonly trickle: WireAnswer | undefined;
}

/** Each takes longer than its limit, or nearly; all at once, while the other tests run. */
async function slowClients(): Promise<SlowAnswers> {
  const [head = "", body = ""] = signed({ target: `/${BUCKET}/slow`, body: LARGE });
  const bytes = Buffer.from(body as Uint8Array);
  const trickled = signed({ target: `/${BUCKET}/trickled`, body: HELLO });
  const drops = [...HELLO].flatMap((byte): Move[] => [13_000, Uint8Array.of(byte)]);
  const withinMs = 100_000;
  const letters = [...String(head).slice(0, 100)].flatMap((letter): Move[] => [letter, 1_000]);
  const [headless, bodiless, trickle, chunkless] = await Promise.all([
    converse(plane.s3Port, letters, withinMs),
    converse(plane.s3Port, [head, bytes.subarray(0, 1000)], withinMs),
    converse(plane.s3Port, [String(trickled[0]), ...drops], withinMs),
    converse(
      plane.restPort,
      [
        headOf("PUT", `/api/v1/buckets/${BUCKET}/objects/slow`, {
          host,
          authorization: `Bearer ${pair.token}`,
          "transfer-encoding": "chunked",
        }),
        "5\r\nhel",
      ],
      withinMs,
    ),
  ]);
  return { headless, bodiless, trickle, chunkless };
}

describe("a client who is slow", () => {
  it("with its head or its body is told so, and one who still sends is served", { timeout: 120_000 }, async () => {
    const { headless, bodiless, trickle, chunkless } = await slow;
    expect(printed(headless)).toBe("400 RequestTimeout");
    expect(printed(bodiless)).toBe("400 RequestTimeout");
    expect(printed(chunkless)).toBe("400 RequestTimeout");
    expect(printed(trickle)).toBe("200");
    expect((await s3.get("trickled")).body.toString()).toBe("hello");
    expect((await s3.delete("trickled")).status).toBe(204);
  });
});

describe("after all of it", () => {
  it("the same process serves, and nothing of what was refused is left", async () => {
    await slow;
    expect(plane.pid).toBe(pid);
    expect(plane.isRunning).toBe(true);
    expect((await s3.get("hello")).body.toString()).toBe("hello");
    expect((await s3.delete("bad")).status).toBe(204);
    expect((await s3.list()).map(({ name }) => name)).toEqual(["empty", "hello", "large"]);
    expect(counts()).toEqual(before);
    await plane.stop();
    expect(misfits(plane.dataDir, true)).toEqual([]);
  });

  it("no stack trace was ever sent or a crash logged", () => {
    expect(plane.output()).not.toMatch(/uncaught|unhandled|FATAL/i);
  });
});
