/**
 * On which line the members of a TOML text stand: its parser tells only what it read. The text was parsed before, so all
 * that is done here is to walk over it, and nothing is judged. Tables of lists count from 0, however deep they stand.
 */

/** Names of members and indexes of lists, from the root. */
export type Path = readonly (string | number)[];

const BARE_KEY = /[A-Za-z0-9_-]+/y;
const BLANK = /(?:[ \t\r\n]|#[^\n]*)+/y;
const STRING = /"""[\s\S]*?(?<!\\)(?:\\\\)*"""+|'''[\s\S]*?'''+|"(?:[^"\\]|\\.)*"|'[^']*'/y;
/** A number, a truth or a date. */
const SCALAR = /[^,\]}#\r\n]+/y;

/** Where each member stands, by its path; a table at its header, the first if there are several. */
export function tomlLines(text: string): (path: Path) => number | undefined {
  const walk = new Walk(text);
  walk.document();
  return (path) => walk.lines.get(JSON.stringify(path));
}

class Walk {
  readonly lines = new Map<string, number>();
  readonly #text: string;
  #at = 0;
  #line = 1;
  /** How many tables each list of tables has by now. */
  readonly #counts = new Map<string, number>();

  constructor(text: string) {
    this.#text = text;
  }

  document(): void {
    let table: Path = [];
    for (this.#skip(); this.#at < this.#text.length; this.#skip()) {
      const before = this.#at;
      if (this.#text[this.#at] === "[") table = this.#header();
      else this.#member(table);
      // Of a text that is no TOML after all, the rest has no lines.
      if (this.#at === before) return;
    }
  }

  #header(): Path {
    const isList = this.#text.startsWith("[[", this.#at);
    const line = this.#line;
    this.#at += isList ? 2 : 1;
    const names = this.#names();
    this.#at += isList ? 2 : 1;
    let path: Path = [];
    for (const [index, name] of names.entries()) {
      path = [...path, name];
      this.#note(path, line);
      const id = JSON.stringify(path);
      if (isList && index === names.length - 1) this.#counts.set(id, (this.#counts.get(id) ?? 0) + 1);
      const count = this.#counts.get(id);
      if (count !== undefined) path = [...path, count - 1];
      this.#note(path, line);
    }
    return path;
  }

  #member(table: Path): void {
    const line = this.#line;
    let path = table;
    for (const name of this.#names()) {
      path = [...path, name];
      this.#note(path, line);
    }
    this.#take("=");
    this.#value(path);
  }

  #value(path: Path): void {
    this.#skip();
    if (this.#text[this.#at] === "[") this.#items("]", (index) => this.#item([...path, index]));
    else if (this.#text[this.#at] === "{") this.#items("}", () => this.#member(path));
    else if (this.#match(STRING) === undefined) this.#match(SCALAR);
  }

  #item(path: Path): void {
    this.#note(path, this.#line);
    this.#value(path);
  }

  #items(end: "]" | "}", read: (index: number) => void): void {
    this.#at += 1;
    this.#skip();
    for (let index = 0; this.#at < this.#text.length && this.#text[this.#at] !== end; index += 1) {
      const before = this.#at;
      read(index);
      this.#take(",");
      this.#skip();
      if (this.#at === before) return;
    }
    this.#at += 1;
  }

  /** A key with its dots. */
  #names(): string[] {
    const names: string[] = [];
    do {
      this.#skip();
      const quoted = this.#match(STRING);
      const name = quoted === undefined ? this.#match(BARE_KEY) : unquoted(quoted);
      if (name !== undefined) names.push(name);
    } while (this.#take("."));
    return names;
  }

  #take(mark: string): boolean {
    this.#skip();
    if (this.#text[this.#at] !== mark) return false;
    this.#at += 1;
    return true;
  }

  #skip(): void {
    this.#match(BLANK);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found === undefined) return undefined;
    this.#at += found.length;
    for (const letter of found) if (letter === "\n") this.#line += 1;
    return found;
  }

  #note(path: Path, line: number): void {
    const id = JSON.stringify(path);
    if (!this.lines.has(id)) this.lines.set(id, line);
  }
}

function unquoted(key: string): string {
  if (key.startsWith("'")) return key.slice(1, -1);
  try {
    return String(JSON.parse(key));
  } catch {
    // An escape that JSON does not have: the line of such a name is not told.
    return key;
  }
}
