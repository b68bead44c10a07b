/**
 * One page of names in order, each with what its envelope says. One that does not open fails the page: it is never left out.
 * Opening is a pure function of what is stored and of the keys, so what is stored as it was when it was sealed or opened
 * here, and whose key is still to be had, is not opened again. The key is asked for each time.
 */
import { setImmediate } from "node:timers/promises";
import { sameBytes } from "../../envelope/bytes.ts";
import { admit } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import type { BucketKey } from "../keys/keys.ts";
import type { After, Entry } from "../storage/storage.ts";
import { completeContents } from "./bodies.ts";
import { digestOf, type KeyMark, markOf } from "./listed.ts";
import { checkMarker, listableOf, listedOf, openListed } from "./records.ts";
import type { Room } from "./room.ts";
import type { ListedObject, Listing, ListQuery } from "./store.ts";

/** Opened without letting others run: about two milliseconds. */
const OPENED_AT_ONCE = 128;

export async function listObjects(room: Room, call: Call, bucketName: string, query: ListQuery): Promise<Listing> {
  const bucket = admit(call, bucketName, "ListObjects", room.nowMs());
  const { prefix, delimiter, limit } = query;
  const after = afterOf(query);
  const asked = { prefix, delimiter: delimiter === "" ? undefined : delimiter, after, limit };
  const page = await room.storage.list(bucketName, asked, call.signal);
  const objects = await openPage(room, call, bucket, page.items);
  return { objects, prefixes: page.prefixes, truncated: page.next !== undefined, last: lastOf(objects, page.prefixes) };
}

/** Throws for the first that does not open, as if nothing were remembered. */
async function openPage(
  room: Room,
  call: Call,
  bucket: BucketEntry,
  entries: readonly Entry[],
): Promise<ListedObject[]> {
  const page = new PageOpening(room, call, bucket);
  for (const entry of entries) {
    const digest = digestOf(entry);
    const known = digest === undefined ? undefined : room.listed.get(digest, entry.ref);
    // Most need no promise, and a page has a thousand.
    const held = known !== undefined && page.holds(known.key);
    if (known !== undefined && (held instanceof Promise ? await held : held)) {
      page.objects.push(known.object);
    } else {
      await page.open(entry, digest);
    }
  }
  room.metrics?.listed(entries.length - page.opened, page.opened, room.listed.bytes);
  return page.objects;
}

class PageOpening {
  readonly objects: ListedObject[] = [];
  opened = 0;
  readonly #room: Room;
  readonly #call: Call;
  readonly #bucket: BucketEntry;
  /** The key of the object before: nearly always it is the next one's too. */
  #keyBefore: BucketKey | undefined;
  /** A mark that the key before was seen to have. */
  #markBefore: KeyMark | undefined;

  constructor(room: Room, call: Call, bucket: BucketEntry) {
    this.#room = room;
    this.#call = call;
    this.#bucket = bucket;
  }

  /** Whether the key of that id is the one that was marked. Throws where none of that id can be had. */
  holds(mark: KeyMark): boolean | Promise<boolean> {
    if (mark === this.#markBefore) return true;
    if (this.#keyBefore !== undefined && sameBytes(this.#keyBefore.id, mark.id)) {
      return this.#isMarked(this.#keyBefore, mark);
    }
    const key = this.#room.keys.byId(this.#call, this.#bucket, mark.id);
    return key instanceof Promise ? key.then((opened) => this.#isMarked(opened, mark)) : this.#isMarked(key, mark);
  }

  #isMarked(key: BucketKey, mark: KeyMark): boolean {
    this.#keyBefore = key;
    this.#markBefore = sameBytes(markOf(key).fingerprint, mark.fingerprint) ? mark : undefined;
    return this.#markBefore !== undefined;
  }

  async open(entry: Entry, digest: string | undefined): Promise<void> {
    this.opened += 1;
    if (this.opened % OPENED_AT_ONCE === 0) await setImmediate();
    this.#call.signal.throwIfAborted();
    if (entry.marker) return checkMarker(this.#room, this.#call, this.#bucket, entry);
    const opening = openListed(this.#room, this.#call, this.#bucket, entry, this.#keyBefore);
    const opened = opening instanceof Promise ? await opening : opening;
    const completing = completeContents(this.#room, this.#call, this.#bucket, opened);
    const { contents, bucketKey } = completing instanceof Promise ? await completing : completing;
    this.#keyBefore = bucketKey;
    this.#markBefore = undefined;
    const listable = listableOf(contents);
    this.objects.push(listedOf(entry.ref, listable));
    // Else it was read from behind the body, which the digest does not cover.
    const isInEnvelope = opened.contents.bodyHead !== undefined;
    if (digest !== undefined && isInEnvelope) this.#room.listed.put(digest, markOf(bucketKey), listable);
  }
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
export function lastOf(objects: readonly ListedObject[], prefixes: readonly string[]): string | undefined {
  const [name, prefix] = [objects.at(-1)?.ref.name, prefixes.at(-1)];
  if (name === undefined || prefix === undefined) return name ?? prefix;
  return Buffer.compare(Buffer.from(name), Buffer.from(prefix)) > 0 ? name : prefix;
}
