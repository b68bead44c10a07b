// Answers a reference to a key of a Secret or ConfigMap: by a document of the folder, else by `secrets/<name>/<key>`.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { UnresolvedReason } from "../kmsprovider/plan.ts";
import { errorCode } from "./durable.ts";
import type { SecretDocument } from "./records.ts";
import { shownPath } from "./settings.ts";

export type Referred =
  | { readonly bytes: Uint8Array; readonly place: string }
  | { readonly reason: UnresolvedReason; readonly message: string };

/** `kind`, `name` and `key` as the schema lets them through. */
export async function findReferred(
  { kind, name, key }: { readonly kind: SecretDocument["kind"]; readonly name: string; readonly key: string },
  documents: readonly SecretDocument[],
  secretsDir: string,
): Promise<Referred> {
  const document = documents.find((one) => one.kind === kind && one.name === name);
  if (document !== undefined) {
    const bytes = document.values.get(key);
    if (bytes !== undefined) return { bytes, place: `${kind} "${name}"` };
    return { reason: `${kind}KeyMissing`, message: `${kind} "${name}" has no key "${key}"` };
  }
  const path = join(secretsDir, name, key);
  // A key may consist of dots, and then is a folder.
  if (/^\.+$/.test(key)) return { reason: `${kind}KeyMissing`, message: `"${key}" cannot be the name of a file` };
  try {
    return { bytes: await readFile(path), place: shownPath(path) };
  } catch (error) {
    const code = errorCode(error);
    const why = code === "ENOENT" ? "there is none" : `it cannot be read (${code})`;
    const message = `${kind} "${name}" with key "${key}" is wanted as a document of the folder or as ${shownPath(path)}: ${why}`;
    return { reason: `${kind}NotFound`, message };
  }
}
