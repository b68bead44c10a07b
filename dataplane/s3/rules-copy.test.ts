import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLocalKms } from "../../kms/local.ts";
import { createRing, printRing } from "../../kms/ring.ts";
import type { ObjectStore } from "../objects/objects.ts";
import type { HeaderList } from "./contract/requests.ts";
import { type Answer, type Asked, ask, CREDENTIAL, MAKER, startWorld, type World } from "./contract/world.ts";

const READER = { ...CREDENTIAL, accessKeyId: "READER", tokenSha256: "b".repeat(64), permissions: ["Read" as const] };
const WRITER = { ...CREDENTIAL, accessKeyId: "WRITER", tokenSha256: "c".repeat(64), permissions: ["Write" as const] };
const SSE = "x-amz-server-side-encryption";
/** A busy machine is not late by that much. */
const SLOW_ANSWER_MS = 2000;
const ring = createRing(new Date());
let world: World;
let around: Partial<ObjectStore> = {};

beforeAll(async () => {
  world = await startWorld(
    { kms: createLocalKms(ring), kmsKeyId: ring.id, ring: printRing(ring) },
    {
      credentials: [READER, WRITER],
      around: (objects) => ({ ...objects, copy: (...given) => (around.copy ?? objects.copy)(...given) }),
      slowAnswerMs: SLOW_ANSWER_MS,
    },
  );
  await put("/photos/from", "hello", [
    ["Content-Type", "text/plain"],
    ["x-amz-meta-who", "me"],
    ["x-amz-tagging", "a=1"],
  ]);
});

afterAll(async () => {
  await world.close();
  expect(world.errors).toEqual([]);
});

const put = (target: string, text: string, headers: HeaderList = [], more: Asked = {}): Promise<Answer> =>
  ask(world, { method: "PUT", target, body: Buffer.from(text), headers, ...more });

const copy = (target: string, source: string, headers: HeaderList = [], more: Asked = {}): Promise<Answer> =>
  ask(world, { method: "PUT", target, headers: [["x-amz-copy-source", source], ...headers], ...more });

const read = async (target: string): Promise<string> => (await ask(world, { target })).text;

const etagOf = async (target: string): Promise<string> =>
  String((await ask(world, { method: "HEAD", target })).headers["etag"]);

function crc(text: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(text));
  return bytes.toString("base64");
}

describe("Copy source:", () => {
  test("with or without a leading /, decoded once, + a plus, ?versionId=", async () => {
    await put("/photos/a%2Bb%20%25c%3Fd", "plus");
    await put("/photos/a%20b", "space");
    await put(`/photos/${encodeURIComponent("ü")}/x`, "deep");
    const cases: [source: string, status: number, text: string][] = [
      ["photos/from", 200, "hello"],
      ["/photos/from", 200, "hello"],
      ["/photos/from?versionId=null", 200, "hello"],
      ["/photos/a+b%20%25c%3Fd", 200, "plus"],
      ["%2Fphotos%2Fa%20b", 200, "space"],
      ["photos/a b", 200, "space"],
      ["photos/%C3%BC/x", 200, "deep"],
      [Buffer.from("photos/ü/x").toString("latin1"), 200, "deep"],
      ["photos/a%2520b", 404, "NoSuchKey"],
      ["/photos/from?versionId=7", 400, "InvalidArgument"],
      ["photos", 400, "InvalidArgument"],
      ["/photos/", 400, "InvalidArgument"],
      ["", 400, "InvalidArgument"],
      ["photos/%zz", 400, "InvalidURI"],
      ["photos/%ff", 400, "InvalidURI"],
      ["a..b/from", 400, "InvalidBucketName"],
      [`photos/${"a".repeat(1025)}`, 400, "KeyTooLongError"],
    ];
    for (const [source, status, text] of cases) {
      const answer = await copy("/photos/to", source);
      expect([source, answer.status, answer.code ?? (await read("/photos/to"))]).toEqual([source, status, text]);
    }
  });

  test("the copy answers ETag and LastModified, and what there is to say of its encryption", async () => {
    const answer = await copy("/photos/to", "/photos/from");
    const etag = (await etagOf("/photos/from")).replaceAll('"', "&quot;");
    expect(answer.text).toMatch(/<CopyObjectResult xmlns=.*<LastModified>\d{4}-.*Z<\/LastModified>/);
    expect(answer.text).toContain(`<ETag>${etag}</ETag>`);
    expect(answer.headers[SSE]).toBe("aws:kms");
    expect(answer.headers[`${SSE}-aws-kms-key-id`]).toBe(ring.id);
    expect(answer.headers[`${SSE}-bucket-key-enabled`]).toBe("true");
  });

  test("over 5 GiB 400", async () => {
    const { Failure } = await import("../failure.ts");
    around = { copy: () => Promise.reject(new Failure("InvalidRequest", "too large")) };
    expect(await copy("/photos/to", "/photos/from")).toMatchObject({ status: 400, code: "InvalidRequest" });
    around = {};
  });

  test("onto itself only with REPLACE or a change of encryption", async () => {
    const self = (headers: HeaderList = []) => copy("/photos/self", "photos/self", headers);
    await put("/photos/self", "hello", [["x-amz-meta-a", "1"]]);
    expect(await self()).toMatchObject({ status: 400, code: "InvalidRequest" });
    expect(await self([["x-amz-meta-a", "2"]])).toMatchObject({ status: 400, code: "InvalidRequest" });
    const replace: HeaderList = [
      ["x-amz-metadata-directive", "REPLACE"],
      ["x-amz-meta-a", "2"],
    ];
    expect((await self(replace)).status).toBe(200);
    expect((await ask(world, { target: "/photos/self" })).headers["x-amz-meta-a"]).toBe("2");
    expect((await self([[SSE, "AES256"]])).status).toBe(200);
    const after = await ask(world, { target: "/photos/self" });
    expect([after.text, after.headers[SSE], after.headers["x-amz-meta-a"]]).toEqual(["hello", "AES256", "2"]);
  });
});

describe("A copy's metadata and tags:", () => {
  const about = async (target: string) => {
    const { headers } = await ask(world, { method: "HEAD", target });
    const tags = (await ask(world, { target: `${target}?tagging` })).text;
    return [
      headers["content-type"],
      headers["x-amz-meta-who"],
      headers["x-amz-meta-new"],
      tags.includes("<Key>a</Key>"),
    ];
  };
  const given: HeaderList = [
    ["Content-Type", "image/png"],
    ["x-amz-meta-new", "1"],
    ["x-amz-tagging", "b=2"],
  ];
  test.each<[string, HeaderList, unknown[]]>([
    ["COPY is the default, and what the request gives is not looked at", [], ["text/plain", "me", undefined, true]],
    ["COPY said aloud is the same", [["x-amz-metadata-directive", "COPY"]], ["text/plain", "me", undefined, true]],
    [
      "REPLACE takes the request's headers",
      [["x-amz-metadata-directive", "REPLACE"]],
      ["image/png", undefined, "1", true],
    ],
    [
      "tags are replaced on their own",
      [["x-amz-tagging-directive", "REPLACE"]],
      ["text/plain", "me", undefined, false],
    ],
  ])("%s", async (_rule, directives, expected) => {
    expect((await copy("/photos/told", "photos/from", [...directives, ...given])).status).toBe(200);
    expect(await about("/photos/told")).toEqual(expected);
  });

  test.each(["x-amz-metadata-directive", "x-amz-tagging-directive"])(
    "%s is COPY or REPLACE, else 400",
    async (name) => {
      expect(await copy("/photos/told", "photos/from", [[name, "copy"]])).toMatchObject({ code: "InvalidArgument" });
    },
  );
});

describe("Conditions of a copy:", () => {
  const PREFIX = "x-amz-copy-source-if-";
  test("those on the source fail 412, whichever it is", async () => {
    const etag = await etagOf("/photos/from");
    const past = new Date(Date.now() - 3_600_000).toUTCString();
    const cases: [string, string, number][] = [
      ["match", etag, 200],
      ["match", etag.replaceAll('"', ""), 200],
      ["match", '"other"', 412],
      ["none-match", etag, 412],
      ["none-match", '"other"', 200],
      ["modified-since", past, 200],
      ["modified-since", new Date().toUTCString(), 412],
      ["unmodified-since", past, 412],
      ["unmodified-since", new Date(Date.now() + 1000).toUTCString(), 200],
    ];
    for (const [name, value, status] of cases) {
      expect([name, value, (await copy("/photos/to", "photos/from", [[PREFIX + name, value]])).status]).toEqual([
        name,
        value,
        status,
      ]);
    }
  });

  test("If-Match and If-None-Match hold for Copy too", async () => {
    const none: HeaderList = [["If-None-Match", "*"]];
    expect((await copy("/photos/once", "photos/from", none)).status).toBe(200);
    expect(await copy("/photos/once", "photos/from", none)).toMatchObject({ status: 412, code: "PreconditionFailed" });
    const etag = await etagOf("/photos/once");
    expect((await copy("/photos/once", "photos/from", [["If-Match", etag]])).status).toBe(200);
    expect((await copy("/photos/once", "photos/from", [["If-Match", '"x"']])).status).toBe(412);
    expect((await copy("/photos/nowhere", "photos/from", [["If-Match", etag]])).status).toBe(404);
    expect((await copy("/photos/once", "photos/from", [["If-None-Match", etag]])).status).toBe(501);
  });
});

describe("Copies pass one guard:", () => {
  test("who may not read the source, or not write the target, gets 403", async () => {
    expect((await copy("/photos/to", "photos/from", [], { accessKeyId: "READER" })).status).toBe(403);
    expect((await copy("/photos/to", "photos/from", [], { accessKeyId: "WRITER" })).status).toBe(403);
    expect((await copy("/photos/to", "music/from")).status).toBe(403);
    expect((await copy("/photos/to", "nowhere/from")).status).toBe(403);
    expect((await copy("/music/to", "photos/from")).status).toBe(403);
    const maker = { accessKeyId: MAKER.accessKeyId };
    expect((await ask(world, { method: "PUT", target: "/copied", ...maker })).status).toBe(200);
    expect((await copy("/copied/to", "photos/from", [], maker)).status).toBe(403);
    expect((await copy("/photos/to", "copied/to")).status).toBe(403);
  });

  test("a source that is not there is 404 for who may list", async () => {
    expect(await copy("/photos/to", "photos/nothing")).toMatchObject({ status: 404, code: "NoSuchKey" });
  });
});

describe("A copy takes the request's headers or the destination bucket's default;", () => {
  const context = Buffer.from('{"team":"blue"}').toString("base64");
  test("the source's encryption and its context are not inherited", async () => {
    const own: HeaderList = [
      [SSE, "aws:kms"],
      [`${SSE}-context`, context],
    ];
    expect((await put("/photos/own", "hello", own)).headers[`${SSE}-context`]).toBe(context);
    const plain = await copy("/photos/to", "photos/own");
    expect(plain.headers[`${SSE}-context`]).toBeUndefined();
    expect(plain.headers[`${SSE}-bucket-key-enabled`]).toBe("true");
    const again = await copy("/photos/to", "photos/own", own);
    expect(again.headers[`${SSE}-context`]).toBe(context);
    expect(again.headers[`${SSE}-bucket-key-enabled`]).toBeUndefined();
    expect(await read("/photos/to")).toBe("hello");
  });

  test("a copy keeps the ETag, whatever is shown from then on", async () => {
    const etag = await etagOf("/photos/from");
    await copy("/photos/to", "photos/from", [[SSE, "AES256"]]);
    const head = await ask(world, { method: "HEAD", target: "/photos/to" });
    expect([head.headers["etag"], head.headers[SSE]]).toEqual([etag, "AES256"]);
  });

  test("a checksum that is asked for is computed, and one that is unknown refused", async () => {
    const answer = await copy("/photos/to", "photos/from", [["x-amz-checksum-algorithm", "CRC32"]]);
    expect(answer.text).toContain(`<ChecksumCRC32>${crc("hello")}</ChecksumCRC32>`);
    expect(answer.text).toContain("<ChecksumType>FULL_OBJECT</ChecksumType>");
    const got = await ask(world, { target: "/photos/to", headers: [["x-amz-checksum-mode", "ENABLED"]] });
    expect(got.headers["x-amz-checksum-crc32"]).toBe(crc("hello"));
    const unknown = await copy("/photos/to", "photos/from", [["x-amz-checksum-algorithm", "XXHASH3"]]);
    expect(unknown).toMatchObject({ status: 400, code: "InvalidRequest" });
  });

  test("a customer's key opens no source, since none has one", async () => {
    const key = Buffer.alloc(32, 1);
    const source = "x-amz-copy-source-server-side-encryption-customer-";
    const all: HeaderList = [
      [`${source}algorithm`, "AES256"],
      [`${source}key`, key.toString("base64")],
      [`${source}key-MD5`, createHash("md5").update(key).digest("base64")],
    ];
    expect(await copy("/photos/to", "photos/from", all)).toMatchObject({ status: 400, code: "InvalidRequest" });
    expect(await copy("/photos/to", "photos/from", all.slice(1))).toMatchObject({ code: "InvalidArgument" });
  });
});

describe("Complete and long copies send 200 and spaces once they take long;", () => {
  test("then an error is an <Error> body", async () => {
    const { Failure } = await import("../failure.ts");
    const later = () => new Promise<void>((resolve) => setTimeout(resolve, 3.5 * SLOW_ANSWER_MS));
    around = {
      copy: async () => {
        await later();
        throw new Failure("NoSuchKey", "It went");
      },
    };
    const failed = await copy("/photos/to", "photos/from");
    expect(failed.status).toBe(200);
    expect(failed.text).toMatch(/^<\?xml [^>]*\?>\n {2,}<Error><Code>NoSuchKey<\/Code>/);
    around = {};
  });
});

describe("UploadPartCopy:", () => {
  const begin = async (target: string, headers: HeaderList = []): Promise<string> => {
    const { text } = await ask(world, { method: "POST", target: `${target}?uploads`, headers });
    return /<UploadId>(.*)<\/UploadId>/.exec(text)?.[1] ?? "";
  };
  const part = (
    target: string,
    id: string,
    number: number,
    source: string,
    headers: HeaderList = [],
    more: Asked = {},
  ) => copy(`${target}?partNumber=${number}&uploadId=${id}`, source, headers, more);
  const RANGE = "x-amz-copy-source-range";

  test("a range or all of the source becomes a part", async () => {
    const id = await begin("/photos/assembled", [["x-amz-checksum-algorithm", "CRC32"]]);
    const first = await part("/photos/assembled", id, 1, "photos/from", [[RANGE, "bytes=1-3"]]);
    expect(first.text).toMatch(/<CopyPartResult xmlns=.*<ETag>&quot;[0-9a-f]{32}-1&quot;<\/ETag>/);
    expect(first.text).toContain(`<ChecksumCRC32>${crc("ell")}</ChecksumCRC32>`);
    expect(first.headers[SSE]).toBe("aws:kms");
    const etag = /<ETag>(.*?)<\/ETag>/.exec(first.text)?.[1] ?? "";
    const list = `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag></Part></CompleteMultipartUpload>`;
    const done = await ask(world, {
      method: "POST",
      target: `/photos/assembled?uploadId=${id}`,
      body: Buffer.from(list),
    });
    expect(done.status).toBe(200);
    expect(await read("/photos/assembled")).toBe("ell");
  });

  test("refuses a range that is none with 400, and one beyond the source with 416", async () => {
    const id = await begin("/photos/ranged");
    const cases: [string, number, string | undefined][] = [
      ["bytes=0-4", 200, undefined],
      ["bytes=0-5", 416, "InvalidRange"],
      ["bytes=9-10", 416, "InvalidRange"],
      ["bytes=3-2", 400, "InvalidArgument"],
      ["bytes=0-", 400, "InvalidArgument"],
      ["bytes=-2", 400, "InvalidArgument"],
      ["0-2", 400, "InvalidArgument"],
      ["bytes=0-1,2-3", 400, "InvalidArgument"],
    ];
    for (const [range, status, code] of cases) {
      const answer = await part("/photos/ranged", id, 1, "photos/from", [[RANGE, range]]);
      expect([range, answer.status, answer.code]).toEqual([range, status, code]);
    }
  });

  test("takes no choice of encryption, conditions on its source, an upload that is there, and a part number", async () => {
    const id = await begin("/photos/held");
    expect((await part("/photos/held", id, 1, "photos/from", [[SSE, "AES256"]])).code).toBe("InvalidArgument");
    const match: HeaderList = [["x-amz-copy-source-if-match", '"x"']];
    expect((await part("/photos/held", id, 1, "photos/from", match)).status).toBe(412);
    expect((await part("/photos/held", "nothing", 1, "photos/from")).code).toBe("NoSuchUpload");
    expect((await part("/photos/held", id, 0, "photos/from")).code).toBe("InvalidArgument");
    expect((await part("/photos/held", id, 10_001, "photos/from")).code).toBe("InvalidArgument");
    expect((await part("/photos/held", id, 1, "photos/nothing")).code).toBe("NoSuchKey");
    expect((await part("/photos/held", id, 1, "photos/from", [], { accessKeyId: "WRITER" })).code).toBe("AccessDenied");
  });
});
