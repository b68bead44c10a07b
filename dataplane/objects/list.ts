/** One page of names in order, each with what its envelope says. One that does not open fails the page: it is never left out. */
import { setImmediate } from "node:timers/promises";
import { admit } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import type { BucketKey } from "../keys/keys.ts";
import type { After } from "../storage/storage.ts";
import { completeContents } from "./bodies.ts";
import { checkMarker, infoOf, openListed } from "./records.ts";
import type { Room } from "./room.ts";
import type { Listing, ListQuery, ObjectInfo } from "./store.ts";

/** Opened without letting others run: about two milliseconds. */
const OPENED_AT_ONCE = 128;

export async function listObjects(room: Room, call: Call, bucketName: string, query: ListQuery): Promise<Listing> {
  const bucket = admit(call, bucketName, "ListObjects", room.nowMs());
  const { prefix, delimiter, limit } = query;
  const after = afterOf(query);
  const asked = { prefix, delimiter: delimiter === "" ? undefined : delimiter, after, limit };
  const page = await room.storage.list(bucketName, asked, call.signal);
  const objects: ObjectInfo[] = [];
  let keyBefore: BucketKey | undefined;
  for (const [index, entry] of page.items.entries()) {
    if (index % OPENED_AT_ONCE === OPENED_AT_ONCE - 1) await setImmediate();
    call.signal.throwIfAborted();
    if (entry.marker) {
      await checkMarker(room, call, bucket, entry);
      continue;
    }
    const opened = openListed(room, call, bucket, entry, keyBefore);
    const object = completeContents(room, call, bucket, opened instanceof Promise ? await opened : opened);
    const { contents, bucketKey } = object instanceof Promise ? await object : object;
    keyBefore = bucketKey;
    objects.push(infoOf(entry.ref, contents, bucketKey));
  }
  return { objects, prefixes: page.prefixes, truncated: page.next !== undefined, last: lastOf(objects, page.prefixes) };
}

/** Behind a common prefix all below it is skipped, behind a name only that name. */
export function afterOf({
  prefix,
  delimiter,
  after,
}: Pick<ListQuery, "prefix" | "delimiter" | "after">): After | undefined {
  if (after === "") return undefined;
  return { skip: isCommonPrefix(after, prefix, delimiter) ? "prefix" : "name", name: after };
}

function isCommonPrefix(after: string, prefix: string, delimiter: string): boolean {
  if (delimiter === "" || !after.startsWith(prefix)) return false;
  const at = after.indexOf(delimiter, prefix.length);
  return at >= 0 && at + delimiter.length === after.length;
}

/** The greater of the last name and the last common prefix, by bytes. */
export function lastOf(objects: readonly ObjectInfo[], prefixes: readonly string[]): string | undefined {
  const [name, prefix] = [objects.at(-1)?.ref.name, prefixes.at(-1)];
  if (name === undefined || prefix === undefined) return name ?? prefix;
  return Buffer.compare(Buffer.from(name), Buffer.from(prefix)) > 0 ? name : prefix;
}
