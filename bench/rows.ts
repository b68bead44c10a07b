// The rows: which load is put on which server, in which order. Servers take turns within a row, so that what else the
// machine does meets all of them.

import { BenchBody } from "./body.ts";
import type { S3Client } from "./client.ts";
import { each, type Measured, measure, messageOf, observe, type Run } from "./load.ts";
import type { Options } from "./options.ts";
import type { Server } from "./servers.ts";
import type { Encryption } from "./store.ts";

export type Operation = "PUT signed" | "PUT unsigned" | "GET" | "LIST" | "PUT and GET";

export interface Row {
  readonly server: string;
  readonly encryption: Encryption;
  readonly operation: Operation;
  readonly index: "fresh" | "aged";
  /** Of each object; undefined for listings. */
  readonly sizeBytes: number | undefined;
  readonly clients: number;
  readonly measured: Measured;
  /** Bytes of bodies in the time measured. */
  readonly movedBytes: number;
}

type Tell = (row: Row) => void;

const LARGE_BYTES = 8 * 2 ** 20;
const GIB = 2 ** 30;
const FILL_CLIENTS = 8;
const AGED_BYTES_MAX = 64 * 1024;
const PAGE_NAMES = 1000;
/** A row of streams is so much longer than another. */
const STREAM_ROWS = 3;

export async function objectRows(servers: readonly Server[], options: Options, tell: Tell): Promise<void> {
  for (const encryption of ["on", "off"] as const) {
    for (const sizeBytes of options.sizes) {
      const body = new BenchBody(sizeBytes);
      const names = sizeBytes >= LARGE_BYTES ? 8 : 256;
      const name = (at: number): string => `${encryption}/${sizeBytes}/${at % names}`;
      for (const operation of ["PUT signed", "PUT unsigned", "GET"] as const) {
        for (const clients of options.clients) {
          for (const server of servers) {
            const client = server.clients[encryption];
            if (operation === "GET") await each(names, FILL_CLIENTS, (at) => client.put(name(at), body, false));
            const measured = await measure(server.measuring, clients, options.seconds, (at) =>
              operation === "GET" ? client.get(name(at), body) : client.put(name(at), body, operation === "PUT signed"),
            );
            const movedBytes = measured.operations * sizeBytes;
            tell({
              server: server.label,
              encryption,
              operation,
              index: "fresh",
              sizeBytes,
              clients,
              measured,
              movedBytes,
            });
          }
        }
      }
    }
  }
}

/** Many objects, most of them replaced by others of another size: then the small rows once more, and listings. */
export async function agedRows(server: Server, options: Options, tell: Tell): Promise<void> {
  const client = server.clients.on;
  const name = (at: number): string => `aged/${String((at * 7919) % options.names).padStart(9, "0")}`;
  const bodies = Array.from({ length: 64 }, (_, at) => new BenchBody(1024 + ((at * 1021 * 61) % AGED_BYTES_MAX)));
  const put = (at: number): Promise<void> => client.put(name(at), bodies[(at * 31) % 64] ?? new BenchBody(1), false);
  await each(options.names + options.replacements, FILL_CLIENTS * 2, put);
  for (const sizeBytes of [1024, AGED_BYTES_MAX]) {
    const body = new BenchBody(sizeBytes);
    // These alone are read: they have this size.
    const read = Math.min(options.names, 2000);
    for (const operation of ["PUT signed", "GET"] as const) {
      if (operation === "GET") await each(read, FILL_CLIENTS * 2, (at) => client.put(name(at), body, false));
      for (const clients of options.clients) {
        const measured = await measure(server.measuring, clients, options.seconds, (at) =>
          operation === "GET" ? client.get(name(at % read), body) : client.put(name(at), body, true),
        );
        const movedBytes = measured.operations * sizeBytes;
        tell({
          server: server.label,
          encryption: "on",
          operation,
          index: "aged",
          sizeBytes,
          clients,
          measured,
          movedBytes,
        });
      }
    }
  }
  await listRow(server, options, client, name, tell);
}

async function listRow(
  server: Server,
  options: Options,
  client: S3Client,
  name: (at: number) => string,
  tell: Tell,
): Promise<void> {
  const expected = Math.min(PAGE_NAMES, options.names);
  const measured = await measure(server.measuring, 1, options.seconds, async (at) => {
    const from = (at * 104_729) % Math.max(1, options.names - PAGE_NAMES);
    const after = `${name(0).slice(0, "aged/".length)}${String(from).padStart(9, "0")}`;
    const found = await client.list("aged/", after, PAGE_NAMES);
    if (found < expected - 1) throw new Error(`a page has ${found} names`);
  });
  tell({
    server: server.label,
    encryption: "on",
    operation: "LIST",
    index: "aged",
    sizeBytes: undefined,
    clients: 1,
    measured,
    movedBytes: 0,
  });
}

/** Bodies of a GiB, most of which are cut off: what matters is what so many cost at once. */
export async function streamRows(server: Server, options: Options, tell: Tell): Promise<void> {
  const client = server.clients.on;
  const body = new BenchBody(GIB);
  await client.put("streams/read", body, false);
  const isPut: Readonly<Partial<Record<Operation, (at: number) => boolean>>> = {
    "PUT signed": () => true,
    GET: () => false,
    "PUT and GET": (at) => at % 2 === 0,
  };
  for (const operation of ["PUT signed", "GET", "PUT and GET"] as const) {
    const { streams } = options;
    const before = client.movedBytes;
    const measured = await observe(server.measuring, () =>
      flow(streams, options.seconds * STREAM_ROWS, (at, stop) =>
        isPut[operation]?.(at) === true
          ? client.put(`streams/${at}`, body, true, stop)
          : client.get("streams/read", body, stop),
      ),
    );
    const movedBytes = client.movedBytes - before;
    const row = { encryption: "on", operation, index: "fresh", sizeBytes: GIB, clients: streams } as const;
    tell({ server: server.label, ...row, measured, movedBytes });
  }
}

/** All at once, until they have ended or the time has. */
async function flow(
  streams: number,
  seconds: number,
  stream: (at: number, stop: AbortSignal) => Promise<void>,
): Promise<Run> {
  const begunMs = performance.now();
  const stop = AbortSignal.timeout(seconds * 1000);
  const latenciesMs: number[] = [];
  const failures: string[] = [];
  const one = async (at: number): Promise<void> => {
    try {
      await stream(at, stop);
      latenciesMs.push(performance.now() - begunMs);
    } catch (error) {
      if (!stop.aborted) failures.push(messageOf(error));
    }
  };
  await Promise.all(Array.from({ length: streams }, (_, at) => one(at)));
  return { latenciesMs, failures, seconds: (performance.now() - begunMs) / 1000 };
}
