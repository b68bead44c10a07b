/** Buckets made and removed by self-service credentials, and how later objects of a bucket are encrypted. */
import type { EncryptionChange } from "../buckets/buckets.ts";
import { admitCreation } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import { Failure } from "../failure.ts";
import { sendNothing, sendXml } from "./answers.ts";
import { readDocument } from "./document.ts";
import { bucketOf, checkAdmitted, decided, type Handle, type Needs } from "./handling.ts";
import type { Target } from "./target.ts";
import { checkAcl, checkConditions } from "./wanted.ts";
import {
  element,
  elementIn,
  elementsIn,
  malformed,
  parseXml,
  textIn,
  wrap,
  type XmlElement,
  xmlDocument,
} from "./xml.ts";

export const createBucket: Handle = async (needs, call, { target, body, answer }) => {
  const bucket = bucketOf(target);
  checkMayCreate(needs, call, bucket);
  checkHeaders(target);
  checkConfiguration(await readDocument(body));
  await needs.buckets.make(call, bucket);
  answer.setHeader("Location", `/${bucket}`);
  sendNothing(answer, 200);
};

export const deleteBucket: Handle = async (needs, call, { target, answer }) => {
  await needs.buckets.remove(call, bucketOf(target));
  sendNothing(answer, 204);
};

export const getBucketEncryption: Handle = async (needs, call, { target, answer }) => {
  const bucket = bucketOf(target);
  const { shown, kmsKeyId, bucketKeyEnabled } = await needs.buckets.encryption(call, bucket);
  if (shown === "none") {
    throw new Failure("ServerSideEncryptionConfigurationNotFoundError", `Bucket "${bucket}" has no encryption`);
  }
  const byDefault = element("SSEAlgorithm", shown) + (shown === "aws:kms" ? element("KMSMasterKeyID", kmsKeyId) : "");
  const rule =
    wrap("ApplyServerSideEncryptionByDefault", byDefault) +
    element("BucketKeyEnabled", shown === "aws:kms" && bucketKeyEnabled);
  sendXml(answer, xmlDocument("ServerSideEncryptionConfiguration", wrap("Rule", rule)));
};

export const putBucketEncryption: Handle = async (needs, call, { target, body, answer }) => {
  checkAdmitted(needs, call, target, "HeadBucket");
  checkConditions(target.fields, []);
  const change = changeIn(await readDocument(body));
  await needs.buckets.setEncryption(call, bucketOf(target), change);
  sendNothing(answer, 200);
};

export const deleteBucketEncryption: Handle = async (needs, call, { target, answer }) => {
  decided(needs, call, target, "HeadBucket", () => checkConditions(target.fields, []));
  await needs.buckets.removeEncryption(call, bucketOf(target));
  sendNothing(answer, 204);
};

function checkMayCreate(needs: Needs, call: Call, bucket: string): void {
  admitCreation(call, bucket, needs.nowMs());
}

function checkHeaders({ fields }: Target): void {
  checkAcl(fields);
  if (fields.get("x-amz-bucket-object-lock-enabled")?.toLowerCase() === "true") {
    throw new Failure("NotImplemented", "Object lock is not supported");
  }
  const ownership = fields.get("x-amz-object-ownership");
  if (ownership !== undefined && ownership !== "BucketOwnerEnforced") {
    throw new Failure("NotImplemented", "The object ownership is not supported: use BucketOwnerEnforced");
  }
}

/** Any location is here. What else a bucket may be made with is not there, and must not be passed over. */
function checkConfiguration(text: string): void {
  if (text.trim() === "") return;
  const root = parseXml(text, "CreateBucketConfiguration");
  const location = textIn(root, "LocationConstraint");
  if (location !== undefined && location.length > 255) throw malformed("the LocationConstraint is too long");
  const other = ["Location", "Bucket", "Tags"].find((name) => Object.hasOwn(root, name));
  if (other !== undefined) {
    throw new Failure("NotImplemented", `A bucket cannot be made with ${other}: only a LocationConstraint is taken`);
  }
}

function changeIn(text: string): EncryptionChange {
  const root = parseXml(text, "ServerSideEncryptionConfiguration");
  const rules = elementsIn(root, "Rule");
  const [rule] = rules;
  if (rule === undefined || rules.length !== 1) throw malformed("it must have one Rule");
  checkBlocked(rule);
  const byDefault = elementIn(rule, "ApplyServerSideEncryptionByDefault");
  const shown = byDefault === undefined ? undefined : shownIn(byDefault);
  const kmsKeyId = byDefault === undefined ? undefined : textIn(byDefault, "KMSMasterKeyID");
  if (kmsKeyId !== undefined && shown !== "aws:kms") {
    throw new Failure("InvalidArgument", "A KMSMasterKeyID needs the SSEAlgorithm aws:kms");
  }
  const flag = textIn(rule, "BucketKeyEnabled")?.toLowerCase();
  if (flag !== undefined && flag !== "true" && flag !== "false") {
    throw new Failure("InvalidArgument", "BucketKeyEnabled must be true or false");
  }
  // With AES256 the flag says nothing of a key mode: there is no KMS call that it could save.
  const bucketKeyEnabled = flag === undefined || shown !== "aws:kms" ? undefined : flag === "true";
  return { shown, kmsKeyId, bucketKeyEnabled, algorithm: undefined };
}

function shownIn(byDefault: XmlElement): "AES256" | "aws:kms" {
  const algorithm = textIn(byDefault, "SSEAlgorithm");
  if (algorithm === "AES256" || algorithm === "aws:kms") return algorithm;
  if (algorithm === undefined) throw malformed("it has no SSEAlgorithm");
  if (algorithm === "aws:kms:dsse" || algorithm === "aws:fsx" || algorithm === "aws:backup") {
    throw new Failure("NotImplemented", "This SSEAlgorithm is not supported: use AES256 or aws:kms");
  }
  throw malformed("its SSEAlgorithm must be AES256 or aws:kms");
}

/** Customers' keys are blocked as it is. */
function checkBlocked(rule: XmlElement): void {
  const blocked = elementIn(rule, "BlockedEncryptionTypes");
  if (blocked === undefined) return;
  const types = (blocked["EncryptionType"] ?? []).map((type) => (typeof type === "string" ? type.trim() : ""));
  if (types.some((type) => type !== "SSE-C")) {
    throw new Failure("NotImplemented", "Of encryption types only SSE-C can be blocked, and is");
  }
}
