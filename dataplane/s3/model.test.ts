import * as sdk from "@aws-sdk/client-s3";
import { describe, expect, test } from "vitest";
import { codeOf, type HeaderList, headOf, snapshotOf } from "./contract/requests.ts";
import { OPERATIONS, type Operation } from "./model.ts";
import { supportOf } from "./routes.ts";
import { parseTarget } from "./target.ts";

function operationOf(method: string, url: string, headers: HeaderList = []): string {
  return parseTarget(headOf(method, url, [["Host", "h"], ...headers]), snapshotOf()).operation;
}

interface Modelled {
  readonly name: string;
  readonly method: string;
  readonly uri: string;
  /** Query parameters that a request must have. */
  readonly required: readonly string[];
  readonly headers: HeaderList;
}

/** The schemas of the SDK: [kind, name space, name, traits, input, …]; of a structure [kind, …, members, their types, required]. */
function modelled(): Modelled[] {
  const found: Modelled[] = [];
  for (const [exported, schema] of Object.entries(sdk as Record<string, unknown>)) {
    if (!exported.endsWith("$") || !Array.isArray(schema) || schema[0] !== 9) continue;
    const [, , name, traits, input] = schema as [number, string, string, { http: [string, string] }, () => unknown];
    const structure = input() as unknown[];
    const types = (structure[5] ?? []) as unknown[];
    const needed = types.slice(0, (structure[6] as number | undefined) ?? 0);
    const traitsOf = (type: unknown) => (Array.isArray(type) ? (type[1] as Record<string, string>) : {});
    found.push({
      name,
      method: traits.http[0],
      uri: traits.http[1],
      required: needed.flatMap((type) => traitsOf(type)["httpQuery"] ?? []),
      headers: needed.flatMap((type) => {
        const header = traitsOf(type)["httpHeader"];
        return header === undefined ? [] : [[header, "/photos/from"] as const];
      }),
    });
  }
  return found;
}

/** Read where the feature is not there, answered as S3 answers when nothing is set. */
const UNSET: readonly Operation[] = [
  "GetBucketAccelerateConfiguration",
  "GetBucketAcl",
  "GetBucketAnalyticsConfiguration",
  "GetBucketCors",
  "GetBucketIntelligentTieringConfiguration",
  "GetBucketInventoryConfiguration",
  "GetBucketLifecycleConfiguration",
  "GetBucketLogging",
  "GetBucketMetricsConfiguration",
  "GetBucketNotificationConfiguration",
  "GetBucketOwnershipControls",
  "GetBucketPolicy",
  "GetBucketPolicyStatus",
  "GetBucketReplication",
  "GetBucketRequestPayment",
  "GetBucketTagging",
  "GetBucketVersioning",
  "GetBucketWebsite",
  "GetObjectAcl",
  "GetObjectLegalHold",
  "GetObjectLockConfiguration",
  "GetObjectRetention",
  "GetPublicAccessBlock",
  "ListBucketAnalyticsConfigurations",
  "ListBucketIntelligentTieringConfigurations",
  "ListBucketInventoryConfigurations",
  "ListBucketMetricsConfigurations",
  "PutBucketAcl",
  "PutObjectAcl",
];

const SERVED: readonly Operation[] = [
  "AbortMultipartUpload",
  "CompleteMultipartUpload",
  "CopyObject",
  "CreateBucket",
  "CreateMultipartUpload",
  "DeleteBucket",
  "DeleteBucketEncryption",
  "DeleteObject",
  "DeleteObjectTagging",
  "DeleteObjects",
  "GetBucketEncryption",
  "GetBucketLocation",
  "GetObject",
  "GetObjectAttributes",
  "GetObjectTagging",
  "HeadBucket",
  "HeadObject",
  "ListBuckets",
  "ListMultipartUploads",
  "ListObjects",
  "ListObjectsV2",
  "ListParts",
  "PutBucketEncryption",
  "PutObject",
  "PutObjectTagging",
  "UpdateObjectEncryption",
  "UploadPart",
  "UploadPartCopy",
];

describe("every operation of the SDK's model", () => {
  const all = modelled();

  test("is found: the model has as many as it should", () => expect(all.length).toBeGreaterThan(105));

  test.each(all.filter(({ name }) => name !== "WriteGetObjectResponse"))("$name is itself", (one) => {
    const [path = "", literal = ""] = one.uri.split("?");
    // Buckets are named by the host in the model, and by the path here.
    const service = one.name === "ListBuckets" || one.name === "ListDirectoryBuckets";
    const place = service ? "" : "/photos";
    const query = [...(literal === "" ? [] : [literal]), ...one.required.map((name) => `${name}=1`)].join("&");
    const url = `${place}${path.replace("{Key+}", "a/b.txt")}${query === "" ? "" : `?${query}`}`;
    expect(operationOf(one.method, url, one.headers)).toBe(one.name);
  });

  test("WriteGetObjectResponse, which has a host of its own, is no operation on a bucket", () => {
    expect(codeOf(() => operationOf("POST", "/WriteGetObjectResponse"))).toBe("InvalidBucketName");
  });

  test("stands in the table, and nothing else does but the form", () => {
    const names = all.map(({ name }) => name).filter((name) => name !== "WriteGetObjectResponse");
    expect([...OPERATIONS].sort()).toEqual([...names, "PostObject"].sort());
  });

  test("is served, answers that nothing is set, or is refused with 501", () => {
    const of = (kind: string) => OPERATIONS.filter((operation) => supportOf(operation).kind === kind).sort();
    expect(of("served")).toEqual([...SERVED].sort());
    expect(of("unset")).toEqual([...UNSET].sort());
    expect(of("refused")).toHaveLength(OPERATIONS.length - SERVED.length - UNSET.length);
  });
});

describe("a request that names a sub-resource", () => {
  const words = new Set(
    modelled()
      .flatMap(({ uri, required }) => [...(uri.split("?")[1]?.split("&") ?? []), ...required])
      .map((word) => word.split("=", 1)[0] as string)
      .filter((word) => !["x-id", "id", "partNumber"].includes(word)),
  );
  const plain = [
    "GetObject",
    "PutObject",
    "HeadObject",
    "DeleteObject",
    "ListObjects",
    "CreateBucket",
    "DeleteBucket",
    "HeadBucket",
    "ListBuckets",
  ];

  test.each([...words])("?%s never falls through to a plain operation", (word) => {
    for (const method of ["GET", "HEAD", "PUT", "POST", "DELETE"]) {
      for (const url of [
        `/photos?${word}`,
        `/photos/a?${word}=`,
        `/photos/a?x=1&${word}=true`,
        `/photos?${word}=x&prefix=`,
      ]) {
        expect(plain, `${method} ${url}`).not.toContain(operationOf(method, url));
      }
    }
  });

  test("names two at once and is none", () => {
    expect(operationOf("GET", "/photos/a?acl&tagging")).toBe("UnknownOperation");
    expect(operationOf("PUT", "/photos/a?uploadId=1&partNumber=1&tagging")).toBe("UnknownOperation");
    expect(operationOf("GET", "/photos?list-type=2&versions")).toBe("UnknownOperation");
  });
});

describe("a request", () => {
  const cases: [method: string, url: string, operation: string, headers?: HeaderList][] = [
    ["GET", "/", "ListBuckets"],
    ["GET", "/?x-id=ListBuckets", "ListBuckets"],
    ["GET", "/photos", "ListObjects"],
    ["GET", "/photos?list-type=2", "ListObjectsV2"],
    ["GET", "/photos?list-type=1", "UnknownOperation"],
    ["GET", "/photos/a?x-id=GetObject&unknown=1", "GetObject"],
    ["GET", "/photos/a?partNumber=2", "GetObject"],
    ["GET", "/photos/a?versionId=null&response-content-type=x", "GetObject"],
    ["HEAD", "/photos/a?partNumber=2", "HeadObject"],
    ["PUT", "/photos/a", "PutObject"],
    ["PUT", "/photos/a", "CopyObject", [["x-amz-copy-source", "/photos/b"]]],
    ["PUT", "/photos/a?uploadId=1&partNumber=1", "UploadPartCopy", [["X-Amz-Copy-Source", "/photos/b"]]],
    ["PUT", "/photos/a?x-amz-copy-source=/photos/b&X-Amz-Signature=0", "CopyObject"],
    ["PUT", "/photos/a?partNumber=1", "UnknownOperation"],
    ["PUT", "/photos", "CreateBucket"],
    ["POST", "/photos", "PostObject", [["Content-Type", "multipart/form-data; boundary=x"]]],
    ["POST", "/photos", "UnknownOperation"],
    ["POST", "/photos/a", "UnknownOperation"],
    ["POST", "/", "UnknownMethod"],
    ["PATCH", "/photos/a", "UnknownMethod"],
    ["OPTIONS", "/photos/a", "UnknownMethod"],
    ["PUT", "/", "UnknownMethod"],
    ["HEAD", "/", "UnknownMethod"],
  ];
  test.each(cases)("%s %s is %s", (method, url, operation, headers = []) => {
    expect(operationOf(method, url, headers)).toBe(operation);
  });
});
