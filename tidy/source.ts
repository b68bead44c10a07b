// Reads a TypeScript file far enough to judge it: what it imports, and its code without comments and without the text
// of its strings, so that a word in a comment is no offence. It knows words, strings, templates, comments and regular
// expressions, and no grammar: a rule that needs more belongs to a linter.

/** One file of the project. `path` is relative to the root, with `/`. */
export interface SourceFile {
  readonly path: string;
  readonly text: string;
  /** The text with every comment, string, template text and regular expression blanked; lines and columns stay. */
  readonly code: string;
  readonly imports: readonly Import[];
}

/** What a file loads, or takes types from: `import`, `export … from`, `import()`, `new URL("./x.ts", import.meta.url)`. */
export interface Import {
  readonly specifier: string;
  /** For a relative specifier: the path from the root. */
  readonly target: string | undefined;
  readonly line: number;
  /** Named as the address of a worker or a program, not imported. */
  readonly isAddress: boolean;
}

interface Found {
  readonly from: number;
  readonly to: number;
  readonly kind: "comment" | "string" | "template" | "regex";
}

export function readSource(path: string, text: string): SourceFile {
  const found = scan(text);
  const code = blank(text, found);
  const imports: Import[] = [];
  for (const { from, to, kind } of found) {
    if (kind !== "string") continue;
    const quoted = text.slice(from + 1, to - 1);
    const isFile = isAddressOfFile(code, from, to);
    if (!isFile && !isImport(code, from)) continue;
    const specifier = isFile && !quoted.startsWith(".") ? `./${quoted}` : quoted;
    imports.push({ specifier, target: resolve(path, specifier), line: lineAt(text, from), isAddress: isFile });
  }
  return { path, text, code, imports };
}

/** The line, from 1, of a position in a text. */
export function lineAt(text: string, at: number): number {
  return text.slice(0, at).split("\n").length;
}

function isImport(code: string, from: number): boolean {
  const before = code.slice(Math.max(0, from - 40), from);
  return /(^|[^.\w$])(from|import)\s*$/.test(before) || /(^|[^.\w$])import\s*\(\s*$/.test(before);
}

/** As a worker is started: `new URL("./x.ts", import.meta.url)`. */
function isAddressOfFile(code: string, from: number, to: number): boolean {
  const isUrl = /\bURL\s*\(\s*$/.test(code.slice(Math.max(0, from - 40), from));
  return isUrl && /^\s*,\s*import\.meta\.url/.test(code.slice(to, to + 40));
}

function resolve(path: string, specifier: string): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const steps = path.split("/").slice(0, -1);
  for (const step of specifier.split("/")) {
    if (step === "..") steps.pop();
    else if (step !== ".") steps.push(step);
  }
  return steps.join("/");
}

function blank(text: string, found: readonly Found[]): string {
  let code = "";
  let at = 0;
  for (const { from, to } of found) {
    code += text.slice(at, from) + text.slice(from, to).replace(/[^\n]/g, " ");
    at = to;
  }
  return code + text.slice(at);
}

/** Comments, strings, the text of templates and regular expressions, in order. */
function scan(text: string): readonly Found[] {
  const found: Found[] = [];
  // For each template that is open around us: how many braces are open in its `${}`.
  const templates: number[] = [];
  let last = "";
  let at = 0;
  const take = (to: number, kind: Found["kind"]) => {
    found.push({ from: at, to, kind });
    at = to;
  };
  while (at < text.length) {
    const two = text.slice(at, at + 2);
    const one = text.charAt(at);
    if (two === "//") take(endOf(text, "\n", at), "comment");
    else if (two === "/*") take(endOf(text, "*/", at + 2) + 2, "comment");
    else if (one === '"' || one === "'") {
      take(endOfString(text, at), "string");
      last = '"';
    } else if (one === "`" || (one === "}" && templates.at(-1) === 0)) {
      if (one === "}") templates.pop();
      const to = endOfTemplate(text, at + 1);
      if (text.charAt(to - 1) === "{") templates.push(0);
      last = text.charAt(to - 1) === "{" ? "{" : '"';
      take(to, "template");
    } else if (one === "/" && startsRegex(last)) {
      take(endOfRegex(text, at), "regex");
      last = '"';
    } else {
      const word = /^[\w$]+/.exec(text.slice(at, at + 80))?.[0] ?? one;
      if (one === "{" && templates.length > 0) templates.push((templates.pop() ?? 0) + 1);
      if (one === "}" && templates.length > 0) templates.push((templates.pop() ?? 0) - 1);
      if (word.trim() !== "") last = word;
      at += word.length;
    }
  }
  return found;
}

/** After a value a slash divides, elsewhere it begins a regular expression. */
function startsRegex(last: string): boolean {
  if (/^(return|typeof|case|in|of|delete|void|throw|new|else|do|await|yield)$/.test(last)) return true;
  return !/^[\w$)\]}"]/.test(last);
}

function endOf(text: string, mark: string, from: number): number {
  const end = text.indexOf(mark, from);
  return end < 0 ? text.length : end;
}

function endOfString(text: string, from: number): number {
  const quote = text.charAt(from);
  let at = from + 1;
  while (at < text.length && text.charAt(at) !== quote && text.charAt(at) !== "\n")
    at += text.charAt(at) === "\\" ? 2 : 1;
  return at + 1;
}

/** Past the closing backtick, or past the next `${`. */
function endOfTemplate(text: string, from: number): number {
  let at = from;
  while (at < text.length && text.charAt(at) !== "`") {
    if (text.startsWith("${", at)) return at + 2;
    at += text.charAt(at) === "\\" ? 2 : 1;
  }
  return at + 1;
}

function endOfRegex(text: string, from: number): number {
  let at = from + 1;
  let isInClass = false;
  while (at < text.length && text.charAt(at) !== "\n" && (isInClass || text.charAt(at) !== "/")) {
    if (text.charAt(at) === "[") isInClass = true;
    if (text.charAt(at) === "]") isInClass = false;
    at += text.charAt(at) === "\\" ? 2 : 1;
  }
  return at + 1;
}
