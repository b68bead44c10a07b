// Vault's API below /v1, spoken by node-vault: it knows how requests, tokens and namespaces are written. It is given a
// transport of ours, since its own follows redirects and proxies, has no signal and no bound, and obeys VAULT_SKIP_VERIFY.

import nodeVault from "node-vault";
import type { Secret } from "../secret.ts";
import type { VaultOptions } from "../vault-options.ts";
import { NoAnswer, Refusal } from "./answers.ts";
import { createTransport } from "./transport.ts";

export interface VaultApi {
  /** What tells servers and namespaces apart. */
  readonly place: string;
  /** The body of an answer with status 200 or 204. Rejects with Refusal, NoAnswer or the signal's reason. */
  read(path: string, token: Secret, signal: AbortSignal): Promise<VaultAnswer>;
  write(path: string, json: object, how: WriteHow, signal: AbortSignal): Promise<VaultAnswer>;
  close(): void;
}

export interface WriteHow {
  /** Absent: the request is a login. */
  readonly token?: Secret;
  /** False for what does more when it is asked twice. */
  readonly repeatable: boolean;
}

/** What every answer of Vault is made of; empty where it has nothing to say. */
export interface VaultAnswer {
  readonly data: Readonly<Record<string, unknown>>;
  readonly auth: Readonly<Record<string, unknown>>;
}

/** What node-vault hands to its transport: its own members, and those that we gave it for this request. */
interface Handed {
  readonly method: string;
  readonly uri: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly json?: unknown;
  readonly signal: AbortSignal;
  readonly repeatable: boolean;
}

export function createVaultApi(options: VaultOptions, timeoutMs: number): VaultApi {
  const transport = createTransport({ ...options, timeoutMs });

  async function send({ method, uri, headers, json, signal, repeatable }: Handed): Promise<object> {
    const answer = await transport.ask({ method, url: uri, headers, json, signal, repeatable });
    const { status, body } = answer;
    if (status !== 200 && status !== 204) throw new Refusal(status, textsOf(body), answer.retryAfterMs);
    if (body !== undefined && !isRecord(body)) {
      throw new NoAnswer("unreachable", `What answered is no Vault (status ${status})`);
    }
    return { statusCode: status, body, request: { path: new URL(uri).pathname } };
  }

  const vault = nodeVault({
    apiVersion: "v1",
    endpoint: options.address,
    "request-promise": { defaults: () => send },
    debug() {}, // it would print tokens and keys
  });
  // What is empty in its configuration it takes from the environment, so it is emptied here.
  Object.assign(vault, { token: "", pathPrefix: "", namespace: options.namespace ?? "" });

  return {
    place: JSON.stringify([options.address, options.namespace ?? ""]),
    async read(path, token, signal) {
      return answerOf(await vault.read(path, { headers: headersFor(token), signal, repeatable: true }));
    },
    async write(path, json, { token, repeatable }, signal) {
      return answerOf(await vault.write(path, json, { headers: headersFor(token), signal, repeatable }));
    },
    close: () => transport.close(),
  };
}

/** An agent or proxy before Vault may require the second, against requests that a server was tricked into. */
function headersFor(token: Secret | undefined): Record<string, string> {
  return { ...(token === undefined ? {} : { "X-Vault-Token": token.reveal() }), "X-Vault-Request": "true" };
}

function answerOf(body: unknown): VaultAnswer {
  const { data, auth } = isRecord(body) ? body : {};
  return { data: isRecord(data) ? data : {}, auth: isRecord(auth) ? auth : {} };
}

function textsOf(body: unknown): readonly string[] {
  if (typeof body === "string") return [body];
  const errors = isRecord(body) ? body["errors"] : undefined;
  return Array.isArray(errors) ? errors.filter((text) => typeof text === "string") : [];
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
