/** Multipart uploads but their completion: create, upload a part, list parts, list uploads, abort. */
import { Failure } from "../failure.ts";
import type { UploadInfo, UploadRef } from "../objects/objects.ts";
import { answerChecksums, checksumText, checksumType, quotedEtag, sendNothing, sendXml } from "./answers.ts";
import { answerContext, answerEncryption, checkNoEncryption } from "./encryption.ts";
import { wholeNumber } from "./fields.ts";
import { allowsCustomerKeys, bucketOf, decided, type Handle, objectOf } from "./handling.ts";
import { commonPrefixes, limitOf, ownerElement, pageOf } from "./listing.ts";
import { checkBody } from "./single.ts";
import type { Target } from "./target.ts";
import { partNumberOf, uploadWanted } from "./wanted.ts";
import { element, wrap, xmlDocument, xmlTime } from "./xml.ts";

/** The upload that a request names; an id that nobody gave out is not found later. */
export function uploadOf(target: Target): UploadRef {
  const uploadId = target.query.get("uploadId");
  if (uploadId === undefined) throw new Error("an operation of an upload was dispatched without its id");
  if (uploadId === "") throw new Failure("NoSuchUpload", "The upload id is empty");
  const { bucket, name } = objectOf(target);
  return { bucket, name, uploadId };
}

export const createMultipartUpload: Handle = async (needs, call, { target, answer }) => {
  const { ref, wanted } = decided(needs, call, target, "WriteObject", () => ({
    ref: objectOf(target),
    wanted: uploadWanted(target, allowsCustomerKeys(call, target)),
  }));
  const upload = await needs.objects.createUpload(call, ref, wanted);
  answerEncryption(answer, upload);
  answerContext(answer, wanted.encryption.context ?? new Map());
  if (upload.checksum !== undefined) {
    answer.setHeader("x-amz-checksum-algorithm", upload.checksum.algorithm);
    answer.setHeader("x-amz-checksum-type", checksumType(upload.checksum.kind));
  }
  const inner = [element("Bucket", ref.bucket), element("Key", ref.name), element("UploadId", upload.ref.uploadId)];
  sendXml(answer, xmlDocument("InitiateMultipartUploadResult", inner.join("")));
};

export const uploadPart: Handle = async (needs, call, { target, body, answer }) => {
  const part = decided(needs, call, target, "WriteObject", () => {
    const ref = { ...uploadOf(target), partNumber: partNumberOf(target.query.get("partNumber")) };
    checkNoEncryption(target.fields);
    checkBody(call, body);
    return ref;
  });
  const info = await needs.objects.putPart(call, part, body);
  answer.setHeader("ETag", quotedEtag(info.etag));
  answerEncryption(answer, info.upload);
  answerChecksums(answer, info.checksums, "values");
  sendNothing(answer, 200);
};

export const abortMultipartUpload: Handle = async (needs, call, { target, answer }) => {
  const upload = decided(needs, call, target, "WriteObject", () => {
    if (target.fields.has("x-amz-if-match-initiated-time")) {
      throw new Failure("NotImplemented", "The header x-amz-if-match-initiated-time is not supported");
    }
    return uploadOf(target);
  });
  await needs.objects.abortUpload(call, upload);
  sendNothing(answer, 204);
};

export const listParts: Handle = async (needs, call, { target, answer }) => {
  const { upload, after, limit } = decided(needs, call, target, "WriteObject", () => {
    checkNoEncryption(target.fields);
    const marker = target.query.get("part-number-marker") ?? "";
    const number = marker === "" ? 0 : wholeNumber(marker);
    if (number === undefined) throw new Failure("InvalidArgument", "part-number-marker must be a whole number");
    return { upload: uploadOf(target), after: number, limit: limitOf(target, "max-parts") };
  });
  const { upload: info, page } = await needs.objects.parts(call, upload, after, limit);
  const last = page.items.at(-1);
  const truncated = page.next !== undefined;
  const inner = [
    element("Bucket", upload.bucket),
    element("Key", upload.name),
    element("UploadId", upload.uploadId),
    ownerElement("Initiator"),
    ownerElement("Owner"),
    element("StorageClass", "STANDARD"),
    element("PartNumberMarker", after),
    truncated && last !== undefined ? element("NextPartNumberMarker", last.partNumber) : "",
    element("MaxParts", limit),
    element("IsTruncated", truncated),
    ...checksumElements(info),
    ...page.items.map((part) => {
      const sums = part.checksums.map((checksum) => element(`Checksum${checksum.algorithm}`, checksumText(checksum)));
      return wrap(
        "Part",
        element("PartNumber", part.partNumber) +
          element("LastModified", xmlTime(part.modifiedMs)) +
          element("ETag", quotedEtag(part.etag)) +
          element("Size", part.sizeBytes) +
          sums.join(""),
      );
    }),
  ];
  sendXml(answer, xmlDocument("ListPartsResult", inner.join("")));
};

function checksumElements({ checksum }: UploadInfo): string[] {
  if (checksum === undefined) return [];
  return [element("ChecksumAlgorithm", checksum.algorithm), element("ChecksumType", checksumType(checksum.kind))];
}

export const listMultipartUploads: Handle = async (needs, call, { target, answer }) => {
  const bucket = bucketOf(target);
  const page = decided(needs, call, target, "ListObjects", () => pageOf(target, "max-uploads"));
  const { prefix, delimiter, limit, encode } = page;
  const after = target.query.get("key-marker") ?? "";
  // Without a name an id marks nothing.
  const afterUploadId = after === "" ? "" : (target.query.get("upload-id-marker") ?? "");
  const listing = await needs.objects.uploads(call, bucket, { prefix, delimiter, after, afterUploadId, limit });
  const next = listing.truncated ? listing.last : undefined;
  const inner = [
    element("Bucket", bucket),
    element("KeyMarker", encode(after)),
    element("UploadIdMarker", afterUploadId),
    next === undefined
      ? ""
      : element("NextKeyMarker", encode(next.name)) + element("NextUploadIdMarker", next.uploadId),
    element("Prefix", encode(prefix)),
    delimiter === "" ? "" : element("Delimiter", encode(delimiter)),
    page.urlEncoded ? element("EncodingType", "url") : "",
    element("MaxUploads", limit),
    element("IsTruncated", listing.truncated),
    ...listing.uploads.map((upload) =>
      wrap(
        "Upload",
        element("Key", encode(upload.ref.name)) +
          element("UploadId", upload.ref.uploadId) +
          ownerElement("Initiator") +
          ownerElement("Owner") +
          element("StorageClass", "STANDARD") +
          element("Initiated", xmlTime(upload.startedMs)) +
          checksumElements(upload).join(""),
      ),
    ),
    ...commonPrefixes(listing.prefixes, encode),
  ];
  sendXml(answer, xmlDocument("ListMultipartUploadsResult", inner.join("")));
};
