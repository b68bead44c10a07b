// Writes down every state of our three kinds that the API server tells of while tests run, so that a check at the end can
// ask what GitOps tools would have made of each; and of namespaces, whose end is no rollout.

import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import type { IncomingMessage } from "node:http";
import { request } from "node:https";
import { KINDS } from "../../crds/kinds.ts";
import { API_VERSION } from "../../crds/names.ts";
import { mustAsk } from "../cluster/apiserver.ts";
import type { ApiServerAccess } from "../cluster/controlplane.ts";
import type { KubeObject } from "./objects.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** The file that the recorder writes: a Recorded in each line. */
    recording: string;
  }
}

export interface Recorded {
  /** Milliseconds since 1970. */
  readonly atMs: number;
  readonly object: KubeObject;
}

export interface Recorder {
  stop(): Promise<void>;
}

interface WatchLine {
  readonly type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  readonly object: KubeObject;
}

const AGAIN_MS = 200;
const PATHS = [...Object.values(KINDS).map(({ plural }) => `/apis/${API_VERSION}/${plural}`), "/api/v1/namespaces"];

/** Resolves when all that happens from now on will be written. */
export async function startRecorder(access: ApiServerAccess, file: string): Promise<Recorder> {
  const output = createWriteStream(file, { mode: 0o600 });
  const stopping = new AbortController();
  const watches: Promise<void>[] = [];
  for (const path of PATHS) {
    const from = await listed(access, path, output);
    watches.push(keepWatching(access, path, from, output, stopping.signal));
  }
  return {
    async stop() {
      stopping.abort();
      await Promise.all(watches);
      output.end();
      await once(output, "close");
    },
  };
}

/** What is there already is written too. The resourceVersion to watch from. */
async function listed(access: ApiServerAccess, path: string, output: WriteStream): Promise<string> {
  const list = await mustAsk(access, "GET", path);
  const { metadata, items, kind, apiVersion } = list as unknown as KubeObject & {
    readonly items: readonly KubeObject[];
  };
  // An item of a list does not say what it is.
  for (const item of items) write(output, { ...item, apiVersion, kind: kind.replace(/List$/, "") });
  return metadata.resourceVersion;
}

async function keepWatching(
  access: ApiServerAccess,
  path: string,
  from: string,
  output: WriteStream,
  signal: AbortSignal,
): Promise<void> {
  let version: string | undefined = from;
  while (!signal.aborted) {
    try {
      version ??= await listed(access, path, output);
      for await (const { type, object } of watched(access, path, version, signal)) {
        if (type === "ERROR") {
          version = undefined;
          break;
        }
        version = object.metadata.resourceVersion;
        if (type === "ADDED" || type === "MODIFIED") write(output, object);
      }
    } catch {
      // The API server was away, or we stop: whichever it is, the loop knows.
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

async function* watched(
  { url, caPem, token }: ApiServerAccess,
  path: string,
  resourceVersion: string,
  signal: AbortSignal,
): AsyncGenerator<WatchLine> {
  const query = new URLSearchParams({ watch: "true", allowWatchBookmarks: "true", resourceVersion });
  const headers = { authorization: `Bearer ${token}` };
  const asked = request(`${url}${path}?${query}`, { ca: caPem, headers, signal, agent: false });
  // Whatever ends it is told to whoever reads the answer.
  asked.on("error", () => undefined);
  asked.end();
  const [answer] = (await once(asked, "response")) as [IncomingMessage];
  if (answer.statusCode !== 200) {
    answer.resume();
    throw new Error(`The watch of ${path} was answered with ${answer.statusCode}`);
  }
  let rest = "";
  answer.setEncoding("utf8");
  for await (const piece of answer) {
    const lines = `${rest}${piece as string}`.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) yield JSON.parse(line) as WatchLine;
  }
}

function write(output: WriteStream, object: KubeObject): void {
  const { managedFields: _, ...metadata } = object.metadata as KubeObject["metadata"] & { managedFields?: unknown };
  const recorded: Recorded = { atMs: Date.now(), object: { ...object, metadata } };
  output.write(`${JSON.stringify(recorded)}\n`);
}
