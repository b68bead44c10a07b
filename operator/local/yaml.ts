// One file of YAML becomes its documents, each with the lines that its parts stand in.

import { type Document, isNode, LineCounter, type Node, parseAllDocuments } from "yaml";

export interface YamlDocument {
  readonly value: unknown;
  readonly line: number;
  /** Line of what stands at a path such as `spec.access[0].permissions`, or of the nearest thing above it. */
  lineOf(path: string): number;
}

export type YamlFile =
  | { readonly documents: readonly YamlDocument[] }
  | { readonly problem: { readonly line: number; readonly reason: string } };

/** Syntax is judged for the file as a whole. Documents that hold nothing are left out. */
export function parseYaml(text: string): YamlFile {
  const lines = new LineCounter();
  const documents: YamlDocument[] = [];
  // The parser keeps no end: an empty stream is an array with a mark on it, and no document.
  for (const document of [...parseAllDocuments(text, { lineCounter: lines, merge: true })]) {
    const [error] = document.errors;
    if (error !== undefined) {
      const line = lines.linePos(error.pos[0]).line;
      return { problem: { line, reason: firstLine(error.message) } };
    }
    if (document.contents === null) continue;
    const parsed = parsedDocument(document, lines);
    if ("problem" in parsed) return parsed;
    if (parsed.value !== null) documents.push(parsed);
  }
  return { documents };
}

function parsedDocument(
  document: Document.Parsed,
  lines: LineCounter,
): YamlDocument | Extract<YamlFile, { problem: object }> {
  const startLine = lineOfNode(document.contents, lines) ?? 1;
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    return {
      problem: { line: startLine, reason: error instanceof Error ? firstLine(error.message) : "cannot be read" },
    };
  }
  return {
    value,
    line: startLine,
    lineOf(path) {
      const steps = stepsOf(path);
      for (let depth = steps.length; depth > 0; depth -= 1) {
        const line = lineOfNode(nodeAt(document, steps.slice(0, depth)), lines);
        if (line !== undefined) return line;
      }
      return startLine;
    },
  };
}

/** A key is nearer to what a person looks for than the value, which may begin a line below. */
function nodeAt(document: Document.Parsed, steps: readonly (string | number)[]): unknown {
  const parent = steps.length === 1 ? document.contents : document.getIn(steps.slice(0, -1), true);
  const last = steps.at(-1);
  const items = (parent as { items?: readonly { key?: unknown }[] } | undefined)?.items;
  if (typeof last === "string" && Array.isArray(items)) {
    const pair = items.find(({ key }) => (key as { value?: unknown } | null)?.value === last);
    if (pair !== undefined) return pair.key;
  }
  return document.getIn(steps, true);
}

function lineOfNode(node: unknown, lines: LineCounter): number | undefined {
  const range = isNode(node) ? (node as Node).range : undefined;
  return range === undefined || range === null ? undefined : lines.linePos(range[0]).line;
}

function stepsOf(path: string): (string | number)[] {
  return [...path.matchAll(/\[([^\]]*)\]|([^.[\]]+)/g)].map(([, inBrackets, plain]) => {
    const step = inBrackets ?? plain ?? "";
    return /^[0-9]+$/.test(step) && inBrackets !== undefined ? Number(step) : step.replace(/^"|"$/g, "");
  });
}

/** The rest of the parser's message draws a picture of the place. */
function firstLine(message: string): string {
  return (message.split("\n")[0] ?? "").replace(/ at line \d+, column \d+:?$/, "");
}
