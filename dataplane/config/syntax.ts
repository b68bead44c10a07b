/** JSON, YAML and TOML of a person's hand: the value, and on which line its members stand. Problems quote nothing. */
import { parse as parseToml, TomlError } from "smol-toml";
import { isNode, LineCounter, parseDocument } from "yaml";

export type Syntax = "json" | "yaml" | "toml";

/** Names of members and indexes of lists, from the root. */
export type Path = readonly (string | number)[];

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

/** The parser's own message quotes the text around the fault, which may be a secret. */
function parseJson(text: string): ReadText | readonly BadText[] {
  try {
    return { value: JSON.parse(text), lineOf: () => undefined };
  } catch {
    return [{ problem: "the file is not JSON", line: undefined }];
  }
}

function parseYaml(text: string): ReadText | readonly BadText[] {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const bad = [...document.errors, ...document.warnings].map(({ code, pos }) => ({
    problem: `the file is not YAML (${code})`,
    line: lines.linePos(pos[0]).line,
  }));
  if (bad.length > 0) return bad;
  try {
    const value: unknown = document.toJS({ maxAliasCount: ALIASES_MAX });
    return {
      value,
      lineOf(path) {
        const node = document.getIn(path, true);
        const at = isNode(node) ? node.range?.[0] : undefined;
        return at === undefined ? undefined : lines.linePos(at).line;
      },
    };
  } catch {
    return [{ problem: "the file is not YAML: its aliases do not resolve", line: undefined }];
  }
}

function parseTomlText(text: string): ReadText | readonly BadText[] {
  try {
    return { value: parseToml(text), lineOf: (path) => lineInToml(text, path) };
  } catch (error) {
    return [{ problem: "the file is not TOML", line: error instanceof TomlError ? error.line : undefined }];
  }
}

const HEADER = /^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(#.*)?$/;
const MEMBER = /^\s*([A-Za-z0-9_."'-]+(?:\s*\.\s*[A-Za-z0-9_"'-]+)*)\s*=/;

/** Where `name = …` stands under its header: the parser tells only what it read. A list's tables count by their headers. */
function lineInToml(text: string, path: Path): number | undefined {
  const wanted = path.filter((part) => typeof part === "string").join(".");
  const counted = path.find((part) => typeof part === "number") ?? 0;
  const list = path
    .slice(
      0,
      path.findIndex((part) => typeof part === "number"),
    )
    .join(".");
  let table = "";
  let at = -1;
  for (const [index, line] of text.split("\n").entries()) {
    const header = HEADER.exec(line)?.[1];
    if (header !== undefined) {
      table = plainName(header);
      if (table === list) at += 1;
    }
    const member = header === undefined ? MEMBER.exec(line)?.[1] : undefined;
    const name = member === undefined ? table : [table, plainName(member)].filter((part) => part !== "").join(".");
    const inTheRightTable = list === "" || at === counted;
    if (inTheRightTable && name === wanted && (header !== undefined || member !== undefined)) return index + 1;
  }
  return undefined;
}

function plainName(name: string): string {
  return name.replaceAll(/["'\s]/g, "");
}
