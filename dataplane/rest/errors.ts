/** Prints a Failure as `application/problem+json`: code and status are failure.ts's, the words are its message. */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { Failure } from "../failure.ts";
import { sendWhole } from "../http/stream.ts";
import type { Problem } from "./api.ts";

const CONTENT_TYPE = "application/problem+json";

export function sendProblem(_head: IncomingMessage, answer: ServerResponse, failure: Failure, requestId: string): void {
  for (const [name, value] of Object.entries(failure.headers)) answer.setHeader(name, value);
  if (failure.retryAfterSeconds !== undefined) answer.setHeader("Retry-After", failure.retryAfterSeconds);
  if (failure.status === 304) {
    answer.statusCode = 304;
    answer.end();
    return;
  }
  sendWhole(answer, failure.status, CONTENT_TYPE, JSON.stringify(problemOf(failure, requestId)));
}

/** The whole answer to what was not HTTP enough to reach a row. */
export function printProblem(failure: Failure, requestId: string): string {
  const body = JSON.stringify(problemOf(failure, requestId));
  const status = `${failure.status} ${STATUS_CODES[failure.status] ?? ""}`;
  return [
    `HTTP/1.1 ${status}`,
    `Date: ${new Date().toUTCString()}`,
    `x-amz-request-id: ${requestId}`,
    `Content-Type: ${CONTENT_TYPE}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
    "",
    body,
  ].join("\r\n");
}

function problemOf(failure: Failure, requestId: string): Problem {
  return {
    type: `urn:coffer:problem:${failure.code}`,
    title: STATUS_CODES[failure.status] ?? failure.code,
    status: failure.status,
    code: failure.code,
    detail: failure.message,
    requestId,
  };
}
