/** JSON, YAML and TOML of a person's hand: the value, and on which line its members stand. Problems quote nothing. */
import { parse as parseToml, TomlError } from "smol-toml";
import { isNode, LineCounter, parseDocument } from "yaml";
import { type Path, tomlLines } from "./toml-lines.ts";

export type { Path } from "./toml-lines.ts";

export type Syntax = "json" | "yaml" | "toml";

export interface ReadText {
  readonly value: unknown;
  /** From 1; undefined where the syntax does not tell. */
  lineOf(path: Path): number | undefined;
}

export interface BadText {
  readonly problem: string;
  readonly line: number | undefined;
}

const ALIASES_MAX = 100;

/** By the end of the name; undefined for any other. */
export function syntaxOf(fileName: string): Syntax | undefined {
  if (/\.toml$/i.test(fileName)) return "toml";
  if (/\.ya?ml$/i.test(fileName)) return "yaml";
  return /\.json$/i.test(fileName) ? "json" : undefined;
}

export function parseText(text: string, syntax: Syntax): ReadText | readonly BadText[] {
  switch (syntax) {
    case "json":
      return parseJson(text);
    case "yaml":
      return parseYaml(text);
    case "toml":
      return parseTomlText(text);
  }
}

/** JSON is YAML, too, whose parser tells lines, and names that stand twice. */
function parseJson(text: string): ReadText | readonly BadText[] {
  const fault = faultInJson(text);
  if (fault !== undefined) return [{ problem: "the file is not JSON", line: lineOfFault(text, fault) }];
  const { faults, lineOf } = readYaml(text);
  const twice = faults.filter(({ code }) => code === "DUPLICATE_KEY");
  if (twice.length > 0) return twice.map(({ line }) => ({ problem: "a name stands twice", line }));
  return { value: JSON.parse(text), lineOf };
}

interface JsonFault {
  readonly position: number | undefined;
  /** Nothing is wrong but that it ends. */
  readonly isCut: boolean;
}

/** The parser's own message quotes the text around the fault, which may be a secret: only its number is taken. */
function faultInJson(text: string): JsonFault | undefined {
  try {
    JSON.parse(text);
    return undefined;
  } catch (error) {
    const message = String(error);
    const found = /at position (\d+)/.exec(message)?.[1];
    const position = found === undefined ? undefined : Number(found);
    const isAtEnd = position !== undefined && position >= text.length;
    return { position, isCut: isAtEnd || /end of JSON input|Unterminated string/.test(message) };
  }
}

/** Where the parser does not tell it: the first line with which the text stops being the beginning of JSON. */
function lineOfFault(text: string, { position, isCut }: JsonFault): number {
  const lines = text.split("\n");
  if (isCut) return lines.length;
  if (position !== undefined) return text.slice(0, position).split("\n").length;
  let [low, high] = [0, lines.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    const fault = faultInJson(lines.slice(0, middle + 1).join("\n"));
    if (fault === undefined || fault.isCut) low = middle + 1;
    else high = middle;
  }
  return low + 1;
}

function parseYaml(text: string): ReadText | readonly BadText[] {
  const { document, faults, lineOf } = readYaml(text);
  if (faults.length > 0) {
    return faults.map(({ code, line }) => ({ problem: `the file is not YAML (${code})`, line }));
  }
  try {
    return { value: document.toJS({ maxAliasCount: ALIASES_MAX }), lineOf };
  } catch {
    return [{ problem: "the file is not YAML: its aliases do not resolve", line: undefined }];
  }
}

function readYaml(text: string) {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const lineAt = (position: number): number => lines.linePos(position).line;
  return {
    document,
    faults: [...document.errors, ...document.warnings].map(({ code, pos }) => ({ code, line: lineAt(pos[0]) })),
    lineOf(path: Path): number | undefined {
      const node = document.getIn(path, true);
      const at = isNode(node) ? node.range?.[0] : undefined;
      return at === undefined ? undefined : lineAt(at);
    },
  };
}

function parseTomlText(text: string): ReadText | readonly BadText[] {
  try {
    const value = parseToml(text);
    let lines: ((path: Path) => number | undefined) | undefined;
    return {
      value,
      lineOf(path) {
        lines ??= tomlLines(text);
        return lines(path);
      },
    };
  } catch (error) {
    return [{ problem: "the file is not TOML", line: error instanceof TomlError ? error.line : undefined }];
  }
}
