/**
 * One request from its head to its log line: target, row, snapshot, caller, call, handler, and what happens when one
 * of them fails. What an operation means is its row's affair; connections are listener.ts's.
 */
import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { type Call, principalName } from "../call.ts";
import { Failure, failureOf } from "../failure.ts";
import type { Log } from "../log.ts";
import type { Metrics } from "../metrics.ts";
import type { Live } from "../snapshot.ts";
import { announcesBody, createIncoming, type Incoming } from "./incoming.ts";
import type { InFlight } from "./inflight.ts";
import { Quiet } from "./quiet.ts";
import type { Protocol, Row } from "./table.ts";

/** What a request needs of the configuration. `enter` may give one before the first was published. */
export type Entrance = Pick<Live, "enter" | "leave" | "peek">;

/** One line of the request log. No target, query, header or address of another: nothing that could hold a secret. */
export interface RequestFields {
  readonly requestId: string;
  readonly protocol: string;
  readonly operation: string;
  readonly method: string;
  readonly status: number;
  /** Of a request that failed. */
  readonly code: string | undefined;
  readonly principal: string;
  readonly address: string;
  readonly bucket: string | undefined;
  readonly name: string | undefined;
  /** Of the body as sent. */
  readonly bytesIn: number;
  /** Plaintext moved, either way. */
  readonly doneBytes: number;
  readonly milliseconds: number;
  /** The answer did not reach its end. */
  readonly brokenOff: boolean;
}

export interface RequestPorts<Target> {
  readonly protocol: Protocol<Target>;
  readonly live: Entrance;
  readonly inFlight: InFlight;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "request" | "inFlight">;
  /** Takes one request line; a promise is not waited for. */
  readonly requestLine: (fields: RequestFields) => void;
}

/** A request that is being served, as its connection sees it. */
export interface Running {
  readonly head: IncomingMessage;
  readonly answer: ServerResponse;
  readonly incoming: Incoming;
  abort(reason: Failure): void;
  /** Ends a body of which less than that has come since the last time, and the time before, though it was waited for. */
  judgePace(bytesMin: number): void;
  /** The connection ends with this answer. */
  closeAfter(): void;
  /** Until nothing of it is left to do; undefined from then on. */
  readonly serving: Promise<void> | undefined;
}

/** Until a row says otherwise. */
const IDLE_MS = 60_000;
/** How often within that time a connection is looked at on which nothing moves. */
const IDLE_LOOKS = 8;
const RETRY_AFTER_SECONDS = 1;
/** The most that a body takes of our memory: on its way in, queued, sealed and being written; on its way out. */
const INCOMING_BYTES = 512 * 1024;
const OUTGOING_BYTES = 256 * 1024;

/**
 * Serves one request behind the one that came before it on its connection; `onRunning` is told before anything else
 * happens. Never rejects: resolves when answer and handler are through.
 */
export function serveRequest<Target>(
  ports: RequestPorts<Target>,
  head: IncomingMessage,
  answer: ServerResponse,
  before: Running | undefined,
  onRunning: (running: Running) => void,
): Promise<void> {
  const request = new Request(ports, head, answer);
  onRunning(request);
  return request.serve(before?.serving);
}

class Request<Target> implements Running {
  readonly #ports: RequestPorts<Target>;
  readonly #id = randomUUID();
  readonly #startedMs = Date.now();
  readonly #begun = performance.now();
  readonly #controller = new AbortController();
  readonly #closed = Promise.withResolvers<void>();
  readonly #quiet = new Quiet();
  #keepAlive: boolean;
  #row: Row<Target> | undefined;
  #call: Call | undefined;
  #leave: (() => void) | undefined;
  #failure: Failure | undefined;
  #reservedBytes = 0;
  /** Of its body, at the last look at its pace; undefined before the first. */
  #pacedBytes: number | undefined;
  #wasSlow = false;
  readonly head: IncomingMessage;
  readonly answer: ServerResponse;
  readonly incoming: Incoming;
  serving: Promise<void> | undefined;

  constructor(ports: RequestPorts<Target>, head: IncomingMessage, answer: ServerResponse) {
    this.#ports = ports;
    this.head = head;
    this.answer = answer;
    this.#keepAlive = answer.shouldKeepAlive;
    this.incoming = createIncoming(head, answer, {
      bytesMax: () => this.#row?.bodyBytesMax ?? 0,
      turns: ports.inFlight.turns,
      // A small one is held whole, in both its forms.
      refuse: (bytes) => this.#reserve(Math.min(2 * (bytes ?? INCOMING_BYTES), INCOMING_BYTES)),
      onWhole: () => {
        answer.shouldKeepAlive = this.#keepAlive;
      },
    });
    // An answer that comes before the body was read ends the connection; the whole body gives it back.
    if (announcesBody(head)) answer.shouldKeepAlive = false;
    answer.strictContentLength = true;
    answer.setHeader("x-amz-request-id", this.#id);
    answer.on("timeout", () => this.#idle());
    answer.once("close", () => this.#close());
    // One handler's mistake must not end the requests of all others, as an error without a listener would.
    answer.on("error", (cause) => ports.log.error("an answer was written to behind its end", { cause }));
  }

  abort(reason: Failure): void {
    this.#controller.abort(reason);
    this.incoming.fail(reason);
  }

  judgePace(bytesMin: number): void {
    const { bytes, waitingSinceMs } = this.incoming;
    // What came before the first look was less than a period's.
    const pacedBytes = this.#pacedBytes ?? Number.NEGATIVE_INFINITY;
    const isSlow = waitingSinceMs !== undefined && bytes - pacedBytes < bytesMin;
    if (isSlow && this.#wasSlow) this.incoming.fail(new Failure("RequestTimeout", "The body comes too slowly"));
    this.#pacedBytes = bytes;
    this.#wasSlow = isSlow;
  }

  closeAfter(): void {
    this.#keepAlive = false;
    this.answer.shouldKeepAlive = false;
  }

  serve(before: Promise<void> | undefined): Promise<void> {
    this.serving = this.#serve(before);
    return this.serving;
  }

  async #serve(before: Promise<void> | undefined): Promise<void> {
    const { metrics } = this.#ports;
    metrics.inFlight(1);
    try {
      if (before === undefined || (await this.#follows(before))) await this.#run();
    } catch (error) {
      await this.#fail(error);
    }
    await this.#closed.promise;
    this.#leave?.();
    this.#ports.inFlight.giveBack(this.#reservedBytes);
    metrics.inFlight(-1);
    const milliseconds = performance.now() - this.#begun;
    const fields = this.#fields(milliseconds);
    metrics.request(fields.protocol, fields.operation, fields.status, milliseconds / 1000);
    this.#ports.requestLine(fields);
    this.serving = undefined;
  }

  /**
   * A client that does not wait for answers still means its requests one behind the other. False: the connection has
   * ended with the answer before, of which nothing may be cut off, and Node says nothing of those behind it.
   */
  async #follows(before: Promise<void>): Promise<boolean> {
    await before;
    if (this.head.socket.writable) return true;
    this.#failure = connectionClosed();
    this.#close();
    return false;
  }

  async #run(): Promise<void> {
    const { protocol, live } = this.#ports;
    checkHead(this.head);
    this.#judgeLoad();
    const snapshot = live.enter();
    try {
      const target = protocol.parse(this.head, snapshot);
      const row = protocol.rows.find((candidate) => candidate.matches(this.head, target));
      if (row === undefined) throw new Error(`the table of ${protocol.name} has no row that matches everything`);
      this.#row = row;
      this.#lookWithin(row.idleMs);
      const { principal, body } = row.authenticate(this.head, target, snapshot, this.#startedMs, this.incoming.sent);
      const call: Call = {
        id: this.#id,
        operation: row.operation,
        principal,
        snapshot,
        facts: { tls: "encrypted" in this.head.socket, address: this.head.socket.remoteAddress ?? "" },
        signal: this.#controller.signal,
        startedMs: this.#startedMs,
        bucket: undefined,
        name: undefined,
        doneBytes: 0,
        totalBytes: undefined,
        reserve: (bytes) => {
          const failure = this.#reserve(Math.min(bytes, OUTGOING_BYTES));
          if (failure !== undefined) throw failure;
        },
        sent: (bytes) => this.#ports.inFlight.turns.sent(bytes),
      };
      this.#call = call;
      this.#leave = this.#ports.inFlight.enter(call);
      await row.handle(call, { head: this.head, target, body, answer: this.answer });
      if (!this.answer.writableEnded) throw new Error(`${row.operation} ended without an answer`);
    } finally {
      live.leave(snapshot);
    }
  }

  /** The admin listener answers under any load, and before there is a configuration. */
  #judgeLoad(): void {
    const { protocol, live, inFlight } = this.#ports;
    if (protocol.name === "admin") return;
    const retryAfterSeconds = RETRY_AFTER_SECONDS;
    const settings = live.peek()?.config.settings;
    if (settings === undefined) {
      throw new Failure("ServiceUnavailable", "No configuration has been loaded yet", { retryAfterSeconds });
    }
    if (inFlight.count >= settings.maxConcurrentRequests) {
      throw new Failure("SlowDown", "Too many requests are being served; try again later", { retryAfterSeconds });
    }
  }

  /** For one body; until the request is through. */
  #reserve(bytes: number): Failure | undefined {
    if (this.#ports.inFlight.reserve(bytes)) {
      this.#reservedBytes += bytes;
      return undefined;
    }
    const retryAfterSeconds = RETRY_AFTER_SECONDS;
    return new Failure("SlowDown", "Too many bodies are on their way; try again later", { retryAfterSeconds });
  }

  async #fail(error: unknown): Promise<void> {
    const { protocol } = this.#ports;
    const failure = this.#failureOf(error);
    this.#failure = failure;
    this.#logFailure(failure);
    if (this.#row === undefined) this.#lookWithin(IDLE_MS);
    if (this.answer.headersSent || failure.code === "ClientClosedRequest") {
      this.#destroy();
      return;
    }
    try {
      await this.#giveBack();
      for (const name of this.answer.getHeaderNames()) {
        if (name !== "x-amz-request-id") this.answer.removeHeader(name);
      }
      protocol.fail(this.head, this.answer, failure, this.#id);
      if (!this.answer.writableEnded) throw new Error(`${protocol.name} did not end the answer of a failure`);
    } catch (second) {
      this.#ports.log.error("cannot print a failure", { requestId: this.#id, cause: second });
      this.#destroy();
    }
  }

  #failureOf(error: unknown): Failure {
    const { aborted, reason } = this.#controller.signal;
    const doing = `answer ${this.#operation()}`;
    const failure = failureOf(aborted && !(error instanceof Failure) ? reason : error, doing);
    if (failure.code !== "ClientClosedRequest" || aborted || this.head.socket.destroyed) return failure;
    // Something inside was given up, but not by this client, who waits for an answer.
    return new Failure("InternalError", `Cannot ${doing}: internal error`, { cause: error });
  }

  /** A small body that came with its head is through once this turn of the loop is: then the connection can stay. */
  async #giveBack(): Promise<void> {
    if (!announcesBody(this.head)) return;
    await new Promise((resolve) => setImmediate(resolve));
    if (this.head.complete && !this.head.destroyed) {
      this.incoming.discard(Number.POSITIVE_INFINITY, () => undefined);
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #logFailure(failure: Failure): void {
    const brokenOff = this.answer.headersSent;
    // What is not there, or not now, is the client's to know: it says nothing of the store.
    const serious = failure.status >= 500 && failure.code !== "SlowDown" && failure.code !== "NotImplemented";
    if (failure.code === "ClientClosedRequest" || (!serious && !brokenOff)) return;
    this.#ports.log.error(brokenOff ? "an answer was broken off" : "a request failed", {
      requestId: this.#id,
      protocol: this.#ports.protocol.name,
      operation: this.#operation(),
      bucket: this.#call?.bucket,
      name: this.#call?.name,
      code: failure.code,
      tamper: failure.tamper || undefined,
      cause: failure,
    });
  }

  #lookWithin(idleMs: number): void {
    this.head.socket.setTimeout(idleMs / IDLE_LOOKS);
  }

  /**
   * Nothing came from the client, or went to it, since the last look: of a write that is under way Node alone knows, and
   * keeps silent once if it went on. After as many looks as the row allows it is over. Our own slowness is not the
   * client's.
   */
  #idle(): void {
    const idleMs = this.#row?.idleMs ?? IDLE_MS;
    const quietMs = this.#quiet.look(this.head.socket, idleMs / IDLE_LOOKS);
    const since = this.incoming.waitingSinceMs;
    if (since !== undefined && Math.min(quietMs, performance.now() - since) >= idleMs) {
      this.incoming.fail(new Failure("RequestTimeout", `The body was idle for more than ${idleMs} ms`));
    } else if (quietMs >= idleMs && (this.answer.writableEnded || this.answer.writableLength > 0)) {
      this.abort(new Failure("ClientClosedRequest", `The client took nothing for more than ${idleMs} ms`));
      this.#destroy();
      return;
    }
    this.#lookWithin(idleMs);
  }

  #close(): void {
    if (!this.answer.writableFinished) {
      this.abort(connectionClosed());
    } else if (this.head.complete && !this.head.readableEnded) {
      this.incoming.discard(Number.POSITIVE_INFINITY, () => undefined);
    }
    this.#closed.resolve();
  }

  #destroy(): void {
    this.answer.destroy();
    this.head.socket.destroy();
  }

  #operation(): string {
    return this.#row?.operation ?? "Unknown";
  }

  #fields(milliseconds: number): RequestFields {
    const call = this.#call;
    return {
      requestId: this.#id,
      protocol: this.#ports.protocol.name,
      operation: this.#operation(),
      method: this.head.method ?? "",
      status: this.answer.statusCode,
      code: this.#failure?.code,
      principal: call === undefined ? "anonymous" : principalName(call.principal),
      address: this.head.socket.remoteAddress ?? "",
      bucket: call?.bucket,
      name: call?.name,
      bytesIn: this.incoming.bytes,
      doneBytes: call?.doneBytes ?? 0,
      milliseconds: Math.round(milliseconds * 1000) / 1000,
      brokenOff: !this.answer.writableFinished,
    };
  }
}

function connectionClosed(): Failure {
  return new Failure("ClientClosedRequest", "The client closed the connection");
}

function checkHead({ httpVersion, headers }: IncomingMessage): void {
  if (httpVersion === "1.1" && headers.host === undefined) {
    throw new Failure("BadRequest", "The request has no Host header");
  }
  // Its bytes would be taken for those of the body.
  const coding = headers["transfer-encoding"];
  if (coding !== undefined && coding.trim().toLowerCase() !== "chunked") {
    throw new Failure("NotImplemented", "The transfer coding of the body is not supported: use chunked alone");
  }
}
