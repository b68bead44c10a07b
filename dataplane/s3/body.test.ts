import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createBody, payloadOf } from "./body.ts";
import { codeLater, codeOf, sentIn } from "./contract/requests.ts";
import { chunkedBody, join, sha256Hex } from "./contract/signer.ts";

async function readAll(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of body) pieces.push(Uint8Array.from(piece));
  return join(pieces);
}

function bodyOf(payload: string, fields: Record<string, string>, blocks: readonly Uint8Array[]) {
  return createBody(sentIn(blocks), new Map(Object.entries(fields)), payloadOf(payload), undefined);
}

const HELLO = [Buffer.from("hel"), Buffer.from("lo")];
const MD5 = createHash("md5").update("hello").digest("base64");

describe("a body under one hash", () => {
  const sha256 = sha256Hex("hello");
  test.each([1, 2, 5])("comes through in blocks of %i bytes", async (bytes) => {
    const blocks = [];
    for (let at = 0; at < 5; at += bytes) blocks.push(Buffer.from("hello").subarray(at, at + bytes));
    expect(await readAll(bodyOf(sha256, { "content-length": "5" }, blocks))).toEqual(Buffer.from("hello"));
  });

  test("comes through when it is empty", async () => {
    expect(await readAll(bodyOf(sha256Hex(""), { "content-length": "0" }, []))).toHaveLength(0);
  });

  const refusals: Record<string, [code: string, sha256: string, length: string, blocks: Buffer[]]> = {
    "another hash, in one block": ["XAmzContentSHA256Mismatch", sha256, "5", [Buffer.from("hellp")]],
    "another hash, in two": ["XAmzContentSHA256Mismatch", sha256, "5", [Buffer.from("hel"), Buffer.from("lp")]],
    "another hash of nothing": ["XAmzContentSHA256Mismatch", sha256, "0", []],
    "too few bytes": ["IncompleteBody", sha256, "5", [Buffer.from("hell")]],
    "too many bytes": ["IncompleteBody", sha256, "4", [Buffer.from("hello")]],
  };
  test.each(Object.entries(refusals))("is refused: %s", async (_name, [code, hash, length, blocks]) => {
    expect(await codeLater(() => readAll(bodyOf(hash, { "content-length": length }, blocks)))).toBe(code);
  });
});

describe("an unsigned body", () => {
  test("comes through as it is, and says what was announced", async () => {
    const fields = { "content-length": "5", "content-md5": MD5, "x-amz-checksum-crc32": "NhCmhg==" };
    const body = bodyOf("UNSIGNED-PAYLOAD", fields, HELLO);
    expect(body.plainBytes).toBe(5);
    expect(body.announced).toEqual(["MD5", "CRC32"]);
    expect(body.checksum).toBe("CRC32");
    expect(await readAll(body)).toEqual(Buffer.from("hello"));
    expect(Buffer.from(body.promised().get("CRC32") ?? []).toString("base64")).toBe("NhCmhg==");
    expect(Buffer.from(body.promised().get("MD5") ?? []).toString("base64")).toBe(MD5);
  });

  test("is refused when it is too short or too long", async () => {
    const run = (length: string) => () => readAll(bodyOf("UNSIGNED-PAYLOAD", { "content-length": length }, HELLO));
    expect(await codeLater(run("4"))).toBe("IncompleteBody");
    expect(await codeLater(run("6"))).toBe("IncompleteBody");
  });
});

describe("a chunked body with a trailer", () => {
  const fields = { "x-amz-decoded-content-length": "5", "x-amz-trailer": "x-amz-checksum-crc32" };
  const sent = (line: string) => [chunkedBody(HELLO, { seed: undefined, trailers: [line] })];

  test("announces the checksum from the first, and promises it at the end", async () => {
    const body = bodyOf("STREAMING-UNSIGNED-PAYLOAD-TRAILER", fields, sent("x-amz-checksum-crc32:NhCmhg=="));
    expect(body.plainBytes).toBe(5);
    expect(body.announced).toEqual(["CRC32"]);
    expect(body.promised().size).toBe(0);
    expect(await readAll(body)).toEqual(Buffer.from("hello"));
    expect(Buffer.from(body.promised().get("CRC32") ?? []).toString("base64")).toBe("NhCmhg==");
  });

  test("is refused when the value cannot be one of its algorithm", async () => {
    for (const value of ["", "NhCmhg", "NhCmhg=", "not base64!!", "NhCmhgAA"]) {
      const body = bodyOf("STREAMING-UNSIGNED-PAYLOAD-TRAILER", fields, sent(`x-amz-checksum-crc32:${value}`));
      expect(await codeLater(() => readAll(body)), value).toBe("InvalidDigest");
    }
  });

  test("has no length where none was stated", () => {
    const body = bodyOf("STREAMING-UNSIGNED-PAYLOAD-TRAILER", { "content-length": "99" }, []);
    expect(body.plainBytes).toBeUndefined();
  });
});

describe("what is announced is refused", () => {
  const plain = "UNSIGNED-PAYLOAD";
  const cases: Record<string, [code: string, fields: Record<string, string>, payload?: string]> = {
    "a Content-MD5 of the wrong length": ["InvalidDigest", { "content-md5": "AAAA" }],
    "a Content-MD5 that is no base64": ["InvalidDigest", { "content-md5": "!!!!!!!!!!!!!!!!!!!!!!==" }],
    "a checksum of the wrong length": ["InvalidDigest", { "x-amz-checksum-sha256": "AAAA" }],
    "an algorithm that we lack": ["InvalidRequest", { "x-amz-checksum-xxhash64": "AAAAAAAAAAA=" }],
    "two checksums": ["InvalidRequest", { "x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-crc32c": "AAAAAA==" }],
    "a checksum as header and trailer": [
      "InvalidRequest",
      { "x-amz-checksum-crc32": "AAAAAA==", "x-amz-trailer": "x-amz-checksum-crc32" },
      "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    ],
    "a trailer that we lack": [
      "InvalidRequest",
      { "x-amz-trailer": "x-amz-checksum-xxhash3" },
      "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    ],
    "a trailer that is no checksum": [
      "InvalidRequest",
      { "x-amz-trailer": "x-custom" },
      "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    ],
    "two trailers": [
      "InvalidRequest",
      { "x-amz-trailer": "x-amz-checksum-crc32, x-amz-checksum-sha1" },
      "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
    ],
    "a trailer of a body that has none": ["InvalidRequest", { "x-amz-trailer": "x-amz-checksum-crc32" }],
    "an algorithm without its checksum": ["InvalidRequest", { "x-amz-sdk-checksum-algorithm": "CRC32" }],
    "another algorithm than the checksum's": [
      "InvalidRequest",
      { "x-amz-sdk-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": "AAAAAA==" },
    ],
    "an unknown algorithm": [
      "InvalidRequest",
      { "x-amz-sdk-checksum-algorithm": "XXHASH64", "x-amz-checksum-crc32": "AAAAAA==" },
    ],
    "two different MD5": ["InvalidRequest", { "content-md5": MD5, "x-amz-checksum-md5": "AAAAAAAAAAAAAAAAAAAAAA==" }],
  };
  test.each(Object.entries(cases))("%s", (_name, [code, fields, payload = plain]) => {
    expect(codeOf(() => bodyOf(payload, fields, []).announced)).toBe(code);
  });

  test("and headers about checksums that are none are passed over", () => {
    const fields = {
      "x-amz-checksum-mode": "ENABLED",
      "x-amz-checksum-type": "COMPOSITE",
      "x-amz-checksum-algorithm": "SHA1",
    };
    expect(bodyOf(plain, fields, []).announced).toEqual([]);
  });

  test("a length that is none", () => {
    for (const length of ["x", "-1", "1e3", "99999999999999999", ""]) {
      const fields = { "x-amz-decoded-content-length": length };
      expect(
        codeOf(() => bodyOf("STREAMING-UNSIGNED-PAYLOAD-TRAILER", fields, [])),
        length,
      ).toBe("InvalidArgument");
    }
  });
});
