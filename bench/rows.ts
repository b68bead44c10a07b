// The rows: which load is put on which server, in which order. Servers take turns within a row, so that what else the
// machine does meets all of them.

import { once } from "node:events";
import { Worker } from "node:worker_threads";
import type { BesideRuns, BesideWanted } from "./beside.ts";
import { BenchBody } from "./body.ts";
import type { S3Client } from "./client.ts";
import { each, type Measured, measure, messageOf, observe, type Run, seenAlone, timed } from "./load.ts";
import type { Options } from "./options.ts";
import type { Server } from "./servers.ts";
import type { Encryption } from "./store.ts";

export type Operation =
  | "PUT signed"
  | "PUT unsigned"
  | "GET"
  | "LIST first"
  | "LIST again"
  | "LIST anew"
  | "PUT and GET"
  | "PUT beside"
  | "GET beside";

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
const WARM_PAGES = 20;
const BESIDE_BYTES = 1024;
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

/** Many objects, most of them replaced by others of another size: then the small rows once more. */
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
}

/** All pages of very many names under one prefix, in their order: once written, again and again, and after a restart. */
export async function listRows(
  { label, measuring, clients }: Server,
  options: Options,
  tell: Tell,
  restart: () => Promise<void>,
): Promise<void> {
  const client = clients.on;
  const prefix = "listed/";
  const body = new BenchBody(1);
  const name = (at: number): string => prefix + String(at).padStart(9, "0");
  const common = { server: label, encryption: "on", index: "fresh" } as const;
  const filled = await observe(measuring, () =>
    timed(FILL_CLIENTS * 2, options.listed, (at) => client.put(name(at), body, false)),
  );
  const fill = { operation: "PUT unsigned", sizeBytes: 1, clients: FILL_CLIENTS * 2, movedBytes: 0 } as const;
  tell({ ...common, ...fill, measured: filled });
  const pageNames = Math.min(PAGE_NAMES, options.listed - 1);
  const pages = Math.floor((options.listed - 1) / pageNames);
  const list = async (page: number): Promise<void> => {
    const found = await client.list(prefix, name(page * pageNames), pageNames);
    if (found !== pageNames) throw new Error(`a page has ${found} names`);
  };
  const row = { sizeBytes: undefined, clients: 1, movedBytes: 0 } as const;
  const first = async (): Promise<Measured> => {
    // The first pages are not counted: the server has not listed before.
    const warm = Math.min(WARM_PAGES, Math.floor(pages / 4));
    await each(warm, 1, list);
    return observe(measuring, () => timed(1, pages - warm, (at) => list(warm + at)));
  };
  tell({ ...common, ...row, operation: "LIST first", measured: await first() });
  const walks = Math.max(1, Math.ceil((options.seconds * 50) / pages));
  const again = await observe(measuring, () => timed(1, walks * pages, (at) => list(at % pages)));
  tell({ ...common, ...row, operation: "LIST again", measured: again });
  await restart();
  tell({ ...common, ...row, operation: "LIST anew", measured: await first() });
}

/** Bodies of a GiB, most of which are cut off: what matters is what so many cost at once, and small requests beside them. */
export async function streamRows(server: Server, options: Options, tell: Tell): Promise<void> {
  const client = server.clients.on;
  const body = new BenchBody(GIB);
  await client.put("streams/read", body, false);
  const isPut: Readonly<Partial<Record<Operation, (at: number) => boolean>>> = {
    "PUT signed": () => true,
    GET: () => false,
    "PUT and GET": (at) => at % 2 === 0,
  };
  const common = { server: server.label, encryption: "on", index: "fresh" } as const;
  for (const operation of ["PUT signed", "GET", "PUT and GET"] as const) {
    const { streams } = options;
    const seconds = options.seconds * STREAM_ROWS;
    const before = client.movedBytes;
    const small = beside(client, seconds);
    const measured = await observe(server.measuring, () =>
      flow(streams, seconds, (at, stop) =>
        isPut[operation]?.(at) === true
          ? client.put(`streams/${at}`, body, true, stop)
          : client.get("streams/read", body, stop),
      ),
    );
    const movedBytes = client.movedBytes - before;
    tell({ ...common, operation, sizeBytes: GIB, clients: streams, measured, movedBytes });
    const { put, get } = await small;
    const row = { ...common, sizeBytes: BESIDE_BYTES, clients: 1, movedBytes: 0 };
    tell({ ...row, operation: "PUT beside", measured: seenAlone(put) });
    tell({ ...row, operation: "GET beside", measured: seenAlone(get) });
  }
}

async function beside({ target }: S3Client, seconds: number): Promise<BesideRuns> {
  const wanted: BesideWanted = { target: { ...target, url: target.url.href }, sizeBytes: BESIDE_BYTES, seconds };
  const worker = new Worker(new URL("./beside.ts", import.meta.url), {
    workerData: wanted,
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });
  const [runs] = (await once(worker, "message")) as [BesideRuns];
  await worker.terminate();
  return runs;
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
