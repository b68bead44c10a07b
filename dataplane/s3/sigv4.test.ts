import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Snapshot } from "../snapshot.ts";
import {
  ACCESS_KEY_ID,
  codeOf,
  credentialOf,
  type HeaderList,
  headOf,
  neverSent,
  SECRET,
  snapshotOf,
} from "./contract/requests.ts";
import { presign, type Signing, sha256Hex, signRequest } from "./contract/signer.ts";
import { hasControl, latin1Of } from "./fields.ts";
import { createAuthenticator } from "./sigv4.ts";
import { parseTarget } from "./target.ts";

const EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const NOW_MS = Date.parse("2013-05-24T00:00:00Z");
const STAMP = "20130524T000000Z";

function authenticate(method: string, url: string, headers: HeaderList, nowMs = NOW_MS, snapshot = snapshotOf()) {
  const head = headOf(method, url, headers);
  return createAuthenticator()(head, parseTarget(head, snapshot), snapshot, nowMs, neverSent);
}

/** Signs what is given and sends it; `change` spoils it on its way. */
function signed(
  { method = "GET", target = "/photos/a.txt", headers = [], payload = EMPTY, ...more }: Partial<Signing>,
  change: (headers: [string, string][]) => HeaderList = (all) => all,
  nowMs = NOW_MS,
  snapshot?: Snapshot,
) {
  const all: [string, string][] = [
    ["Host", "127.0.0.1:9000"],
    ["x-amz-date", STAMP],
    ["x-amz-content-sha256", payload],
    ...headers.map(([name, value]): [string, string] => [name, value]),
  ];
  const signing = {
    method,
    target,
    headers: all,
    payload,
    timestamp: STAMP,
    accessKeyId: ACCESS_KEY_ID,
    secret: SECRET,
  };
  const { authorization } = signRequest({ ...signing, ...more });
  return authenticate(method, target, change([...all, ["Authorization", authorization]]), nowMs, snapshot);
}

function presigned(
  more: Partial<Signing>,
  expires: string | number,
  parameters: string[] = [],
  headers: HeaderList = [],
) {
  const all: HeaderList = [["Host", "127.0.0.1:9000"]];
  const signing = {
    method: "GET",
    target: "/photos/a.txt",
    headers: all,
    payload: "UNSIGNED-PAYLOAD",
    timestamp: STAMP,
  };
  const target = presign({ ...signing, accessKeyId: ACCESS_KEY_ID, secret: SECRET, ...more }, expires, parameters);
  return (nowMs = NOW_MS) => authenticate(more.method ?? "GET", target, [...all, ...headers], nowMs);
}

describe("the published examples of S3 hold", () => {
  const host = ["Host", "examplebucket.s3.amazonaws.com"] as const;
  const snapshot = snapshotOf({ hostNames: ["s3.amazonaws.com"] });
  const credential = `Credential=${ACCESS_KEY_ID}/20130524/us-east-1/s3/aws4_request`;
  const stamp = ["x-amz-date", STAMP] as const;
  const examples: Record<
    string,
    [method: string, url: string, headers: HeaderList, signedHeaders: string, signature: string]
  > = {
    "GET with a range": [
      "GET",
      "/test.txt",
      [host, ["Range", "bytes=0-9"], ["x-amz-content-sha256", EMPTY], stamp],
      "host;range;x-amz-content-sha256;x-amz-date",
      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ],
    "PUT with a storage class, and a dollar in the name": [
      "PUT",
      "/test%24file.text",
      [
        ["Date", "Fri, 24 May 2013 00:00:00 GMT"],
        host,
        stamp,
        ["x-amz-storage-class", "REDUCED_REDUNDANCY"],
        ["x-amz-content-sha256", "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072"],
      ],
      "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ],
    "GET of a sub-resource": [
      "GET",
      "/?lifecycle",
      [host, stamp, ["x-amz-content-sha256", EMPTY]],
      "host;x-amz-content-sha256;x-amz-date",
      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ],
    "GET of a listing": [
      "GET",
      "/?max-keys=2&prefix=J",
      [host, stamp, ["x-amz-content-sha256", EMPTY]],
      "host;x-amz-content-sha256;x-amz-date",
      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ],
  };
  test.each(Object.entries(examples))("%s", (_name, [method, url, headers, signedHeaders, signature]) => {
    for (const space of ["", " "]) {
      const authorization = `AWS4-HMAC-SHA256 ${credential},${space}SignedHeaders=${signedHeaders},${space}Signature=${signature}`;
      const all: HeaderList = [...headers, ["Authorization", authorization]];
      expect(authenticate(method, url, all, NOW_MS, snapshot).principal.kind).toBe("credential");
      const wrong = authorization.replace(/.$/, (last) => (last === "1" ? "2" : "1"));
      const spoilt: HeaderList = [...headers, ["Authorization", wrong]];
      expect(codeOf(() => authenticate(method, url, spoilt, NOW_MS, snapshot))).toBe("SignatureDoesNotMatch");
    }
  });

  test("a presigned URL", () => {
    const url =
      "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request" +
      "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host" +
      "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    expect(authenticate("GET", url, [host], NOW_MS, snapshot).principal.kind).toBe("credential");
  });
});

describe("a signature in the header", () => {
  test("holds, whatever the region is called", () => {
    for (const region of ["local", "US", "us-east-1", ""]) {
      expect(signed({ region }).principal).toMatchObject({ credential: { bucket: "photos" } });
    }
  });

  test("covers header values as the bytes that came, with runs of spaces as one", () => {
    const headers: HeaderList = [
      ["x-amz-meta-name", Buffer.from("Grüße  aus   Köln 🎉", "utf8").toString("latin1")],
      ["X-Amz-Meta-Tab", "a\tb"],
    ];
    expect(signed({ headers }).principal.kind).toBe("credential");
  });

  test("covers repeated headers, joined by commas", () => {
    const apart = (all: [string, string][]): HeaderList =>
      all.flatMap(([name, value]) =>
        name === "x-amz-meta-a" ? value.split(",").map((one) => [name, one] as const) : [[name, value] as const],
      );
    expect(signed({ headers: [["x-amz-meta-a", "1,2,3"]] }, apart).principal.kind).toBe("credential");
  });

  test("covers paths and queries in one form, however they were encoded", () => {
    const head = (target: string, sent: string) => {
      const headers: HeaderList = [
        ["Host", "h"],
        ["x-amz-date", STAMP],
        ["x-amz-content-sha256", EMPTY],
      ];
      const signing = { method: "GET", target, headers, payload: EMPTY, timestamp: STAMP };
      const { authorization } = signRequest({ ...signing, accessKeyId: ACCESS_KEY_ID, secret: SECRET });
      return authenticate("GET", sent, [...headers, ["Authorization", authorization]]);
    };
    const same: [canonical: string, sent: string][] = [
      ["/photos/a%20b%2Bc", "/photos/a%20b+c"],
      ["/photos/~_-.%2A%27%28%29%21", "/photos/%7e_-.*'()!"],
      ["/photos//x/../y/./", "/photos//x/../y/./"],
      ["/photos/a%23b", "/photos/a#b"],
      ["/photos/%C3%A4", "/photos/%c3%a4"],
      ["/photos?list-type=2&prefix=a%20b", "/photos?prefix=a+b&list-type=2"],
      ["/photos?a=1&a=2&a-=0&b=", "/photos?b&a=2&a-=0&a=1"],
      ["/photos?acl=", "/photos?acl"],
    ];
    for (const [canonical, sent] of same) expect(head(canonical, sent).principal.kind, sent).toBe("credential");
  });

  test("holds for any name and any metadata that HTTP can carry", () => {
    const text = fc.string({ unit: "binary", minLength: 1, maxLength: 40 }).filter((name) => !name.includes("\0"));
    fc.assert(
      fc.property(text, text, (name, value) => {
        fc.pre(name.isWellFormed());
        const encoded = encodeURIComponent(name).replace(
          /[!'()*]/g,
          (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
        );
        const latin1 = latin1Of([...value].filter((sign) => !hasControl(sign)).join("")).trim();
        const target = `/photos/x${encoded}`;
        expect(signed({ target, headers: [["x-amz-meta-v", latin1]] }).principal.kind).toBe("credential");
      }),
    );
  });

  const refusals: Record<string, [code: string, work: () => unknown]> = {
    "no signature": ["AccessDenied", () => authenticate("GET", "/photos/a", [["Host", "h"]])],
    "another secret": ["SignatureDoesNotMatch", () => signed({ secret: `${SECRET}x` })],
    "an unknown access key": ["InvalidAccessKeyId", () => signed({ accessKeyId: "AKIANOBODY" })],
    "the hash of a bearer token as access key": ["InvalidAccessKeyId", () => signed({ accessKeyId: "f".repeat(64) })],
    "another body's hash": [
      "SignatureDoesNotMatch",
      () => signed({}, (all) => replaced(all, "x-amz-content-sha256", sha256Hex("x"))),
    ],
    "a changed header": [
      "SignatureDoesNotMatch",
      () => signed({ headers: [["x-amz-meta-a", "1"]] }, (all) => replaced(all, "x-amz-meta-a", "2")),
    ],
    "an x-amz header that is not signed": [
      "AccessDenied",
      () => signed({}, (all) => [...all, ["x-amz-meta-late", "1"]]),
    ],
    "a host that is not signed": [
      "AccessDenied",
      () => signed({}, (all) => replaced(all, "Authorization", all.at(-1)?.[1].replace("host;", "") ?? "")),
    ],
    "a clock 15 minutes and a second behind": ["RequestTimeTooSkewed", () => signed({}, undefined, NOW_MS + 901_000)],
    "a clock 15 minutes and a second ahead": ["RequestTimeTooSkewed", () => signed({}, undefined, NOW_MS - 901_000)],
    "no date": ["AccessDenied", () => signed({}, (all) => all.filter(([name]) => name !== "x-amz-date"))],
    "a date that is none": ["AccessDenied", () => signed({}, (all) => replaced(all, "x-amz-date", "yesterday"))],
    "a scope of another day": [
      "AuthorizationHeaderMalformed",
      () =>
        signed({}, (all) => replaced(all, "Authorization", all.at(-1)?.[1].replace("/20130524/", "/20130525/") ?? "")),
    ],
    "a scope of another service": [
      "AuthorizationHeaderMalformed",
      () => signed({}, (all) => replaced(all, "Authorization", all.at(-1)?.[1].replace("/s3/", "/sts/") ?? "")),
    ],
    "a header without a signature": [
      "AuthorizationHeaderMalformed",
      () => signed({}, (all) => replaced(all, "Authorization", "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request")),
    ],
    "a header of nonsense": [
      "AuthorizationHeaderMalformed",
      () => signed({}, (all) => replaced(all, "Authorization", "AWS4-HMAC-SHA256 ,,,=")),
    ],
    "Signature V2": [
      "InvalidRequest",
      () =>
        authenticate("GET", "/b12", [
          ["Host", "h"],
          ["Authorization", "AWS AKIA:sig="],
        ]),
    ],
    "Signature V2 in the query": [
      "InvalidRequest",
      () => authenticate("GET", "/b12?AWSAccessKeyId=a&Signature=b&Expires=1", [["Host", "h"]]),
    ],
    "another scheme": [
      "InvalidArgument",
      () =>
        authenticate("GET", "/b12", [
          ["Host", "h"],
          ["Authorization", "Bearer x"],
        ]),
    ],
    "a signature in header and query at once": [
      "InvalidArgument",
      () =>
        authenticate("GET", "/b12?X-Amz-Signature=1", [
          ["Host", "h"],
          ["Authorization", "AWS4-HMAC-SHA256 x"],
        ]),
    ],
    "a payload that is none": ["InvalidArgument", () => signed({ payload: "STREAMING-SOMETHING" })],
    "a payload named like a member of every object": ["InvalidArgument", () => signed({ payload: "constructor" })],
    "a body without the payload's hash": [
      "InvalidRequest",
      () => signed({}, (all) => [...all.filter(([name]) => name !== "x-amz-content-sha256"), ["Content-Length", "3"]]),
    ],
  };
  test.each(Object.entries(refusals))("is refused: %s", (_name, [code, work]) => expect(codeOf(work)).toBe(code));

  test("of a credential that has ended is refused, and a moment before it is not", () => {
    const snapshot = snapshotOf({}, [credentialOf({ endsMs: NOW_MS })]);
    expect(codeOf(() => signed({}, undefined, NOW_MS, snapshot))).toBe("InvalidAccessKeyId");
    expect(signed({}, undefined, NOW_MS - 1, snapshot).principal.kind).toBe("credential");
  });

  test("needs no payload's hash where there is no body", () => {
    const headers: HeaderList = [
      ["Host", "h"],
      ["x-amz-date", STAMP],
    ];
    const signing = { method: "GET", target: "/photos/a", headers, payload: EMPTY, timestamp: STAMP };
    const { authorization } = signRequest({ ...signing, accessKeyId: ACCESS_KEY_ID, secret: SECRET });
    const all: HeaderList = [...headers, ["Authorization", authorization]];
    expect(authenticate("GET", "/photos/a", all).principal.kind).toBe("credential");
  });

  test("may carry its date in the header Date", () => {
    const headers: HeaderList = [
      ["Host", "h"],
      ["Date", "Fri, 24 May 2013 00:00:00 GMT"],
      ["x-amz-content-sha256", EMPTY],
    ];
    const signing = { method: "GET", target: "/photos/a", headers, payload: EMPTY, timestamp: STAMP };
    const { authorization } = signRequest({ ...signing, accessKeyId: ACCESS_KEY_ID, secret: SECRET });
    const all: HeaderList = [...headers, ["Authorization", authorization]];
    expect(authenticate("GET", "/photos/a", all).principal.kind).toBe("credential");
  });

  test("follows a secret that was replaced under the same access key", () => {
    const authenticator = createAuthenticator();
    const run = (secret: string, configured: string) => {
      const headers: HeaderList = [
        ["Host", "h"],
        ["x-amz-date", STAMP],
      ];
      const signing = { method: "GET", target: "/photos/a", headers, payload: EMPTY, timestamp: STAMP };
      const { authorization } = signRequest({ ...signing, accessKeyId: ACCESS_KEY_ID, secret });
      const head = headOf("GET", "/photos/a", [...headers, ["Authorization", authorization]]);
      const snapshot = snapshotOf({}, [credentialOf({ secret: configured })]);
      return codeOf(() => authenticator(head, parseTarget(head, snapshot), snapshot, NOW_MS, neverSent));
    };
    expect(run("first-secret", "first-secret")).toBe("none");
    expect(run("first-secret", "first-secret")).toBe("none");
    expect(run("first-secret", "second-secret")).toBe("SignatureDoesNotMatch");
    expect(run("second-secret", "second-secret")).toBe("none");
    expect(run("first-secret", "second-secret")).toBe("SignatureDoesNotMatch");
  });
});

describe("a signature in the query", () => {
  test("holds until the last moment of its time, and no longer", () => {
    const run = presigned({}, 60);
    expect(run(NOW_MS + 60_000).principal.kind).toBe("credential");
    expect(codeOf(() => run(NOW_MS + 60_001))).toBe("AccessDenied");
  });

  test("is not valid more than 15 minutes before its date", () => {
    const run = presigned({}, 604_800);
    expect(run(NOW_MS - 900_000).principal.kind).toBe("credential");
    expect(codeOf(() => run(NOW_MS - 900_001))).toBe("AccessDenied");
  });

  test("covers parameters that stand for headers, and the hash of a payload among them", () => {
    const run = presigned({ method: "PUT" }, 60, ["x-amz-acl=private", "X-Amz-Content-Sha256=UNSIGNED-PAYLOAD"]);
    expect(run().principal.kind).toBe("credential");
  });

  const refusals: Record<string, [code: string, work: () => unknown]> = {
    "an x-amz header that is not signed": ["AccessDenied", presigned({}, 60, [], [["x-amz-acl", "private"]])],
    "a time of 0 s": ["AuthorizationQueryParametersError", presigned({}, 0)],
    "a time of more than a week": ["AuthorizationQueryParametersError", presigned({}, 604_801)],
    "a time that is none": ["AuthorizationQueryParametersError", presigned({}, "1e3")],
    "another service": [
      "AuthorizationQueryParametersError",
      () =>
        authenticate("GET", `/b12?${parametersWith("X-Amz-Credential", "a%2F20130524%2Fr%2Fsts%2Faws4_request")}`, [
          ["Host", "h"],
        ]),
    ],
    "another algorithm": [
      "AuthorizationQueryParametersError",
      () => authenticate("GET", `/b12?${parametersWith("X-Amz-Algorithm", "AWS4-ECDSA-P256-SHA256")}`, [["Host", "h"]]),
    ],
    "a date that is none": [
      "AuthorizationQueryParametersError",
      () => authenticate("GET", `/b12?${parametersWith("X-Amz-Date", "20131324T000000Z")}`, [["Host", "h"]]),
    ],
    "another secret": ["SignatureDoesNotMatch", presigned({ secret: "another" }, 60)],
    "another method": [
      "SignatureDoesNotMatch",
      () => {
        const all: HeaderList = [["Host", "h"]];
        const signing = {
          method: "GET",
          target: "/photos/a",
          headers: all,
          payload: "UNSIGNED-PAYLOAD",
          timestamp: STAMP,
        };
        authenticate("PUT", presign({ ...signing, accessKeyId: ACCESS_KEY_ID, secret: SECRET }, 60), all);
      },
    ],
  };
  test.each(Object.entries(refusals))("is refused: %s", (_name, [code, work]) =>
    expect(codeOf(() => work())).toBe(code),
  );

  test.each(Object.keys(PARAMETERS()))("is refused without %s", (missing) => {
    const parameters = Object.entries(PARAMETERS()).filter(([name]) => name !== missing);
    const url = `/b12?${parameters.map(([name, value]) => `${name}=${value}`).join("&")}`;
    expect(codeOf(() => authenticate("GET", url, [["Host", "h"]]))).toBe("AuthorizationQueryParametersError");
  });
});

function PARAMETERS(): Record<string, string> {
  return {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": `${ACCESS_KEY_ID}%2F20130524%2Flocal%2Fs3%2Faws4_request`,
    "X-Amz-Date": STAMP,
    "X-Amz-Expires": "60",
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Signature": "0".repeat(64),
  };
}

function parametersWith(name: string, value: string): string {
  const all = { ...PARAMETERS(), [name]: value };
  return Object.entries(all)
    .map((pair) => pair.join("="))
    .join("&");
}

function replaced(all: readonly (readonly [string, string])[], name: string, value: string): HeaderList {
  return all.map(([one, old]) => [one, one === name ? value : old] as const);
}
