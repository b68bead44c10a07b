import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { codeOf } from "./contract/requests.ts";
import { checkNoEncryption, encryptionWanted } from "./encryption.ts";

const SSE = "x-amz-server-side-encryption";
const CUSTOMER_KEY = Buffer.alloc(32, 7);
const CUSTOMER = {
  [`${SSE}-customer-algorithm`]: "AES256",
  [`${SSE}-customer-key`]: CUSTOMER_KEY.toString("base64"),
  [`${SSE}-customer-key-md5`]: createHash("md5").update(CUSTOMER_KEY).digest("base64"),
};

const wanted = (fields: Record<string, string>, customerKeys = false) =>
  encryptionWanted(new Map(Object.entries(fields)), customerKeys);
const contextOf = (json: string) => ({ [SSE]: "aws:kms", [`${SSE}-context`]: Buffer.from(json).toString("base64") });

test("nothing asked for follows the bucket", () => {
  expect(wanted({})).toEqual({
    shown: undefined,
    kmsKeyId: undefined,
    context: undefined,
    bucketKeyEnabled: undefined,
  });
});

test("all may be asked for at once", () => {
  const fields = {
    ...contextOf('{"team":"blue","é":""}'),
    [`${SSE}-aws-kms-key-id`]: "transit/photos",
    [`${SSE}-bucket-key-enabled`]: "True",
  };
  expect(wanted(fields)).toEqual({
    shown: "aws:kms",
    kmsKeyId: "transit/photos",
    context: new Map([
      ["team", "blue"],
      ["é", ""],
    ]),
    bucketKeyEnabled: true,
  });
});

test("SSE-S3 and a bucket-key flag alone may be asked for", () => {
  expect(wanted({ [SSE]: "AES256" }).shown).toBe("AES256");
  expect(wanted({ [`${SSE}-bucket-key-enabled`]: "false" }).bucketKeyEnabled).toBe(false);
});

describe("a write is refused", () => {
  const cases: Record<string, [code: string, fields: Record<string, string>]> = {
    "with an unknown algorithm": ["InvalidArgument", { [SSE]: "aes256" }],
    "with double KMS encryption": ["NotImplemented", { [SSE]: "aws:kms:dsse" }],
    "with FSx encryption": ["NotImplemented", { [SSE]: "aws:fsx" }],
    "with backup encryption": ["NotImplemented", { [SSE]: "aws:backup" }],
    "with a key id beside AES256": ["InvalidArgument", { [SSE]: "AES256", [`${SSE}-aws-kms-key-id`]: "k" }],
    "with a key id alone": ["InvalidArgument", { [`${SSE}-aws-kms-key-id`]: "k" }],
    "with a context alone": ["InvalidArgument", { [`${SSE}-context`]: "e30=" }],
    "with a context beside AES256": ["InvalidArgument", { ...contextOf("{}"), [SSE]: "AES256" }],
    "with a flag that is none": ["InvalidArgument", { [`${SSE}-bucket-key-enabled`]: "yes" }],
    "with a context that is no base64": ["InvalidArgument", { [SSE]: "aws:kms", [`${SSE}-context`]: "{}" }],
    "with a context that is no UTF-8": ["InvalidArgument", { [SSE]: "aws:kms", [`${SSE}-context`]: "/w==" }],
    "with a context that is no JSON": ["InvalidArgument", contextOf("{")],
    "with a context that is a list": ["InvalidArgument", contextOf('["a"]')],
    "with a context that is null": ["InvalidArgument", contextOf("null")],
    "with a context of numbers": ["InvalidArgument", contextOf('{"a":1}')],
    "with a context of objects": ["InvalidArgument", contextOf('{"a":{"b":"c"}}')],
    "with a context that names a key twice": ["InvalidArgument", contextOf('{"a":"1","a":"2"}')],
    "with a context that names a key twice, escaped": ["InvalidArgument", contextOf('{"a":"1","\\u0061":"2"}')],
    "with a context of our own names": ["InvalidArgument", contextOf('{"coffer:bucket":"x"}')],
    "with a context of lone surrogates": ["InvalidArgument", contextOf('{"a":"\\ud800"}')],
    "with a customer's key where none is allowed": ["AccessDenied", CUSTOMER],
    "with a customer's key beside SSE-S3": ["InvalidArgument", { ...CUSTOMER, [SSE]: "AES256" }],
    "with a customer's key of another algorithm": [
      "InvalidArgument",
      { ...CUSTOMER, [`${SSE}-customer-algorithm`]: "DES" },
    ],
    "with a customer's key that is short": ["InvalidArgument", { ...CUSTOMER, [`${SSE}-customer-key`]: "AAAA" }],
    "with a customer's key alone": ["InvalidArgument", { [`${SSE}-customer-key`]: CUSTOMER_KEY.toString("base64") }],
  };
  test.each(Object.entries(cases))("%s", (_name, [code, fields]) => expect(codeOf(() => wanted(fields))).toBe(code));

  test("with a customer's key that the bucket would allow, rather than stored without it", () => {
    expect(codeOf(() => wanted(CUSTOMER, true))).toBe("NotImplemented");
  });
});

test("a context may hold quotes and backslashes", () => {
  expect(wanted(contextOf('{"a\\"b":"\\\\","c":"\\""}')).context).toEqual(
    new Map([
      ['a"b', "\\"],
      ["c", '"'],
    ]),
  );
});

describe("an operation that chooses no encryption", () => {
  test.each([SSE, `${SSE}-aws-kms-key-id`, `${SSE}-context`, `${SSE}-bucket-key-enabled`])(
    "is refused with %s",
    (name) => {
      expect(codeOf(() => checkNoEncryption(new Map([[name, "AES256"]])))).toBe("InvalidArgument");
    },
  );

  const withCustomer = (more: Record<string, string>) => () =>
    checkNoEncryption(new Map(Object.entries({ ...CUSTOMER, ...more })));

  test("is refused with a customer's key, since nothing here has one, and served without", () => {
    expect(codeOf(withCustomer({}))).toBe("InvalidRequest");
    expect(withCustomer({})).toThrow("is not encrypted with a customer's key");
    expect(codeOf(() => checkNoEncryption(new Map()))).toBe("none");
  });

  test("tells first what is wrong with a customer's key", () => {
    for (const [name, value] of [
      ["algorithm", "DES"],
      ["key", "AAAA"],
      ["key-md5", "AAAA"],
    ] as const) {
      expect(codeOf(withCustomer({ [`${SSE}-customer-${name}`]: value }))).toBe("InvalidArgument");
    }
  });
});
