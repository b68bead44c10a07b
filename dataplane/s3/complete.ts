/** CompleteMultipartUpload: the list of parts that a client sends, and the answer, which may take long. */
import { createHash } from "node:crypto";
import type { Body, ChecksumAlgorithm } from "../call.ts";
import { Failure } from "../failure.ts";
import type { CompletedPart, CompleteWanted, ObjectInfo, StatedChecksum } from "../objects/objects.ts";
import { checksumText, checksumType, quotedEtag } from "./answers.ts";
import { CHECKSUM_ALGORITHMS, checksumHeader, digestBytes, kindNamed } from "./checksums.ts";
import { readText } from "./document.ts";
import { answerEncryption, checkNoEncryption } from "./encryption.ts";
import { base64Bytes, type Fields, wholeNumber } from "./fields.ts";
import { decided, type Handle } from "./handling.ts";
import { uploadOf } from "./multipart.ts";
import { answerSlowly } from "./slow.ts";
import type { Target } from "./target.ts";
import { bareEtag, PARTS_MAX, partNumberOf, writeConditions } from "./wanted.ts";
import { element, elementsIn, malformed, parseXml, textIn, type XmlElement, xmlRoot } from "./xml.ts";

export const completeMultipartUpload: Handle = async (needs, call, { target, body, answer }) => {
  const { upload, wanted } = decided(needs, call, target, "WriteObject", () => {
    checkNoEncryption(target.fields);
    return { upload: uploadOf(target), wanted: completeWanted(target.fields) };
  });
  // Who may not write is refused before the list is read; the list is judged behind that.
  const text = await readText(heldToMd5(body, target.fields));
  const parts = decided(needs, call, target, "WriteObject", () => partsOf(text));
  await answerSlowly(
    call,
    answer,
    needs.slowAnswerMs,
    target.canonicalPath,
    () => needs.objects.completeUpload(call, upload, parts, wanted),
    (info) => answerEncryption(answer, info),
    (info) => xmlRoot("CompleteMultipartUploadResult", result(info, target, call.facts.tls)),
  );
};

function completeWanted(fields: Fields): CompleteWanted {
  const size = fields.get("x-amz-mp-object-size");
  const sizeBytes = size === undefined ? undefined : wholeNumber(size);
  if (size !== undefined && sizeBytes === undefined) {
    throw new Failure("InvalidArgument", "x-amz-mp-object-size must be a number of bytes");
  }
  return {
    conditions: writeConditions(fields),
    sizeBytes,
    kind: kindNamed(fields.get("x-amz-checksum-type")),
    checksums: wholeChecksums(fields),
  };
}

/** Here the headers tell of the whole object, not of the request's body; a composite value may end with `-N`. */
function wholeChecksums(fields: Fields): CompleteWanted["checksums"] {
  const checksums = new Map<ChecksumAlgorithm, StatedChecksum>();
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const name = checksumHeader(algorithm);
    const text = fields.get(name);
    if (text === undefined) continue;
    const count = /-(\d{1,5})$/.exec(text)?.[1];
    const base64 = count === undefined ? text : text.slice(0, -count.length - 1);
    const parts = count === undefined ? undefined : Number(count);
    checksums.set(algorithm, { value: digestBytes(algorithm, base64, name), parts });
  }
  if (checksums.size > 1) throw new Failure("InvalidRequest", "Only one checksum of the object may be given");
  return checksums;
}

/** With every checksum that there is of each part. */
const ELEMENTS_MAX = 12 * PARTS_MAX;

function partsOf(text: string): readonly CompletedPart[] {
  const listed = elementsIn(parseXml(text, "CompleteMultipartUpload", ELEMENTS_MAX), "Part");
  if (listed.length === 0) throw malformed("it lists no part");
  if (listed.length > PARTS_MAX) throw malformed(`it lists more than ${PARTS_MAX} parts`);
  return listed.map((part) => {
    const etag = textIn(part, "ETag");
    const number = textIn(part, "PartNumber");
    if (etag === undefined || number === undefined) throw malformed("a part has no ETag or no PartNumber");
    return { partNumber: partNumberOf(number), etag: bareEtag(etag), checksums: checksumsIn(part) };
  });
}

function checksumsIn(part: XmlElement): ReadonlyMap<ChecksumAlgorithm, Uint8Array> {
  const checksums = new Map<ChecksumAlgorithm, Uint8Array>();
  for (const algorithm of CHECKSUM_ALGORITHMS) {
    const name = `Checksum${algorithm}`;
    const value = textIn(part, name);
    if (value !== undefined && value !== "") checksums.set(algorithm, digestBytes(algorithm, value, name));
  }
  return checksums;
}

function result(info: ObjectInfo, target: Target, tls: boolean): string {
  const { bucket, name } = info.ref;
  const host = target.headers.get("host") ?? "";
  return [
    element("Location", `${tls ? "https" : "http"}://${host}${target.canonicalPath}`),
    element("Bucket", bucket),
    element("Key", name),
    element("ETag", quotedEtag(info.etag)),
    ...info.checksums.flatMap((checksum) => [
      element(`Checksum${checksum.algorithm}`, checksumText(checksum)),
      element("ChecksumType", checksumType(checksum.kind)),
    ]),
  ].join("");
}

/** Checksum headers are those of the object here, so of the body's own digests only its Content-MD5 is there. */
async function* heldToMd5(body: Body, fields: Fields): AsyncGenerator<Uint8Array, void> {
  const md5 = createHash("md5");
  for await (const block of body) {
    md5.update(block);
    yield block;
  }
  checkMd5(fields.get("content-md5"), md5.digest());
}

function checkMd5(stated: string | undefined, found: Uint8Array): void {
  if (stated === undefined) return;
  const bytes = base64Bytes(stated);
  if (bytes?.length !== found.length) throw new Failure("InvalidDigest", "Content-MD5 must be 16 bytes in base64");
  if (Buffer.compare(bytes, found) !== 0)
    throw new Failure("BadDigest", "The body does not have the MD5 that Content-MD5 states");
}
