import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { KmsError } from "../../kms/kms.ts";
import { createLocalKms } from "../../kms/local.ts";
import { createRing, printRing } from "../../kms/ring.ts";
import type { HeaderList } from "./contract/requests.ts";
import { type Answer, type Asked, ask, CREDENTIAL, startWorld, type World } from "./contract/world.ts";

const READER = { ...CREDENTIAL, accessKeyId: "READER", tokenSha256: "b".repeat(64), permissions: ["Read" as const] };
const SSE = "x-amz-server-side-encryption";
const KEY_ID = `${SSE}-aws-kms-key-id`;
const CONTEXT = `${SSE}-context`;
const BUCKET_KEY = `${SSE}-bucket-key-enabled`;
const MD5_OF_HELLO = '"5d41402abc4b2a76b9719d911017c592"';
const OPAQUE = /^"[0-9a-f]{32}-1"$/;
const context = Buffer.from('{"team":"blue"}').toString("base64");
const customerKey = Buffer.alloc(32, 1);
const CUSTOMER: HeaderList = [
  [`${SSE}-customer-algorithm`, "AES256"],
  [`${SSE}-customer-key`, customerKey.toString("base64")],
  [`${SSE}-customer-key-MD5`, createHash("md5").update(customerKey).digest("base64")],
];

const ring = createRing(new Date());
const kms = createLocalKms(ring);
let world: World;

beforeAll(async () => {
  world = await startWorld({ kms, kmsKeyId: ring.id, ring: printRing(ring) }, { credentials: [READER] });
});

afterAll(async () => {
  await world.close();
});

const put = (target: string, headers: HeaderList = [], text = "hello", more: Asked = {}): Promise<Answer> =>
  ask(world, { method: "PUT", target, body: Buffer.from(text), headers, ...more });

const outcome = ({ status, code }: Answer) => [status, code];

/** What an answer says of the encryption. */
const said = ({ headers }: Answer) => [SSE, KEY_ID, BUCKET_KEY, CONTEXT].map((name) => headers[name]);

const create = async (target: string, headers: HeaderList = []): Promise<Answer & { id: string }> => {
  const answer = await ask(world, { method: "POST", target: `${target}?uploads`, headers });
  return { ...answer, id: /<UploadId>(.*)<\/UploadId>/.exec(answer.text)?.[1] ?? "" };
};

async function completed(target: string, id: string, bodies: readonly string[]) {
  const parts: Answer[] = [];
  for (const [index, text] of bodies.entries()) {
    parts.push(await put(`${target}?partNumber=${index + 1}&uploadId=${id}`, [], text));
  }
  const list = parts.map(
    ({ headers }, index) =>
      `<Part><PartNumber>${index + 1}</PartNumber><ETag>${String(headers["etag"]).replaceAll('"', "")}</ETag></Part>`,
  );
  const body = Buffer.from(`<CompleteMultipartUpload>${list.join("")}</CompleteMultipartUpload>`);
  return { parts, done: await ask(world, { method: "POST", target: `${target}?uploadId=${id}`, body }) };
}

describe("Answers:", () => {
  const all: HeaderList = [
    [SSE, "aws:kms"],
    [KEY_ID, ring.id],
    [CONTEXT, context],
  ];

  test("Put and Create all of theirs, UploadPart, GET and HEAD also without the context", async () => {
    const everything = ["aws:kms", ring.id, undefined, context];
    const withoutContext = ["aws:kms", ring.id, undefined, undefined];
    expect(said(await put("/photos/all", all))).toEqual(everything);
    expect(said(await ask(world, { target: "/photos/all" }))).toEqual(withoutContext);
    expect(said(await ask(world, { method: "HEAD", target: "/photos/all" }))).toEqual(withoutContext);
    const created = await create("/photos/parts", all);
    expect(said(created)).toEqual(everything);
    const { parts, done } = await completed("/photos/parts", created.id, ["hello"]);
    expect(parts.map(said)).toEqual([withoutContext]);
    expect(said(done)).toEqual(withoutContext);
    expect((await ask(world, { target: "/photos/parts" })).text).toBe("hello");
  });

  test("the bucket-key flag is told from the mode", async () => {
    expect(said(await put("/photos/flag", [[BUCKET_KEY, "false"]]))).toEqual([
      "aws:kms",
      ring.id,
      undefined,
      undefined,
    ]);
    expect(said(await put("/photos/flag", [[BUCKET_KEY, "true"]]))).toEqual(["aws:kms", ring.id, "true", undefined]);
    expect(said(await put("/photos/flag"))).toEqual(["aws:kms", ring.id, "true", undefined]);
    expect(said(await put("/photos/flag", [[SSE, "AES256"]]))).toEqual(["AES256", undefined, undefined, undefined]);
  });
});

describe("A request's key:", () => {
  test("it may name the one that its bucket writes with; any other is 400 KMS.NotFoundException, and the KMS is not asked", async () => {
    const wrap = kms.wrap;
    kms.wrap = () => Promise.reject(new Error("the KMS was asked"));
    const named = (id: string): HeaderList => [
      [SSE, "aws:kms"],
      [KEY_ID, id],
    ];
    expect((await put("/photos/key", named(ring.id))).status).toBe(200);
    const own: HeaderList = [...named("another"), [BUCKET_KEY, "false"]];
    expect(outcome(await put("/photos/key", own))).toEqual([400, "KMS.NotFoundException"]);
    kms.wrap = wrap;
  });

  test("a key id without aws:kms: 400; AES256 with a key id, an unknown algorithm: 400 InvalidArgument", async () => {
    expect(outcome(await put("/photos/key", [[KEY_ID, ring.id]]))).toEqual([400, "InvalidArgument"]);
    const aes: HeaderList = [
      [SSE, "AES256"],
      [KEY_ID, ring.id],
    ];
    expect(outcome(await put("/photos/key", aes))).toEqual([400, "InvalidArgument"]);
    expect(outcome(await put("/photos/key", [[SSE, "AES512"]]))).toEqual([400, "InvalidArgument"]);
  });

  test.each(["aws:kms:dsse", "aws:fsx", "aws:backup"])(
    "%s: 501 NotImplemented, never silently downgraded",
    async (kind) => {
      expect(outcome(await put("/photos/never", [[SSE, kind]]))).toEqual([501, "NotImplemented"]);
      expect(outcome(await create("/photos/never", [[SSE, kind]]))).toEqual([501, "NotImplemented"]);
      const copy: HeaderList = [
        ["x-amz-copy-source", "photos/flag"],
        [SSE, kind],
      ];
      expect(outcome(await ask(world, { method: "PUT", target: "/photos/never", headers: copy }))).toEqual([
        501,
        "NotImplemented",
      ]);
      expect((await ask(world, { target: "/photos/never" })).status).toBe(404);
    },
  );

  test("a context is base64 of a JSON object of strings, no key twice, none that begins with coffer:", async () => {
    const given = (json: string): HeaderList => [
      [SSE, "aws:kms"],
      [CONTEXT, Buffer.from(json).toString("base64")],
    ];
    expect((await put("/photos/context", given('{"a":"1","ü":""}'))).status).toBe(200);
    for (const json of ['{"a":1}', "[]", "x", '{"a":"1","a":"2"}', '{"coffer:store":"1"}', '{"a":{"b":"c"}}']) {
      expect([json, ...outcome(await put("/photos/context", given(json)))]).toEqual([json, 400, "InvalidArgument"]);
    }
  });

  test("a context is given to the KMS on every use", async () => {
    const seen: unknown[] = [];
    const { wrap, unwrap } = kms;
    kms.wrap = (plain, pairs, signal) => {
      seen.push(pairs["team"]);
      return wrap.call(kms, plain, pairs, signal);
    };
    kms.unwrap = (wrapped, pairs, signal) => {
      seen.push(pairs["team"]);
      return unwrap.call(kms, wrapped, pairs, signal);
    };
    const headers: HeaderList = [
      [SSE, "aws:kms"],
      [CONTEXT, context],
    ];
    await put("/photos/given", headers);
    await ask(world, { target: "/photos/given" });
    await ask(world, { target: "/photos/given", headers: [["Range", "bytes=1-2"]] });
    expect(seen).toEqual(["blue", "blue", "blue"]);
    Object.assign(kms, { wrap, unwrap });
  });
});

describe("SSE headers on GET or HEAD of an SSE-S3 or SSE-KMS object: 400;", () => {
  test.each(["GET", "HEAD"])("%s", async (method) => {
    const each: HeaderList = [
      [SSE, "AES256"],
      [KEY_ID, ring.id],
      [CONTEXT, context],
      [BUCKET_KEY, "true"],
    ];
    for (const header of each) {
      expect((await ask(world, { method, target: "/photos/flag", headers: [header] })).status).toBe(400);
    }
  });

  test("UploadPart, Complete, ListParts and GetObjectAttributes the same", async () => {
    const { id } = await create("/photos/strict");
    const headers: HeaderList = [[SSE, "AES256"]];
    const asked: [string, string][] = [
      ["PUT", `/photos/strict?partNumber=1&uploadId=${id}`],
      ["POST", `/photos/strict?uploadId=${id}`],
      ["GET", `/photos/strict?uploadId=${id}`],
    ];
    for (const [method, target] of asked) {
      const body = method === "GET" ? {} : { body: Buffer.from("x") };
      expect(outcome(await ask(world, { method, target, headers, ...body }))).toEqual([400, "InvalidArgument"]);
    }
    const attributes: HeaderList = [...headers, ["x-amz-object-attributes", "ETag"]];
    const read = await ask(world, { target: "/photos/flag?attributes", headers: attributes });
    expect(outcome(read)).toEqual([400, "InvalidArgument"]);
  });
});

describe("A customer's key:", () => {
  test("where the bucket forbids it: 403 AccessDenied", async () => {
    expect(outcome(await put("/photos/c", CUSTOMER))).toEqual([403, "AccessDenied"]);
    expect(outcome(await create("/photos/c", CUSTOMER))).toEqual([403, "AccessDenied"]);
    const copied: HeaderList = [["x-amz-copy-source", "photos/flag"], ...CUSTOMER];
    const copy = await ask(world, { method: "PUT", target: "/photos/c", headers: copied });
    expect(outcome(copy)).toEqual([403, "AccessDenied"]);
  });

  test("on another kind of object: 400 InvalidRequest", async () => {
    await put("/photos/keyless");
    const { id } = await create("/photos/keyless");
    const source: HeaderList = [["x-amz-copy-source", "photos/keyless"]];
    const asked: [method: string, target: string, more?: HeaderList][] = [
      ["GET", "/photos/keyless"],
      ["GET", "/photos/keyless?attributes", [["x-amz-object-attributes", "ETag"]]],
      ["GET", `/photos/keyless?uploadId=${id}`],
      ["PUT", `/photos/keyless?partNumber=1&uploadId=${id}`],
      ["PUT", `/photos/keyless?partNumber=1&uploadId=${id}`, source],
      ["POST", `/photos/keyless?uploadId=${id}`],
    ];
    for (const [method, target, more = []] of asked) {
      const body = method === "GET" || more === source ? {} : { body: Buffer.from("x") };
      const refused = await ask(world, { method, target, headers: [...CUSTOMER, ...more], ...body });
      expect([method, target, ...outcome(refused)]).toEqual([method, target, 400, "InvalidRequest"]);
      const half = await ask(world, { method, target, headers: [...CUSTOMER.slice(1), ...more], ...body });
      expect([method, target, ...outcome(half)]).toEqual([method, target, 400, "InvalidArgument"]);
    }
    expect((await ask(world, { method: "HEAD", target: "/photos/keyless", headers: CUSTOMER })).status).toBe(400);
    const asReader = { accessKeyId: READER.accessKeyId, method: "PUT", body: Buffer.from("x") };
    const part = `/photos/keyless?partNumber=1&uploadId=${id}`;
    const unread = await ask(world, { ...asReader, target: part, headers: CUSTOMER });
    expect(outcome(unread)).toEqual([403, "AccessDenied"]);
  });

  test("needs all three headers, a 32-byte key and its MD5; together with SSE-S3 or SSE-KMS: 400 InvalidArgument", async () => {
    for (const missing of [0, 1, 2]) {
      expect((await put("/photos/c", CUSTOMER.toSpliced(missing, 1))).code).toBe("InvalidArgument");
    }
    const short: HeaderList = [...CUSTOMER.slice(0, 1), [`${SSE}-customer-key`, "AAAA"], ...CUSTOMER.slice(2)];
    expect((await put("/photos/c", short)).code).toBe("InvalidArgument");
    expect((await put("/photos/c", [...CUSTOMER, [SSE, "AES256"]])).code).toBe("InvalidArgument");
    expect((await put("/photos/c", [...CUSTOMER, [SSE, "aws:kms"]])).code).toBe("InvalidArgument");
  });
});

describe("ETag:", () => {
  test("MD5 of the data for SSE-S3, MD5 of MD5s and -N for its multipart objects", async () => {
    expect((await put("/photos/e", [[SSE, "AES256"]])).headers["etag"]).toBe(MD5_OF_HELLO);
    const { id } = await create("/photos/e-parts", [[SSE, "AES256"]]);
    const large = "x".repeat(5 * 2 ** 20);
    const { parts } = await completed("/photos/e-parts", id, [large, "hello"]);
    expect(parts[1]?.headers["etag"]).toBe(MD5_OF_HELLO);
    const md5s = [large, "hello"].map((text) => createHash("md5").update(text).digest());
    const whole = createHash("md5");
    for (const md5 of md5s) whole.update(md5);
    const head = await ask(world, { method: "HEAD", target: "/photos/e-parts" });
    expect(head.headers["etag"]).toBe(`"${whole.digest("hex")}-2"`);
  });

  test("for SSE-KMS opaque: 32 hex digits and -1, parts included; multipart objects -N", async () => {
    const first = await put("/photos/o");
    expect(first.headers["etag"]).toMatch(OPAQUE);
    expect((await put("/photos/o")).headers["etag"]).not.toBe(first.headers["etag"]);
    const { id } = await create("/photos/o-parts");
    const { parts, done } = await completed("/photos/o-parts", id, ["hello"]);
    expect(parts[0]?.headers["etag"]).toMatch(OPAQUE);
    expect(done.text).toMatch(/<ETag>&quot;[0-9a-f]{32}-1&quot;<\/ETag>/);
  });

  test("LIST shows all ETags and sizes of the plaintext, and asks no KMS", async () => {
    const own: HeaderList = [
      [SSE, "aws:kms"],
      [CONTEXT, context],
    ];
    const { headers } = await put("/photos/listed", own);
    const { unwrap } = kms;
    kms.unwrap = () => Promise.reject(new Error("the KMS was asked"));
    const { text } = await ask(world, { target: "/photos?list-type=2&prefix=listed" });
    expect(text).toContain(`<ETag>${String(headers["etag"]).replaceAll('"', "&quot;")}</ETag>`);
    expect(text).toContain("<Size>5</Size>");
    expect((await ask(world, { method: "HEAD", target: "/photos/listed" })).status).toBe(200);
    kms.unwrap = unwrap;
  });
});

describe("UpdateObjectEncryption", () => {
  const update = (xml: string, more: Asked = {}) =>
    ask(world, { method: "PUT", target: "/photos/u?encryption", body: Buffer.from(xml), ...more });
  const document = (key: string, more = "") =>
    `<ObjectEncryption xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><SSE-KMS><KMSKeyArn>${key}</KMSKeyArn>${more}</SSE-KMS></ObjectEncryption>`;

  test("re-seals the data key only: body, ETag and LastModified stay", async () => {
    await put("/photos/u", [
      [SSE, "AES256"],
      ["x-amz-meta-a", "1"],
    ]);
    const before = await ask(world, { target: "/photos/u" });
    const steps: [string, unknown[]][] = [
      [document(ring.id), ["aws:kms", ring.id, "true", undefined]],
      [document(ring.id, "<BucketKeyEnabled>false</BucketKeyEnabled>"), ["aws:kms", ring.id, undefined, undefined]],
      [document(ring.id, "<BucketKeyEnabled>true</BucketKeyEnabled>"), ["aws:kms", ring.id, "true", undefined]],
    ];
    for (const [xml, expected] of steps) {
      expect((await update(xml)).status).toBe(200);
      const after = await ask(world, { target: "/photos/u" });
      expect(said(after)).toEqual(expected);
      const same = (answer: Answer) => [answer.text, answer.headers["etag"], answer.headers["last-modified"]];
      expect(same(after)).toEqual(same(before));
      expect(after.headers["x-amz-meta-a"]).toBe("1");
    }
  });

  test("names the bucket's own key, of an object that is there, by who may write", async () => {
    expect(outcome(await update(document("another")))).toEqual([400, "KMS.NotFoundException"]);
    expect(outcome(await update(document("")))).toEqual([400, "MalformedXML"]);
    expect(outcome(await update("<ObjectEncryption/>"))).toEqual([400, "MalformedXML"]);
    const flag = document(ring.id, "<BucketKeyEnabled>1</BucketKeyEnabled>");
    expect(outcome(await update(flag))).toEqual([400, "InvalidArgument"]);
    const nothing = { target: "/photos/nothing?encryption" };
    expect(outcome(await update(document(ring.id), nothing))).toEqual([404, "NoSuchKey"]);
    expect(outcome(await update(document(ring.id), { accessKeyId: "READER" }))).toEqual([403, "AccessDenied"]);
  });
});

describe("KMS key", () => {
  const cases = [
    ["unknown", "not-found", 400, "KMS.NotFoundException"],
    ["disabled", "disabled", 400, "KMS.DisabledException"],
    ["denied", "denied", 403, "AccessDenied"],
    ["throttled", "throttled", 503, "ServiceUnavailable"],
    ["down", "unreachable", 503, "ServiceUnavailable"],
    ["behind an open breaker", "circuit-open", 503, "ServiceUnavailable"],
    ["behind a sealed Vault", "sealed", 503, "ServiceUnavailable"],
    ["behind credentials that do not hold", "credentials", 503, "ServiceUnavailable"],
    ["behind another certificate", "tls", 503, "ServiceUnavailable"],
    ["that cannot do it", "unsupported", 501, "NotImplemented"],
    ["that rejects what it wrapped", "rejected", 500, "InternalError"],
  ] as const;
  test.each(cases)(
    "%s: is told as such, with Retry-After where it may come back",
    async (_what, code, status, name) => {
      await put("/photos/kms", [[BUCKET_KEY, "false"]]);
      const { unwrap } = kms;
      kms.unwrap = () => Promise.reject(new KmsError(code, "unwrap", "injected"));
      const answer = await ask(world, { target: "/photos/kms" });
      kms.unwrap = unwrap;
      expect(outcome(answer)).toEqual([status, name]);
      expect(answer.headers["retry-after"] !== undefined).toBe(status === 503);
      expect(answer.text).not.toContain("injected");
    },
  );
});
