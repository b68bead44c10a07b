// The files that an application reads its credentials from: lines that a shell, `docker --env-file` and
// `node --env-file` understand alike. The same keys stand in a Secret where there is a cluster.

import { join } from "node:path";
import { ACCESS_KEYS, accessFileName, REGION } from "../../crds/names.ts";
import { type Pair, type SecretSeen, tokenOf } from "../compile/compile.ts";
import { readIfThere, removeDurably, writeDurably } from "./durable.ts";
import type { Urls } from "./hints.ts";
import { shownPath } from "./settings.ts";

/** What stands beside the pair. A credential for no single bucket names none. */
export interface AccessSurroundings {
  readonly s3Url: string;
  readonly restUrl: string;
  readonly region: string;
  readonly bucketName: string | undefined;
}

/** Where the store is reached from this machine. */
export function surroundingsOf(urls: Urls, bucketName: string | undefined): AccessSurroundings {
  return { s3Url: urls.s3, restUrl: urls.rest, region: REGION, bucketName };
}

const FILE_MODE = 0o600;

export function accessPath(folder: string, resource: string, entry: string): string {
  return join(folder, accessFileName(resource, entry));
}

export function printAccessFile(pair: Pair, around: AccessSurroundings): string {
  const lines = [
    [ACCESS_KEYS.s3Endpoint, around.s3Url],
    [ACCESS_KEYS.region, around.region],
    [ACCESS_KEYS.defaultRegion, around.region],
    [ACCESS_KEYS.accessKeyId, pair.accessKeyId],
    [ACCESS_KEYS.secretAccessKey, pair.secret],
    ...(around.bucketName === undefined ? [] : [[ACCESS_KEYS.bucketName, around.bucketName]]),
    [ACCESS_KEYS.restUrl, around.restUrl],
    [ACCESS_KEYS.token, tokenOf(pair)],
  ];
  return `${lines.map(([name, value]) => `${name}=${value}`).join("\n")}\n`;
}

/** What stands at the place of one access entry. A file in which no pair can be found is somebody else's. */
export async function seeAccessFile(path: string, around: AccessSurroundings): Promise<SecretSeen> {
  const text = await readIfThere(path);
  if (text === undefined) return { kind: "absent" };
  const accessKeyId = lineValue(text, ACCESS_KEYS.accessKeyId);
  const secret = lineValue(text, ACCESS_KEYS.secretAccessKey);
  if (accessKeyId === undefined || secret === undefined) return { kind: "foreign", place: shownPath(path) };
  const pair = { accessKeyId, secret };
  return { kind: "pair", pair, isTidy: text === printAccessFile(pair, around) };
}

export async function writeAccessFile(path: string, pair: Pair, around: AccessSurroundings): Promise<void> {
  await writeDurably(path, printAccessFile(pair, around), FILE_MODE);
}

export async function removeAccessFile(path: string): Promise<void> {
  await removeDurably(path);
}

/** Only what the configuration takes: a pair that it refuses would take everything else down with it. */
function lineValue(text: string, name: string): string | undefined {
  const line = text.split(/\r?\n/).find((one) => one.startsWith(`${name}=`));
  const value = line?.slice(name.length + 1);
  return value !== undefined && /^[A-Za-z0-9_-]{16,128}$/.test(value) ? value : undefined;
}
