/**
 * Conditions of reads and writes, judged on what is there: pure. A write's verdict is held by a tag until its commit,
 * which is the writer's work.
 */
import { Failure } from "../failure.ts";
import type { Expect } from "../storage/storage.ts";
import type { ReadConditions, WriteConditions } from "./store.ts";

/** What conditions look at. `etag` without quotes. */
export interface Judged {
  readonly etag: string;
  readonly modifiedMs: number;
}

/** Throws PreconditionFailed or NotModified (with its ETag and Last-Modified); returns if the object may be answered. */
export function judgeRead(conditions: ReadConditions, found: Judged): void {
  const { ifMatch, ifNoneMatch, ifModifiedSinceMs, ifUnmodifiedSinceMs } = conditions;
  if (ifMatch !== undefined) {
    if (!names(ifMatch, found.etag)) throw preconditionFailed("If-Match");
  } else if (ifUnmodifiedSinceMs !== undefined && seconds(found.modifiedMs) > seconds(ifUnmodifiedSinceMs)) {
    throw preconditionFailed("If-Unmodified-Since");
  }
  if (ifNoneMatch !== undefined) {
    if (names(ifNoneMatch, found.etag)) throw notModified(found);
  } else if (ifModifiedSinceMs !== undefined && seconds(found.modifiedMs) <= seconds(ifModifiedSinceMs)) {
    throw notModified(found);
  }
}

/** Whether a write is bound to what it finds. */
export function isConditional(conditions: WriteConditions): boolean {
  return conditions.ifMatch !== undefined || conditions.ifNoneMatch !== undefined;
}

/**
 * What the commit has to expect, given what is there now: its tag and ETag, or undefined for nothing. Throws
 * PreconditionFailed, NoSuchKey (If-Match on nothing) or NotImplemented (both at once).
 */
export function judgeWrite(
  conditions: WriteConditions,
  found: { readonly tag: string; readonly etag: string } | undefined,
): Expect | undefined {
  const { ifMatch, ifNoneMatch } = conditions;
  if (ifMatch !== undefined && ifNoneMatch !== undefined) {
    throw new Failure("NotImplemented", "If-Match and If-None-Match together are not supported for a write");
  }
  if (ifNoneMatch !== undefined) {
    if (found !== undefined) throw preconditionFailed("If-None-Match");
    return "absent";
  }
  if (ifMatch === undefined) return undefined;
  if (found === undefined) throw new Failure("NoSuchKey", "If-Match was given, but the object does not exist");
  if (!names([ifMatch], found.etag)) throw preconditionFailed("If-Match");
  return found.tag;
}

function names(etags: readonly string[], etag: string): boolean {
  return etags.includes(etag) || etags.includes("*");
}

/** Answers show whole seconds, so whole seconds are compared. */
function seconds(ms: number): number {
  return Math.floor(ms / 1000);
}

function preconditionFailed(condition: string): Failure {
  return new Failure("PreconditionFailed", `The condition ${condition} does not hold`);
}

function notModified(found: Judged): Failure {
  const headers = { ETag: `"${found.etag}"`, "Last-Modified": new Date(found.modifiedMs).toUTCString() };
  return new Failure("NotModified", "The object has not been modified", { headers });
}
