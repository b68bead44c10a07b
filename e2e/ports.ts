// Ports of this machine that nobody listens on, for servers that have to be told theirs. None of those that kernels give to
// connections: of a busy machine's many connections one could have it before the server comes to it, or comes back to it.

import { randomInt } from "node:crypto";
import { once } from "node:events";
import { createServer, type Server } from "node:net";

const FIRST = 15_000;
const LAST = 29_999;
const TRIES_MAX = 1000;

export async function freePort(host?: string): Promise<number> {
  const [port = 0] = await freePorts(1, host);
  return port;
}

/** That differ. */
export async function freePorts(count: number, host = "127.0.0.1"): Promise<readonly number[]> {
  const held = new Map<number, Server>();
  try {
    for (let tries = 0; held.size < count; tries += 1) {
      if (tries === TRIES_MAX) throw new Error(`Of ${TRIES_MAX} ports of ${host} none is free`);
      const port = randomInt(FIRST, LAST + 1);
      const server = await listening(port, host);
      if (server !== undefined) held.set(port, server);
    }
    return [...held.keys()];
  } finally {
    for (const server of held.values()) await once(server.close(), "close");
  }
}

/** undefined: somebody else does. */
async function listening(port: number, host: string): Promise<Server | undefined> {
  const server = createServer().listen(port, host);
  try {
    await once(server, "listening");
    return server;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") return undefined;
    throw error;
  }
}
