// What a test has of the API server that setup.ts started: access to it, questions in its own language, and a namespace
// that no other test uses.

import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { inject } from "vitest";
import type { ApiServerAccess } from "./controlplane.ts";

declare module "vitest" {
  interface ProvidedContext {
    apiServer: ApiServerAccess & { readonly kubeconfig: string };
  }
}

export interface Answer {
  readonly status: number;
  /** Parsed. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** The one that the whole run shares. */
export function sharedApiServer(): ApiServerAccess & { readonly kubeconfig: string } {
  return inject("apiServer");
}

/** One question, by the user who may do everything. Resolves with refusals too. */
export async function askApiServer(
  { url, caPem, token }: ApiServerAccess,
  method: string,
  path: string,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const asked = request(`${url}${path}`, {
    method,
    ca: caPem,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...headers },
  });
  // What breaks behind the head of the answer is told by its body.
  asked.on("error", () => undefined);
  asked.end(body === undefined ? undefined : JSON.stringify(body));
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  answer.setEncoding("utf8");
  let text = "";
  for await (const piece of answer) text += piece as string;
  return { status: answer.statusCode ?? 0, body: JSON.parse(text) as Answer["body"] };
}

/** Fails where the answer is a refusal. */
export async function mustAsk(
  access: ApiServerAccess,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer["body"]> {
  const { status, body: answer } = await askApiServer(access, method, path, body);
  if (status < 200 || status > 299) throw new Error(`${method} ${path}: ${status} ${String(answer["message"])}`);
  return answer;
}

let count = 0;

/** The name of a new namespace. Nobody ends namespaces here: they go with the API server. */
export async function freshNamespace(access: ApiServerAccess, what: string): Promise<string> {
  count += 1;
  const name = `${what}-${process.pid}-${count}`;
  await mustAsk(access, "POST", "/api/v1/namespaces", { metadata: { name } });
  return name;
}
