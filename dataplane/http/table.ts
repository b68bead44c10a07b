/**
 * The HTTP surface is a table: each protocol gives its rows, http/ runs one of them for each request. A row cannot
 * forget its limit, because every field is required.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Principal } from "../access/access.ts";
import type { Body, Call } from "../call.ts";
import type { Failure } from "../failure.ts";
import type { Snapshot } from "../snapshot.ts";

export interface Authenticated {
  readonly principal: Principal;
  readonly body: Body;
}

/**
 * The request's body as it was sent, transfer coding undone: blocks as they came, once. The first `next` lets an
 * `Expect: 100-continue` client send. Throws Failure when the client stops, is idle for too long or sends more than the
 * row takes. Leaving the iteration early keeps the connection: the rest is discarded with the answer. Wrap this; never
 * iterate `head`, whose iterator closes the connection, so that a refusal would not arrive.
 */
export type Sent = AsyncIterable<Uint8Array>;

/** Reads the head of a request, never its body: a refused caller costs nothing. Throws Failure. */
export type Authenticator<Target> = (
  head: IncomingMessage,
  target: Target,
  snapshot: Snapshot,
  nowMs: number,
  sent: Sent,
) => Authenticated;

/** What a handler gets beside its call. */
export interface Exchange<Target> {
  readonly head: IncomingMessage;
  readonly target: Target;
  readonly body: Body;
  readonly answer: ServerResponse;
}

/** One operation of a protocol. Rows are tried in order; the last of a table matches everything. */
export interface Row<Target> {
  readonly operation: string;
  matches(head: IncomingMessage, target: Target): boolean;
  readonly authenticate: Authenticator<Target>;
  /** Of the request's body as sent; 0: none is read. */
  readonly bodyBytesMax: number;
  /** Longest time without a byte from or to the client, ms. */
  readonly idleMs: number;
  /** Answers. A Failure that it throws is printed by the protocol; after the headers it destroys the connection. */
  handle(call: Call, exchange: Exchange<Target>): Promise<void>;
}

/** What a protocol room gives to http/. */
export interface Protocol<Target> {
  readonly name: "s3" | "rest" | "admin";
  /** Cuts the raw request target, by the host names of the call's snapshot; throws Failure. */
  parse(head: IncomingMessage, snapshot: Snapshot): Target;
  readonly rows: readonly Row<Target>[];
  /** Writes a failure as an answer of this protocol: headers were not sent yet. Must call answer.end(). */
  fail(head: IncomingMessage, answer: ServerResponse, failure: Failure, requestId: string): void;
  /** The whole answer, as bytes of HTTP/1.1, to what Node's parser refused. */
  refuse(failure: Failure, requestId: string): string;
}
