import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { codeOf, type HeaderList, headOf, snapshotOf } from "./contract/requests.ts";
import { encodeSlashed, encodeText, parseTarget } from "./target.ts";

const HOSTS = snapshotOf({ hostNames: ["s3.example.com", "example.com"] });

function parse(url: string, host = "127.0.0.1:9000", method = "GET") {
  return parseTarget(headOf(method, url, [["Host", host]]), HOSTS);
}

describe("path style", () => {
  const cases: [url: string, bucket: string | undefined, name: string | undefined][] = [
    ["/", undefined, undefined],
    ["/?x-id=ListBuckets", undefined, undefined],
    ["/photos", "photos", undefined],
    ["/photos/", "photos", undefined],
    ["/photos/?list-type=2", "photos", undefined],
    ["/photos/a/b.txt", "photos", "a/b.txt"],
    ["/photos//", "photos", "/"],
    ["/photos//a", "photos", "/a"],
    ["/photos/a//b", "photos", "a//b"],
    ["/photos/a/", "photos", "a/"],
    ["/photos/.", "photos", "."],
    ["/photos/../b", "photos", "../b"],
    ["/photos/a/../b", "photos", "a/../b"],
    ["/photos/%2e%2E", "photos", ".."],
    ["/photos/a%2Fb", "photos", "a/b"],
    ["/photos/a%252Fb", "photos", "a%2Fb"],
    ["/photos/a+b", "photos", "a+b"],
    ["/photos/a%20b", "photos", "a b"],
    ["/photos/a#b", "photos", "a#b"],
    ["/photos/a%3Fb?c", "photos", "a?b"],
    ["/photos/%C3%A4%F0%9F%8E%89", "photos", "ä🎉"],
    ["/photos/a%0Ab%7F", "photos", "a\nb\x7f"],
    ["/photos/a\\b;c=d", "photos", "a\\b;c=d"],
    ["http://127.0.0.1:9000/photos/a", "photos", "a"],
    [`/photos/${"a".repeat(1024)}`, "photos", "a".repeat(1024)],
    [`/photos/${"%C3%A4".repeat(512)}`, "photos", "ä".repeat(512)],
  ];
  test.each(cases)("%s", (url, bucket, name) => expect(parse(url)).toMatchObject({ bucket, name }));

  const refusals: [url: string, code: string][] = [
    ["//a/b", "InvalidBucketName"],
    ["//", "InvalidBucketName"],
    ["/Photos/a", "InvalidBucketName"],
    ["/ab/a", "InvalidBucketName"],
    [`/${"a".repeat(64)}`, "InvalidBucketName"],
    ["/a..b/x", "InvalidBucketName"],
    ["/../x", "InvalidBucketName"],
    ["/b%2Fk", "InvalidBucketName"],
    ["/-ab/a", "InvalidBucketName"],
    ["/photos/%", "InvalidURI"],
    ["/photos/%4", "InvalidURI"],
    ["/photos/%zz", "InvalidURI"],
    ["/photos/a%00b", "InvalidURI"],
    ["/photos/%FF", "InvalidURI"],
    ["/photos/%C3", "InvalidURI"],
    ["/photos/%ED%A0%80", "InvalidURI"],
    ["/photos?prefix=%", "InvalidURI"],
    ["/photos?%FF=1", "InvalidURI"],
    ["*", "InvalidURI"],
    ["photos", "InvalidURI"],
    [`/photos/${"a".repeat(1025)}`, "KeyTooLongError"],
    [`/photos/${"%C3%A4".repeat(512)}a`, "KeyTooLongError"],
  ];
  test.each(refusals)("%s is refused", (url, code) => expect(codeOf(() => parse(url))).toBe(code));
});

describe("virtual-host style", () => {
  const cases: [host: string, url: string, bucket: string | undefined, name: string | undefined][] = [
    ["photos.s3.example.com", "/", "photos", undefined],
    ["photos.s3.example.com:9000", "/a/b", "photos", "a/b"],
    ["PHOTOS.S3.Example.com", "/a", "photos", "a"],
    ["photos.s3.example.com", "//a", "photos", "/a"],
    ["a.b.s3.example.com", "/x", "a.b", "x"],
    ["s3.example.com", "/photos/a", "photos", "a"],
    ["s3.example.com:443", "/", undefined, undefined],
    ["photos.example.com", "/x", "photos", "x"],
    ["another.host", "/photos/a", "photos", "a"],
    ["xs3.example.com", "/x", "xs3", "x"],
  ];
  test.each(cases)("Host %s and %s", (host, url, bucket, name) => {
    expect(parse(url, host)).toMatchObject({ bucket, name });
  });

  test("refuses a bucket that no bucket can be called", () => {
    expect(codeOf(() => parse("/", "x_y.s3.example.com"))).toBe("InvalidBucketName");
  });

  test("does not exist where no host name is configured", () => {
    const head = headOf("GET", "/photos/a", [["Host", "x.s3.example.com"]]);
    expect(parseTarget(head, snapshotOf())).toMatchObject({ bucket: "photos", name: "a" });
  });
});

test("any name comes back from its encoded form, and the canonical path is that form", () => {
  const names = fc.string({ unit: "grapheme", minLength: 1, maxLength: 60 }).filter((name) => name.isWellFormed());
  fc.assert(
    fc.property(names, (name) => {
      fc.pre(!name.includes("\0"));
      const encoded = encodeSlashed(name);
      expect(encoded).toMatch(/^(?:[A-Za-z0-9\-._~/]|%[0-9A-F]{2})*$/);
      const target = parse(`/photos/${encoded}`);
      expect(target.name).toBe(name);
      expect(target.canonicalPath).toBe(`/photos/${encoded}`);
      expect(parse(`/photos?prefix=${encodeText(name)}`).query.get("prefix")).toBe(name);
    }),
  );
});

test("a query is decoded, `+` is a space, and of repeated names the first counts", () => {
  const { query, pairs } = parse("/photos?prefix=a+b%2Bc&prefix=z&delimiter&&x=1=2");
  expect(Object.fromEntries(query)).toEqual({ prefix: "a b+c", delimiter: "", x: "1=2" });
  expect(pairs.map((pair) => `${pair.encodedName}=${pair.encodedValue}`)).toEqual([
    "prefix=a%20b%2Bc",
    "prefix=z",
    "delimiter=",
    "x=1%3D2",
  ]);
});

describe("a presigned request", () => {
  const SIGNATURE = "X-Amz-Signature=0";
  const fieldsOf = (query: string, headers: HeaderList = []) =>
    parseTarget(headOf("PUT", `/photos/a?${query}`, [["Host", "h"], ...headers]), HOSTS).fields;

  test("has parameters that stand for headers, but no values of checksums and nothing of its signature", () => {
    const query = [
      "x-amz-acl=private",
      "X-Amz-Meta-Name=%C3%A4+b",
      "x-amz-checksum-crc32=AAAAAA%3D%3D",
      "x-amz-sdk-checksum-algorithm=CRC32",
      "x-amz-checksum-mode=ENABLED",
      "X-Amz-Expires=60",
      SIGNATURE,
    ];
    expect(Object.fromEntries(fieldsOf(query.join("&")))).toEqual({
      host: "h",
      "x-amz-acl": "private",
      "x-amz-meta-name": "\xc3\xa4 b",
      "x-amz-checksum-mode": "ENABLED",
    });
  });

  test("has what came as a header rather than what stands in its query", () => {
    expect(fieldsOf(`x-amz-acl=private&${SIGNATURE}`, [["x-amz-acl", "public-read"]]).get("x-amz-acl")).toBe(
      "public-read",
    );
  });

  test("is refused when a parameter could not have been a header", () => {
    for (const pair of ["x-amz-meta-a=%0D%0Ax", "x-amz-meta-a%0D%0Ab=x", "x-amz-meta-a%20b=x", "x-amz-meta-%C3%A4=x"]) {
      expect(
        codeOf(() => fieldsOf(`${pair}&${SIGNATURE}`)),
        pair,
      ).toBe("InvalidArgument");
    }
  });

  test("alone has them: elsewhere such parameters mean nothing", () => {
    expect(fieldsOf("x-amz-acl=public-read").has("x-amz-acl")).toBe(false);
  });
});
