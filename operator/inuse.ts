// Whether a resource may go: while others name it, a finalizer holds it, and a condition says who they are. Pure.

import type { Condition, Metadata } from "../crds/kind.ts";
import { FINALIZERS } from "../crds/names.ts";
import type { KindName } from "../crds/reasons.ts";
import { no, withDeletion, yes } from "./conditions.ts";

interface Held {
  readonly metadata: Metadata;
  readonly status: { readonly conditions?: readonly Condition[] };
}

const NAMED_MAX = 5;

/** The finalizers that it should have; undefined: those that it has. `users` in words, as `EncryptedBucket "photos"`. */
export function inUseFinalizers({ metadata }: Held, users: readonly string[]): string[] | undefined {
  const { finalizers = [], deletionTimestamp } = metadata;
  const isHeld = finalizers.includes(FINALIZERS.inUse);
  if (users.length > 0 && !isHeld && deletionTimestamp === undefined) return [...finalizers, FINALIZERS.inUse];
  if (users.length === 0 && isHeld) return finalizers.filter((finalizer) => finalizer !== FINALIZERS.inUse);
  return undefined;
}

/** The conditions, and DeletionBlocked while somebody wants it gone that others name. */
export function withDeletionBlocked<Kind extends KindName>(
  resource: Held,
  conditions: readonly Condition<Kind>[],
  users: readonly string[],
  observedGeneration: number,
  now: Date,
): Condition<Kind>[] {
  const isBlocked = resource.metadata.deletionTimestamp !== undefined && users.length > 0;
  const verdict = isBlocked
    ? yes("DeletionBlocked", "InUse", `It goes when nothing names it any more: ${usersWords(users)}`)
    : no("DeletionBlocked", "InUse", "");
  return withDeletion(resource, conditions, verdict, observedGeneration, now);
}

function usersWords(users: readonly string[]): string {
  const named = users.slice(0, NAMED_MAX).join(", ");
  return users.length > NAMED_MAX ? `${named} and ${users.length - NAMED_MAX} more` : named;
}
