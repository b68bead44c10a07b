/**
 * For tests: a client that writes bytes as they are given and reads what comes, and the ports of a listener that keep
 * what they are told.
 */
import { connect, type Socket } from "node:net";
import { createLive, type Live } from "../snapshot.ts";
import { createInFlight } from "./inflight.ts";
import type { RequestFields, RequestPorts } from "./request.ts";
import type { Protocol } from "./table.ts";

export interface RawClient {
  readonly socket: Socket;
  send(bytes: string | Uint8Array): void;
  /** All that has come so far, as latin1. */
  readonly received: string;
  /** Resolves when `received` holds the text, rejects if the connection ends before. */
  until(text: string): Promise<string>;
  /** Resolves with all that came when the connection is closed, whether cleanly or not. */
  closed(): Promise<string>;
}

export function rawClient(port: number, allowHalfOpen = false): RawClient {
  const socket = connect({ port, host: "127.0.0.1", allowHalfOpen });
  let received = "";
  let ended = false;
  const watchers = new Set<() => void>();
  const tell = (): void => {
    for (const watch of watchers) watch();
  };
  socket.on("data", (bytes) => {
    received += bytes.toString("latin1");
    tell();
  });
  socket.on("error", () => undefined);
  socket.on("close", () => {
    ended = true;
    tell();
  });
  function when(holds: () => boolean): Promise<string> {
    return new Promise((resolve, reject) => {
      const watch = (): void => {
        if (!holds() && !ended) return;
        watchers.delete(watch);
        if (holds()) resolve(received);
        else reject(new Error(`the connection ended after: ${received}`));
      };
      watchers.add(watch);
      watch();
    });
  }
  return {
    socket,
    send: (bytes) => void socket.write(bytes),
    get received() {
      return received;
    },
    until: (text) => when(() => received.includes(text)),
    closed: () => when(() => ended),
  };
}

export interface RecordedPorts<Target> extends RequestPorts<Target> {
  readonly live: Live;
  readonly lines: RequestFields[];
  /** Messages and fields of warnings and errors. */
  readonly events: { readonly message: string; readonly fields: Readonly<Record<string, unknown>> }[];
}

/** Ports with a published configuration without buckets, unless another is given. */
export async function recordedPorts<Target>(
  protocol: Protocol<Target>,
  config: Readonly<Record<string, unknown>> = {},
): Promise<RecordedPorts<Target>> {
  const live = createLive(
    () => Promise.reject(new Error("no provider is opened here")),
    () => undefined,
  );
  await live.offer(emptyConfig(config), AbortSignal.timeout(60_000));
  const lines: RequestFields[] = [];
  const events: RecordedPorts<Target>["events"] = [];
  const note = (message: string, fields: Readonly<Record<string, unknown>> = {}): void =>
    void events.push({ message, fields });
  return {
    protocol,
    live,
    inFlight: createInFlight(),
    log: { error: note, warn: note, info: () => undefined, debug: () => undefined, setLevel: () => undefined },
    metrics: { request: () => undefined, inFlight: () => undefined },
    requestLine: (fields) => void lines.push(fields),
    lines,
    events,
  };
}

export function emptyConfig(members: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    format: 1,
    revision: 1,
    ruledBy: "folder",
    region: "local",
    hostNames: [],
    settings: {
      maxConcurrentRequests: 100,
      logLevel: "Info",
      audit: { enabled: true, level: "All" },
    },
    providers: [],
    buckets: [],
    ...members,
  };
}
