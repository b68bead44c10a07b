/**
 * Brings together what files and the environment say, each value with its place. A variable stands above a file; two
 * files, or two variables, that contradict each other are a problem.
 */
import { isDeepStrictEqual } from "node:util";
import { ConfigError } from "./config.ts";
import { HINTS, NAMES, type Name, ROWS, type Values, WHEREABOUTS } from "./names.ts";
import type { Reading } from "./readers.ts";
import { type Path, parseText, type Syntax } from "./syntax.ts";

/** A file as it was read. */
export interface SourceFile {
  /** As a person would type it from here. */
  readonly shown: string;
  readonly text: string;
  readonly syntax: Syntax;
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** What was said, by whom. */
export interface Gathered {
  readonly values: Values;
  /** Whether somebody said something of it, be it right or wrong. */
  isGiven(name: Name): boolean;
  /** Where a value came from, or where it would stand. */
  placeOf(name: Name): string;
  /** Each `[[buckets]]`, not yet looked into. */
  readonly buckets: readonly { readonly value: unknown; readonly place: (path: Path) => string }[];
  readonly problems: readonly string[];
  /** Not: a file could not be read at all, and what is missing cannot be told. */
  readonly isWhole: boolean;
}

interface Found {
  readonly value: unknown;
  readonly place: string;
  readonly fromText: boolean;
}

interface Judged {
  readonly given: unknown;
  readonly place: string;
  readonly reading: Reading<unknown>;
}

interface Collected {
  readonly found: Map<Name, Found[]>;
  readonly buckets: Gathered["buckets"][number][];
  readonly problems: string[];
  isWhole: boolean;
}

const BUCKETS = "buckets";
const OPEN_SECTION = "encryption";
const BY_PATH = new Map(NAMES.flatMap((name) => [ROWS[name].at, ...ROWS[name].also].map((at) => [at, name])));
const SECTIONS = new Set([...BY_PATH.keys()].map((at) => at.slice(0, at.indexOf("."))));

/** `unread`: what is wrong with files that are not among `files`. */
export function gather(
  files: readonly SourceFile[],
  environment: Environment,
  unread: readonly string[] = [],
): Gathered {
  const isWhole = unread.length === 0;
  const collected: Collected = { found: new Map(), buckets: [], problems: [...unread], isWhole };
  for (const file of files) collectFile(file, collected);
  const variables = collectVariables(environment, collected.problems);
  const values: Values = {};
  const places = new Map<Name, string>();
  for (const name of NAMES) {
    // Also what a variable stands above is judged: it would be wrong once the variable has gone.
    const layers = [variables.get(name) ?? [], collected.found.get(name) ?? []].map((layer) => layer.map(judge(name)));
    const contradictions = layers.flatMap(contradictionsIn);
    collected.problems.push(...contradictions, ...layers.flat().flatMap(problemsOf));
    const chosen = layers.flat()[0];
    if (chosen === undefined) continue;
    places.set(name, chosen.place);
    if (contradictions.length === 0 && "value" in chosen.reading) {
      Object.assign(values, { [name]: chosen.reading.value });
    }
  }
  return {
    values,
    isGiven: (name) => places.has(name),
    placeOf: (name) => places.get(name) ?? `${ROWS[name].at} (COFFER_${ROWS[name].variable})`,
    buckets: collected.buckets,
    problems: collected.problems,
    isWhole: collected.isWhole,
  };
}

function judge(name: Name): (found: Found) => Judged {
  return ({ value, place, fromText }) => ({ given: value, place, reading: ROWS[name].reads.read(value, fromText) });
}

function problemsOf({ place, reading }: Judged): string[] {
  return "problem" in reading ? [`${place}: ${reading.problem}`] : [];
}

/** What is written otherwise and means the same contradicts nothing. */
function contradictionsIn([first, ...others]: readonly Judged[]): string[] {
  const isSame = ({ given, reading }: Judged): boolean =>
    isDeepStrictEqual(given, first?.given) || ("value" in reading && isDeepStrictEqual(reading, first?.reading));
  return others
    .filter((other) => !isSame(other))
    .map(({ place }) => `${place}: contradicts ${first?.place}: leave one of them`);
}

function collectFile({ shown, text, syntax }: SourceFile, collected: Collected): void {
  const read = parseText(text, syntax);
  if (!("value" in read)) {
    collected.isWhole = false;
    for (const { problem, line } of read) {
      collected.problems.push(`${shown}${line === undefined ? "" : `:${line}`}: ${problem}`);
    }
    return;
  }
  const place = (path: Path): string => {
    const line = read.lineOf(path);
    return `${shown}${line === undefined ? "" : `:${line}`} ${path.join(".")}`;
  };
  if (read.value === null || read.value === undefined) return; // an empty file
  if (!isObject(read.value)) {
    collected.problems.push(`${shown}: must hold sections, each with its settings`);
    return;
  }
  for (const [key, value] of Object.entries(read.value)) collectMember(key, value, place, collected);
}

function collectMember(key: string, value: unknown, place: (path: Path) => string, collected: Collected): void {
  if (key === BUCKETS) {
    if (Array.isArray(value)) {
      for (const [index, bucket] of value.entries()) {
        collected.buckets.push({ value: bucket, place: (path) => place([BUCKETS, index, ...path]) });
      }
    } else collected.problems.push(`${place([key])}: must be a list`);
    return;
  }
  if (SECTIONS.has(key) && isObject(value)) {
    for (const [name, one] of Object.entries(value)) collectValue(`${key}.${name}`, [key, name], one, place, collected);
    return;
  }
  collectValue(SECTIONS.has(key) ? key : `${OPEN_SECTION}.${key}`, [key], value, place, collected);
}

function collectValue(
  at: string,
  path: Path,
  value: unknown,
  place: (path: Path) => string,
  { found, problems }: Collected,
): void {
  const name = BY_PATH.get(at) as Name | undefined;
  if (name === undefined) problems.push(`${place(path)}: ${unknown(path.join("."))}`);
  else found.set(name, [...(found.get(name) ?? []), { value, place: place(path), fromText: false }]);
}

/** What the cluster puts into every pod for each Service; it is nobody's setting. */
const SERVICE_LINK = /_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)$/;

function collectVariables(environment: Environment, problems: string[]): Map<Name, Found[]> {
  const found = new Map<Name, Found[]>();
  const known = new Set(WHEREABOUTS);
  for (const name of NAMES) {
    const { variable, rustfs } = ROWS[name];
    for (const full of [`COFFER_${variable}`, ...(rustfs ? [`RUSTFS_${variable}`] : [])]) {
      known.add(full);
      const value = environment[full];
      if (value === undefined || value === "") continue;
      found.set(name, [...(found.get(name) ?? []), { value, place: full, fromText: true }]);
    }
  }
  const others = Object.keys(environment).filter((name) => /^(COFFER|RUSTFS)_/.test(name) && !known.has(name));
  for (const name of others.sort()) if (!SERVICE_LINK.test(name)) problems.push(`${name}: ${unknown(name)}`);
  return found;
}

function unknown(name: string): string {
  const hint = Object.hasOwn(HINTS, name) ? HINTS[name] : undefined;
  return hint === undefined ? "is not known" : `is not known: ${hint}`;
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Throws ConfigError with all of them, if there are any. */
export function refuseProblems(problems: readonly string[]): void {
  if (problems.length > 0) throw new ConfigError(problems);
}
