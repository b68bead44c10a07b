/** The table of the admin listener: GET alone, no secret, and nothing that a request could start. */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from "node:http";
import type { Call } from "../call.ts";
import { Failure } from "../failure.ts";
import { sendWhole } from "../http/stream.ts";
import type { Exchange, Protocol, Row } from "../http/table.ts";
import { cutTarget } from "../http/target.ts";
import type { Metrics } from "../metrics.ts";
import { type AdminSources, answerConfig, answerJobs, answerReady } from "./answers.ts";
import type { AdminProblem, HealthAnswer } from "./api.ts";

export type { AdminSources } from "./answers.ts";
export { createAdminEntrance } from "./entrance.ts";

export interface AdminNeeds extends AdminSources {
  readonly metrics: Pick<Metrics, "print" | "contentType">;
}

interface Target {
  readonly path: string;
}

const IDLE_MS = 30_000;

export function createAdmin(needs: AdminNeeds): Protocol<Target> {
  const health: HealthAnswer = { alive: true };
  return {
    name: "admin",
    parse: (head) => ({ path: cutTarget(head.url ?? "").path }),
    rows: [
      notByGet,
      row("Health", "/healthz", async (_call, { answer }) => sendJson(answer, 200, health)),
      row("Ready", "/readyz", async (_call, { answer }) => {
        const ready = answerReady(needs);
        sendJson(answer, ready.ready ? 200 : 503, ready);
      }),
      row("Metrics", "/metrics", async (_call, { answer }) => {
        if (needs.live.peek()?.config.settings.metrics?.enabled === false) {
          throw new Failure("NotFound", "The configuration says that metrics are not served");
        }
        sendWhole(answer, 200, needs.metrics.contentType, await needs.metrics.print());
      }),
      row("Config", "/config", async (_call, { answer }) => sendJson(answer, 200, answerConfig(needs))),
      row("Jobs", "/jobs", async (call, { answer }) => sendJson(answer, 200, await answerJobs(needs, call.signal))),
      {
        ...row("Unknown", "", () => Promise.reject(new Failure("NotFound", "There is no such page"))),
        matches: () => true,
      },
    ],
    fail: sendProblem,
    refuse: printProblem,
  };
}

function row(
  operation: string,
  path: string,
  handle: (call: Call, exchange: Exchange<Target>) => Promise<void>,
): Row<Target> {
  return {
    operation,
    matches: (_head, target) => target.path === path,
    authenticate: () => ({ principal: { kind: "anonymous" }, body: noBody }),
    bodyBytesMax: 0,
    idleMs: IDLE_MS,
    handle,
  };
}

/** First in the table, so that no other row can be reached by any other method. */
const notByGet: Row<Target> = {
  ...row("NotByGet", "", () =>
    Promise.reject(new Failure("MethodNotAllowed", "This listener answers GET alone", { headers: { Allow: "GET" } })),
  ),
  matches: (head) => head.method !== "GET",
};

const noBody: Exchange<Target>["body"] = {
  plainBytes: 0,
  announced: [],
  promised: () => new Map(),
  async *[Symbol.asyncIterator]() {},
};

function sendJson(answer: ServerResponse, status: number, json: object): void {
  answer.setHeader("Cache-Control", "no-store");
  sendWhole(answer, status, "application/json", JSON.stringify(json));
}

function sendProblem(_head: IncomingMessage, answer: ServerResponse, failure: Failure, requestId: string): void {
  for (const [name, value] of Object.entries(failure.headers)) answer.setHeader(name, value);
  if (failure.retryAfterSeconds !== undefined) answer.setHeader("Retry-After", failure.retryAfterSeconds);
  sendJson(answer, failure.status, problemOf(failure, requestId));
}

function printProblem(failure: Failure, requestId: string): string {
  const body = JSON.stringify(problemOf(failure, requestId));
  return [
    `HTTP/1.1 ${failure.status} ${STATUS_CODES[failure.status] ?? ""}`,
    `x-amz-request-id: ${requestId}`,
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
    "",
    body,
  ].join("\r\n");
}

function problemOf({ status, code, message }: Failure, requestId: string): AdminProblem {
  return { status, code, detail: message, requestId };
}
