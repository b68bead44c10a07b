// One row of the table of accepted and refused objects. The table is plain data, so that an API server can be asked the
// same questions.

import { API_VERSION } from "../names.ts";
import type { KindName } from "../reasons.ts";

/** What is applied, over what, and what comes of it: without `refused` it is accepted. */
export interface Case {
  readonly object: object;
  readonly before?: object;
  /** The field that is at fault, and a part of what is said of it. */
  readonly refused?: { readonly path: string; readonly says: string };
}

/** Keyed by a sentence. */
export type Cases = Readonly<Record<string, Case>>;

export function resource(kind: KindName, name: string, spec: object): object {
  return { apiVersion: API_VERSION, kind, metadata: { name, namespace: "team" }, spec };
}

/** A text of `length` characters. */
export function long(length: number, of = "a"): string {
  return of.repeat(length);
}

/** A map of `count` entries. */
export function wide(count: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, "v"]));
}
