// A proxy between a client and the API server that breaks what a test wants broken. It also holds everybody to a rule:
// a LIST or WATCH of Secrets that asks for more than metadata is refused, and remembered.

import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Agent, request } from "node:https";
import type { AddressInfo } from "node:net";
import type { ApiServerAccess } from "./controlplane.ts";

/** What reaches the proxy. */
export interface SeenRequest {
  readonly method: string;
  /** Without its query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly accept: string;
  readonly isWatch: boolean;
}

/** `answer`: the API server is not asked. `cut`: it neither, and the connection breaks. `lose`: it is asked, and the
 *  connection breaks in place of its answer. `delay`: only later. `break`: its answer breaks off after that many lines. */
export type Fault =
  | { readonly kind: "answer"; readonly status: number; readonly reason?: string; readonly retryAfterSeconds?: number }
  | { readonly kind: "cut" | "lose" }
  | { readonly kind: "delay"; readonly delayMs: number }
  | { readonly kind: "break"; readonly afterLines: number };

export type Rule = (seen: SeenRequest) => Fault | undefined;

export interface FaultProxy {
  readonly url: string;
  /** Of a user who may do everything. */
  writeKubeconfig(path: string): Promise<void>;
  /** The first rule that has a fault for a request decides. The answer takes the rule back. */
  fault(rule: Rule): () => void;
  readonly seen: readonly SeenRequest[];
  /** Lists and watches of Secrets that asked for more than metadata. */
  readonly violations: readonly SeenRequest[];
  /** How many connections clients made. */
  readonly connections: number;
  /** Open watches. */
  watches(): number;
  /** Breaks every open watch; how many there were. */
  cutWatches(): number;
  close(): Promise<void>;
}

const IDLE_MS = 10_000;
/** Headers of a question that the API server is told. */
const HANDED_ON = ["accept", "authorization", "content-length", "content-type", "user-agent"];

export async function startFaultProxy(access: ApiServerAccess): Promise<FaultProxy> {
  // A connection that nobody uses is given up here, long before the API server does.
  const agent = new Agent({ keepAlive: true, timeout: IDLE_MS, ca: access.caPem });
  const seen: SeenRequest[] = [];
  const violations: SeenRequest[] = [];
  const rules = new Set<Rule>();
  const open = new Set<ServerResponse>();

  async function pass(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const one = seenOf(asked);
    seen.push(one);
    if (isGreedy(one)) {
      violations.push(one);
      refuse(answer, 500, "Forbidden", undefined);
      return;
    }
    const fault = faultFor(one, rules);
    if (fault?.kind === "answer") {
      refuse(answer, fault.status, fault.reason ?? "", fault.retryAfterSeconds);
      return;
    }
    if (fault?.kind === "cut") {
      asked.socket.destroy();
      return;
    }
    if (fault?.kind === "delay") await new Promise((resolve) => setTimeout(resolve, fault.delayMs));
    // Whoever asked has given up.
    if (answer.destroyed) return;
    const given = Object.entries(asked.headers).filter(([name]) => HANDED_ON.includes(name));
    const headers = Object.fromEntries(given);
    const forwarded = request(`${access.url}${asked.url}`, { method: asked.method, agent, headers } as object);
    answer.once("close", () => forwarded.destroy());
    // What breaks behind the head of the answer is told by its body.
    forwarded.on("error", () => undefined);
    asked.pipe(forwarded);
    const [back] = (await once(forwarded, "response")) as [IncomingMessage];
    if (fault?.kind === "lose") {
      back.resume();
      await once(back, "end");
      asked.socket.destroy();
      return;
    }
    answer.writeHead(back.statusCode ?? 500, back.headers);
    // As the API server: that a watch has begun is told before its first event.
    answer.flushHeaders();
    if (one.isWatch) open.add(answer);
    answer.once("close", () => open.delete(answer));
    await copy(back, answer, fault?.kind === "break" ? fault.afterLines : Number.POSITIVE_INFINITY);
  }

  const server = createServer((asked, answer) => {
    pass(asked, answer).catch(() => answer.destroy());
  });
  let connections = 0;
  server.on("connection", () => {
    connections += 1;
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    seen,
    violations,
    get connections() {
      return connections;
    },
    async writeKubeconfig(path) {
      await writeFile(path, plainKubeconfig(url, access.token), { mode: 0o600 });
    },
    fault(rule) {
      rules.add(rule);
      return () => rules.delete(rule);
    },
    watches: () => open.size,
    cutWatches() {
      const count = open.size;
      for (const answer of open) answer.destroy();
      // None is counted as open until one is.
      open.clear();
      return count;
    },
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      agent.destroy();
      await closed;
    },
  };
}

/** Everything through a proxy on this machine is in the clear, which a kubeconfig must say. */
function plainKubeconfig(url: string, token: string): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": "test",
    contexts: [{ name: "test", context: { cluster: "test", user: "admin" } }],
    clusters: [{ name: "test", cluster: { server: url, "insecure-skip-tls-verify": true } }],
    users: [{ name: "admin", user: { token } }],
  });
}

/** A rule that holds for the first `count` requests that `rule` has a fault for. */
export function times(count: number, rule: Rule): Rule {
  let left = count;
  return (one) => {
    const fault = left > 0 ? rule(one) : undefined;
    if (fault !== undefined) left -= 1;
    return fault;
  };
}

function faultFor(one: SeenRequest, rules: ReadonlySet<Rule>): Fault | undefined {
  for (const rule of rules) {
    const fault = rule(one);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function seenOf(asked: IncomingMessage): SeenRequest {
  const { pathname, searchParams } = new URL(asked.url ?? "/", "http://proxy");
  return {
    method: asked.method ?? "",
    path: pathname,
    query: searchParams,
    accept: asked.headers.accept ?? "",
    isWatch: searchParams.get("watch") === "true",
  };
}

function isGreedy({ method, path, accept }: SeenRequest): boolean {
  const isCollection = method === "GET" && /^\/api\/v1\/(namespaces\/[^/]+\/)?secrets$/.test(path);
  return isCollection && !accept.split(",").every((one) => /as=PartialObjectMetadata(List)?\b/.test(one));
}

async function copy(back: IncomingMessage, answer: ServerResponse, linesMax: number): Promise<void> {
  let lines = 0;
  for await (const block of back) {
    lines += (block as Buffer).filter((byte) => byte === 10).length;
    if (lines > linesMax) {
      answer.destroy();
      return;
    }
    answer.write(block);
  }
  answer.end();
}

function refuse(answer: ServerResponse, status: number, reason: string, retryAfterSeconds: number | undefined): void {
  const headers = retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) };
  answer.writeHead(status, { "content-type": "application/json", ...headers });
  const message = "broken by the test's proxy";
  answer.end(JSON.stringify({ kind: "Status", apiVersion: "v1", status: "Failure", code: status, reason, message }));
}
