// Judges what stands in files: words that belong to one place or to none, lengths and names.

import { isTest, PORTS, PURE_FILES } from "./rooms.ts";
import { lineAt, type SourceFile } from "./source.ts";

interface WordRule {
  readonly what: string;
  readonly words: RegExp;
  /** Whether the rule concerns a file. */
  readonly holdsFor: (path: string) => boolean;
  readonly instead: string;
  /** Comments and strings count too. */
  readonly inText?: true;
}

const RULES: readonly WordRule[] = [
  {
    what: "reads the environment",
    words: /\bprocess\.env\b/g,
    holdsFor: (path) =>
      !/^(operator\/config\.ts|operator\/local\/main(\.test)?\.ts|dataplane\/config\/sources\.ts|e2e\/)/.test(path),
    instead:
      "Take the value as a parameter; operator/local/main.ts and dataplane/config/sources.ts read the environment.",
  },
  {
    what: "encrypts or derives keys",
    words: /\b(createCipheriv|createDecipheriv|hkdf|hkdfSync|pbkdf2|scrypt|subtle|webcrypto)\b/g,
    holdsFor: (path) => !/^(envelope|kms|e2e)\//.test(path),
    instead: "Use envelope/ for bodies and records and kms/ for keys: the format is written in one place.",
  },
  {
    what: "joins buffers",
    words: /\bBuffer\.concat\b/g,
    holdsFor: (path) => /^(envelope|dataplane\/(objects|http|s3))\//.test(path) && !isTest(path),
    instead: "Pass the list of buffers on (writev, several updates), or fill one buffer of known size.",
  },
  {
    what: "has a clock, a timer, randomness or files of its own",
    words:
      /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bset(Timeout|Interval|Immediate)\b|\brandom(Bytes|UUID|Int|Fill|FillSync)\b|\bgetRandomValues\b/g,
    holdsFor: (path) => PURE_FILES.test(path) && !isTest(path),
    instead: "Take the time or the random value as a parameter, so that each case is one row of a test.",
  },
  {
    what: "prints",
    words: /\bconsole\s*\./g,
    holdsFor: () => true,
    instead: "Log through dataplane/log.ts, or write to the stream that main.ts passes down.",
  },
  {
    what: "draws weak random numbers",
    words: /\bMath\.random\b/g,
    holdsFor: () => true,
    instead: "Use randomBytes of node:crypto, or take randomness as a parameter.",
  },
  {
    what: "leaves something for later",
    words: new RegExp(
      `\\b(${["FIX", "TO", "XX"].map((start, at) => start + ["ME", "DO", "X"][at]).join("|")})\\b`,
      "g",
    ),
    holdsFor: () => true,
    instead: "Do it now, or write the limit down where its reader looks for it.",
    inText: true,
  },
];

/** Every offence as `path:line what. What to do instead.` */
export function wordProblems(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap((file) =>
    RULES.filter((rule) => rule.holdsFor(file.path)).flatMap((rule) => {
      const text = rule.inText === true ? file.text : file.code;
      return [...text.matchAll(rule.words)].map(
        (match) => `${file.path}:${lineAt(text, match.index)} ${rule.what} (${match[0]}). ${rule.instead}`,
      );
    }),
  );
}

const FILE_LINES_MAX = 400;

/** Tests are free of it, contract suites are not: they are split by theme. */
export function lengthProblems(files: readonly SourceFile[]): readonly string[] {
  return files
    .filter((file) => !/\.test\.ts$/.test(file.path))
    .map((file) => ({ path: file.path, lines: file.text.replace(/\n$/, "").split("\n").length }))
    .filter(({ lines }) => lines > FILE_LINES_MAX)
    .map(
      ({ path, lines }) =>
        `${path}:${FILE_LINES_MAX} has ${lines} lines, more than ${FILE_LINES_MAX}. Look for the second idea in it and give that a file with a name of its own.`,
    );
}

const NAMELESS = /(^|\/)(utils?|helpers?|commons?|shared|types?|index|misc|lib)(\.test)?(\.ts|\/)/;

/** Names that say where code was put, and not what it is. */
export function nameProblems(paths: readonly string[]): readonly string[] {
  return paths
    .filter((path) => NAMELESS.test(path))
    .map((path) => `${path}:1 has a name that says nothing. Name it after the noun of the domain that it holds.`);
}

/** Each adapter of a port has a test beside it that runs the port's contract. */
export function contractProblems(files: readonly SourceFile[]): readonly string[] {
  return PORTS.flatMap(({ contract, adapters }) =>
    adapters
      .filter((adapter) => files.some((file) => file.path.startsWith(adapter)))
      .filter((adapter) => {
        const beside = adapter.endsWith("/") ? adapter : adapter.replace(/\.ts$/, ".");
        return !files.some(
          (file) =>
            file.path.startsWith(beside) &&
            file.path.endsWith(".test.ts") &&
            file.imports.some((found) => found.target?.startsWith(contract) === true),
        );
      })
      .map(
        (adapter) =>
          `${adapter} does not run its contract. Write a test beside it that calls the suite in ${contract}.`,
      ),
  );
}

/** Folders that a newcomer finds in the README: those at the root, and those of the two programs. */
export function mapProblems(paths: readonly string[], readme: string): readonly string[] {
  const rooms = new Set(
    paths.flatMap((path) => {
      const [first, second, ...rest] = path.split("/");
      if (first === undefined || second === undefined) return [];
      const isProgram = first === "operator" || first === "dataplane";
      return isProgram && rest.length > 0 ? [`${first}/`, `${second}/`] : [`${first}/`];
    }),
  );
  return [...rooms]
    .filter((room) => !readme.includes(`\`${room}\``))
    .map((room) => `README.md:1 does not show ${room} in its map. Say in one line what the room is for.`);
}
