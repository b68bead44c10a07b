import { describe, expect, test } from "vitest";
import { codeOf, type HeaderList, headOf, snapshotOf } from "./contract/requests.ts";
import { parseTarget } from "./target.ts";
import { getWanted, partNumberOf, putWanted, uploadWanted, writeConditions } from "./wanted.ts";

function targetWith(headers: HeaderList, url = "/photos/a", method = "PUT") {
  return parseTarget(headOf(method, url, [["Host", "h"], ...headers]), snapshotOf());
}

const put = (headers: HeaderList) => putWanted(targetWith(headers), undefined, false);
const upload = (headers: HeaderList) => uploadWanted(targetWith(headers), false);
const get = (headers: HeaderList, url = "/photos/a") => getWanted(targetWith(headers, url, "GET"));

describe("what is kept with an object", () => {
  test("is S3's headers and the metadata, as UTF-8, and nothing else", () => {
    const headers: HeaderList = [
      ["Content-Type", "text/plain"],
      ["Cache-Control", "no-store"],
      ["Expires", "0"],
      ["Accept-Encoding", "gzip"],
      ["x-amz-meta-Name", "Gr\xc3\xbc\xc3\x9fe"],
      ["X-Amz-Meta-Twice", "1"],
      ["X-Amz-Meta-Twice", "2"],
      ["x-amz-acl", "private"],
      ["x-amz-storage-class", "STANDARD"],
    ];
    expect(Object.fromEntries(put(headers).headers)).toEqual({
      "content-type": "text/plain",
      "cache-control": "no-store",
      expires: "0",
      "x-amz-meta-name": "Grüße",
      "x-amz-meta-twice": "1,2",
    });
  });

  test.each([
    ["aws-chunked", undefined],
    ["gzip,aws-chunked", "gzip"],
    ["aws-chunked, gzip , br", "gzip,br"],
    ["AWS-Chunked,", undefined],
    ["gzip, br", "gzip, br"],
  ])("of Content-Encoding %s is %s", (encoding, kept) => {
    expect(put([["Content-Encoding", encoding]]).headers.get("content-encoding")).toBe(kept);
  });

  test("may have 2,048 bytes of metadata, names and values, and no more", () => {
    const meta = (bytes: number): HeaderList => [["x-amz-meta-abcd", "x".repeat(bytes - 4)]];
    expect(put(meta(2048)).headers.size).toBe(1);
    expect(codeOf(() => put(meta(2049)))).toBe("MetadataTooLarge");
    expect(codeOf(() => put([...meta(2040), ["x-amz-meta-b", "xxxxxxxx"]]))).toBe("MetadataTooLarge");
  });
});

describe("a write is refused", () => {
  const cases: [name: string, value: string, code: string][] = [
    ["x-amz-meta-a", "\xff", "InvalidArgument"],
    ["content-disposition", "\xc3", "InvalidArgument"],
    ["x-amz-acl", "public-read", "AccessControlListNotSupported"],
    ["x-amz-grant-read", "id=1", "AccessControlListNotSupported"],
    ["x-amz-storage-class", "GLACIER", "InvalidStorageClass"],
    ["x-amz-object-lock-mode", "GOVERNANCE", "NotImplemented"],
    ["x-amz-object-lock-legal-hold", "ON", "NotImplemented"],
    ["x-amz-website-redirect-location", "/b", "NotImplemented"],
    ["x-amz-write-offset-bytes", "5", "NotImplemented"],
    ["x-amz-tagging", "a=1&a=2", "InvalidTag"],
    ["x-amz-tagging", "=1", "InvalidTag"],
    ["x-amz-tagging", `${"a".repeat(129)}=1`, "InvalidTag"],
    ["x-amz-tagging", `a=${"b".repeat(257)}`, "InvalidTag"],
    ["x-amz-tagging", Array.from({ length: 11 }, (_value, index) => `t${index}=`).join("&"), "InvalidTag"],
    ["x-amz-tagging", "aws:a=1", "InvalidTag"],
    ["x-amz-tagging", "AWS%3Aa=1", "InvalidTag"],
    ["x-amz-tagging", "a%01=1", "InvalidTag"],
    ["x-amz-tagging", "a=1%0A", "InvalidTag"],
    ["x-amz-tagging", "a=%", "InvalidArgument"],
    ["if-none-match", '"etag"', "NotImplemented"],
  ];
  test.each(cases)("with %s: %s", (name, value, code) => expect(codeOf(() => put([[name, value]]))).toBe(code));

  test("with both conditions", () => {
    expect(
      codeOf(() =>
        writeConditions(
          new Map([
            ["if-match", "a"],
            ["if-none-match", "*"],
          ]),
        ),
      ),
    ).toBe("NotImplemented");
  });
});

describe("the checksum of an upload", () => {
  const cases: [algorithm: string, type: string | undefined, kind: string][] = [
    ["CRC32", undefined, "composite"],
    ["crc32c", "COMPOSITE", "composite"],
    ["CRC32", "FULL_OBJECT", "whole"],
    ["CRC64NVME", undefined, "whole"],
    ["CRC64NVME", "FULL_OBJECT", "whole"],
    ["SHA256", undefined, "composite"],
    ["MD5", "COMPOSITE", "composite"],
  ];
  test.each(cases)("%s of type %s is %s", (algorithm, type, kind) => {
    const headers: HeaderList = [["x-amz-checksum-algorithm", algorithm]];
    const typed: HeaderList = type === undefined ? headers : [...headers, ["x-amz-checksum-type", type]];
    expect(upload(typed).checksum).toEqual({ algorithm: algorithm.toUpperCase(), kind });
  });

  const refusals: HeaderList[] = [
    [["x-amz-checksum-algorithm", "XXHASH64"]],
    [
      ["x-amz-checksum-algorithm", "SHA256"],
      ["x-amz-checksum-type", "FULL_OBJECT"],
    ],
    [
      ["x-amz-checksum-algorithm", "CRC64NVME"],
      ["x-amz-checksum-type", "COMPOSITE"],
    ],
    [
      ["x-amz-checksum-algorithm", "CRC32"],
      ["x-amz-checksum-type", "WHOLE"],
    ],
    [["x-amz-checksum-type", "COMPOSITE"]],
  ];
  test.each(refusals)("is refused: %s %s", (...headers) =>
    expect(codeOf(() => upload(headers))).toBe("InvalidRequest"),
  );
});

describe("a range", () => {
  const cases: [range: string, wanted: unknown][] = [
    ["bytes=0-0", { kind: "bytes", first: 0, last: 0 }],
    ["bytes=5-", { kind: "bytes", first: 5, last: undefined }],
    ["bytes=-5", { kind: "suffix", bytes: 5 }],
    ["bytes=-0", { kind: "suffix", bytes: 0 }],
    ["Bytes = 1 - 2", { kind: "bytes", first: 1, last: 2 }],
    [`bytes=0-${"9".repeat(30)}`, { kind: "bytes", first: 0, last: Number.MAX_SAFE_INTEGER }],
    ["bytes=2-1", undefined],
    ["bytes=-", undefined],
    ["bytes=", undefined],
    ["bytes=a-b", undefined],
    ["bytes=0-1,3-4", undefined],
    ["bits=0-1", undefined],
    ["", undefined],
  ];
  test.each(cases)("%s", (range, wanted) => expect(get([["Range", range]]).range).toEqual(wanted));

  test("under If-Range is none: the object is answered whole", () => {
    expect(
      get([
        ["Range", "bytes=0-1"],
        ["If-Range", '"a"'],
      ]).range,
    ).toBeUndefined();
  });

  test("may be a part, but not both", () => {
    expect(get([], "/photos/a?partNumber=3").range).toEqual({ kind: "part", partNumber: 3 });
    expect(codeOf(() => get([["Range", "bytes=0-1"]], "/photos/a?partNumber=3"))).toBe("InvalidRequest");
  });

  test.each(["0", "10001", "", "x", "1.5", "-1", "+1"])("of part number %j is refused", (text) => {
    expect(codeOf(() => partNumberOf(text))).toBe("InvalidArgument");
  });
});

test("conditions of a read come without quotes, times as numbers, and what is no time is passed over", () => {
  const headers: HeaderList = [
    ["If-Match", '"a-1", W/"b" ,c'],
    ["If-None-Match", "*"],
    ["If-Modified-Since", "Mon, 24 Nov 2025 16:00:00 GMT"],
    ["If-Unmodified-Since", "never"],
  ];
  expect(get(headers).conditions).toEqual({
    ifMatch: ["a-1", "b", "c"],
    ifNoneMatch: ["*"],
    ifModifiedSinceMs: 1_764_000_000_000,
    ifUnmodifiedSinceMs: undefined,
  });
});
