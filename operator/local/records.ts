// What is applied: every resource as it was last accepted, with its status. Pure. A document that is refused leaves the
// resource as it was; one that is gone is kept as gone, so that a file which comes back goes on where it was.

import { isDeepStrictEqual } from "node:util";
import type { EncryptedBucket } from "../../crds/encryptedbucket.ts";
import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import { type AnyResource, KINDS } from "../../crds/kinds.ts";
import type { KmsProvider } from "../../crds/kmsprovider.ts";
import { GROUP } from "../../crds/names.ts";
import type { KindName } from "../../crds/reasons.ts";
import { validate } from "../../crds/validate.ts";
import { momentOf } from "../conditions.ts";
import type { FolderReading, PlacedDocument } from "./folder.ts";

export interface AppliedRecord {
  readonly object: AnyResource;
  /** Where it stood when it was last accepted; undefined: nobody wrote it, it was made. */
  readonly file: string | undefined;
  readonly isGone: boolean;
}

/** By `recordKey`. */
export type Records = ReadonlyMap<string, AppliedRecord>;

export interface Refusal {
  readonly file: string;
  readonly line: number | undefined;
  readonly reason: string;
}

/** A Secret or ConfigMap of the folder. */
export interface SecretDocument {
  readonly kind: "Secret" | "ConfigMap";
  readonly name: string;
  readonly values: ReadonlyMap<string, Uint8Array>;
}

export interface Applied {
  readonly records: Records;
  readonly refusals: readonly Refusal[];
  readonly secrets: readonly SecretDocument[];
  /** Resources that have just gone, or come back. */
  readonly gone: readonly AnyResource[];
}

export function recordKey(kind: KindName, name: string): string {
  return `${kind}.${name}`;
}

/** All that is there, by kind. A store that has gone from the folder goes on as it was. */
export function resourcesOf(records: Records): Resources {
  const present = [...records.values()].filter(({ object, isGone }) => !isGone || object.kind === "EncryptedStore");
  const objects = present.map(({ object }) => object);
  return {
    providers: objects.filter((object) => object.kind === "KmsProvider"),
    buckets: objects.filter((object) => object.kind === "EncryptedBucket"),
    stores: objects.filter((object) => object.kind === "EncryptedStore"),
  };
}

export interface Resources {
  readonly providers: readonly KmsProvider[];
  readonly buckets: readonly EncryptedBucket[];
  readonly stores: readonly EncryptedStore[];
}

/** `holding`: files whose resources stay though the documents are not there (yet). */
export function applyFolder(before: Records, reading: FolderReading, holding: ReadonlySet<string>, now: Date): Applied {
  const records = new Map(before);
  const refusals: Refusal[] = [...reading.broken].map(([file, complaint]) => ({ file, ...complaint }));
  const secrets: SecretDocument[] = [];
  const places = new Map<string, string>();
  const unclear = new Set([...reading.broken.keys(), ...holding]);
  for (const placed of reading.documents) {
    const outcome = applyDocument(placed, records, places, now);
    if (outcome === undefined) continue;
    if ("secret" in outcome) secrets.push(outcome.secret);
    else refusals.push(...outcome.refusals);
    // What cannot be told apart may have been any resource of the file.
    if ("isUnclear" in outcome && outcome.isUnclear) unclear.add(placed.file);
  }
  const gone: AnyResource[] = [];
  for (const [key, record] of records) {
    const { file } = record;
    if (record.isGone || file === undefined || places.has(key) || unclear.has(file)) continue;
    records.set(key, { ...record, isGone: true });
    gone.push(record.object);
  }
  return { records, refusals, secrets, gone };
}

type Outcome =
  | { readonly secret: SecretDocument }
  | { readonly refusals: readonly Refusal[]; readonly isUnclear: boolean }
  | undefined;

function applyDocument(
  { file, document }: PlacedDocument,
  records: Map<string, AppliedRecord>,
  places: Map<string, string>,
  now: Date,
): Outcome {
  const refuse = (reason: string, path = "", isUnclear = true): Outcome => ({
    refusals: [{ file, line: document.lineOf(path), reason }],
    isUnclear,
  });
  const { value } = document;
  if (!isObject(value)) return refuse("is no resource: a mapping with apiVersion, kind and metadata is wanted");
  const { apiVersion, kind, metadata } = value;
  if (typeof apiVersion !== "string") return refuse("apiVersion is missing", "apiVersion");
  const secretKind = apiVersion === "v1" && (kind === "Secret" || kind === "ConfigMap") ? kind : undefined;
  if (secretKind === undefined && apiVersion.split("/")[0] !== GROUP) return undefined;
  const name = isObject(metadata) ? metadata["name"] : undefined;
  if (typeof name !== "string" || typeof kind !== "string")
    return refuse("kind or metadata.name is missing", "metadata");
  const key = `${kind}.${name}`;
  const place = `${file}:${document.line}`;
  const first = places.get(key);
  if (first !== undefined) return refuse(`${kind} "${name}" stands already in ${first}`, "metadata.name", false);
  places.set(key, place);
  if (secretKind !== undefined) return secretOf(value, secretKind, name, refuse);
  if (!Object.hasOwn(KINDS, kind)) return refuse(`${apiVersion} has no kind ${kind}`, "kind");
  const known = records.get(key);
  const validated = validate(value, known === undefined || known.isGone ? undefined : known.object);
  if ("problems" in validated) {
    const refusals = validated.problems.map(({ path, message }) => ({
      file,
      line: document.lineOf(path),
      reason: path === "" ? message : `${path}: ${message}`,
    }));
    return { refusals, isUnclear: false };
  }
  records.set(key, { object: accepted(validated.object, known?.object, now), file, isGone: false });
  return undefined;
}

/** What the API server adds. A resource that comes back keeps its status: it was never told to forget. */
function accepted(object: AnyResource, known: AnyResource | undefined, now: Date): AnyResource {
  const { name, labels, annotations } = object.metadata;
  const generation = known?.metadata.generation ?? 0;
  const isChanged = known === undefined || !isDeepStrictEqual(known.spec, object.spec);
  const metadata = {
    name,
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
    generation: isChanged ? generation + 1 : generation,
    creationTimestamp: known?.metadata.creationTimestamp ?? momentOf(now),
  };
  return { ...object, metadata, status: known?.status ?? object.status } as AnyResource;
}

function secretOf(
  value: Readonly<Record<string, unknown>>,
  kind: SecretDocument["kind"],
  name: string,
  refuse: (reason: string, path: string, isUnclear: boolean) => Outcome,
): Outcome {
  const values = new Map<string, Uint8Array>();
  const base64Field = kind === "Secret" ? "data" : "binaryData";
  const textField = kind === "Secret" ? "stringData" : "data";
  for (const field of [base64Field, textField]) {
    const given = value[field] ?? {};
    if (!isObject(given)) return refuse(`${field}: must be a mapping`, field, false);
    for (const [key, text] of Object.entries(given)) {
      if (typeof text !== "string") return refuse(`${field}.${key}: must be a string`, `${field}.${key}`, false);
      if (field === base64Field && !/^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(text)) {
        return refuse(`${field}.${key}: must be base64`, `${field}.${key}`, false);
      }
      values.set(key, Buffer.from(text, field === base64Field ? "base64" : "utf8"));
    }
  }
  return { secret: { kind, name, values } };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
