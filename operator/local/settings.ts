// What `npm start` was told: its arguments and its environment, parsed once, all problems at once.

import { isAbsolute, relative, resolve } from "node:path";

export interface LocalSettings {
  /** The folder, or one file, that is reconciled. */
  readonly folder: string;
  readonly dataDir: string;
  readonly secretsDir: string;
  readonly ports: Ports;
}

export interface Ports {
  readonly s3: number;
  readonly rest: number;
  readonly admin: number;
}

export const LISTEN_ADDRESS = "127.0.0.1";
const DEFAULT_FOLDER = "examples/quickstart";

export const HELP = `Usage: npm start [-- FOLDER]

Runs one encrypted object store on this machine, as the YAML in FOLDER says (${DEFAULT_FOLDER} unless given). Editing a
file there acts at once, as kubectl apply would. Ctrl-C stops it.

Environment:
  COFFER_S3_PORT      9000      where S3 is served
  COFFER_REST_PORT    8080      where REST is served
  COFFER_ADMIN_PORT   9090      health, metrics, loaded configuration, jobs
  COFFER_DATA_DIR     data      ciphertext, status, logs, credentials of applications
  COFFER_SECRETS_DIR  secrets   key rings and configuration: back it up, on another volume than the data
`;

export type ParsedSettings =
  | { readonly kind: "run"; readonly settings: LocalSettings }
  | { readonly kind: "help" }
  | { readonly kind: "wrong"; readonly problems: readonly string[] };

export function parseSettings(
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): ParsedSettings {
  if (args.includes("--help") || args.includes("-h")) return { kind: "help" };
  const problems: string[] = [];
  const unknownOption = args.find((arg) => arg.startsWith("-"));
  if (unknownOption !== undefined) problems.push(`There is no option ${unknownOption}`);
  if (args.length > 1) problems.push("Give one folder");
  const ports = {
    s3: portOf(environment, "COFFER_S3_PORT", 9000, problems),
    rest: portOf(environment, "COFFER_REST_PORT", 8080, problems),
    admin: portOf(environment, "COFFER_ADMIN_PORT", 9090, problems),
  };
  if (new Set(Object.values(ports)).size < 3) problems.push("S3, REST and admin need a port each");
  const dataDir = resolve(environment["COFFER_DATA_DIR"] || "data");
  const secretsDir = resolve(environment["COFFER_SECRETS_DIR"] || "secrets");
  if (isWithin(secretsDir, dataDir)) {
    problems.push(
      "COFFER_SECRETS_DIR must not lie in COFFER_DATA_DIR: a key ring is no protection on the volume that it protects",
    );
  }
  if (problems.length > 0) return { kind: "wrong", problems };
  return { kind: "run", settings: { folder: resolve(args[0] ?? DEFAULT_FOLDER), dataDir, secretsDir, ports } };
}

/** A path as a person would type it from here. */
export function shownPath(path: string): string {
  const short = relative("", path);
  return short === "" || short.startsWith("..") || isAbsolute(short) ? path : short;
}

function isWithin(inner: string, outer: string): boolean {
  const path = relative(outer, inner);
  return path === "" || (!path.startsWith("..") && !isAbsolute(path));
}

function portOf(
  environment: Readonly<Record<string, string | undefined>>,
  name: string,
  otherwise: number,
  problems: string[],
): number {
  const text = environment[name];
  if (text === undefined || text === "") return otherwise;
  const port = Number(text);
  if (Number.isInteger(port) && port >= 1 && port <= 65_535) return port;
  problems.push(`${name} must be a port from 1 to 65535`);
  return otherwise;
}
