// Reads the stream of a watch: one JSON object a line.

import type { IncomingMessage } from "node:http";
import { failureOf, KubeError } from "./failure.ts";
import type { KubeObject, ResourceType } from "./resources.ts";

export type WatchEvent<Shape> =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: Shape }
  /** How far the stream has come though nothing happened. */
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string };

interface Line {
  readonly type?: string;
  readonly object?: KubeObject & { readonly code?: number };
}

/** No object that etcd takes is longer. */
const LINE_CHARACTERS_MAX = 16 * 1024 * 1024;

/** Ends with the answer. Rejects with what the server says of its own watch, and when the answer breaks off. */
export async function* eventsOf<Shape extends KubeObject>(
  what: string,
  answer: IncomingMessage,
  type: ResourceType<Shape>,
  heard: () => void,
): AsyncIterable<WatchEvent<Shape>> {
  answer.setEncoding("utf8");
  let rest = "";
  for await (const piece of answer) {
    heard();
    const lines = (rest + (piece as string)).split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > LINE_CHARACTERS_MAX) throw new KubeError("server", `${what}: a line has no end`);
    for (const line of lines) {
      const event = line.trim() === "" ? undefined : eventOf<Shape>(what, line, type);
      if (event !== undefined) yield event;
    }
  }
}

function eventOf<Shape extends KubeObject>(
  what: string,
  line: string,
  type: ResourceType<Shape>,
): WatchEvent<Shape> | undefined {
  const { type: word, object } = parsedLine(what, line);
  switch (word) {
    case "ADDED":
    case "MODIFIED":
    case "DELETED":
      if (object?.metadata?.name === undefined) throw new KubeError("server", `${what}: an event has no object`);
      return { type: word, object: { ...object, apiVersion: type.apiVersion, kind: type.kind } as unknown as Shape };
    case "BOOKMARK":
      return { type: word, resourceVersion: object?.metadata.resourceVersion ?? "" };
    case "ERROR":
      throw failureOf(what, object?.code ?? 500, object, undefined);
    default:
      // A later server may know more of them.
      return undefined;
  }
}

function parsedLine(what: string, line: string): Line {
  try {
    return JSON.parse(line) as Line;
  } catch {
    throw new KubeError("server", `${what}: a line of the answer is not JSON`);
  }
}
