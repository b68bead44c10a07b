/**
 * Features that are not there: what S3 answers when nothing is set. Bucket and permission are judged as for any other
 * read or write, and so is the object where one is named.
 */
import { Failure, type FailureCode } from "../failure.ts";
import { sendNothing, sendXml } from "./answers.ts";
import { bucketOf, checkAdmitted, decided, type Handle, NOTHING_ASKED, objectOf } from "./handling.ts";
import { OWNER_ID } from "./owner.ts";
import { checkAcl } from "./wanted.ts";
import { element, wrap, xmlDocument } from "./xml.ts";

/** The bucket has no such setting: an error of S3. */
export function bucketLacks(code: FailureCode, what: string): Handle {
  return async (needs, call, { target }) => {
    const bucket = bucketOf(target);
    await needs.buckets.head(call, bucket);
    throw new Failure(code, `Bucket "${bucket}" has no ${what}`);
  };
}

/** The bucket's setting is empty: an empty document, or that inner XML. */
export function bucketHasEmpty(root: string, inner = ""): Handle {
  return async (needs, call, { target, answer }) => {
    await needs.buckets.head(call, bucketOf(target));
    sendXml(answer, xmlDocument(root, inner));
  };
}

/** The owner's FULL_CONTROL, which everything has. */
const PRIVATE_ACL = (() => {
  const who = element("ID", OWNER_ID) + element("DisplayName", OWNER_ID);
  const grantee = `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">${who}</Grantee>`;
  const grant = wrap("Grant", grantee + element("Permission", "FULL_CONTROL"));
  return xmlDocument("AccessControlPolicy", wrap("Owner", who) + wrap("AccessControlList", grant));
})();

export const getBucketAcl: Handle = async (needs, call, { target, answer }) => {
  await needs.buckets.head(call, bucketOf(target));
  sendXml(answer, PRIVATE_ACL);
};

export const getObjectAcl: Handle = async (needs, call, { target, answer }) => {
  const ref = decided(needs, call, target, "ReadObject", () => objectOf(target));
  await needs.objects.head(call, ref, NOTHING_ASKED);
  sendXml(answer, PRIVATE_ACL);
};

/** Only what everything has already is accepted, and only as a header: no document is read. */
function checkPrivateAcl(fields: ReadonlyMap<string, string>): void {
  checkAcl(fields);
  if (fields.get("x-amz-acl") === undefined) {
    throw new Failure("NotImplemented", "Access control lists are not supported, but for x-amz-acl: private");
  }
}

export const putBucketAcl: Handle = async (needs, call, { target, answer }) => {
  checkAdmitted(needs, call, target, "WriteObject");
  checkPrivateAcl(target.fields);
  await needs.buckets.head(call, bucketOf(target));
  sendNothing(answer, 200);
};

export const putObjectAcl: Handle = async (needs, call, { target, answer }) => {
  checkAdmitted(needs, call, target, "WriteObject");
  checkPrivateAcl(target.fields);
  await needs.objects.head(call, objectOf(target), NOTHING_ASKED);
  sendNothing(answer, 200);
};

/** Retention and legal hold: the bucket has no object lock, which S3 tells of an object only if there is one. */
export const objectWithoutLock: Handle = async (needs, call, { target }) => {
  const ref = decided(needs, call, target, "ReadObject", () => objectOf(target));
  await needs.objects.head(call, ref, NOTHING_ASKED);
  throw new Failure("InvalidRequest", "The bucket has no object lock configuration");
};
