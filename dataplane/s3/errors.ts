/**
 * What a Failure looks like in S3: the code, its XML, and the bytes that answer what Node's parser refused. Which
 * failure it is, and whether it is logged, is decided elsewhere.
 */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { Failure, FailureCode } from "../failure.ts";
import { element, escapeXml, wrap, XML_DECLARATION } from "./xml.ts";

/** Codes of ours that S3 calls otherwise; all others are S3's own names. */
const RENAMED: Partial<Record<FailureCode, string>> = {
  BadRequest: "InvalidRequest",
  ClientClosedRequest: "RequestTimeout",
  ConfigurationConflict: "OperationAborted",
  MalformedJSON: "InvalidRequest",
  NoSuchOperation: "MethodNotAllowed",
  NoSuchSetting: "NoSuchConfiguration",
  NotFound: "NoSuchKey",
  Unauthorized: "AccessDenied",
};

/** As S3 calls it. */
export function codeOf(failure: Failure): string {
  return RENAMED[failure.code] ?? failure.code;
}

/** `<Error>` without a declaration: an answer that has begun ends with it. */
export function errorElement(failure: Failure, resource: string, requestId: string): string {
  const inner = `${element("Code", codeOf(failure))}${element("Message", failure.message)}${element("Resource", resource)}${element("RequestId", requestId)}`;
  return wrap("Error", inner);
}

/** Answers with a failure: headers were not sent yet. HEAD and 304 have no body. */
export function sendFailure(head: IncomingMessage, answer: ServerResponse, failure: Failure, requestId: string): void {
  answer.statusCode = failure.status;
  for (const [name, value] of Object.entries(failure.headers)) answer.setHeader(name, value);
  if (failure.retryAfterSeconds !== undefined) answer.setHeader("Retry-After", failure.retryAfterSeconds);
  if (failure.status === 304) {
    answer.end();
    return;
  }
  const xml = `${XML_DECLARATION}${errorElement(failure, resourceOf(head), requestId)}`;
  const bytes = Buffer.from(xml, "utf8");
  answer.setHeader("Content-Type", "application/xml");
  if (head.method === "HEAD") {
    answer.end();
    return;
  }
  answer.setHeader("Content-Length", bytes.length);
  answer.end(bytes);
}

/** The whole answer to what could not be read as HTTP. */
export function refusal(failure: Failure, requestId: string): string {
  const xml = `${XML_DECLARATION}${wrap(
    "Error",
    `${element("Code", codeOf(failure))}${element("Message", failure.message)}${element("RequestId", requestId)}`,
  )}`;
  const lines = [
    `HTTP/1.1 ${failure.status} ${STATUS_CODES[failure.status] ?? "Error"}`,
    `x-amz-request-id: ${escapeXml(requestId)}`,
    `Date: ${new Date().toUTCString()}`,
    "Content-Type: application/xml",
    `Content-Length: ${Buffer.byteLength(xml)}`,
    "Connection: close",
  ];
  return `${lines.join("\r\n")}\r\n\r\n${xml}`;
}

/** The path as it came, still encoded, and never its query, which may hold a signature. */
function resourceOf(head: IncomingMessage): string {
  const url = head.url ?? "";
  const mark = url.indexOf("?");
  return mark < 0 ? url : url.slice(0, mark);
}
