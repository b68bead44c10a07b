/**
 * One file for each credential, from which an application takes it: `NAME=value` lines for a shell, `docker --env-file`
 * and `node --env-file`. For a credential without a pair of its own the file is also where the pair is remembered.
 */
import { randomBytes, randomUUID } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { ConfigError } from "../config/config.ts";
import type { StandaloneWish, WishedCredential } from "../config/sources.ts";
import { credentialName, type Pair, tokenOf } from "../config/standalone-config.ts";
import { codeOf } from "./ring.ts";

/** Where applications on this machine reach the store. */
export interface Urls {
  readonly s3: string;
  readonly rest: string;
}

export interface Access {
  /** Of all credentials that bring none, by `credentialName`: found, or made and kept nowhere yet. */
  readonly pairs: ReadonlyMap<string, Pair>;
  readonly files: readonly AccessFile[];
}

interface AccessFile {
  readonly path: string;
  readonly text: string;
  /** Holds a pair that stands nowhere else. */
  readonly isNeeded: boolean;
}

const FILE_MODE = 0o600;
const FOLDER_MODE = 0o700;

export function accessPath(secretsDir: string, bucket: string | undefined, entry: string): string {
  return join(secretsDir, "access", `${credentialName(bucket, entry)}.env`);
}

/** Writes nothing. Throws ConfigError where a pair can be neither found nor made. */
export async function findAccess(wish: StandaloneWish, secretsDir: string, urls: Urls): Promise<Access> {
  const pairs = new Map<string, Pair>();
  const files: AccessFile[] = [];
  const problems: string[] = [];
  const ofBuckets = wish.buckets.flatMap(({ name, access }) => access.map((credential) => ({ credential, name })));
  for (const { credential, name } of [{ credential: wish.admin, name: undefined }, ...ofBuckets]) {
    const path = accessPath(secretsDir, name, credential.entry);
    try {
      const before = await readIfThere(path);
      const found = credential.pair ?? pairIn(before);
      const pair = found ?? newPair(before, path);
      if (credential.pair === undefined) pairs.set(credentialName(name, credential.entry), pair);
      const text = printAccess(credential, pair, name, wish.region, urls);
      if (text !== before) files.push({ path, text, isNeeded: found === undefined });
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      problems.push(...error.problems);
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return { pairs, files };
}

/**
 * Of a configuration that was judged whole: what a refused one says stays out of every file. Returns, in words, which
 * files could not be written that nobody needs for the store to work; throws ConfigError where one is needed.
 */
export async function writeAccessFiles(files: readonly AccessFile[]): Promise<readonly string[]> {
  const warnings: string[] = [];
  // First those that can be refused, so that none of the others was replaced by then.
  for (const { path, text, isNeeded } of files.toSorted((a, b) => Number(b.isNeeded) - Number(a.isNeeded))) {
    try {
      await writeDurably(path, text);
    } catch (error) {
      const words = `${path} (COFFER_SECRETS_DIR) cannot be written: ${codeOf(error)}`;
      if (isNeeded) throw new ConfigError([words]);
      warnings.push(words);
    }
  }
  return warnings;
}

function printAccess(
  { token }: WishedCredential,
  pair: Pair,
  bucket: string | undefined,
  region: string,
  urls: Urls,
): string {
  const lines = [
    ["AWS_ENDPOINT_URL_S3", urls.s3],
    ["AWS_REGION", region],
    ["AWS_DEFAULT_REGION", region],
    ["AWS_ACCESS_KEY_ID", pair.accessKeyId],
    ["AWS_SECRET_ACCESS_KEY", pair.secret],
    ...(bucket === undefined ? [] : [["BUCKET_NAME", bucket]]),
    ["COFFER_REST_URL", urls.rest],
    ["COFFER_TOKEN", token ?? tokenOf(pair)],
  ];
  return `${lines.map(([name, value]) => `${name}=${value}`).join("\n")}\n`;
}

function pairIn(text: string | undefined): Pair | undefined {
  const accessKeyId = /^AWS_ACCESS_KEY_ID=([A-Za-z0-9_-]{3,128})$/m.exec(text ?? "")?.[1];
  const secret = /^AWS_SECRET_ACCESS_KEY=([!-~]{8,256})$/m.exec(text ?? "")?.[1];
  return accessKeyId === undefined || secret === undefined ? undefined : { accessKeyId, secret };
}

/** Never over a file that somebody else put there. */
function newPair(before: string | undefined, path: string): Pair {
  if (before !== undefined) throw new ConfigError([`${path}: holds no pair of keys: restore it, or take it away`]);
  return { accessKeyId: `CF${randomBytes(9).toString("hex").toUpperCase()}`, secret: randomBytes(30).toString("hex") };
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw new ConfigError([`${path} cannot be read: ${codeOf(error)}`]);
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  const folder = dirname(path);
  await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  const draft = join(folder, `.${randomUUID()}.draft`);
  try {
    const handle = await open(draft, "wx", FILE_MODE);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
