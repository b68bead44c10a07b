// How the API server is reached: address, TLS and credentials by the Kubernetes client, which is loaded here alone; the
// bytes by Node. Knows no resources.

import { createHash } from "node:crypto";
import { once } from "node:events";
import http, { type ClientRequest, type IncomingMessage } from "node:http";
import https, { type RequestOptions } from "node:https";
import { KubeConfig } from "@kubernetes/client-node";

export interface KubeRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Connection {
  /** Of the kubeconfig's context, or of the pod; undefined: neither says. */
  readonly namespace: string | undefined;
  /** Resolves with the head of the answer; who does not read its body must destroy it. Rejects when none came, with the
   *  signal's reason if that was why. */
  send(request: KubeRequest, signal: AbortSignal): Promise<IncomingMessage>;
  close(): void;
}

/** `file`: a kubeconfig; undefined: the one of the environment, else that of the pod that we run in. */
export function openConnection(file: string | undefined): Connection {
  const config = new KubeConfig();
  if (file === undefined) config.loadFromDefault();
  else config.loadFromFile(file);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error("The kubeconfig has no current cluster");
  const server = new URL(cluster.server);
  const basePath = server.pathname.replace(/\/$/, "");
  const agents = createAgents(cluster.proxyUrl !== undefined && cluster.proxyUrl !== "");
  return {
    namespace: config.getContextObject(config.getCurrentContext())?.namespace,
    async send(request, signal) {
      const options: RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      const { protocol, port } = server;
      const head: RequestOptions = {
        ...options,
        agent: agents.for(options, protocol),
        protocol,
        host: server.hostname.replace(/^\[|\]$/g, ""),
        port,
        method: request.method,
        path: `${basePath}${request.path}`,
        headers: { ...request.headers, ...options.headers },
        signal,
      };
      const first = ask(protocol, head, request.body, signal);
      // A connection that the server had closed already, which a question finds out by being asked.
      const answer = await first.answer.catch(async (error: unknown) => {
        if (signal.aborted || request.method !== "GET" || !first.asked.reusedSocket) throw error;
        return await ask(protocol, head, undefined, signal).answer;
      });
      return answer;
    },
    close: agents.close,
  };
}

const KEEP_ALIVE_MS = 15_000;

interface Asked {
  readonly asked: ClientRequest;
  readonly answer: Promise<IncomingMessage>;
}

function ask(protocol: string, head: RequestOptions, body: string | undefined, signal: AbortSignal): Asked {
  signal.throwIfAborted();
  const asked = (protocol === "http:" ? http : https).request(head);
  // Small requests go out at once, and a dead peer is found.
  asked.setNoDelay(true);
  asked.setSocketKeepAlive(true, KEEP_ALIVE_MS);
  const answer = once(asked, "response").then(
    ([message]) => message as IncomingMessage,
    (error: unknown) => {
      throw signal.aborted ? signal.reason : error;
    },
  );
  // What breaks behind the head of the answer is told by its body.
  asked.on("error", () => undefined);
  asked.end(body);
  return { asked, answer };
}

/** Connections are kept, which the client's own agents do not; one pool for each set of certificates. */
function createAgents(isProxied: boolean) {
  const plain = new http.Agent({ keepAlive: true });
  let of = "";
  let secure: https.Agent | undefined;

  function secureFor({ ca, cert, key, rejectUnauthorized, servername }: RequestOptions): https.Agent {
    const hash = createHash("sha256");
    for (const part of [ca, cert, key, rejectUnauthorized, servername]) hash.update(`${String(part)}\0`);
    const now = hash.digest("hex");
    if (secure !== undefined && now === of) return secure;
    // Those in flight keep theirs to their end.
    of = now;
    secure = new https.Agent({ keepAlive: true, ca, cert, key, rejectUnauthorized, servername });
    return secure;
  }

  return {
    for(options: RequestOptions, protocol: string): http.Agent {
      if (isProxied && options.agent instanceof http.Agent) return options.agent;
      return protocol === "http:" ? plain : secureFor(options);
    },
    close(): void {
      plain.destroy();
      secure?.destroy();
    },
  };
}
