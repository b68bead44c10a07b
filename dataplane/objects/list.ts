/**
 * One page of names in order, each with what its envelope says. One that does not open fails the page: it is never left out.
 * Opening is a pure function of what is stored and of the keys, so a run of names that is stored as it was, and whose keys
 * are still to be had, is not opened again. The keys are asked for each time.
 */
import { setImmediate } from "node:timers/promises";
import { sameBytes } from "../../envelope/bytes.ts";
import { fingerprintOf } from "../../envelope/head.ts";
import { admit } from "../buckets/buckets.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import type { BucketKey } from "../keys/keys.ts";
import type { After, Entry } from "../storage/storage.ts";
import { completeContents } from "./bodies.ts";
import { checkMarker, listedOf, openListed } from "./records.ts";
import type { Room } from "./room.ts";
import { decodeRun, encodeRun, type KeyMark, keysOfRun, runAt } from "./runs.ts";
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
  const page = new PageOpening(room, call, bucket, entries);
  for (let start = 0; start < entries.length; ) {
    const { end, digest } = runAt(bucket.name, entries, start);
    const known = digest === undefined ? undefined : room.listed.get(digest);
    if (known === undefined || !(await page.recall(known, start, end))) {
      const opened = await page.open(start, end);
      if (digest !== undefined && opened !== undefined) room.listed.put(digest, opened);
    }
    start = end;
  }
  room.metrics?.listed(page.recalled, page.opened, room.listed.bytes);
  return page.objects;
}

class PageOpening {
  readonly objects: ListedObject[] = [];
  recalled = 0;
  opened = 0;
  readonly #room: Room;
  readonly #call: Call;
  readonly #bucket: BucketEntry;
  readonly #entries: readonly Entry[];
  /** The key of the object before: nearly always it is the next one's too. */
  #keyBefore: BucketKey | undefined;

  constructor(room: Room, call: Call, bucket: BucketEntry, entries: readonly Entry[]) {
    this.#room = room;
    this.#call = call;
    this.#bucket = bucket;
    this.#entries = entries;
  }

  /** False where one of its keys is another by now. Throws where one cannot be had. */
  async recall(run: Buffer, start: number, end: number): Promise<boolean> {
    this.#call.signal.throwIfAborted();
    for (const { id, fingerprint } of keysOfRun(run)) {
      if (this.#keyBefore === undefined || !sameBytes(this.#keyBefore.id, id)) {
        this.#keyBefore = await this.#room.keys.byId(this.#call, this.#bucket, id);
      }
      if (!sameBytes(markOf(this.#keyBefore).fingerprint, fingerprint)) return false;
    }
    decodeRun(run, this.#entries, start, end, this.objects);
    this.recalled += end - start;
    return true;
  }

  /** How the run is to be remembered, if it may be. */
  async open(start: number, end: number): Promise<Buffer | undefined> {
    const keys: KeyMark[] = [];
    const listedBefore = this.objects.length;
    let isInEnvelopes = true;
    for (let index = start; index < end; index += 1) {
      const entry = this.#entries[index] as Entry;
      this.opened += 1;
      if (this.opened % OPENED_AT_ONCE === 0) await setImmediate();
      this.#call.signal.throwIfAborted();
      if (entry.marker) {
        await checkMarker(this.#room, this.#call, this.#bucket, entry);
        continue;
      }
      const opening = openListed(this.#room, this.#call, this.#bucket, entry, this.#keyBefore);
      const opened = opening instanceof Promise ? await opening : opening;
      const completing = completeContents(this.#room, this.#call, this.#bucket, opened);
      const { contents, bucketKey } = completing instanceof Promise ? await completing : completing;
      // Else it was read from behind the body, which the digest does not cover.
      if (opened.contents.bodyHead === undefined) isInEnvelopes = false;
      this.#keyBefore = bucketKey;
      const mark = markOf(bucketKey);
      if (!keys.includes(mark)) keys.push(mark);
      this.objects.push(listedOf(entry.ref, contents));
    }
    return isInEnvelopes ? encodeRun(keys, this.objects.slice(listedBefore)) : undefined;
  }
}

/** Made once for each key that is opened. */
const marks = new WeakMap<BucketKey, KeyMark>();

function markOf(bucketKey: BucketKey): KeyMark {
  let mark = marks.get(bucketKey);
  if (mark === undefined) {
    mark = { id: bucketKey.id, fingerprint: fingerprintOf(bucketKey.key) };
    marks.set(bucketKey, mark);
  }
  return mark;
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
