// Stands between pods and an OpenBao, and keeps a rotation at a moment that a test wants: before OpenBao has heard of it,
// or when it is done and nobody knows. What is kept is never let through, as if whoever asked had died.

import { once } from "node:events";
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { sharedCluster } from "./cluster.ts";
import type { Vault } from "./vault.ts";

export type Moment = "before the call" | "after the call";

const ROTATE = /^\/v1\/transit\/keys\/[^/]+\/rotate$/;
/** What rotates, and what looks at versions. */
const KEYS = /^\/v1\/transit\/keys\//;

export class Gate {
  /** As pods reach it. */
  readonly address: string;
  readonly #server: Server;
  readonly #upstream: string;
  #shutAt: Moment | undefined;
  #kept = Promise.withResolvers<void>();
  #isKept = false;

  private constructor(server: Server, upstream: string) {
    this.#server = server;
    this.#upstream = upstream;
    const { port } = server.address() as AddressInfo;
    this.address = `http://${sharedCluster().hostName}:${port}`;
    server.on("request", (asked: IncomingMessage, answer: ServerResponse) => {
      this.#pass(asked, answer).catch(() => answer.destroy());
    });
  }

  static async create(vault: Vault): Promise<Gate> {
    const server = createServer().listen(0, sharedCluster().hostAddress);
    await once(server, "listening");
    return new Gate(server, vault.bao.address);
  }

  /** Resolves when a rotation is kept. From then on nobody learns anything of keys until the gate is open again. */
  async shut(moment: Moment): Promise<void> {
    this.#shutAt = moment;
    this.#isKept = false;
    this.#kept = Promise.withResolvers();
    await this.#kept.promise;
  }

  open(): void {
    this.#shutAt = undefined;
    this.#isKept = false;
    // Whoever waits for an answer has died meanwhile.
    this.#server.closeAllConnections();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  async #pass(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    const path = asked.url ?? "";
    const isRotation = ROTATE.test(path);
    if (this.#shutAt === "before the call" && isRotation) {
      this.#keep();
      return;
    }
    if (this.#isKept && KEYS.test(path)) return;
    const { method = "GET", headers } = asked;
    const forwarded = request(`${this.#upstream}${path}`, { method, headers });
    answer.once("close", () => forwarded.destroy());
    asked.pipe(forwarded);
    const [back] = (await once(forwarded, "response")) as [IncomingMessage];
    if (this.#shutAt === "after the call" && isRotation) {
      // It is done when OpenBao has answered.
      this.#keep();
      return;
    }
    answer.writeHead(back.statusCode ?? 500, back.headers);
    back.pipe(answer);
  }

  #keep(): void {
    this.#isKept = true;
    this.#kept.resolve();
  }
}
