/** CopyObject and UploadPartCopy: where the source stands in a header, and the answer, which may take long. */
import { Failure } from "../failure.ts";
import { decodeOnce } from "../http/target.ts";
import type { CopyWanted, ObjectInfo, ObjectRef, PartCopyWanted, PartInfo } from "../objects/objects.ts";
import { checksumText, checksumType, quotedEtag } from "./answers.ts";
import { algorithmNamed } from "./checksums.ts";
import { answerContext, answerEncryption, checkNoEncryption, checkSourceKey } from "./encryption.ts";
import { type Fields, wholeNumber } from "./fields.ts";
import { allowsCustomerKeys, decided, type Handle, objectOf } from "./handling.ts";
import { uploadOf } from "./multipart.ts";
import { answerSlowly } from "./slow.ts";
import { checkedBucket, type Target } from "./target.ts";
import { describedBy, partNumberOf, readConditions, writeConditions } from "./wanted.ts";
import { element, xmlRoot, xmlTime } from "./xml.ts";

const SOURCE = "x-amz-copy-source";
const SOURCE_RANGE = `${SOURCE}-range`;
const NAME_BYTES_MAX = 1024;

export const copyObject: Handle = async (needs, call, { target, answer }) => {
  const { from, to, wanted } = decided(needs, call, target, "WriteObject", () => ({
    from: sourceOf(target.fields),
    to: objectOf(target),
    wanted: copyWanted(target, allowsCustomerKeys(call, target)),
  }));
  await answerSlowly(
    call,
    answer,
    needs.slowAnswerMs,
    target.canonicalPath,
    () => needs.objects.copy(call, from, to, wanted),
    (info) => {
      answerEncryption(answer, info);
      answerContext(answer, info.context);
    },
    (info) => xmlRoot("CopyObjectResult", objectResult(info)),
  );
};

export const uploadPartCopy: Handle = async (needs, call, { target, answer }) => {
  const { from, part, wanted } = decided(needs, call, target, "WriteObject", () => {
    checkNoEncryption(target.fields);
    checkSourceKey(target.fields);
    return {
      from: sourceOf(target.fields),
      part: { ...uploadOf(target), partNumber: partNumberOf(target.query.get("partNumber")) },
      wanted: { source: readConditions(target.fields, `${SOURCE}-`), range: rangeOf(target.fields) },
    };
  });
  await answerSlowly(
    call,
    answer,
    needs.slowAnswerMs,
    target.canonicalPath,
    () => needs.objects.copyPart(call, from, part, wanted),
    ({ upload }) => answerEncryption(answer, upload),
    (info) => xmlRoot("CopyPartResult", partResult(info)),
  );
};

function copyWanted(target: Target, customerKeys: boolean): CopyWanted {
  const { fields } = target;
  checkSourceKey(fields);
  const replacesHeaders = isReplaced(fields, "x-amz-metadata-directive");
  const replacesTags = isReplaced(fields, "x-amz-tagging-directive");
  const { headers, tags, encryption } = describedBy(fields, customerKeys);
  const named = fields.get("x-amz-checksum-algorithm");
  return {
    source: readConditions(fields, `${SOURCE}-`),
    headers: replacesHeaders ? headers : undefined,
    tags: replacesTags ? tags : undefined,
    encryption,
    conditions: writeConditions(fields),
    checksum: named === undefined ? undefined : algorithmNamed(named),
  };
}

function isReplaced(fields: Fields, name: string): boolean {
  const directive = fields.get(name) ?? "COPY";
  if (directive === "REPLACE") return true;
  if (directive === "COPY") return false;
  throw new Failure("InvalidArgument", `The header ${name} must be COPY or REPLACE`);
}

/** `[/]bucket/name[?versionId=]`, each `%XX` decoded once; a plus is a plus. */
function sourceOf(fields: Fields): ObjectRef {
  const given = fields.get(SOURCE) ?? "";
  const versioned = given.lastIndexOf("?versionId=");
  if (versioned >= 0 && given.slice(versioned) !== "?versionId=null") {
    throw new Failure("InvalidArgument", "The version id of the source is not valid: versions are not kept");
  }
  const path = decodeOnce(versioned < 0 ? given : given.slice(0, versioned)).replace(/^\//, "");
  const slash = path.indexOf("/");
  const name = path.slice(slash + 1);
  if (slash < 0 || name === "") {
    throw new Failure("InvalidArgument", `The header ${SOURCE} must name a bucket and an object: bucket/name`);
  }
  if (Buffer.byteLength(name) > NAME_BYTES_MAX) {
    throw new Failure("KeyTooLongError", `The name of the source has more than ${NAME_BYTES_MAX} bytes`);
  }
  return { bucket: checkedBucket(path.slice(0, slash)), name };
}

/** Of a source both ends must be named. Whether it has them is judged where its size is known. */
function rangeOf(fields: Fields): PartCopyWanted["range"] {
  const given = fields.get(SOURCE_RANGE);
  if (given === undefined) return undefined;
  const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(given.trim()) ?? [];
  const range = { first: wholeNumber(first ?? ""), last: wholeNumber(last ?? "") };
  if (range.first === undefined || range.last === undefined || range.first > range.last) {
    throw new Failure("InvalidArgument", `The header ${SOURCE_RANGE} must have the form bytes=first-last`);
  }
  return { first: range.first, last: range.last };
}

function objectResult(info: ObjectInfo): string {
  const [checksum] = info.checksums;
  const type = checksum === undefined ? "" : element("ChecksumType", checksumType(checksum.kind));
  return partResult(info) + type;
}

function partResult(info: Pick<PartInfo, "etag" | "modifiedMs" | "checksums">): string {
  return [
    element("LastModified", xmlTime(info.modifiedMs)),
    element("ETag", quotedEtag(info.etag)),
    ...info.checksums.map((checksum) => element(`Checksum${checksum.algorithm}`, checksumText(checksum))),
  ].join("");
}
