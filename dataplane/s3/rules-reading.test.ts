import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLocalKms } from "../../kms/local.ts";
import { createRing, printRing } from "../../kms/ring.ts";
import type { HeaderList } from "./contract/requests.ts";
import { type Answer, type Asked, ask, CREDENTIAL, startWorld, type World } from "./contract/world.ts";

const STRANGER = { ...CREDENTIAL, accessKeyId: "STRANGER", tokenSha256: "b".repeat(64), permissions: [] };
const ring = createRing(new Date());
let world: World;
let etag = "";
let modifiedMs = 0;

beforeAll(async () => {
  world = await startWorld(
    { kms: createLocalKms(ring), kmsKeyId: ring.id, ring: printRing(ring) },
    { credentials: [STRANGER] },
  );
  etag = String((await put("/photos/read")).headers["etag"]);
  await put("/photos/empty", [], "");
  modifiedMs = Date.parse(String((await ask(world, { target: "/photos/read" })).headers["last-modified"]));
});

afterAll(async () => {
  await world.close();
  expect(world.errors).toEqual([]);
});

const put = (target: string, headers: HeaderList = [], text = "hello", more: Asked = {}): Promise<Answer> =>
  ask(world, { method: "PUT", target, body: Buffer.from(text), headers, ...more });

const read = (headers: HeaderList, target = "/photos/read", method = "GET"): Promise<Answer> =>
  ask(world, { method, target, headers });

const outcome = ({ status, code }: Answer) => [status, code];
const time = (ms: number): string => new Date(ms).toUTCString();

describe("Read:", () => {
  test("If-Match fails 412 (true: If-Unmodified-Since is not looked at)", async () => {
    expect((await read([["If-Match", '"x"']])).status).toBe(412);
    expect((await read([["If-Match", etag]])).status).toBe(200);
    expect((await read([["If-Match", `"x", ${etag}`]])).status).toBe(200);
    expect((await read([["If-Match", "*"]])).status).toBe(200);
    const both: HeaderList = [
      ["If-Match", etag],
      ["If-Unmodified-Since", time(modifiedMs - 60_000)],
    ];
    expect((await read(both)).status).toBe(200);
  });

  test("If-Unmodified-Since fails 412", async () => {
    expect((await read([["If-Unmodified-Since", time(modifiedMs - 1000)]])).status).toBe(412);
    expect((await read([["If-Unmodified-Since", time(modifiedMs)]])).status).toBe(200);
  });

  test("If-None-Match matches 304 (present: If-Modified-Since is not looked at)", async () => {
    expect((await read([["If-None-Match", etag]])).status).toBe(304);
    expect((await read([["If-None-Match", `W/${etag}`]])).status).toBe(304);
    const both: HeaderList = [
      ["If-None-Match", '"x"'],
      ["If-Modified-Since", time(modifiedMs + 60_000)],
    ];
    expect((await read(both)).status).toBe(200);
  });

  test("If-Modified-Since fails 304", async () => {
    expect((await read([["If-Modified-Since", time(modifiedMs)]])).status).toBe(304);
    expect((await read([["If-Modified-Since", time(modifiedMs - 1000)]])).status).toBe(200);
    expect((await read([["If-Modified-Since", "yesterday"]])).status).toBe(200);
  });

  test("304 carries ETag and Last-Modified, no body", async () => {
    const answer = await read([["If-None-Match", etag]]);
    expect([answer.headers["etag"], answer.headers["last-modified"], answer.text]).toEqual([
      etag,
      time(modifiedMs),
      "",
    ]);
  });

  test("times compare in whole seconds, and LastModified is whole seconds everywhere", async () => {
    const { text } = await ask(world, { target: "/photos?list-type=2&prefix=read" });
    expect(text).toContain(`<LastModified>${new Date(modifiedMs).toISOString().slice(0, 19)}.000Z</LastModified>`);
    expect((await read([["If-Unmodified-Since", time(modifiedMs)]])).status).toBe(200);
  });
});

describe("Write:", () => {
  test("If-None-Match: * exists 412; another value 501", async () => {
    expect(outcome(await put("/photos/read", [["If-None-Match", "*"]]))).toEqual([412, "PreconditionFailed"]);
    expect(outcome(await put("/photos/read", [["If-None-Match", etag]]))).toEqual([501, "NotImplemented"]);
    expect((await put("/photos/new", [["If-None-Match", "*"]])).status).toBe(200);
  });

  test("If-Match on nothing 404, differs 412; both 501", async () => {
    expect(outcome(await put("/photos/nothing", [["If-Match", etag]]))).toEqual([404, "NoSuchKey"]);
    expect(outcome(await put("/photos/new", [["If-Match", '"x"']]))).toEqual([412, "PreconditionFailed"]);
    const both: HeaderList = [
      ["If-Match", etag],
      ["If-None-Match", "*"],
    ];
    expect(outcome(await put("/photos/new", both))).toEqual([501, "NotImplemented"]);
  });

  test("of two racing creations one gets 200, the other 412", async () => {
    for (let round = 0; round < 5; round += 1) {
      const headers: HeaderList = [["If-None-Match", "*"]];
      const race = await Promise.all([put(`/photos/race${round}`, headers), put(`/photos/race${round}`, headers)]);
      expect(race.map(({ status }) => status).sort()).toEqual([200, 412]);
    }
  });
});

describe("One range:", () => {
  test.each<[string, string, string]>([
    ["bytes=0-0", "h", "0-0"],
    ["bytes=1-3", "ell", "1-3"],
    ["bytes=2-99", "llo", "2-4"],
    ["bytes=3-", "lo", "3-4"],
    ["bytes=-2", "lo", "3-4"],
    ["bytes=-99", "hello", "0-4"],
  ])("%s is %s (b cut to the end, -n cut to the size)", async (range, text, content) => {
    const answer = await read([["Range", range]]);
    expect([answer.status, answer.text, answer.headers["content-range"]]).toEqual([206, text, `bytes ${content}/5`]);
    const head = await read([["Range", range]], "/photos/read", "HEAD");
    expect([head.status, head.headers["content-length"], head.text]).toEqual([206, String(text.length), ""]);
  });

  test("first byte past the end, -0, any range of an empty object: 416 InvalidRange with Content-Range: bytes */SIZE", async () => {
    for (const [range, target, size] of [
      ["bytes=5-", "/photos/read", 5],
      ["bytes=-0", "/photos/read", 5],
      ["bytes=0-", "/photos/empty", 0],
      ["bytes=-1", "/photos/empty", 0],
      ["bytes=0-0", "/photos/empty", 0],
    ] as const) {
      const answer = await read([["Range", range]], target);
      expect([...outcome(answer), answer.headers["content-range"]]).toEqual([416, "InvalidRange", `bytes */${size}`]);
    }
  });

  test.each(["bytes=3-2", "bytes=a-b", "bytes=0-1,3-4", "items=0-1", "bytes", "bytes=-"])(
    "malformed or several: 200, whole: %s",
    async (range) => {
      const answer = await read([["Range", range]]);
      expect([answer.status, answer.text]).toEqual([200, "hello"]);
    },
  );

  test("partNumber with Range 400; past the last part 416; of an object in one piece part 1 is all of it", async () => {
    expect((await read([["Range", "bytes=0-1"]], "/photos/read?partNumber=1")).status).toBe(400);
    const one = await read([], "/photos/read?partNumber=1");
    expect([one.status, one.text, one.headers["x-amz-mp-parts-count"]]).toEqual([206, "hello", undefined]);
    expect((await read([], "/photos/read?partNumber=2")).status).toBe(416);
    for (const number of ["0", "10001", "x"]) {
      expect((await read([], `/photos/read?partNumber=${number}`)).status).toBe(400);
    }
  });
});

describe("Listing:", () => {
  const names = ["l/a", "l/b/1", "l/b/2", "l/b/3", "l/c", "l/d/1", "l/e"];
  beforeAll(async () => {
    for (const name of names) await put(`/photos/${name}`, [], name);
  });
  const list = async (query: string) => {
    const { status, text, code } = await ask(world, { target: `/photos?${query.replaceAll("/", "%2F")}` });
    const all = (tag: string) => [...text.matchAll(new RegExp(`<${tag}>([^<]*)</${tag}>`, "g"))].map((one) => one[1]);
    const prefixes = [...text.matchAll(/<CommonPrefixes><Prefix>([^<]*)</g)].map((one) => one[1]);
    const one = (tag: string) => all(tag)[0];
    return { status, code, text, keys: all("Key"), prefixes, one };
  };

  test("max-keys counts names and common prefixes together, default and cap 1,000, 0 gives an empty page", async () => {
    const page = await list("prefix=l/&delimiter=/&max-keys=3");
    expect([page.keys, page.prefixes, page.one("IsTruncated")]).toEqual([["l/a", "l/c"], ["l/b/"], "true"]);
    expect((await list("prefix=l/")).one("MaxKeys")).toBe("1000");
    expect((await list("prefix=l/&max-keys=5000")).one("MaxKeys")).toBe("1000");
    const none = await list("prefix=l/&max-keys=0");
    expect([none.keys, none.one("IsTruncated")]).toEqual([[], "false"]);
    expect((await list("max-keys=x")).code).toBe("InvalidArgument");
  });

  test("truncated exactly when something would follow", async () => {
    expect((await list("prefix=l/&max-keys=7")).one("IsTruncated")).toBe("false");
    expect((await list("prefix=l/&max-keys=6")).one("IsTruncated")).toBe("true");
    expect((await list("prefix=l/&delimiter=/&max-keys=5")).one("IsTruncated")).toBe("false");
  });

  test("a common prefix is reported once, also across pages", async () => {
    const seen: (string | undefined)[] = [];
    let token = "";
    do {
      const page = await list(`list-type=2&prefix=l/&delimiter=/&max-keys=1${token}`);
      seen.push(...page.keys, ...page.prefixes);
      const next = page.one("NextContinuationToken");
      token = next === undefined ? "" : `&continuation-token=${encodeURIComponent(next)}`;
    } while (token !== "");
    expect(seen).toEqual(["l/a", "l/b/", "l/c", "l/d/", "l/e"]);
  });

  test("v1: NextMarker only with a delimiter, a marker that is a common prefix skips all below it", async () => {
    expect((await list("prefix=l/&max-keys=2")).one("NextMarker")).toBeUndefined();
    expect((await list("prefix=l/&delimiter=/&max-keys=2")).one("NextMarker")).toBe("l/b/");
    const after = await list("prefix=l/&delimiter=/&marker=l/b/");
    expect([after.keys, after.prefixes]).toEqual([["l/c", "l/e"], ["l/d/"]]);
    expect((await list("prefix=l/&marker=l/b/")).keys).toEqual(["l/b/1", "l/b/2", "l/b/3", "l/c", "l/d/1", "l/e"]);
  });

  test("v2: the token wins over start-after, is opaque and survives deletion of its name; a bad one 400", async () => {
    const first = await list("list-type=2&prefix=l/&max-keys=2");
    const token = encodeURIComponent(first.one("NextContinuationToken") ?? "");
    expect(decodeURIComponent(token)).not.toContain("l/b/1");
    await ask(world, { method: "DELETE", target: "/photos/l/b/1" });
    const next = await list(`list-type=2&prefix=l/&continuation-token=${token}&start-after=l/e`);
    expect(next.keys).toEqual(["l/b/2", "l/b/3", "l/c", "l/d/1", "l/e"]);
    await put("/photos/l/b/1");
    for (const bad of ["x", "", "AAAA", `${token}A`]) {
      expect([bad, (await list(`list-type=2&continuation-token=${bad}`)).code]).toEqual([bad, "InvalidArgument"]);
    }
  });

  test("encoding-type=url: names, prefix, delimiter, markers are percent-encoded except A-Za-z0-9-._~/, space %20", async () => {
    await put("/photos/enc/%20%2B%26%3C%C3%BC%2A", [], "x");
    const page = await list("list-type=2&prefix=enc/&encoding-type=url&delimiter=%26&start-after=enc/%20");
    expect(page.prefixes).toEqual(["enc/%20%2B%26"]);
    expect([page.one("Prefix"), page.one("Delimiter"), page.one("StartAfter")]).toEqual(["enc/", "%26", "enc/%20"]);
    expect((await list("list-type=2&prefix=enc/&encoding-type=url")).keys).toEqual(["enc/%20%2B%26%3C%C3%BC%2A"]);
    expect((await list("prefix=enc/&encoding-type=xml")).code).toBe("InvalidArgument");
  });

  test('without it XML escapes & < > " and CR (&#13;)', async () => {
    await put("/photos/esc/%26%3C%3E%22%0D", [], "x");
    expect((await list("prefix=esc/")).keys).toEqual(["esc/&amp;&lt;&gt;&quot;&#13;"]);
  });
});

describe("A condition that an operation does not honour: 501 NotImplemented;", () => {
  const document = "<Tagging><TagSet></TagSet></Tagging>";
  const encryption = "<ObjectEncryption><SSE-KMS><KMSKeyArn>k</KMSKeyArn></SSE-KMS></ObjectEncryption>";
  const ALL = ["If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"];
  const SINCE = ALL.slice(2);
  const operations: readonly (readonly [string, method: string, target: string, body: string, refused: string[]])[] = [
    ["PutObject", "PUT", "/photos/held", "other", SINCE],
    ["CopyObject", "PUT", "/photos/held", "", SINCE],
    ["CompleteMultipartUpload", "POST", "/photos/held?uploadId=none", "x", SINCE],
    ["DeleteObject", "DELETE", "/photos/held", "", [...ALL.slice(1), "x-amz-if-match-size"]],
    ["PutObjectTagging", "PUT", "/photos/held?tagging", document, ALL],
    ["DeleteObjectTagging", "DELETE", "/photos/held?tagging", "", ALL],
    ["UpdateObjectEncryption", "PUT", "/photos/held?encryption", encryption, ALL],
    ["PutBucketEncryption", "PUT", "/photos?encryption", "x", ALL],
    ["DeleteBucketEncryption", "DELETE", "/photos?encryption", "", ALL],
  ];
  test.each(operations)("%s", async (operation, method, target, body, refused) => {
    await put("/photos/held", [["x-amz-tagging", "a=1"]]);
    const source: HeaderList = operation === "CopyObject" ? [["x-amz-copy-source", "photos/read"]] : [];
    for (const name of refused) {
      const value = name.endsWith("Since") ? time(modifiedMs) : "*";
      const headers: HeaderList = [...source, [name, value]];
      const asked = { method, target, headers, ...(body === "" ? {} : { body: Buffer.from(body) }) };
      expect([name, ...outcome(await ask(world, asked))]).toEqual([name, 501, "NotImplemented"]);
      const stranger = await ask(world, { ...asked, accessKeyId: "STRANGER" });
      expect([name, ...outcome(stranger)]).toEqual([name, 403, "AccessDenied"]);
    }
    const kept = await ask(world, { target: "/photos/held" });
    expect([kept.text, kept.headers["x-amz-tagging-count"]]).toEqual(["hello", "1"]);
  });

  test("what clients send of their own accord is none", async () => {
    const ordinary: HeaderList = [
      ["Accept", "*/*"],
      ["Cache-Control", "no-cache"],
      ["Pragma", "no-cache"],
      ["Upgrade-Insecure-Requests", "1"],
      ["x-amz-copy-source-if-match", "*"],
    ];
    expect((await put("/photos/plain", ordinary)).status).toBe(200);
    const tags = { method: "PUT", target: "/photos/plain?tagging", body: Buffer.from(document) };
    expect((await ask(world, { ...tags, headers: ordinary })).status).toBe(200);
    expect((await ask(world, { method: "DELETE", target: "/photos/plain", headers: ordinary })).status).toBe(204);
  });
});
