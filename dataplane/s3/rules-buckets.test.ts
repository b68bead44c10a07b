import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createLocalKms } from "../../kms/local.ts";
import { createRing, printRing } from "../../kms/ring.ts";
import type { HeaderList } from "./contract/requests.ts";
import { type Answer, type Asked, ask, CREDENTIAL, MAKER, startWorld, type World } from "./contract/world.ts";

const READER = { ...CREDENTIAL, accessKeyId: "READER", tokenSha256: "b".repeat(64), permissions: ["Read" as const] };
const SSE = "x-amz-server-side-encryption";
const ring = createRing(new Date());
let world: World;
let count = 0;
let bucket = "";

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

beforeEach(() => {
  count += 1;
  bucket = `made-${count}`;
});

/** As the self-service credential, unless told otherwise. */
const by = (method: string, target: string, more: Asked = {}): Promise<Answer> =>
  ask(world, { method, target, accessKeyId: MAKER.accessKeyId, ...more });

const outcome = ({ status, code }: Answer) => [status, code];

describe("CreateBucket", () => {
  test("and DeleteBucket need a self-service credential (else 403)", async () => {
    const asApp = { accessKeyId: CREDENTIAL.accessKeyId };
    expect(outcome(await by("PUT", `/${bucket}`, asApp))).toEqual([403, "AccessDenied"]);
    expect(outcome(await by("DELETE", "/photos", asApp))).toEqual([403, "AccessDenied"]);
    const made = await by("PUT", `/${bucket}`);
    expect([made.status, made.headers["location"], made.text]).toEqual([200, `/${bucket}`, ""]);
    expect(outcome(await by("DELETE", `/${bucket}`, asApp))).toEqual([403, "AccessDenied"]);
    expect((await by("DELETE", `/${bucket}`)).status).toBe(204);
    expect(outcome(await by("DELETE", `/${bucket}`))).toEqual([404, "NoSuchBucket"]);
  });

  test("of a bucket that one may use already: 409 BucketAlreadyOwnedByYou", async () => {
    await by("PUT", `/${bucket}`);
    expect(outcome(await by("PUT", `/${bucket}`))).toEqual([409, "BucketAlreadyOwnedByYou"]);
    const asApp = { accessKeyId: CREDENTIAL.accessKeyId };
    expect(outcome(await by("PUT", "/photos", asApp))).toEqual([409, "BucketAlreadyOwnedByYou"]);
  });

  test("of a name that a configuration has: 409", async () => {
    expect(outcome(await by("PUT", "/photos"))).toEqual([409, "BucketAlreadyExists"]);
    expect(outcome(await by("PUT", "/music"))).toEqual([409, "BucketAlreadyExists"]);
  });

  test.each([undefined, "", "eu-central-1", "local", "mars"])("accepts any LocationConstraint: %j", async (place) => {
    const xml = `<CreateBucketConfiguration><LocationConstraint>${place}</LocationConstraint></CreateBucketConfiguration>`;
    const body = Buffer.from(place === undefined ? "" : xml);
    expect((await by("PUT", `/${bucket}`, { body, region: "US" })).status).toBe(200);
  });

  test.each(["192.168.0.1", "127.0.0.1"])("refuses a name that is an address: %s", async (name) => {
    expect(outcome(await by("PUT", `/${name}`))).toEqual([400, "InvalidBucketName"]);
  });

  const refused: Record<string, [status: number, code: string, headers: HeaderList, body?: string]> = {
    "a public ACL": [400, "AccessControlListNotSupported", [["x-amz-acl", "public-read"]]],
    "a grant": [400, "AccessControlListNotSupported", [["x-amz-grant-read", "id=x"]]],
    "object lock": [501, "NotImplemented", [["x-amz-bucket-object-lock-enabled", "true"]]],
    "another ownership": [501, "NotImplemented", [["x-amz-object-ownership", "ObjectWriter"]]],
    tags: [501, "NotImplemented", [], "<CreateBucketConfiguration><Tags><Tag/></Tags></CreateBucketConfiguration>"],
    "another document": [400, "MalformedXML", [], "<Other/>"],
    "no XML": [400, "MalformedXML", [], "hello"],
    "another MD5": [400, "BadDigest", [["Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA=="]], "<CreateBucketConfiguration/>"],
  };
  test.each(Object.entries(refused))("refuses %s, and makes nothing", async (_what, [status, code, headers, body]) => {
    const answer = await by("PUT", `/${bucket}`, { headers, ...(body && { body: Buffer.from(body) }) });
    expect(outcome(answer)).toEqual([status, code]);
    expect((await by("HEAD", `/${bucket}`)).status).toBe(404);
  });

  test("takes what everything has: a private ACL, no lock, the owner's ownership", async () => {
    const headers: HeaderList = [
      ["x-amz-acl", "private"],
      ["x-amz-bucket-object-lock-enabled", "false"],
      ["x-amz-object-ownership", "BucketOwnerEnforced"],
    ];
    expect((await by("PUT", `/${bucket}`, { headers })).status).toBe(200);
  });
});

describe("A self-service credential", () => {
  test("may everything in the buckets of self-service", async () => {
    await by("PUT", `/${bucket}`);
    expect((await by("PUT", `/${bucket}/a`, { body: Buffer.from("hello") })).status).toBe(200);
    expect((await by("GET", `/${bucket}/a`)).text).toBe("hello");
    expect((await by("GET", `/${bucket}?list-type=2`)).text).toContain("<Key>a</Key>");
    expect((await by("GET", `/${bucket}?location`)).text).toContain(">local</LocationConstraint>");
    expect((await by("HEAD", `/${bucket}`)).headers["x-amz-bucket-region"]).toBe("local");
    expect((await by("GET", "/")).text).toContain(`<Name>${bucket}</Name>`);
    expect((await by("DELETE", `/${bucket}/a`)).status).toBe(204);
  });

  test("gets 404 for a name that is free, so that clients make the bucket, and 403 for one of the configuration", async () => {
    expect((await by("HEAD", `/${bucket}`)).status).toBe(404);
    expect(outcome(await by("GET", `/${bucket}/a`))).toEqual([404, "NoSuchBucket"]);
    expect((await by("HEAD", "/photos")).status).toBe(403);
    expect((await by("GET", "/")).text).not.toContain("<Name>photos</Name>");
  });

  test("removes a bucket that is empty, and no other: 409 BucketNotEmpty", async () => {
    await by("PUT", `/${bucket}`);
    await by("PUT", `/${bucket}/a`, { body: Buffer.from("x") });
    expect(outcome(await by("DELETE", `/${bucket}`))).toEqual([409, "BucketNotEmpty"]);
    await by("DELETE", `/${bucket}/a`);
    expect((await by("DELETE", `/${bucket}`)).status).toBe(204);
    await by("PUT", `/${bucket}`);
    expect(outcome(await by("GET", `/${bucket}/a`))).toEqual([404, "NoSuchKey"]);
    await by("PUT", `/${bucket}/a`, { body: Buffer.from("again") });
    expect((await by("GET", `/${bucket}/a`)).text).toBe("again");
  });

  test("of another bucket gets 403 for a bucket of self-service", async () => {
    await by("PUT", `/${bucket}`);
    const asApp = { accessKeyId: CREDENTIAL.accessKeyId };
    expect((await by("HEAD", `/${bucket}`, asApp)).status).toBe(403);
    expect((await by("GET", `/${bucket}/a`, asApp)).status).toBe(403);
  });
});

test("HeadBucket needs any of the permissions", async () => {
  expect((await by("HEAD", "/photos", { accessKeyId: "READER" })).status).toBe(200);
});

const configuration = (algorithm: string, more = "", rule = ""): Buffer =>
  Buffer.from(
    `<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>${algorithm}</SSEAlgorithm>${more}</ApplyServerSideEncryptionByDefault>${rule}</Rule></ServerSideEncryptionConfiguration>`,
  );

describe("ListBuckets", () => {
  const list = (query: string) => by("GET", `/?${query}`);

  test("takes 1 to 10,000 as max-buckets, else 400 InvalidArgument", async () => {
    for (const limit of ["0", "10001", "-1", "1.5", "x"]) {
      expect([limit, ...outcome(await list(`max-buckets=${limit}`))]).toEqual([limit, 400, "InvalidArgument"]);
    }
    for (const query of ["max-buckets=1", "max-buckets=10000", "max-buckets=", ""]) {
      expect([query, (await list(query)).status]).toEqual([query, 200]);
    }
  });

  test("goes page by page, and tells how to go on only where something follows", async () => {
    const names = ["one", "three", "two"].map((name) => `${bucket}-${name}`);
    for (const name of names) await by("PUT", `/${name}`);
    const found: (string | undefined)[] = [];
    let token: string | undefined = "";
    while (token !== undefined) {
      const onward: string = token === "" ? "" : `&continuation-token=${encodeURIComponent(token)}`;
      const { text }: Answer = await list(`max-buckets=2&prefix=${bucket}-${onward}`);
      found.push(...[...text.matchAll(/<Name>([^<]*)</g)].map(([, name]) => name));
      token = /<ContinuationToken>([^<]*)</.exec(text)?.[1];
    }
    expect(found).toEqual(names);
  });
});

describe("Bucket encryption:", () => {
  test("an EncryptedBucket answers aws:kms, key id and BucketKeyEnabled before anybody set it", async () => {
    const { text } = await ask(world, { target: "/photos?encryption" });
    expect(text).toContain(
      `<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>${ring.id}</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled></Rule>`,
    );
  });

  test("AES256 asks for MD5 ETags, and DELETE returns to the default", async () => {
    await by("PUT", `/${bucket}`);
    const etag = async () => {
      const { headers } = await by("PUT", `/${bucket}/a`, { body: Buffer.from("hello") });
      return [headers["etag"], headers[SSE]];
    };
    const md5 = '"5d41402abc4b2a76b9719d911017c592"';
    expect(await etag()).toEqual([expect.stringMatching(/^"[0-9a-f]{32}-1"$/), "aws:kms"]);
    expect((await by("PUT", `/${bucket}?encryption`, { body: configuration("AES256") })).status).toBe(200);
    expect((await by("GET", `/${bucket}?encryption`)).text).toContain("<SSEAlgorithm>AES256</SSEAlgorithm>");
    expect(await etag()).toEqual([md5, "AES256"]);
    // The request's header speaks first.
    const asked = { body: Buffer.from("hello"), headers: [[SSE, "aws:kms"]] as HeaderList };
    expect((await by("PUT", `/${bucket}/b`, asked)).headers[SSE]).toBe("aws:kms");
    expect((await by("DELETE", `/${bucket}?encryption`)).status).toBe(204);
    expect(await etag()).toEqual([expect.stringMatching(/-1"$/), "aws:kms"]);
    expect((await by("HEAD", `/${bucket}/a`)).headers[SSE]).toBe("aws:kms");
  });

  test("bucket settings need a self-service credential (else 403), but what holds already is accepted", async () => {
    const asApp = { accessKeyId: CREDENTIAL.accessKeyId };
    const set = (body: Buffer) => by("PUT", "/photos?encryption", { ...asApp, body });
    expect(outcome(await set(configuration("AES256")))).toEqual([403, "AccessDenied"]);
    const same = configuration("aws:kms", `<KMSMasterKeyID>${ring.id}</KMSMasterKeyID>`);
    expect((await set(same)).status).toBe(200);
    expect(outcome(await by("PUT", "/photos?encryption", { body: same }))).toEqual([403, "AccessDenied"]);
  });

  test("another key or another key mode contradicts the resource: 409, naming it", async () => {
    await by("PUT", `/${bucket}`);
    const cases = [
      configuration("aws:kms", "<KMSMasterKeyID>another</KMSMasterKeyID>"),
      configuration("aws:kms", "", "<BucketKeyEnabled>false</BucketKeyEnabled>"),
    ];
    for (const body of cases) {
      const answer = await by("PUT", `/${bucket}?encryption`, { body });
      expect([answer.status, answer.text.includes("EncryptedStore default")]).toEqual([409, true]);
    }
  });

  const malformed: Record<string, [status: number, code: string, body: Buffer]> = {
    nothing: [400, "MalformedXML", Buffer.alloc(0)],
    "no rule": [400, "MalformedXML", Buffer.from("<ServerSideEncryptionConfiguration/>")],
    "an unknown algorithm": [400, "MalformedXML", configuration("ROT13")],
    "double encryption": [501, "NotImplemented", configuration("aws:kms:dsse")],
    "AES256 with a key id": [400, "InvalidArgument", configuration("AES256", "<KMSMasterKeyID>k</KMSMasterKeyID>")],
    "a flag that is none": [
      400,
      "InvalidArgument",
      configuration("aws:kms", "", "<BucketKeyEnabled>1</BucketKeyEnabled>"),
    ],
    "a block of something else": [
      501,
      "NotImplemented",
      configuration(
        "aws:kms",
        "",
        "<BlockedEncryptionTypes><EncryptionType>NONE</EncryptionType></BlockedEncryptionTypes>",
      ),
    ],
  };
  test.each(Object.entries(malformed))("is refused: %s", async (_what, [status, code, body]) => {
    await by("PUT", `/${bucket}`);
    expect(outcome(await by("PUT", `/${bucket}?encryption`, { body }))).toEqual([status, code]);
  });

  test("takes a block of customers' keys, which are blocked", async () => {
    await by("PUT", `/${bucket}`);
    const blocked = "<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes>";
    expect((await by("PUT", `/${bucket}?encryption`, { body: configuration("AES256", "", blocked) })).status).toBe(200);
  });
});

test("only a bucket that stores plaintext has no encryption configuration (404)", async () => {
  const open = await startWorld(
    { kms: createLocalKms(ring), kmsKeyId: ring.id, ring: printRing(ring) },
    { bucket: { allowPlaintext: true } },
  );
  const answer = await ask(open, { target: "/photos?encryption" });
  expect(outcome(answer)).toEqual([404, "ServerSideEncryptionConfigurationNotFoundError"]);
  const plain = await ask(open, { method: "PUT", target: "/photos/a", body: Buffer.from("x") });
  expect(plain.headers[SSE]).toBeUndefined();
  const sealed = {
    method: "PUT",
    target: "/photos/b",
    body: Buffer.from("x"),
    headers: [[SSE, "AES256"]] as HeaderList,
  };
  expect((await ask(open, sealed)).headers[SSE]).toBe("AES256");
  await open.close();
});
