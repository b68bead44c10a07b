// How the API server is reached: the bytes by Node, address and credentials by whoever knows them. Knows no resources.

import { createHash } from "node:crypto";
import { once } from "node:events";
import http, { type ClientRequest, type IncomingMessage } from "node:http";
import https, { type RequestOptions } from "node:https";
import { kubeconfigIdentity, type PodWhereabouts, podIdentity } from "./identity.ts";

export interface KubeRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With its query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Connection {
  /** Resolves with the head of the answer; who does not read its body must destroy it. Rejects when none came, with the
   *  signal's reason if that was why. */
  send(request: KubeRequest, signal: AbortSignal): Promise<IncomingMessage>;
  close(): void;
}

/** A kubeconfig; else the pod that we run in; else the kubeconfig of whoever runs us. */
export interface Whereabouts {
  readonly kubeconfig: string | undefined;
  readonly inCluster: PodWhereabouts | undefined;
}

export function openConnection(whereabouts: Whereabouts): Connection {
  const { kubeconfig, inCluster } = whereabouts;
  const isByPod = kubeconfig === undefined && inCluster !== undefined;
  // The client is large, and a pod has no need of what it can do.
  const identity = isByPod ? Promise.resolve(podIdentity(inCluster)) : kubeconfigIdentity(kubeconfig);
  // Told to whoever asks first.
  identity.catch(() => undefined);
  const agents = createAgents();
  return {
    async send(request, signal) {
      const { url, isProxied, options } = await identity;
      const given = await options();
      const { protocol, port, hostname, pathname } = url;
      const head: RequestOptions = {
        ...given,
        agent: isProxied && given.agent instanceof http.Agent ? given.agent : agents.for(given, protocol),
        protocol,
        host: hostname.replace(/^\[|\]$/g, ""),
        port,
        method: request.method,
        path: `${pathname.replace(/\/$/, "")}${request.path}`,
        headers: { ...request.headers, ...given.headers },
        signal,
      };
      const first = ask(protocol, head, request.body, signal);
      // A connection that the server had closed already, which a question finds out by being asked.
      return await first.answer.catch(async (error: unknown) => {
        if (signal.aborted || request.method !== "GET" || !first.asked.reusedSocket) throw error;
        return await ask(protocol, head, undefined, signal).answer;
      });
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
function createAgents() {
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
    for: (options: RequestOptions, protocol: string): http.Agent => (protocol === "http:" ? plain : secureFor(options)),
    close(): void {
      plain.destroy();
      secure?.destroy();
    },
  };
}
