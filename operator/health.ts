// Tells the kubelet how the operator is: alive, and in touch with the API server.

import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface Health {
  readonly port: number;
  close(): Promise<void>;
}

/** `isReady` is asked at each question. */
export async function serveHealth(port: number, isReady: () => boolean): Promise<Health> {
  const server = createServer((request, response) => {
    const path = request.url ?? "";
    const status = path === "/healthz" || (path === "/readyz" && isReady()) ? 200 : path === "/readyz" ? 503 : 404;
    response.writeHead(status, { "content-type": "text/plain" });
    response.end(status === 200 ? "ok\n" : "not ok\n");
  });
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
