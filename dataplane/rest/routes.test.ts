import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLocalKms } from "../../kms/local.ts";
import { createRing, printRing } from "../../kms/ring.ts";
import type { AuditEvent } from "../audit/audit.ts";
import { createBuckets } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import { createListener, type Listener } from "../http/listener.ts";
import { emptyConfig, rawClient, recordedPorts } from "../http/rawclient.ts";
import { createBucketKeys, createSettingsSealer, openStoreId } from "../keys/keys.ts";
import { createObjects } from "../objects/objects.ts";
import { createLive, type Live, type MadeBucket } from "../snapshot.ts";
import { createMemoryStorage } from "../storage/memory.ts";
import type { ListingJson, OperationsJson, Problem } from "./api.ts";
import { OPENAPI } from "./openapi.ts";
import { createRest, METHODS } from "./routes.ts";

const signal = AbortSignal.timeout(60_000);
const ring = createRing(new Date(0));

function tokenOf(entry: string): string {
  return `token-of-${entry}-0123456789`;
}

function credential(entry: string, permissions: readonly string[], more: object = {}): object {
  const tokenSha256 = createHash("sha256").update(tokenOf(entry)).digest("hex");
  return {
    entry,
    generation: 0,
    accessKeyId: `KEY_${entry}`,
    secret: "not-a-secret",
    tokenSha256,
    permissions,
    ...more,
  };
}

function bucket(name: string, credentials: readonly object[], more: object = {}): object {
  return {
    revision: 1,
    resource: `EncryptedBucket default/${name}`,
    madeFrom: [],
    name,
    keys: [{ provider: "local", minEpoch: 1 }],
    rewrapWish: "",
    algorithm: "AES-256-GCM",
    keyMode: "bucket",
    chunkBytes: 16_384,
    context: {},
    allowCustomerKeys: false,
    allowPlaintext: false,
    state: "serve",
    credentials,
    ...more,
  };
}

function configOf(more: object = {}): Record<string, unknown> {
  const provider = {
    revision: 1,
    resource: "KmsProvider default/local",
    madeFrom: [],
    name: "local",
    options: { type: "Local", ring: printRing(ring) },
    kmsKeyId: ring.id,
    timeoutMs: 1000,
    cache: { ttlMs: 60_000, maxEntries: 100, negativeTtlMs: 0 },
  };
  const rules = bucket("x", []) as Record<string, unknown>;
  const { name: _name, state: _state, ...selfService } = rules;
  return emptyConfig({
    providers: [provider],
    buckets: [
      bucket("photos", [
        credential("app", ["Read", "Write", "List", "Delete"]),
        credential("reader", ["Read"]),
        credential("ended", ["Read"], { endsMs: 1 }),
      ]),
      bucket("music", [credential("music", ["Read", "Write", "List", "Delete"])], { algorithm: "Auto" }),
    ],
    selfService: { ...selfService, credentials: [credential("maker", [], { keys: true })] },
    ...more,
  });
}

interface Stack {
  readonly base: string;
  readonly port: number;
  readonly listener: Listener;
  readonly live: Live;
  readonly shutdown: AbortController;
  readonly lines: unknown[];
  readonly events: { readonly fields: Readonly<Record<string, unknown>> }[];
}

async function openStack(): Promise<Stack> {
  const nowMs = Date.now;
  const storage = createMemoryStorage(nowMs);
  const audit = (_call: Call, _event: AuditEvent): undefined => undefined;
  const made = new Map<string, MadeBucket>();
  const live = createLive(
    () => Promise.resolve(createLocalKms(ring)),
    () => undefined,
    made,
  );
  const snapshot = await live.offer(configOf(), signal);
  const keys = createBucketKeys({ storage, storeId: await openStoreId(storage, [], signal), audit, nowMs });
  const buckets = createBuckets({ storage, sealer: createSettingsSealer(keys), audit, nowMs, made });
  await buckets.prepare(snapshot.config.buckets, signal);
  const objects = createObjects({ storage, keys, audit, nowMs, shownByDefault: buckets.shownByDefault });
  const shutdown = new AbortController();
  const recorded = await recordedPorts({ name: "rest", parse: () => ({}), rows: [], fail() {}, refuse: () => "" });
  const { inFlight } = recorded;
  const protocol = createRest({ objects, buckets, inFlight, nowMs, shutdown: shutdown.signal, eventEveryMs: 30 });
  const listener = createListener({ ...recorded, live, protocol });
  const { port } = await listener.listen(0, "127.0.0.1");
  const { lines, events } = recorded;
  return { base: `http://127.0.0.1:${port}/api/v1`, port, listener, live, shutdown, lines, events };
}

let stack: Stack;
beforeAll(async () => {
  stack = await openStack();
});
afterAll(async () => {
  await stack.listener.drain(1000);
});

interface Ask {
  readonly as?: string | undefined;
  readonly headers?: Record<string, string>;
  readonly body?: string | Uint8Array<ArrayBuffer> | ReadableStream;
}

function ask(method: string, path: string, { as = "app", headers = {}, body }: Ask = {}): Promise<Response> {
  const authorization = as === "" ? {} : { authorization: `Bearer ${tokenOf(as)}` };
  return fetch(`${stack.base}${path}`, {
    method,
    headers: { ...authorization, ...headers },
    ...(body === undefined ? {} : { body }),
    ...(body instanceof ReadableStream ? { duplex: "half" } : {}),
  } as RequestInit);
}

const put = (name: string, body: Ask["body"], headers: Record<string, string> = {}): Promise<Response> =>
  ask("PUT", `/buckets/photos/objects/${name}`, { body: body ?? "", headers });
const get = (name: string, headers: Record<string, string> = {}): Promise<Response> =>
  ask("GET", `/buckets/photos/objects/${name}`, { headers });

async function problemOf(response: Response): Promise<Problem> {
  expect(response.headers.get("content-type")).toBe("application/problem+json");
  return (await response.json()) as Problem;
}

function bytesOf(count: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at += 1) bytes[at] = (at * 31 + (at >> 8) * 7) % 251;
  return bytes;
}

describe("an object", () => {
  const CHUNK = 16_384;
  test.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 1, 100_000, 3_000_000])(
    "of %d bytes comes back as it went",
    async (count) => {
      const bytes = bytesOf(count);
      const stored = await put(`size-${count}`, bytes);
      expect(stored.status).toBe(200);
      expect(await stored.json()).toMatchObject({ name: `size-${count}`, sizeBytes: count });
      const back = await get(`size-${count}`);
      expect(back.status).toBe(200);
      expect(back.headers.get("content-length")).toBe(String(count));
      expect(back.headers.get("etag")).toBe(stored.headers.get("etag"));
      expect(Buffer.compare(new Uint8Array(await back.arrayBuffer()), bytes)).toBe(0);
    },
  );

  test("without a length that is known is stored as it comes", async () => {
    const stream = new ReadableStream({
      start(controller) {
        controller.enqueue(new TextEncoder().encode("one "));
        controller.enqueue(new TextEncoder().encode("two"));
        controller.close();
      },
    });
    expect((await put("chunked", stream)).status).toBe(200);
    expect(await (await get("chunked")).text()).toBe("one two");
  });

  test("needs a length or chunks", async () => {
    const client = rawClient(stack.port);
    const authorization = `Authorization: Bearer ${tokenOf("app")}\r\n`;
    client.send(`PUT /api/v1/buckets/photos/objects/none HTTP/1.1\r\nHost: x\r\n${authorization}\r\n`);
    expect(await client.until("MissingContentLength")).toMatch(/^HTTP\/1\.1 411 /);
    client.socket.destroy();
  });

  test("keeps its headers and metadata, byte for byte", async () => {
    const client = rawClient(stack.port);
    const meta = Buffer.from("grüße ✓", "utf8").toString("latin1");
    const headers = `Authorization: Bearer ${tokenOf("app")}\r\nContent-Type: text/x-thing\r\nCache-Control: no-cache\r\nContent-Disposition: attachment\r\nContent-Encoding: gzip\r\nContent-Language: de\r\nExpires: never\r\nx-amz-meta-Word: ${meta}\r\n`;
    client.send(
      Buffer.from(
        `PUT /api/v1/buckets/photos/objects/meta HTTP/1.1\r\nHost: x\r\n${headers}Content-Length: 1\r\n\r\nx`,
        "latin1",
      ),
    );
    await client.until("200 OK");
    client.send(
      `GET /api/v1/buckets/photos/objects/meta HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenOf("app")}\r\n\r\n`,
    );
    const text = await client.until(meta);
    for (const line of [
      "content-type: text/x-thing",
      "cache-control: no-cache",
      "content-disposition: attachment",
      "content-encoding: gzip",
      "content-language: de",
      "expires: never",
      `x-amz-meta-word: ${meta}`,
    ]) {
      expect(text.toLowerCase()).toContain(line.toLowerCase());
    }
    client.socket.destroy();
  });

  test("takes no more than 2 KiB of metadata", async () => {
    const response = await put("fat", "x", { "x-amz-meta-a": "v".repeat(2048) });
    expect(await problemOf(response)).toMatchObject({ status: 400, code: "MetadataTooLarge" });
    expect((await put("fat", "x", { "x-amz-meta-a": "v".repeat(2047) })).status).toBe(200);
  });

  test("has any name that is UTF-8", async () => {
    const client = rawClient(stack.port);
    const names = [
      "a%2F%2Fb",
      "a//b",
      "/a",
      "a/",
      ".",
      "a/../b",
      "%E2%9C%93%20x",
      "a+b",
      "%F0%9F%98%80",
      "%25",
      "a%23b%3Fc",
    ];
    for (const name of names) {
      const before = client.received.length;
      client.send(
        `PUT /api/v1/buckets/music/objects/${name} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenOf("music")}\r\nContent-Length: ${name.length}\r\n\r\n${name}`,
      );
      while (!client.received.slice(before).includes("sizeBytes"))
        await new Promise((resolve) => setTimeout(resolve, 2));
    }
    client.socket.destroy();
    const page = (await (await ask("GET", "/buckets/music/objects", { as: "music" })).json()) as ListingJson;
    expect(page.objects.map((one) => one.name)).toEqual([
      "%",
      ".",
      "/a",
      "a#b?c",
      "a+b",
      "a/",
      "a/../b",
      "a//b",
      "✓ x",
      "😀",
    ]);
  });

  test.each([
    ["%", 400, "InvalidURI"],
    ["%zz", 400, "InvalidURI"],
    ["%00", 400, "InvalidURI"],
    ["%ff", 400, "InvalidURI"],
    ["", 400, "InvalidURI"],
    ["a".repeat(1025), 400, "KeyTooLongError"],
    ["%C3%A4".repeat(513), 400, "KeyTooLongError"],
  ])("cannot be called %j", async (name, status, code) => {
    const client = rawClient(stack.port);
    client.send(`GET /api/v1/buckets/photos/objects/${name} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const text = await client.until(code);
    expect(text).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    client.socket.destroy();
  });

  test("of a name with 1,024 bytes is taken", async () => {
    expect((await put("n".repeat(1024), "x")).status).toBe(200);
  });

  test.each([
    ["bytes=0-0", 206, "a", "bytes 0-0/5"],
    ["bytes=1-2", 206, "bc", "bytes 1-2/5"],
    ["bytes=3-", 206, "de", "bytes 3-4/5"],
    ["bytes=-2", 206, "de", "bytes 3-4/5"],
    ["bytes=-99", 206, "abcde", "bytes 0-4/5"],
    ["bytes=2-99", 206, "cde", "bytes 2-4/5"],
    ["bytes=0-1,3-4", 200, "abcde", null],
    ["bytes=2-1", 200, "abcde", null],
    ["items=0-1", 200, "abcde", null],
    ["bytes=", 200, "abcde", null],
  ])("answers the range %s with %d", async (range, status, text, contentRange) => {
    await put("ranges", "abcde");
    const response = await get("ranges", { range });
    expect(response.status).toBe(status);
    expect(response.headers.get("content-range")).toBe(contentRange);
    expect(await response.text()).toBe(text);
    const head = await ask("HEAD", "/buckets/photos/objects/ranges", { headers: { range } });
    expect(head.status).toBe(status);
    expect(head.headers.get("content-length")).toBe(String(text.length));
    expect(await head.text()).toBe("");
  });

  test.each(["bytes=5-", "bytes=5-9", "bytes=-0"])("has no range %s", async (range) => {
    await put("ranges", "abcde");
    const response = await get("ranges", { range });
    expect(response.headers.get("content-range")).toBe("bytes */5");
    expect(await problemOf(response)).toMatchObject({ status: 416, code: "InvalidRange" });
  });

  test("answers conditions of reads", async () => {
    const etag = (await put("conditions", "x")).headers.get("etag") ?? "";
    const modified = (await get("conditions")).headers.get("last-modified") ?? "";
    const old = new Date(0).toUTCString();
    const statusOf = async (headers: Record<string, string>): Promise<number> =>
      (await get("conditions", headers)).status;
    expect(await statusOf({ "if-match": etag })).toBe(200);
    expect(await statusOf({ "if-match": "*" })).toBe(200);
    expect(await statusOf({ "if-match": `"a", ${etag}` })).toBe(200);
    expect(await statusOf({ "if-match": '"other"' })).toBe(412);
    expect(await statusOf({ "if-none-match": etag })).toBe(304);
    expect(await statusOf({ "if-none-match": '"other"' })).toBe(200);
    expect(await statusOf({ "if-modified-since": modified })).toBe(304);
    expect(await statusOf({ "if-modified-since": old })).toBe(200);
    expect(await statusOf({ "if-unmodified-since": old })).toBe(412);
    expect(await statusOf({ "if-match": etag, "if-unmodified-since": old })).toBe(200);
    expect(await statusOf({ "if-modified-since": "not a date" })).toBe(200);
    const unchanged = await get("conditions", { "if-none-match": etag });
    expect(unchanged.headers.get("etag")).toBe(etag);
    expect(await unchanged.text()).toBe("");
  });

  test("holds conditions of writes", async () => {
    const first = await put("write-once", "1", { "if-none-match": "*" });
    expect(first.status).toBe(200);
    expect(await problemOf(await put("write-once", "2", { "if-none-match": "*" }))).toMatchObject({ status: 412 });
    expect((await put("write-once", "2", { "if-match": first.headers.get("etag") ?? "" })).status).toBe(200);
    expect(await problemOf(await put("write-once", "3", { "if-match": '"other"' }))).toMatchObject({ status: 412 });
    expect(await problemOf(await put("absent", "3", { "if-match": '"other"' }))).toMatchObject({ status: 404 });
    const several = { "if-match": `"other", ${first.headers.get("etag")}` };
    expect(await problemOf(await put("write-once", "3", several))).toMatchObject({ status: 400 });
    expect(await problemOf(await put("absent", "3", { "if-none-match": '"x"' }))).toMatchObject({ status: 501 });
    expect(await (await get("write-once")).text()).toBe("2");
  });

  test("is not stored when its digest is another", async () => {
    const md5 = (text: string): string => createHash("md5").update(text).digest("base64");
    const sha256 = (text: string): string => createHash("sha256").update(text).digest("base64");
    expect((await put("digest", "right", { "content-md5": md5("right") })).status).toBe(200);
    const digest = (name: string, text: string) => createHash(name).update(text).digest("base64");
    for (const name of ["sha512", "md5"]) {
      expect((await put("digest", "right", { [`x-amz-checksum-${name}`]: digest(name, "right") })).status).toBe(200);
      expect((await put("digest", "right", { [`x-amz-checksum-${name}`]: digest(name, "wrong") })).status).toBe(400);
    }
    const two = { "content-md5": digest("md5", "right"), "x-amz-checksum-md5": digest("md5", "wrong") };
    expect(await problemOf(await put("digest", "right", two))).toMatchObject({ status: 400, code: "InvalidRequest" });
    expect((await put("digest", "right", { "x-amz-checksum-sha256": sha256("right") })).status).toBe(200);
    const wrong = await put("digest-wrong", "right", { "content-md5": md5("wrong") });
    expect(await problemOf(wrong)).toMatchObject({ status: 400, code: "BadDigest" });
    const other = await put("digest-wrong", "right", { "x-amz-checksum-sha256": sha256("wrong") });
    expect(await problemOf(other)).toMatchObject({ code: "BadDigest" });
    expect(await problemOf(await put("digest-wrong", "x", { "content-md5": "???" }))).toMatchObject({
      code: "InvalidDigest",
    });
    expect(await problemOf(await put("digest-wrong", "x", { "x-amz-checksum-xxhash": "AAAA" }))).toMatchObject({
      code: "InvalidRequest",
    });
    expect((await get("digest-wrong")).status).toBe(404);
  });

  test("is not stored when its client goes in the middle", async () => {
    const client = rawClient(stack.port);
    client.send(
      `PUT /api/v1/buckets/photos/objects/half HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenOf("app")}\r\nContent-Length: 100000\r\n\r\n`,
    );
    client.send(Buffer.alloc(50_000));
    await new Promise((resolve) => setTimeout(resolve, 50));
    client.socket.destroy();
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect((await get("half")).status).toBe(404);
  });

  test("is asked for its bytes only when it may be stored", async () => {
    const client = rawClient(stack.port);
    const request = (as: string): string =>
      `PUT /api/v1/buckets/photos/objects/expect HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenOf(as)}\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n`;
    client.send(request("app"));
    await client.until("100 Continue");
    client.send("abc");
    await client.until("sizeBytes");
    const refused = rawClient(stack.port);
    refused.send(request("reader"));
    const text = await refused.closed();
    expect(text).toMatch(/^HTTP\/1\.1 403 /);
    client.socket.destroy();
  });

  test("goes, and goes again", async () => {
    await put("gone", "x");
    expect((await ask("DELETE", "/buckets/photos/objects/gone")).status).toBe(204);
    expect((await get("gone")).status).toBe(404);
    expect((await ask("DELETE", "/buckets/photos/objects/gone")).status).toBe(204);
    await put("stays", "x");
    const kept = await ask("DELETE", "/buckets/photos/objects/stays", { headers: { "if-match": '"other"' } });
    expect(await problemOf(kept)).toMatchObject({ code: "PreconditionFailed" });
  });
});

describe("a caller", () => {
  test.each([
    ["without a token", {}, "Unauthorized", 'Bearer realm="coffer"'],
    [
      "with an unknown token",
      { authorization: "Bearer nobody" },
      "InvalidToken",
      'Bearer realm="coffer", error="invalid_token"',
    ],
    [
      "with another scheme",
      { authorization: "Basic YTpi" },
      "InvalidToken",
      'Bearer realm="coffer", error="invalid_token"',
    ],
    [
      "whose token has ended",
      { authorization: `Bearer ${tokenOf("ended")}` },
      "InvalidToken",
      'Bearer realm="coffer", error="invalid_token"',
    ],
    [
      "with a hash for a token",
      { authorization: `Bearer ${createHash("sha256").update(tokenOf("app")).digest("hex")}` },
      "InvalidToken",
      'Bearer realm="coffer", error="invalid_token"',
    ],
    [
      "with an access key id for a token",
      { authorization: "Bearer KEY_app" },
      "InvalidToken",
      'Bearer realm="coffer", error="invalid_token"',
    ],
  ])("%s gets 401 and learns how to ask", async (_who, headers, code, challenge) => {
    for (const path of ["/buckets", "/buckets/photos/objects/a", "/nowhere"]) {
      const response = await ask("GET", path, { as: "", headers });
      expect(response.headers.get("www-authenticate")).toBe(challenge);
      expect(await problemOf(response)).toMatchObject({ status: 401, code });
    }
  });

  test("gets 403 for another bucket, whether it exists or not", async () => {
    for (const bucketName of ["music", "nothing"]) {
      const response = await ask("GET", `/buckets/${bucketName}/objects/a`);
      expect(await problemOf(response)).toMatchObject({ status: 403, code: "AccessDenied" });
    }
  });

  test("with Read alone may read, and nothing else", async () => {
    await put("shared", "x");
    const as = "reader";
    expect((await ask("GET", "/buckets/photos/objects/shared", { as })).status).toBe(200);
    expect((await ask("PUT", "/buckets/photos/objects/shared", { as, body: "y" })).status).toBe(403);
    expect((await ask("DELETE", "/buckets/photos/objects/shared", { as })).status).toBe(403);
    expect((await ask("GET", "/buckets/photos/objects", { as })).status).toBe(403);
    expect((await ask("GET", "/buckets/photos/objects/not-there", { as })).status).toBe(403);
  });

  test("finds no token in what is logged", async () => {
    await ask("GET", "/buckets/photos/objects?prefix=a", {});
    await ask("GET", "/buckets", { as: "nobody-at-all" });
    const said = JSON.stringify([stack.lines, stack.events]);
    expect(said).toContain("ListObjects");
    expect(said).not.toContain("token-of-");
  });
});

describe("a listing", () => {
  test("goes page by page, names and prefixes in the order of their bytes", async () => {
    for (const name of ["l/a", "l/b/1", "l/b/2", "l/c", "l/d/1", "l/😀"]) await put(name, name);
    const seen: string[] = [];
    let cursor: string | undefined;
    let pages = 0;
    do {
      const more = cursor === undefined ? "" : `&cursor=${encodeURIComponent(cursor)}`;
      const response = await ask("GET", `/buckets/photos/objects?prefix=l/&delimiter=/&limit=2${more}`);
      const page = (await response.json()) as ListingJson;
      expect(page.truncated).toBe(page.cursor !== undefined);
      seen.push(...page.objects.map((one) => one.name), ...page.prefixes);
      cursor = page.cursor;
      pages += 1;
    } while (cursor !== undefined);
    expect(seen.sort()).toEqual(["l/a", "l/b/", "l/c", "l/d/", "l/😀"].sort());
    expect(pages).toBe(3);
  });

  test("says size, ETag and time of each object", async () => {
    const stored = await put("described", "12345");
    const page = (await (await ask("GET", "/buckets/photos/objects?prefix=described")).json()) as ListingJson;
    expect(page.objects).toEqual([
      {
        name: "described",
        sizeBytes: 5,
        etag: stored.headers.get("etag")?.replaceAll('"', ""),
        modified: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      },
    ]);
  });

  test.each([["limit=x"], ["limit=-1"], ["cursor=!"], ["cursor=e30"], ["cursor="]])("refuses %s", async (query) => {
    expect(await problemOf(await ask("GET", `/buckets/photos/objects?${query}`))).toMatchObject({
      status: 400,
      code: "InvalidArgument",
    });
  });

  test("takes a limit of any size, and a page ends at its own", async () => {
    expect((await ask("GET", `/buckets/photos/objects?limit=${"9".repeat(30)}`)).status).toBe(200);
  });

  test("of nothing is an empty page", async () => {
    const page = (await (await ask("GET", "/buckets/photos/objects?prefix=none&limit=0")).json()) as ListingJson;
    expect(page).toEqual({
      bucket: "photos",
      prefix: "none",
      delimiter: "",
      objects: [],
      prefixes: [],
      truncated: false,
    });
  });
});

describe("buckets", () => {
  test("are listed as far as the token may use them", async () => {
    expect(await (await ask("GET", "/buckets")).json()).toEqual({
      buckets: [{ name: "photos", created: expect.any(String) }],
    });
  });

  test.each([
    ["PUT", "/buckets/photos", "app", 409, "BucketAlreadyOwnedByYou"],
    ["PUT", "/buckets/new-one", "app", 403, "AccessDenied"],
    ["PUT", "/buckets/photos", "maker", 409, "BucketAlreadyExists"],
    ["PUT", "/buckets/10.0.0.1", "maker", 400, "InvalidBucketName"],
    ["DELETE", "/buckets/new-one", "app", 403, "AccessDenied"],
    ["DELETE", "/buckets/new-one", "maker", 404, "NoSuchBucket"],
    ["DELETE", "/buckets/photos", "app", 403, "AccessDenied"],
    ["DELETE", "/buckets/photos", "maker", 403, "AccessDenied"],
    ["GET", "/buckets/UPPER/objects", "app", 400, "InvalidBucketName"],
    ["GET", "/buckets/a..b/objects", "app", 400, "InvalidBucketName"],
    ["GET", "/buckets//objects", "app", 400, "InvalidBucketName"],
    ["GET", "/buckets/ab/objects", "app", 400, "InvalidBucketName"],
    ["GET", `/buckets/${"a".repeat(64)}/objects`, "app", 400, "InvalidBucketName"],
    ["GET", "/buckets/a.-/objects", "app", 400, "InvalidBucketName"],
    ["GET", "/buckets/.ab/objects", "app", 400, "InvalidBucketName"],
    ["GET", "/buckets/a-.-b/objects", "app", 403, "AccessDenied"],
  ])("%s %s as %s is %d %s", async (method, path, as, status, code) => {
    expect(await problemOf(await ask(method, path, { as }))).toMatchObject({ status, code });
  });

  test("are made, used and removed by self-service", async () => {
    const as = "maker";
    const made = await ask("PUT", "/buckets/made-here", { as });
    expect([made.status, made.headers.get("location")]).toEqual([201, "/api/v1/buckets/made-here"]);
    expect(await problemOf(await ask("PUT", "/buckets/made-here", { as }))).toMatchObject({
      status: 409,
      code: "BucketAlreadyOwnedByYou",
    });
    const { buckets } = (await (await ask("GET", "/buckets", { as })).json()) as { buckets: { name: string }[] };
    expect(buckets.map(({ name }) => name)).toEqual(["made-here"]);
    expect((await ask("PUT", "/buckets/made-here/objects/a", { as, body: "hello" })).status).toBe(200);
    expect(await (await ask("GET", "/buckets/made-here/objects/a", { as })).text()).toBe("hello");
    expect((await ask("GET", "/buckets/made-here/objects/a")).status).toBe(403);
    expect(await problemOf(await ask("DELETE", "/buckets/made-here", { as }))).toMatchObject({
      status: 409,
      code: "BucketNotEmpty",
    });
    await ask("DELETE", "/buckets/made-here/objects/a", { as });
    expect((await ask("DELETE", "/buckets/made-here", { as })).status).toBe(204);
    expect((await ask("GET", "/buckets/made-here/objects", { as })).status).toBe(404);
  });

  test("say how they are encrypted", async () => {
    const expected = { enabled: true, algorithm: "AES256", kms_key_id: ring.id };
    expect(await (await ask("GET", "/buckets/photos/encryption")).json()).toEqual(expected);
  });

  test.each([
    [{ enabled: true }],
    [{ enabled: true, algorithm: "AES256" }],
    [{ enabled: true, algorithm: "AES256", kms_key_id: ring.id }],
    [{ enabled: true, kms_key_id: "local" }],
  ])("accept what holds already: %j", async (body) => {
    const response = await ask("PUT", "/buckets/photos/encryption", { body: JSON.stringify(body) });
    expect(response.status).toBe(200);
    expect(await response.json()).toMatchObject({ enabled: true, kms_key_id: ring.id });
  });

  test.each([
    [{ enabled: false }],
    [{ enabled: true, algorithm: "ChaCha20Poly1305" }],
    [{ enabled: true, kms_key_id: "another" }],
  ])("refuse what contradicts their resource, naming it: %j", async (body) => {
    const response = await ask("PUT", "/buckets/photos/encryption", { body: JSON.stringify(body) });
    const problem = await problemOf(response);
    expect(problem).toMatchObject({ status: 409, code: "ConfigurationConflict" });
    expect(problem.detail).toContain("EncryptedBucket default/photos");
  });

  test.each([
    ["{"],
    ["[]"],
    ["null"],
    ['{"enabled":"yes"}'],
    ["{}"],
    ['{"enabled":true,"algorithm":"ROT13"}'],
    ['{"enabled":true,"kms_key_id":1}'],
    ['{"enabled":true,"more":1}'],
    [Buffer.from([0x22, 0xff, 0x22])],
  ])("refuse JSON that is not theirs: %j", async (body) => {
    const response = await ask("PUT", "/buckets/photos/encryption", { body });
    expect(await problemOf(response)).toMatchObject({ status: 400, code: "MalformedJSON" });
  });

  test("refuse an endless body", async () => {
    const response = await ask("PUT", "/buckets/photos/encryption", { body: " ".repeat(65_537) });
    expect(await problemOf(response)).toMatchObject({ status: 400, code: "EntityTooLarge" });
  });

  test("return to the default", async () => {
    expect((await ask("DELETE", "/buckets/photos/encryption")).status).toBe(204);
    expect((await ask("DELETE", "/buckets/photos/encryption", { as: "music" })).status).toBe(403);
  });
});

describe("operations", () => {
  /** A PUT that has sent one of two bytes, and its id. */
  async function openTransfer(): Promise<{ id: string; end(): Promise<void> }> {
    const client = rawClient(stack.port);
    client.send(
      `PUT /api/v1/buckets/photos/objects/slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${tokenOf("app")}\r\nContent-Length: 2\r\n\r\na`,
    );
    for (;;) {
      const { operations } = (await (await ask("GET", "/operations")).json()) as OperationsJson;
      const id = operations.find((one) => one.operation === "PutObject")?.id;
      if (id !== undefined) {
        return {
          id,
          async end() {
            client.send("b");
            await client.until("sizeBytes");
            client.socket.destroy();
          },
        };
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  test("show what is in flight to its own principal alone", async () => {
    const transfer = await openTransfer();
    const one = await (await ask("GET", `/operations/${transfer.id}`)).json();
    expect(one).toMatchObject({ operation: "PutObject", bucket: "photos", name: "slow", totalBytes: 2 });
    const others = (await (await ask("GET", "/operations", { as: "music" })).json()) as OperationsJson;
    expect(others.operations).toEqual([]);
    const hidden = await ask("GET", `/operations/${transfer.id}`, { as: "music" });
    expect(await problemOf(hidden)).toMatchObject({ status: 404, code: "NoSuchOperation" });
    await transfer.end();
    expect((await ask("GET", `/operations/${transfer.id}`)).status).toBe(404);
  });

  test("are told as events until they end", async () => {
    const transfer = await openTransfer();
    const response = await ask("GET", `/operations/${transfer.id}`, { headers: { accept: "text/event-stream" } });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    let text = "";
    let isEnding = false;
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += piece;
      const told = text.match(/event: progress\ndata: \{/g)?.length ?? 0;
      if (told < 2 || isEnding) continue;
      isEnding = true;
      await transfer.end();
    }
    expect(isEnding).toBe(true);
    expect(text).toMatch(/event: end\ndata: \{\}\n\n$/);
  });

  test("as events are described without them, and nothing stays", async () => {
    const headers = { accept: "text/event-stream" };
    const response = await ask("HEAD", "/operations", { headers });
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const { operations } = (await (await ask("GET", "/operations")).json()) as OperationsJson;
    expect(operations).toEqual([]);
  });

  test("stop being told when the server shuts down", async () => {
    const own = await openStack();
    const response = await fetch(`${own.base}/operations`, {
      headers: { authorization: `Bearer ${tokenOf("app")}`, accept: "text/event-stream" },
    });
    own.shutdown.abort();
    expect(await response.text()).toMatch(/event: end/);
    await own.listener.drain(1000);
  });
});

describe("keys", () => {
  test.each(["rotate", "rewrap"])("are not to %s where a resource drives them, which is named", async (verb) => {
    const problem = await problemOf(await ask("POST", `/keys/local/${verb}`, { as: "maker" }));
    expect(problem).toMatchObject({ status: 409, code: "ConfigurationConflict" });
    expect(problem.detail).toContain("KmsProvider default/local");
  });

  test("of an unknown provider are not there", async () => {
    expect(await problemOf(await ask("POST", "/keys/nothing/rotate"))).toMatchObject({ status: 404, code: "NotFound" });
  });

  test("that nobody rules need a credential that may, and then are not implemented", async () => {
    await stack.live.offer(configOf({ ruledBy: "nobody", revision: 2 }), signal);
    expect(await problemOf(await ask("POST", "/keys/local/rotate"))).toMatchObject({ status: 403 });
    expect(await problemOf(await ask("POST", "/keys/local/rotate", { as: "maker" }))).toMatchObject({
      status: 501,
      code: "NotImplemented",
    });
    await stack.live.offer(configOf({ revision: 3 }), signal);
  });
});

describe("the surface", () => {
  test.each([
    ["/", 404],
    ["/buckets/photos/other", 404],
    ["/buckets/photos/encryption/more", 404],
    ["/operations/a/b", 404],
    ["/keys/local", 404],
    ["/keys/local/destroy", 404],
    ["/openapi.json/x", 404],
  ])("has nothing at %s", async (path, status) => {
    expect(await problemOf(await ask("GET", path))).toMatchObject({ status, code: "NotFound" });
  });

  test.each(Object.entries(METHODS))("answers no other methods for %s", async (kind, methods) => {
    const paths: Record<string, string> = {
      buckets: "/buckets",
      bucket: "/buckets/photos",
      encryption: "/buckets/photos/encryption",
      objects: "/buckets/photos/objects",
      object: "/buckets/photos/objects/a",
      operations: "/operations",
      operation: "/operations/1",
      keys: "/keys/local/rotate",
      openapi: "/openapi.json",
    };
    for (const method of ["GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"]) {
      if ((methods as readonly string[]).includes(method)) continue;
      const response = await ask(method, paths[kind] ?? "");
      expect(response.headers.get("allow")).toBe(methods.join(", "));
      expect(await problemOf(response)).toMatchObject({ status: 405, code: "MethodNotAllowed" });
    }
  });

  test("is described without a token, by the paths and methods that it answers", async () => {
    const response = await ask("GET", "/openapi.json", { as: "" });
    expect(await response.json()).toEqual(OPENAPI);
    const paths: Record<keyof typeof METHODS, string> = {
      buckets: "/api/v1/buckets",
      bucket: "/api/v1/buckets/{bucket}",
      encryption: "/api/v1/buckets/{bucket}/encryption",
      objects: "/api/v1/buckets/{bucket}/objects",
      object: "/api/v1/buckets/{bucket}/objects/{key}",
      operations: "/api/v1/operations",
      operation: "/api/v1/operations/{id}",
      keys: "/api/v1/keys/{provider}/{verb}",
      openapi: "/api/v1/openapi.json",
    };
    expect(Object.keys(OPENAPI.paths).sort()).toEqual(Object.values(paths).sort());
    for (const [kind, path] of Object.entries(paths)) {
      const described = Object.keys(OPENAPI.paths[path] ?? {}).filter((member) => member !== "parameters");
      const methods: readonly string[] = METHODS[kind as keyof typeof METHODS];
      expect(described.map((method) => method.toUpperCase()).sort()).toEqual([...methods].sort());
    }
  });

  test("describes an answer by what is answered", async () => {
    await put("openapi", "x");
    const { components } = OPENAPI as unknown as {
      components: { schemas: Record<string, { properties: object; required: readonly string[] }> };
    };
    const answers: Record<string, object> = {
      Buckets: (await (await ask("GET", "/buckets")).json()) as object,
      Listing: (await (await ask("GET", "/buckets/photos/objects")).json()) as object,
      Encryption: (await (await ask("GET", "/buckets/photos/encryption")).json()) as object,
      Operations: (await (await ask("GET", "/operations")).json()) as object,
      Problem: (await (await ask("GET", "/nowhere")).json()) as object,
      Object: (await (await put("openapi", "x")).json()) as object,
    };
    for (const [name, json] of Object.entries(answers)) {
      const schema = components.schemas[name];
      expect(Object.keys(schema?.properties ?? {})).toEqual(expect.arrayContaining(Object.keys(json)));
      expect(Object.keys(json)).toEqual(expect.arrayContaining([...(schema?.required ?? ["missing"])]));
    }
  });

  test("answers what is not HTTP as a problem", async () => {
    const client = rawClient(stack.port);
    client.send("nonsense\r\n\r\n");
    const text = await client.closed();
    expect(text).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(JSON.parse(text.slice(text.indexOf("\r\n\r\n") + 4))).toMatchObject({ code: "BadRequest", status: 400 });
  });
});
