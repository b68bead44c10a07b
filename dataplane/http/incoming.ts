/**
 * The body of one request as it comes from the wire: blocks are handed on as they are, the connection is paused while
 * nobody asks, and `100 Continue` goes out with the first question. Decoding and hashing are left to the protocols.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { Failure } from "../failure.ts";
import type { Sent } from "./table.ts";
import type { Turns } from "./turns.ts";

/** Above this the connection is paused until the reader has caught up; Node holds up to its own mark behind it. */
const QUEUE_BYTES = 64 * 1024;

export interface Incoming {
  readonly sent: Sent;
  /** Bytes of the body that came. */
  readonly bytes: number;
  /** Since when, in ms of `performance.now()`, the reader waits for the client; undefined while it does not. */
  readonly waitingSinceMs: number | undefined;
  /** What a reader gets from now on. The first failure stays. */
  fail(failure: Failure): void;
  /** Throws away what is queued and what follows, stops and calls `onLimit` once more than `bytesMax` have followed. Called
   *  again it only takes another `onLimit`, which may be due at once. */
  discard(bytesMax: number, onLimit: () => void): void;
}

/** Whether the head announces a body that is not empty. */
export function announcesBody(head: IncomingMessage): boolean {
  if (head.headers["transfer-encoding"] !== undefined) return true;
  const length = head.headers["content-length"];
  return length !== undefined && length !== "0";
}

export interface IncomingPorts {
  readonly bytesMax: () => number;
  /** Asked before anything of the body is read, with its announced length: why it cannot be taken now. */
  readonly refuse: (announcedBytes: number | undefined) => Failure | undefined;
  readonly turns: Turns;
  /** Called once the whole body has come. */
  readonly onWhole: () => void;
}

export function createIncoming(head: IncomingMessage, answer: ServerResponse, ports: IncomingPorts): Incoming {
  return new RequestBody(head, answer, ports);
}

interface Waiter {
  resolve(result: IteratorResult<Uint8Array>): void;
  reject(failure: Failure): void;
}

const DONE: IteratorResult<Uint8Array> = { done: true, value: undefined };

class RequestBody implements Incoming {
  readonly #head: IncomingMessage;
  readonly #answer: ServerResponse;
  readonly #ports: IncomingPorts;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #turn = -1;
  #turnBytes = 0;
  #waitsForTurn = false;
  #listening = false;
  #ended = false;
  #failure: Failure | undefined;
  #waiter: Waiter | undefined;
  #discardable: { left: number; onLimit: () => void } | undefined;
  bytes = 0;
  waitingSinceMs: number | undefined;

  constructor(head: IncomingMessage, answer: ServerResponse, ports: IncomingPorts) {
    this.#head = head;
    this.#answer = answer;
    this.#ports = ports;
  }

  readonly sent: Sent = {
    [Symbol.asyncIterator]: () => ({
      next: () => this.#next(),
      return: () => {
        this.#pause();
        return Promise.resolve(DONE);
      },
    }),
  };

  fail(failure: Failure): void {
    if (this.#ended || this.#failure !== undefined) return;
    this.#failure = failure;
    this.#settle()?.reject(failure);
  }

  discard(bytesMax: number, onLimit: () => void): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    const left = this.#discardable?.left ?? bytesMax;
    this.#discardable = { left, onLimit };
    this.#listen();
    if (left >= 0) this.#head.resume();
    else onLimit();
  }

  #next(): Promise<IteratorResult<Uint8Array>> {
    const queued = this.#queue.shift();
    if (queued !== undefined) {
      this.#queuedBytes -= queued.length;
      if (this.#queuedBytes === 0 && !this.#ended) this.#resume();
      return Promise.resolve({ done: false, value: queued });
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#ended) return Promise.resolve(DONE);
    if (!this.#listening) {
      const refused = this.#begin();
      if (refused !== undefined) return Promise.reject(refused);
      if (this.#ended) return Promise.resolve(DONE);
    }
    const { promise, resolve, reject } = Promise.withResolvers<IteratorResult<Uint8Array>>();
    this.#waiter = { resolve, reject };
    this.waitingSinceMs = performance.now();
    this.#resume();
    return promise;
  }

  /** The announced length is judged here, behind all checks that need no body and before the client is told to send. */
  #begin(): Failure | undefined {
    if (!announcesBody(this.#head)) {
      this.#ended = true;
      return undefined;
    }
    const announced = this.#head.headers["content-length"];
    const bytes = announced === undefined ? undefined : Number(announced);
    const bytesMax = this.#ports.bytesMax();
    this.#failure = bytes !== undefined && bytes > bytesMax ? tooLarge(bytesMax) : this.#ports.refuse(bytes);
    if (this.#failure !== undefined) return this.#failure;
    const expects = this.#head.headers.expect;
    if (expects !== undefined && /\b100-continue\b/i.test(expects) && !this.#answer.headersSent) {
      this.#answer.writeContinue();
    }
    this.#listen();
    return undefined;
  }

  #listen(): void {
    if (this.#listening) return;
    this.#listening = true;
    this.#head.on("data", (block: Uint8Array) => this.#take(block));
    this.#head.on("end", () => {
      this.#ended = true;
      this.#ports.onWhole();
      this.#settle()?.resolve(DONE);
    });
    const gone = (): void => {
      if (!this.#ended) this.fail(new Failure("ClientClosedRequest", "The client closed the connection"));
    };
    this.#head.on("error", gone);
    this.#head.on("close", gone);
  }

  #take(block: Uint8Array): void {
    this.bytes += block.length;
    if (this.#discardable !== undefined) {
      this.#discardable.left -= block.length;
      if (this.#discardable.left >= 0) return;
      this.#head.pause();
      this.#discardable.onLimit();
      return;
    }
    if (this.#failure !== undefined) return;
    if (this.bytes > this.#ports.bytesMax()) {
      this.#pause();
      this.fail(tooLarge(this.#ports.bytesMax()));
      return;
    }
    this.#countTurn(block.length);
    const waiter = this.#settle();
    if (waiter !== undefined) {
      waiter.resolve({ done: false, value: block });
      return;
    }
    this.#queue.push(block);
    this.#queuedBytes += block.length;
    if (this.#queuedBytes >= QUEUE_BYTES) this.#pause();
  }

  #countTurn(bytes: number): void {
    const { turns } = this.#ports;
    if (turns.number !== this.#turn) {
      this.#turn = turns.number;
      this.#turnBytes = 0;
    }
    this.#turnBytes += bytes;
    turns.spend(bytes);
    if (this.#waitsForTurn || turns.hasRoom(this.#turnBytes, this.bytes)) return;
    this.#waitsForTurn = true;
    this.#pause();
    turns.later(() => {
      this.#waitsForTurn = false;
      if (this.#waiter !== undefined) this.#resume();
    });
  }

  #resume(): void {
    if (!this.#waitsForTurn) this.#head.resume();
  }

  #settle(): Waiter | undefined {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    this.waitingSinceMs = undefined;
    return waiter;
  }

  #pause(): void {
    if (this.#listening && !this.#ended && this.#discardable === undefined) this.#head.pause();
  }
}

function tooLarge(bytesMax: number): Failure {
  return new Failure("EntityTooLarge", `The body has more than the ${bytesMax} bytes that this operation takes`);
}
