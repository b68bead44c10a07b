// Tells the kubelet how the operator is, alive and in touch with the API server, and Prometheus what it has counted.

import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Health {
  readonly port: number;
  close(): Promise<void>;
}

/** Whoever is asked for its numbers. */
export interface Printer {
  readonly contentType: string;
  print(): Promise<string>;
}

/** `isReady` is asked at each question. */
export async function serveHealth(port: number, isReady: () => boolean, metrics: Printer): Promise<Health> {
  const server = createServer((request, response) => void answer(request, response, isReady, metrics));
  server.listen(port);
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

/** Never rejects. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  isReady: () => boolean,
  metrics: Printer,
): Promise<void> {
  const path = new URL(request.url ?? "/", "http://operator").pathname;
  const isQuestion = request.method === "GET" || request.method === "HEAD";
  const say = (status: number, contentType: string, text: string) => {
    response.writeHead(status, { "content-type": contentType });
    response.end(text);
  };
  if (isQuestion && path === "/healthz") return say(200, "text/plain", "ok\n");
  if (isQuestion && path === "/readyz")
    return isReady() ? say(200, "text/plain", "ok\n") : say(503, "text/plain", "not ok\n");
  if (!isQuestion || path !== "/metrics") return say(404, "text/plain", "not ok\n");
  try {
    say(200, metrics.contentType, await metrics.print());
  } catch {
    say(500, "text/plain", "the numbers could not be printed\n");
  }
}
