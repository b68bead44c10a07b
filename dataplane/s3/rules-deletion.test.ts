import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createLocalKms } from "../../kms/local.ts";
import { createRing, printRing } from "../../kms/ring.ts";
import type { HeaderList } from "./contract/requests.ts";
import { chunkedBody, signRequest } from "./contract/signer.ts";
import { type Answer, type Asked, ask, CREDENTIAL, send, startWorld, type World } from "./contract/world.ts";
import { escapeXml } from "./xml.ts";

const READER = { ...CREDENTIAL, accessKeyId: "READER", tokenSha256: "b".repeat(64), permissions: ["Read" as const] };
const ring = createRing(new Date());
let world: World;

beforeAll(async () => {
  world = await startWorld(
    { kms: createLocalKms(ring), kmsKeyId: ring.id, ring: printRing(ring) },
    { credentials: [READER] },
  );
});

afterAll(async () => {
  await world.close();
  expect(world.errors).toEqual([]);
});

const put = (name: string, headers: HeaderList = []): Promise<Answer> =>
  ask(world, { method: "PUT", target: `/photos/${encodeURIComponent(name)}`, body: Buffer.from("x"), headers });

const exists = async (name: string): Promise<boolean> =>
  (await ask(world, { method: "HEAD", target: `/photos/${encodeURIComponent(name)}` })).status === 200;

const md5Of = (text: string | Buffer): string => createHash("md5").update(text).digest("base64");

function crc(text: string): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(text));
  return bytes.toString("base64");
}

const listOf = (names: readonly string[], more = ""): string =>
  `<Delete>${names.map((name) => `<Object><Key>${escapeXml(name)}</Key></Object>`).join("")}${more}</Delete>`;

function remove(xml: string | Buffer, headers?: HeaderList, more: Asked = {}): Promise<Answer> {
  const body = Buffer.from(xml);
  return ask(world, {
    method: "POST",
    target: "/photos?delete",
    body,
    headers: headers ?? [["Content-MD5", md5Of(body)]],
    ...more,
  });
}

test("DeleteObject of nothing is 204", async () => {
  expect(await ask(world, { method: "DELETE", target: "/photos/nothing" })).toMatchObject({ status: 204, text: "" });
});

test("If-Match holds for DeleteObject", async () => {
  const { headers } = await put("held");
  const del = (etag: string) => ask(world, { method: "DELETE", target: "/photos/held", headers: [["If-Match", etag]] });
  expect((await del('"other"')).status).toBe(412);
  expect((await del(String(headers["etag"]))).status).toBe(204);
  expect((await del(String(headers["etag"]))).status).toBe(404);
});

describe("DeleteObjects", () => {
  test("removes what is listed, and a missing name counts as deleted", async () => {
    await put("a");
    await put("b/c");
    const { status, text } = await remove(listOf(["a", "b/c", "missing"]));
    expect(status).toBe(200);
    expect(text).toMatch(/^<\?xml [^>]*\?>\n<DeleteResult xmlns=[^>]*><Deleted><Key>a<\/Key><\/Deleted>/);
    expect(text.match(/<Deleted>/g)).toHaveLength(3);
    expect(text).toContain("<Key>missing</Key>");
    expect([await exists("a"), await exists("b/c")]).toEqual([false, false]);
  });

  test("answers in the order of the list, up to 1,000 keys", async () => {
    const names = Array.from({ length: 1000 }, (_, index) => `n${index}`);
    await Promise.all(names.slice(0, 100).map((name) => put(name)));
    const { text } = await remove(listOf(names));
    expect([...text.matchAll(/<Key>(n\d+)<\/Key>/g)].map((found) => found[1])).toEqual(names);
    expect(await exists("n7")).toBe(false);
    expect(await remove(listOf([...names, "more"]))).toMatchObject({ status: 400, code: "MalformedXML" });
  });

  test("Quiet tells of errors alone", async () => {
    await put("quiet");
    const long = "a".repeat(1025);
    const { text } = await remove(listOf(["quiet", long], "<Quiet>true</Quiet>"));
    expect(text).not.toContain("<Deleted>");
    expect(text).toContain("<Code>KeyTooLongError</Code>");
    expect(await exists("quiet")).toBe(false);
    expect((await remove(listOf(["quiet"], "<Quiet>false</Quiet>"))).text).toContain("<Deleted>");
  });

  test("numeric entities are understood, and names kept byte for byte", async () => {
    const names = [" a ", "&<>\"'", "line\r\nbreak", "\u0001", "ü🎉", "&amp;", "a\ud83d\ude00"];
    for (const name of names) await put(name);
    for (const name of [" a", "a", "\u0001x"]) await put(name);
    const numeric = (name: string): string => [...name].map((sign) => `&#${sign.codePointAt(0)};`).join("");
    const inside = names.map((name) => `<Object><Key>${numeric(name)}</Key></Object>`).join("\n  ");
    expect((await remove(`<?xml version="1.0"?>\n<Delete xmlns="x">\n  ${inside}\n</Delete>`)).status).toBe(200);
    expect(await Promise.all(names.map(exists))).toEqual(names.map(() => false));
    expect(await Promise.all([" a", "a", "\u0001x"].map(exists))).toEqual([true, true, true]);
    const spaced = await remove("<Delete><Object><Key> a</Key></Object></Delete>");
    expect(spaced.text).toContain("<Key> a</Key>");
    expect(await Promise.all([" a", "a"].map(exists))).toEqual([false, true]);
  });

  test("needs Content-MD5 or a checksum (header or trailer)", async () => {
    await put("kept");
    const xml = listOf(["kept"]);
    expect(await remove(xml, [])).toMatchObject({ status: 400, code: "InvalidRequest" });
    expect((await remove(xml, [["Content-MD5", md5Of("other")]])).code).toBe("BadDigest");
    expect((await remove(xml, [["Content-MD5", "x"]])).code).toBe("InvalidDigest");
    expect((await remove(xml, [["x-amz-checksum-crc32", crc("other")]])).code).toBe("BadDigest");
    expect((await remove(xml, [["x-amz-checksum-xxhash3", crc("other")]])).code).toBe("InvalidRequest");
    expect(await exists("kept")).toBe(true);
    const sums: HeaderList = [
      ["x-amz-checksum-crc32", crc(xml)],
      ["x-amz-checksum-sha512", createHash("sha512").update(xml).digest("base64")],
      ["x-amz-checksum-md5", md5Of(xml)],
    ];
    for (const sum of sums) {
      await put("kept");
      expect((await remove(xml, [sum])).status).toBe(200);
      expect(await exists("kept")).toBe(false);
    }
  });

  test.each([
    [200, (xml: string) => crc(xml)],
    [400, () => crc("other")],
  ])("is answered %i by what the trailer says", async (status, sum) => {
    await put("trailed");
    const xml = listOf(["trailed"]);
    const payload = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";
    const timestamp = new Date().toISOString().replace(/[-:]|\.\d{3}/g, "");
    const headers: HeaderList = [
      ["Host", `127.0.0.1:${world.port}`],
      ["x-amz-date", timestamp],
      ["x-amz-content-sha256", payload],
      ["x-amz-decoded-content-length", String(xml.length)],
      ["x-amz-trailer", "x-amz-checksum-crc32"],
    ];
    const { accessKeyId, secret } = CREDENTIAL;
    const signing = { method: "POST", target: "/photos?delete", headers, payload, timestamp, accessKeyId, secret };
    const { authorization } = signRequest(signing);
    const body = chunkedBody([Buffer.from(xml)], {
      seed: undefined,
      trailers: [`x-amz-checksum-crc32:${sum(xml)}`],
    });
    const answer = await send(world, "POST", "/photos?delete", [...headers, ["Authorization", authorization]], body);
    expect(answer.status).toBe(status);
    expect(await exists("trailed")).toBe(status !== 200);
  });

  test("conditions and versions are judged for each name alone", async () => {
    const { headers } = await put("one");
    await put("two");
    const etag = escapeXml(String(headers["etag"]));
    const object = (name: string, more: string) => `<Object><Key>${name}</Key>${more}</Object>`;
    const { text } = await remove(
      `<Delete>${[
        object("one", `<ETag>${etag}</ETag>`),
        object("two", "<ETag>&quot;other&quot;</ETag>"),
        object("three", "<VersionId>7</VersionId>"),
        object("four", "<VersionId>null</VersionId>"),
        object("five", "<Size>1</Size>"),
        object("six", "<LastModifiedTime>2025-01-01T00:00:00Z</LastModifiedTime>"),
      ].join("")}</Delete>`,
    );
    const outcomes = [...text.matchAll(/<(Deleted|Error)><Key>(\w+)<\/Key>.*?(?:<Code>(\w+)<\/Code>.*?)?<\/\1>/g)];
    expect(outcomes.map(([, kind, name, code]) => [name, kind, code])).toEqual([
      ["one", "Deleted", undefined],
      ["two", "Error", "PreconditionFailed"],
      ["three", "Error", "InvalidArgument"],
      ["four", "Deleted", undefined],
      ["five", "Error", "NotImplemented"],
      ["six", "Error", "NotImplemented"],
    ]);
    expect([await exists("one"), await exists("two")]).toEqual([false, true]);
  });

  const malformed: Record<string, string> = {
    "no document": "",
    "no object": "<Delete></Delete>",
    "another root": "<Remove><Object><Key>a</Key></Object></Remove>",
    "an object without Key": "<Delete><Object/></Delete>",
    "an empty Key": "<Delete><Object><Key></Key></Object></Delete>",
    "two Keys": "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
    "an entity that is none": "<Delete><Object><Key>a&nbsp;</Key></Object></Delete>",
    "a document type": '<!DOCTYPE Delete [<!ENTITY a "b">]><Delete><Object><Key>&a;</Key></Object></Delete>',
    "more than 8 MiB": `${listOf(["a"])}${" ".repeat(8 * 1024 ** 2)}`,
  };
  test.each(Object.entries(malformed))("is refused with %s", async (_what, xml) => {
    expect(await remove(xml)).toMatchObject({ status: 400, code: "MalformedXML" });
  });

  test("refuses who may not delete before it reads the list", async () => {
    await put("guarded");
    const refused = await remove(listOf(["guarded"]), undefined, { accessKeyId: "READER" });
    expect(refused).toMatchObject({ status: 403, code: "AccessDenied" });
    const elsewhere = await remove(listOf(["guarded"]), undefined, { target: "/music?delete" });
    expect(elsewhere).toMatchObject({ status: 403, code: "AccessDenied" });
    expect(await exists("guarded")).toBe(true);
  });

  test("writes a line for each name", async () => {
    await put("line");
    world.audit.length = 0;
    await remove(listOf(["line", "gone"]));
    expect(world.audit).toMatchObject([
      { operation: "DeleteObject", kind: "write", bucket: "photos", name: "line" },
      { operation: "DeleteObject", kind: "write", bucket: "photos", name: "gone" },
    ]);
  });
});
