// Keeps what is applied, with its status, in one JSON file a resource: for a person to look at, and to go on from after a
// restart. A file reads as `kubectl get -o json` would, and says besides which file the resource came from.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { AnyResource } from "../../crds/kinds.ts";
import { statusProblems } from "../../crds/validate.ts";
import { readIfThere, writeDurably } from "./durable.ts";
import { type AppliedRecord, type Records, recordKey } from "./records.ts";

const FILE_MODE = 0o644;

/** Files that are none of ours are reported, and left alone. */
export async function readStatusFiles(folder: string): Promise<{ records: Records; problems: readonly string[] }> {
  const records = new Map<string, AppliedRecord>();
  const problems: string[] = [];
  for (const name of (await readdir(folder)).filter((one) => one.endsWith(".json")).sort()) {
    const record = parseRecord(await readIfThere(join(folder, name)), name);
    if (record === undefined) problems.push(`${join(folder, name)} cannot be read: the resource begins anew`);
    else records.set(recordKey(record.object.kind, record.object.metadata.name), record);
  }
  return { records, problems };
}

/** Durable when it resolves: an intent must stand before it is acted upon. */
export async function writeStatusFile(folder: string, record: AppliedRecord): Promise<void> {
  const { apiVersion, kind, metadata, spec, status } = record.object;
  const from = { ...(record.file === undefined ? {} : { file: record.file }), gone: record.isGone };
  const text = `${JSON.stringify({ apiVersion, kind, metadata, spec, status, from }, undefined, 2)}\n`;
  await writeDurably(join(folder, `${recordKey(kind, metadata.name)}.json`), text, FILE_MODE);
}

function parseRecord(text: string | undefined, name: string): AppliedRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text ?? "");
  } catch {
    // undefined is what becomes of text that is no JSON.
    return undefined;
  }
  const { from, ...object } = value as { from?: { file?: unknown; gone?: unknown } } & AnyResource;
  const isOurs =
    typeof object.kind === "string" &&
    typeof object.metadata?.name === "string" &&
    typeof object.spec === "object" &&
    typeof object.status === "object" &&
    `${recordKey(object.kind, object.metadata.name)}.json` === name &&
    statusProblems(object.kind, object.status).length === 0;
  if (!isOurs) return undefined;
  return {
    object: object as AnyResource,
    file: typeof from?.file === "string" ? from.file : undefined,
    isGone: from?.gone === true,
  };
}
