/**
 * A port that serves one protocol: limits of connections and heads, what Node's parser refuses, answers that come
 * before the body has been read, and the drain. Each request is request.ts's.
 */

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import express from "express";
import { Failure } from "../failure.ts";
import { openFilesLimit } from "../openfiles.ts";
import { announcesBody } from "./incoming.ts";
import { type RequestFields, type RequestPorts, type Running, serveRequest } from "./request.ts";
import { Roster } from "./roster.ts";

export type { RequestFields } from "./request.ts";

export interface ListenerLimits {
  /** From the beginning of a connection or a request to the end of its head. */
  readonly headersMs: number;
  /** How often that is looked at. */
  readonly headersCheckMs: number;
  readonly headerBytes: number;
  /** Of a connection between two requests; clients' pools keep theirs for less. */
  readonly keepAliveMs: number;
  /** How often a body is looked at, and the least that a client that we wait for must have sent meanwhile, twice in a row. */
  readonly paceMs: number;
  readonly paceBytes: number;
  /** What is read, and for how long, behind an answer that came before the body. */
  readonly lingerBytes: number;
  readonly lingerMs: number;
  readonly connectionsMax: number;
}

export const listenerLimits: ListenerLimits = {
  headersMs: 30_000,
  headersCheckMs: 2_000,
  headerBytes: 16 * 1024,
  keepAliveMs: 75_000,
  paceMs: 60_000,
  paceBytes: 16 * 1024,
  lingerBytes: 1024 * 1024,
  lingerMs: 2_000,
  // A share for each of the three ports, so that bodies and the index still have files where all are taken.
  connectionsMax: Math.min(10_000, Math.floor(openFilesLimit() / 5)),
};

export interface Listener {
  /** Resolves when connections are taken; port 0 takes a free one. */
  listen(port: number, host: string): Promise<AddressInfo>;
  /** Takes no new connection, lets what runs finish within the limit, then breaks it off. Resolves when all is closed. */
  drain(limitMs: number): Promise<void>;
}

/** What Node holds of a body behind a reader that is slow, and before a client that is. */
const HIGH_WATER_MARK_BYTES = 64 * 1024;

/** `createListener(ports)` is cheap; nothing happens before `listen`. */
export function createListener<Target>(ports: RequestPorts<Target>, limits: ListenerLimits = listenerLimits): Listener {
  const running = new Roster<Running>();
  const latest = new WeakMap<Duplex, Running>();
  let draining = false;
  let onIdle: (() => void) | undefined;

  async function serve(head: IncomingMessage, answer: ServerResponse): Promise<void> {
    let leave: (() => void) | undefined;
    await serveRequest(ports, head, answer, latest.get(head.socket), (started) => {
      leave = running.enter(started);
      latest.set(head.socket, started);
      if (draining) started.closeAfter();
      if (announcesBody(head)) readOn(started, limits.lingerBytes);
    });
    leave?.();
    if (running.count === 0) onIdle?.();
  }

  const server = openServer(limits, (head, answer) => void serve(head, answer));
  server.on("connection", (socket: Socket) => closeGently(socket, () => latest.get(socket), limits));
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    refuseInput(error, socket, latest.get(socket), ports, limits.lingerMs);
  });

  async function finished(limitMs: number): Promise<boolean> {
    if (running.count === 0) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), limitMs);
    onIdle = () => resolve(true);
    const inTime = await promise;
    clearTimeout(timer);
    return inTime;
  }

  const pace = setInterval(() => {
    for (const one of running.members()) one.judgePace(limits.paceBytes);
  }, limits.paceMs);
  pace.unref();
  server.once("close", () => clearInterval(pace));

  return {
    async listen(port, host) {
      server.listen(port, host);
      await once(server, "listening");
      return server.address() as AddressInfo;
    },
    async drain(limitMs) {
      draining = true;
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const one of running.members()) one.closeAfter();
      if (!(await finished(limitMs))) {
        ports.log.warn("requests are broken off by the shutdown", { count: running.count });
        for (const one of running.members()) one.abort(shuttingDown());
        await finished(limits.lingerMs);
      }
      const timer = setTimeout(() => server.closeAllConnections(), running.count === 0 ? limits.lingerMs : 0);
      await closed;
      clearTimeout(timer);
    },
  };
}

function shuttingDown(): Failure {
  return new Failure("ServiceUnavailable", "The server is shutting down", { retryAfterSeconds: 1 });
}

/** Express with one handler: its routing, parsing and entity tags have no part in it, and never its paths. */
function openServer(limits: ListenerLimits, serve: (head: IncomingMessage, answer: ServerResponse) => void): Server {
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", false);
  app.use(serve);
  // A target that Express cannot parse does not reach the handler: its last word is ours, never its own page.
  const dispatch = (head: IncomingMessage, answer: ServerResponse): void => {
    app(head as express.Request, answer as express.Response, () => serve(head, answer));
  };
  const server = createServer(
    {
      highWaterMark: HIGH_WATER_MARK_BYTES,
      maxHeaderSize: limits.headerBytes,
      requestTimeout: 0,
      headersTimeout: limits.headersMs,
      connectionsCheckingInterval: limits.headersCheckMs,
      keepAliveTimeout: limits.keepAliveMs,
      noDelay: true,
      // Refused by request.ts, so that the answer is one of the protocol.
      requireHostHeader: false,
    },
    dispatch,
  );
  server.on("checkContinue", dispatch);
  server.on("checkExpectation", dispatch);
  // Node drops headers beyond this count without a word; their size is bounded already.
  server.maxHeadersCount = 0;
  server.maxConnections = limits.connectionsMax;
  // A client that has sent all and closed its half still gets its answer.
  Object.assign(server, { httpAllowHalfOpen: true });
  return server;
}

/** Behind an answer Node would read a body without end, and without counting, if nobody else had begun to. */
function readOn({ head, answer, incoming }: Running, bytesMax: number): void {
  answer.once("prefinish", () => {
    if (!head.complete) incoming.discard(bytesMax, () => undefined);
  });
}

/**
 * Node ends a connection by destroySoon(), which resets it while the client still sends, and the answer is lost. Here
 * the answer goes out whole, and the rest of the body is discarded within limits. Can go when node:http does the like.
 */
function closeGently(socket: Socket, runningOf: () => Running | undefined, limits: ListenerLimits): void {
  const destroySoon = socket.destroySoon.bind(socket);
  socket.destroySoon = () => {
    const running = runningOf();
    if (running === undefined || running.head.complete) {
      destroySoon();
      return;
    }
    socket.end();
    running.incoming.discard(limits.lingerBytes, () => socket.destroy());
    const timer = setTimeout(() => socket.destroy(), limits.lingerMs);
    socket.once("close", () => clearTimeout(timer));
  };
}

/** What Node's parser refuses: a bad head gets the protocol's answer, a bad or unfinished body fails in its reader. */
function refuseInput<Target>(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  last: Running | undefined,
  ports: RequestPorts<Target>,
  lingerMs: number,
): void {
  if (!socket.writable || error.code === "ECONNRESET") {
    socket.destroy();
    return;
  }
  const failure = parserFailure(error);
  if (last !== undefined && !last.head.complete) {
    last.incoming.fail(new Failure("IncompleteBody", "The body ended early or is not well formed", { cause: error }));
    setTimeout(() => socket.destroy(), lingerMs).unref();
    return;
  }
  const refuse = (): void => {
    if (!socket.writable) return;
    const requestId = randomUUID();
    socket.end(ports.protocol.refuse(failure, requestId));
    ports.requestLine(unparsed(ports.protocol.name, failure, requestId, socket));
    setTimeout(() => socket.destroy(), lingerMs).unref();
  };
  if (last === undefined || last.answer.writableFinished) refuse();
  else last.answer.once("close", refuse);
}

/** The line of what never became a request. */
function unparsed(protocol: string, { status, code }: Failure, requestId: string, socket: Duplex): RequestFields {
  const address = socket instanceof Socket ? (socket.remoteAddress ?? "") : "";
  return {
    requestId,
    protocol,
    operation: "Unparsed",
    method: "",
    status,
    code,
    principal: "anonymous",
    address,
    bucket: undefined,
    name: undefined,
    bytesIn: 0,
    doneBytes: 0,
    milliseconds: 0,
    brokenOff: false,
  };
}

function parserFailure(cause: NodeJS.ErrnoException): Failure {
  switch (cause.code) {
    case "HPE_HEADER_OVERFLOW":
      return new Failure("RequestHeaderSectionTooLarge", "The headers of the request are too large", { cause });
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return new Failure("RequestTimeout", "The head of the request did not come in time", { cause });
    default:
      return new Failure("BadRequest", "The request is not well-formed HTTP", { cause });
  }
}
