// Finds out before the data plane is started whether its ports are free, so that a person reads which is not.

import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { LISTEN_ADDRESS, type Ports } from "./settings.ts";
import type { Terminal } from "./terminal.ts";

const VARIABLES = { s3: "COFFER_S3_PORT", rest: "COFFER_REST_PORT", admin: "COFFER_ADMIN_PORT" } as const;
/** A data plane whose runtime was killed finishes what is in flight before it goes. */
const PATIENCE_MS = 30_000;
const AGAIN_MS = 200;

/** Waits for the ports for a while; false: one is still taken, or the signal has aborted. */
export async function freePorts(ports: Ports, terminal: Terminal, signal: AbortSignal): Promise<boolean> {
  const untilMs = performance.now() + PATIENCE_MS;
  const told = new Set<string>();
  while (!signal.aborted) {
    const taken = await takenPorts(ports);
    if (taken.length === 0) return true;
    if (performance.now() > untilMs) break;
    for (const name of taken) {
      if (told.has(name)) continue;
      told.add(name);
      terminal.warn(
        `Port ${ports[name]} is taken by another program; waiting for it. Or choose one: ${VARIABLES[name]}=… npm start`,
      );
    }
    await sleep(AGAIN_MS, undefined, { signal }).catch(() => undefined);
  }
  return false;
}

async function takenPorts(ports: Ports): Promise<(keyof Ports)[]> {
  const names: (keyof Ports)[] = ["s3", "rest", "admin"];
  const free = await Promise.all(names.map((name) => isFree(ports[name])));
  return names.filter((_name, index) => free[index] !== true);
}

/** Any refusal counts: the reason does not matter to whoever needs the port. */
function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const server = createServer();
  server.once("error", () => resolve(false));
  server.listen({ port, host: LISTEN_ADDRESS }, () => server.close(() => resolve(true)));
  return promise;
}
