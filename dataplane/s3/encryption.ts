/**
 * The headers of server-side encryption: what a request asks for, and what an answer says of it. What they mean for
 * keys and envelopes is left to objects/.
 */
import { isUtf8 } from "node:buffer";
import type { ServerResponse } from "node:http";
import { Failure } from "../failure.ts";
import type { EncryptionWanted, Shown } from "../objects/objects.ts";
import { base64Bytes, type Fields, latin1Of, textOf } from "./fields.ts";

const PREFIX = "x-amz-server-side-encryption";
const KEY_ID = `${PREFIX}-aws-kms-key-id`;
const CONTEXT = `${PREFIX}-context`;
const BUCKET_KEY = `${PREFIX}-bucket-key-enabled`;
const CUSTOMER_FIELDS = customerFields(PREFIX);
const SOURCE_FIELDS = customerFields("x-amz-copy-source-server-side-encryption");

const FOLLOW_BUCKET: EncryptionWanted = {
  shown: undefined,
  kmsKeyId: undefined,
  context: undefined,
  bucketKeyEnabled: undefined,
};

/** Algorithm, key and MD5 of a customer's key. */
function customerFields(prefix: string): readonly string[] {
  return ["algorithm", "key", "key-md5"].map((name) => `${prefix}-customer-${name}`);
}

/** For PutObject, CreateMultipartUpload and CopyObject. `customerKeys`: whether the bucket allows them. */
export function encryptionWanted(fields: Fields, customerKeys: boolean): EncryptionWanted {
  const algorithm = fields.get(PREFIX);
  const keyId = fields.get(KEY_ID);
  const context = fields.get(CONTEXT);
  const bucketKey = fields.get(BUCKET_KEY);
  if (hasCustomerFields(fields)) {
    if (algorithm !== undefined || keyId !== undefined || context !== undefined) {
      throw new Failure("InvalidArgument", "A customer's key cannot be combined with another kind of encryption");
    }
    refuseCustomerKey(fields, customerKeys);
  }
  if (algorithm === undefined && keyId === undefined && context === undefined && bucketKey === undefined) {
    return FOLLOW_BUCKET;
  }
  const shown = algorithm === undefined ? undefined : shownOf(algorithm);
  if (keyId !== undefined && shown !== "aws:kms") throw needsKms(KEY_ID);
  if (context !== undefined && shown !== "aws:kms") throw needsKms(CONTEXT);
  return {
    shown,
    kmsKeyId: keyId === undefined ? undefined : textOf(KEY_ID, keyId),
    context: context === undefined ? undefined : parseContext(context),
    bucketKeyEnabled: bucketKey === undefined ? undefined : flagOf(bucketKey),
  };
}

/** For operations that take no choice of encryption. A customer's key opens nothing: no object here has one. */
export function checkNoEncryption(fields: Fields): void {
  for (const name of [PREFIX, KEY_ID, CONTEXT, BUCKET_KEY]) {
    if (fields.has(name))
      throw new Failure("InvalidArgument", `The header ${name} is not supported for this operation`);
  }
  if (!hasCustomerFields(fields)) return;
  checkCustomerKey(fields, CUSTOMER_FIELDS);
  throw new Failure("InvalidRequest", "The object is not encrypted with a customer's key");
}

/** For copies: nothing here is encrypted with a customer's key, so none can open the source. */
export function checkSourceKey(fields: Fields): void {
  if (!SOURCE_FIELDS.some((name) => fields.has(name))) return;
  checkCustomerKey(fields, SOURCE_FIELDS);
  throw new Failure("InvalidRequest", "The source of the copy is not encrypted with a customer's key");
}

function hasCustomerFields(fields: Fields): boolean {
  return CUSTOMER_FIELDS.some((name) => fields.has(name));
}

/** All that is wrong with a customer's key is told first, then that it is not taken. */
function refuseCustomerKey(fields: Fields, customerKeys: boolean): never {
  checkCustomerKey(fields, CUSTOMER_FIELDS);
  if (!customerKeys) throw new Failure("AccessDenied", "The bucket does not allow customers' keys");
  throw new Failure("NotImplemented", "Customers' keys are not supported");
}

function checkCustomerKey(fields: Fields, names: readonly string[]): void {
  const [algorithm, key, keyMd5] = names.map((name) => fields.get(name));
  if (algorithm === undefined || key === undefined || keyMd5 === undefined) {
    throw new Failure("InvalidArgument", "A customer's key needs its algorithm, the key and the key's MD5");
  }
  if (algorithm !== "AES256") throw new Failure("InvalidArgument", "The algorithm of a customer's key must be AES256");
  if (base64Bytes(key)?.length !== 32 || base64Bytes(keyMd5)?.length !== 16) {
    throw new Failure("InvalidArgument", "A customer's key must have 32 bytes, and its MD5 16, both in base64");
  }
}

function needsKms(name: string): Failure {
  return new Failure("InvalidArgument", `The header ${name} needs ${PREFIX}: aws:kms`);
}

function shownOf(algorithm: string): "AES256" | "aws:kms" {
  switch (algorithm) {
    case "AES256":
    case "aws:kms":
      return algorithm;
    case "aws:kms:dsse":
    case "aws:fsx":
    case "aws:backup":
      throw new Failure(
        "NotImplemented",
        "This kind of server-side encryption is not supported: use AES256 or aws:kms",
      );
    default:
      throw new Failure("InvalidArgument", "The server-side encryption must be AES256 or aws:kms");
  }
}

function flagOf(text: string): boolean {
  const lower = text.toLowerCase();
  if (lower === "true") return true;
  if (lower === "false") return false;
  throw new Failure("InvalidArgument", `The header ${BUCKET_KEY} must be true or false`);
}

/** Base64 of a JSON object of strings, no key twice, none that begins with ours. */
function parseContext(base64: string): ReadonlyMap<string, string> {
  const refuse = (why: string) => new Failure("InvalidArgument", `The encryption context ${why}`);
  const bytes = base64Bytes(base64);
  if (bytes === undefined || !isUtf8(bytes)) throw refuse("must be base64 of UTF-8");
  const text = Buffer.from(bytes).toString("utf8");
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new Failure("InvalidArgument", "The encryption context must be JSON", { cause });
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) throw refuse("must be an object");
  const context = new Map<string, string>();
  for (const [name, value] of Object.entries(parsed)) {
    if (typeof value !== "string") throw refuse("must hold strings alone");
    if (!name.isWellFormed() || !value.isWellFormed()) throw refuse("must be well-formed Unicode");
    if (name.startsWith("coffer:")) throw refuse("must not use names that begin with coffer:");
    context.set(name, value);
  }
  // A flat object of strings has two of them for each pair: more means that a name came twice.
  const strings = text.match(/"(?:[^"\\]|\\.)*"/g)?.length ?? 0;
  if (strings !== 2 * context.size) throw refuse("must not give a name twice");
  return context;
}

export interface ShownEncryption {
  readonly shown: Shown;
  readonly kmsKeyId: string | undefined;
  readonly bucketKeyEnabled: boolean;
}

/** Kind of encryption, KMS key id and bucket-key flag: what every answer of an object may say. */
export function answerEncryption(answer: ServerResponse, encryption: ShownEncryption): void {
  if (encryption.shown === "AES256") answer.setHeader(PREFIX, "AES256");
  if (encryption.shown !== "aws:kms") return;
  answer.setHeader(PREFIX, "aws:kms");
  if (encryption.kmsKeyId !== undefined) answer.setHeader(KEY_ID, latin1Of(encryption.kmsKeyId));
  if (encryption.bucketKeyEnabled) answer.setHeader(BUCKET_KEY, "true");
}

/** The context too: Put and Create alone. */
export function answerContext(answer: ServerResponse, context: ReadonlyMap<string, string>): void {
  if (context.size === 0) return;
  answer.setHeader(CONTEXT, Buffer.from(JSON.stringify(Object.fromEntries(context)), "utf8").toString("base64"));
}
