import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLocalKms } from "../../kms/local.ts";
import { createRing, printRing } from "../../kms/ring.ts";
import type { HeaderList } from "./contract/requests.ts";
import { type Answer, type Asked, ask, CREDENTIAL, startWorld, type World } from "./contract/world.ts";

const READER = { ...CREDENTIAL, accessKeyId: "READER", tokenSha256: "b".repeat(64), permissions: ["Read" as const] };
const WRITER = { ...CREDENTIAL, accessKeyId: "WRITER", tokenSha256: "c".repeat(64), permissions: ["Write" as const] };
const ring = createRing(new Date());
let world: World;

beforeAll(async () => {
  world = await startWorld(
    { kms: createLocalKms(ring), kmsKeyId: ring.id, ring: printRing(ring) },
    { credentials: [READER, WRITER] },
  );
});

afterAll(async () => {
  await world.close();
  expect(world.errors).toEqual([]);
});

const put = (target: string, headers: HeaderList = [], text = "hello"): Promise<Answer> =>
  ask(world, { method: "PUT", target, body: Buffer.from(text), headers });

const outcome = ({ status, code }: Answer) => [status, code];

async function inParts(target: string, algorithm: string | undefined, bodies: readonly string[]): Promise<void> {
  const headers: HeaderList = algorithm === undefined ? [] : [["x-amz-checksum-algorithm", algorithm]];
  const { text } = await ask(world, { method: "POST", target: `${target}?uploads`, headers });
  const id = /<UploadId>(.*)<\/UploadId>/.exec(text)?.[1] ?? "";
  let list = "";
  for (const [index, body] of bodies.entries()) {
    const part = await put(`${target}?partNumber=${index + 1}&uploadId=${id}`, [], body);
    list += `<Part><PartNumber>${index + 1}</PartNumber><ETag>${String(part.headers["etag"])}</ETag></Part>`;
  }
  const body = Buffer.from(`<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`);
  expect((await ask(world, { method: "POST", target: `${target}?uploadId=${id}`, body })).status).toBe(200);
}

describe("GetObjectAttributes", () => {
  const attributes = (target: string, named: string, headers: HeaderList = [], more: Asked = {}) =>
    ask(world, { target: `${target}?attributes`, headers: [["x-amz-object-attributes", named], ...headers], ...more });
  const sum = createHash("sha256").update("hello").digest("base64");
  const LARGE = "x".repeat(5 * 2 ** 20);

  test("tells what is named, and nothing more", async () => {
    const stored = await put("/photos/a", [["x-amz-checksum-sha256", sum]]);
    const etag = String(stored.headers["etag"]).replaceAll('"', "");
    const all = await attributes("/photos/a", "ETag,Checksum,ObjectParts,StorageClass,ObjectSize");
    expect(all.text.slice(all.text.indexOf("<ETag>"))).toBe(
      `<ETag>${etag}</ETag><Checksum><ChecksumSHA256>${sum}</ChecksumSHA256><ChecksumType>FULL_OBJECT</ChecksumType></Checksum><StorageClass>STANDARD</StorageClass><ObjectSize>5</ObjectSize></GetObjectAttributesResponse>`,
    );
    expect(all.headers["last-modified"]).toBeDefined();
    const size = await attributes("/photos/a", "ObjectSize");
    expect(size.text).toMatch(/<GetObjectAttributesResponse xmlns="[^"]*"><ObjectSize>5<\/ObjectSize><\/GetOb/);
  });

  test("lists the parts of a multipart object, page by page, each with its checksum", async () => {
    await inParts("/photos/parts", "SHA256", [LARGE, LARGE, "hello"]);
    const page = async (marker: number, limit: number) => {
      const headers: HeaderList = [
        ["x-amz-max-parts", String(limit)],
        ["x-amz-part-number-marker", String(marker)],
      ];
      const { text } = await attributes("/photos/parts", "ObjectParts", headers);
      const parts = [...text.matchAll(/<Part><PartNumber>(\d+)<\/PartNumber><Size>(\d+)<\/Size>/g)];
      const next = /<NextPartNumberMarker>(\d+)</.exec(text)?.[1];
      return [parts.map(([, number, size]) => [Number(number), Number(size)]), next, text.includes("<PartsCount>3<")];
    };
    expect(await page(0, 2)).toEqual([
      [
        [1, LARGE.length],
        [2, LARGE.length],
      ],
      "2",
      true,
    ]);
    expect(await page(2, 2)).toEqual([[[3, 5]], "0", true]);
    const { text } = await attributes("/photos/parts", "ObjectParts,Checksum");
    expect(text).toContain(`<Size>5</Size><ChecksumSHA256>${sum}</ChecksumSHA256></Part>`);
    expect(text).toMatch(/<Checksum><ChecksumSHA256>[^<]*-3<\/ChecksumSHA256><ChecksumType>COMPOSITE<\/ChecksumType>/);
  });

  test("only counts the parts that have no checksum", async () => {
    await inParts("/photos/unsummed", undefined, ["hello"]);
    const { text } = await attributes("/photos/unsummed", "ObjectParts,Checksum");
    expect(text).toContain("<ObjectParts><PartsCount>1</PartsCount>");
    expect(text).not.toContain("<Part>");
    expect(text).not.toContain("<Checksum>");
  });

  test("of a copy that asked for another checksum only counts the parts", async () => {
    await inParts("/photos/summed", "SHA256", [LARGE, "hello"]);
    const copied = async (headers: HeaderList) => {
      const all: HeaderList = [["x-amz-copy-source", "photos/summed"], ...headers];
      expect((await ask(world, { method: "PUT", target: "/photos/copied", headers: all })).status).toBe(200);
      return (await attributes("/photos/copied", "ObjectParts,Checksum")).text;
    };
    const kept = await copied([]);
    expect(kept.match(/<Part>/g)).toHaveLength(2);
    const other = await copied([["x-amz-checksum-algorithm", "CRC32"]]);
    expect(other).toContain("<Checksum><ChecksumCRC32>");
    expect(other).toContain("<PartsCount>2</PartsCount>");
    expect(other).not.toContain("<Part>");
    expect(other).not.toContain("SHA256");
  });

  test("is refused without a name of an attribute, for what is not there, and to who may not read", async () => {
    for (const named of ["", "Colour", "ETag,Colour"]) {
      expect(outcome(await attributes("/photos/a", named))).toEqual([400, "InvalidArgument"]);
    }
    expect(outcome(await attributes("/photos/a", "ETag", [["x-amz-max-parts", "x"]]))).toEqual([
      400,
      "InvalidArgument",
    ]);
    expect(outcome(await attributes("/photos/nothing", "ETag"))).toEqual([404, "NoSuchKey"]);
    expect(outcome(await attributes("/photos/a", "ETag", [], { accessKeyId: "WRITER" }))).toEqual([
      403,
      "AccessDenied",
    ]);
  });
});

describe("Object tagging:", () => {
  const tagging = (pairs: readonly (readonly [string, string])[]) =>
    `<Tagging xmlns="x"><TagSet>${pairs.map(([name, value]) => `<Tag><Key>${name}</Key><Value>${value}</Value></Tag>`).join("")}</TagSet></Tagging>`;
  const set = (xml: string, more: Asked = {}) =>
    ask(world, { method: "PUT", target: "/photos/t?tagging", body: Buffer.from(xml), ...more });
  const get = async () => (await ask(world, { target: "/photos/t?tagging" })).text;

  test("Put replaces, Get shows, Delete removes; body, ETag and LastModified stay", async () => {
    await put("/photos/t", [["x-amz-tagging", "old=1"]]);
    const before = await ask(world, { target: "/photos/t" });
    expect(
      (
        await set(
          tagging([
            ["a b", " 1 "],
            ["&#252;", "&amp;"],
          ]),
        )
      ).status,
    ).toBe(200);
    expect(await get()).toContain(
      "<Tag><Key>a b</Key><Value> 1 </Value></Tag><Tag><Key>ü</Key><Value>&amp;</Value></Tag>",
    );
    const after = await ask(world, { target: "/photos/t" });
    const same = ({ text, headers }: Answer) => [text, headers["etag"], headers["last-modified"]];
    expect(same(after)).toEqual(same(before));
    expect(after.headers["x-amz-tagging-count"]).toBe("2");
    const gone = await ask(world, { method: "DELETE", target: "/photos/t?tagging" });
    expect(gone.status).toBe(204);
    expect(await get()).toContain("<TagSet></TagSet>");
    expect((await set(tagging([]))).status).toBe(200);
  });

  const many = (count: number) => Array.from({ length: count }, (_, index) => [`k${index}`, "v"] as const);
  const cases: Record<string, [status: number, code: string | undefined, xml: string]> = {
    "ten tags": [200, undefined, tagging(many(10))],
    "eleven tags": [400, "InvalidTag", tagging(many(11))],
    "one name twice": [
      400,
      "InvalidTag",
      tagging([
        ["a", "1"],
        ["a", "2"],
      ]),
    ],
    "an empty name": [400, "InvalidTag", tagging([["", "1"]])],
    "a name of 128 characters": [200, undefined, tagging([["a".repeat(128), "1"]])],
    "a name of 129 characters": [400, "InvalidTag", tagging([["a".repeat(129), "1"]])],
    "a value of 257 characters": [400, "InvalidTag", tagging([["a", "b".repeat(257)]])],
    "a name that begins with aws:": [400, "InvalidTag", tagging([["aws:a", "1"]])],
    "a name that begins with AWS:": [400, "InvalidTag", tagging([["AwS:a", "1"]])],
    "a name that only holds aws:, and a value that begins with it": [200, undefined, tagging([["my-aws:a", "aws:"]])],
    "a name with a line feed": [400, "InvalidTag", tagging([["a&#10;b", "1"]])],
    "a name with a tab": [400, "InvalidTag", tagging([["a\tb", "1"]])],
    "a value with a carriage return": [400, "InvalidTag", tagging([["a", "1&#13;"]])],
    "a value with DEL": [400, "InvalidTag", tagging([["a", "1&#127;"]])],
    "a value with a control character beyond ASCII": [400, "InvalidTag", tagging([["a", "1&#x85;"]])],
    "no TagSet": [400, "MalformedXML", "<Tagging/>"],
    "a tag without a value": [400, "MalformedXML", "<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>"],
    "no XML": [400, "MalformedXML", "hello"],
  };
  test.each(Object.entries(cases))("%s", async (_what, [status, code, xml]) => {
    await put("/photos/t");
    expect(outcome(await set(xml))).toEqual([status, code]);
  });

  test("is verified by its Content-MD5, and refused to who may not", async () => {
    const wrong: HeaderList = [["Content-MD5", createHash("md5").update("other").digest("base64")]];
    expect(outcome(await set(tagging([]), { headers: wrong }))).toEqual([400, "BadDigest"]);
    expect(outcome(await set(tagging([]), { accessKeyId: "READER" }))).toEqual([403, "AccessDenied"]);
    expect(outcome(await set(tagging([]), { target: "/photos/nothing?tagging" }))).toEqual([404, "NoSuchKey"]);
    const remove = { method: "DELETE", target: "/photos/t?tagging" };
    expect(outcome(await ask(world, { ...remove, accessKeyId: "READER" }))).toEqual([403, "AccessDenied"]);
    const read = await ask(world, { target: "/photos/t?tagging", accessKeyId: "WRITER" });
    expect(outcome(read)).toEqual([403, "AccessDenied"]);
  });
});
