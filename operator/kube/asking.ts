// One question to the API server and its answer: JSON both ways, a deadline, and failures by their names.

import type { IncomingMessage } from "node:http";
import { type Clock, createDeadline } from "../clock.ts";
import type { Connection, KubeRequest } from "./connection.ts";
import { failureOf, KubeError } from "./failure.ts";

export interface Question {
  /** Begins every message: "Cannot read Secret team/a". */
  readonly what: string;
  readonly method: KubeRequest["method"];
  readonly path: string;
  readonly query?: Readonly<Record<string, string | undefined>>;
  readonly accept?: string;
  readonly contentType?: string;
  readonly body?: unknown;
}

/** Of one question with its answer. */
const ANSWER_MS = 15_000;
const BODY_CHARACTERS_MAX = 64 * 1024 * 1024;
export const JSON_TYPE = "application/json";

export interface Asker {
  readonly clock: Clock;
  /** The answer, parsed. Fails with KubeError, or the signal's reason. */
  ask(question: Question, signal: AbortSignal): Promise<unknown>;
  /** The head of a successful answer, whose body the caller reads. */
  open(question: Question, signal: AbortSignal): Promise<IncomingMessage>;
}

export function createAsker(connection: Connection, clock: Clock): Asker {
  return {
    clock,
    async ask(question, signal) {
      const deadline = createDeadline(ANSWER_MS, clock, signal);
      try {
        const answer = await open(connection, question, deadline.signal);
        return parsed(question.what, await textOf(question.what, answer, deadline.signal));
      } catch (error) {
        if (!deadline.isOver()) throw error;
        throw new KubeError("unreachable", `${question.what}: no answer in time`, { cause: error });
      } finally {
        deadline.clear();
      }
    },
    open: async (question, signal) => await open(connection, question, signal),
  };
}

async function open(connection: Connection, question: Question, signal: AbortSignal): Promise<IncomingMessage> {
  const { what } = question;
  let answer: IncomingMessage;
  try {
    answer = await connection.send(requestOf(question), signal);
  } catch (cause) {
    throw brokenOff(what, cause, signal);
  }
  const status = answer.statusCode ?? 0;
  if (status >= 200 && status < 300) return answer;
  const body = parsedOrNothing(await textOf(what, answer, signal));
  throw failureOf(what, status, body, answer.headers["retry-after"]);
}

function requestOf(question: Question): KubeRequest {
  const { method, contentType = JSON_TYPE, accept = JSON_TYPE, body, query = {} } = question;
  const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const path = given.length === 0 ? question.path : `${question.path}?${new URLSearchParams(given)}`;
  const headers = { accept, "user-agent": "coffer" };
  if (body === undefined) return { method, path, headers };
  const text = JSON.stringify(body);
  const length = String(Buffer.byteLength(text));
  return { method, path, headers: { ...headers, "content-type": contentType, "content-length": length }, body: text };
}

async function textOf(what: string, answer: IncomingMessage, signal: AbortSignal): Promise<string> {
  answer.setEncoding("utf8");
  let text = "";
  try {
    for await (const piece of answer) {
      text += piece as string;
      if (text.length > BODY_CHARACTERS_MAX) throw new Error("the answer has no end");
    }
  } catch (cause) {
    throw brokenOff(what, cause, signal);
  }
  return text;
}

/** No part of what could not be parsed is in the message: it may be a Secret. */
function parsed(what: string, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new KubeError("server", `${what}: the answer is not JSON`);
  }
}

function parsedOrNothing(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // A proxy's page of HTML says nothing that its status does not.
    return undefined;
  }
}

/** What to throw where an answer did not come, or not to its end. */
export function brokenOff(what: string, cause: unknown, signal: AbortSignal): unknown {
  if (signal.aborted) return signal.reason;
  const words = cause instanceof Error ? cause.message : String(cause);
  return new KubeError("unreachable", `${what}: ${words}`, { cause });
}
