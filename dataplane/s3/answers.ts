/** The headers in which answers tell of an object: the same for Put, Get, Head and multipart uploads. */
import type { ServerResponse } from "node:http";
import { Failure } from "../failure.ts";
import { sendWhole } from "../http/stream.ts";
import type { Checksum, Heading, ObjectInfo } from "../objects/objects.ts";
import { checksumHeader } from "./checksums.ts";
import { answerEncryption } from "./encryption.ts";
import { hasControl, latin1Of } from "./fields.ts";
import type { Target } from "./target.ts";

export function quotedEtag(etag: string): string {
  return `"${etag}"`;
}

/** `base64`, and `-N` of a composite value. */
export function checksumText(checksum: Checksum): string {
  const base64 = Buffer.from(checksum.value).toString("base64");
  return checksum.parts === undefined ? base64 : `${base64}-${checksum.parts}`;
}

export function checksumType(kind: Checksum["kind"]): "FULL_OBJECT" | "COMPOSITE" {
  return kind === "whole" ? "FULL_OBJECT" : "COMPOSITE";
}

/** Of a part the values alone: their type is the upload's. */
export function answerChecksums(
  answer: ServerResponse,
  checksums: readonly Checksum[],
  what: "values" | "values and type" = "values and type",
): void {
  for (const checksum of checksums) answer.setHeader(checksumHeader(checksum.algorithm), checksumText(checksum));
  const [first] = checksums;
  if (first !== undefined && what === "values and type")
    answer.setHeader("x-amz-checksum-type", checksumType(first.kind));
}

/** Parameters of a read that override kept headers. */
const OVERRIDES: readonly (readonly [parameter: string, header: string])[] = [
  ["response-cache-control", "Cache-Control"],
  ["response-content-disposition", "Content-Disposition"],
  ["response-content-encoding", "Content-Encoding"],
  ["response-content-language", "Content-Language"],
  ["response-content-type", "Content-Type"],
  ["response-expires", "Expires"],
];

/** Throws InvalidArgument for an override that cannot be a header. */
export function overridesOf(target: Target): readonly (readonly [header: string, value: string])[] {
  const overrides: (readonly [string, string])[] = [];
  if (target.query.size === 0) return overrides;
  for (const [parameter, header] of OVERRIDES) {
    const value = target.query.get(parameter);
    if (value === undefined) continue;
    if (hasControl(value)) throw new Failure("InvalidArgument", `The parameter ${parameter} holds a control character`);
    overrides.push([header, latin1Of(value)]);
  }
  return overrides;
}

/** Status and all headers of GET and HEAD. */
export function answerObject(answer: ServerResponse, target: Target, heading: Heading): void {
  const { info, fromByte, toByte, partial } = heading;
  answer.statusCode = partial ? 206 : 200;
  answer.setHeader("Accept-Ranges", "bytes");
  answer.setHeader("Content-Type", "binary/octet-stream");
  for (const [name, value] of info.headers) answer.setHeader(name, latin1Of(value));
  for (const [name, value] of overridesOf(target)) answer.setHeader(name, value);
  answer.setHeader("ETag", quotedEtag(info.etag));
  answer.setHeader("Last-Modified", new Date(info.modifiedMs).toUTCString());
  answer.setHeader("Content-Length", toByte - fromByte);
  if (partial && info.sizeBytes > 0) {
    answer.setHeader("Content-Range", `bytes ${fromByte}-${toByte - 1}/${info.sizeBytes}`);
  }
  answerEncryption(answer, info);
  if (info.tags.size > 0) answer.setHeader("x-amz-tagging-count", info.tags.size);
  answerPartsCount(answer, target, info);
  // SDKs compare a checksum with what they got, which of a range is not what it was made of.
  if (!partial && target.fields.get("x-amz-checksum-mode")?.toUpperCase() === "ENABLED") {
    answerChecksums(answer, info.checksums);
  }
}

function answerPartsCount(answer: ServerResponse, target: Target, info: ObjectInfo): void {
  if (info.partsCount !== undefined && target.query.has("partNumber")) {
    answer.setHeader("x-amz-mp-parts-count", info.partsCount);
  }
}

export function sendXml(answer: ServerResponse, xml: string): void {
  sendWhole(answer, 200, "application/xml", xml);
}

/** 200 or 204, and nothing more. */
export function sendNothing(answer: ServerResponse, status: 200 | 204): void {
  answer.statusCode = status;
  if (status === 200) answer.setHeader("Content-Length", 0);
  answer.end();
}
