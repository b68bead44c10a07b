// HTTP byte by byte: what no client library would send, sent over a socket, and what came back, as it came.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** Bytes to send, milliseconds to wait, or the end of what is sent. */
export type Move = string | Uint8Array | number | "END";

export interface WireAnswer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** The connection ended before the answer did. */
  readonly broken: boolean;
}

/** A request's head. Text goes out as latin1, so that every byte can be said. */
export function headOf(method: string, target: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `${method} ${target} HTTP/1.1\r\n${lines.join("")}\r\n`;
}

/** What answers a connection on which these moves are made; undefined if it ends without an answer. `100 Continue` is passed over. */
export async function converse(
  port: number,
  moves: readonly Move[],
  withinMs = 60_000,
): Promise<WireAnswer | undefined> {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
  socket.on("error", () => undefined);
  const listener = new Listener(socket);
  const timer = setTimeout(() => socket.destroy(), withinMs);
  try {
    await once(socket, "connect");
    await Promise.race([make(socket, moves), listener.answered]);
    return await listener.answered;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
}

async function make(socket: Socket, moves: readonly Move[]): Promise<void> {
  for (const move of moves) {
    if (socket.destroyed) return;
    if (typeof move === "number") {
      await sleep(move);
    } else if (move === "END") {
      socket.end();
    } else if (!socket.write(typeof move === "string" ? Buffer.from(move, "latin1") : move)) {
      await Promise.race([once(socket, "drain"), closeOf(socket)]);
    }
  }
}

function closeOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

class Listener {
  readonly answered: Promise<WireAnswer | undefined>;
  #bytes: Buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    const { promise, resolve } = Promise.withResolvers<WireAnswer | undefined>();
    this.answered = promise;
    socket.on("data", (block: Buffer) => {
      this.#bytes = Buffer.concat([this.#bytes, block]);
      const answer = this.#parse();
      if (answer?.broken === false) resolve(answer);
    });
    socket.on("close", () => resolve(this.#parse()));
    socket.on("end", () => {
      resolve(this.#parse());
      socket.destroy();
    });
  }

  /** `broken` while something is missing. */
  #parse(): WireAnswer | undefined {
    const end = this.#bytes.indexOf("\r\n\r\n");
    if (end < 0) return undefined;
    const [first = "", ...lines] = this.#bytes.subarray(0, end).toString("latin1").split("\r\n");
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(first)?.[1]);
    if (status === 100) {
      this.#bytes = this.#bytes.subarray(end + 4);
      return this.#parse();
    }
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const body = this.#bytes.subarray(end + 4);
    const wanted = Number(headers.get("content-length") ?? 0);
    return { status, headers, body: body.subarray(0, wanted), broken: body.length < wanted };
  }
}
