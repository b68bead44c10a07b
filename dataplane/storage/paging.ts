/* One page of an ordered listing, for the adapters that hold their own order: prefix, delimiter, continuation.
 * The adapter brings a scan by position; where a common prefix begins, the next scan starts behind its last name. */

import type { After, ListQuery, Page } from "./storage.ts";

/** Where a scan starts: at `name` or, not inclusive, behind it; with an upload id, behind that upload of the name. */
export interface Position {
  readonly name: Buffer;
  readonly inclusive: boolean;
  readonly uploadId: string | undefined;
}

/** At most `count` items, ordered, from that position on. */
export type Scan<Item> = (from: Position, count: number) => readonly Item[];

export interface Listed<Item> {
  nameBytes(item: Item): Uint8Array;
  after(item: Item): After;
}

/** The smallest name above all that begin with these bytes. UTF-8 has no byte 0xff, so the last one can be raised. */
function behindPrefix(prefix: Buffer): Buffer {
  const behind = Buffer.from(prefix);
  const last = behind.length - 1;
  behind[last] = (behind[last] ?? 0) + 1;
  return behind;
}

function firstPosition(prefix: Buffer, after: After | undefined): Position {
  const start: Position = { name: prefix, inclusive: true, uploadId: undefined };
  if (after === undefined || (after.skip === "prefix" && after.name === "")) {
    return start;
  }
  const name = Buffer.from(after.name);
  if (after.skip === "prefix") {
    const behind = behindPrefix(name);
    return behind.compare(prefix) > 0 ? { name: behind, inclusive: true, uploadId: undefined } : start;
  }
  if (name.compare(prefix) < 0) {
    return start;
  }
  return { name, inclusive: false, uploadId: after.skip === "upload" ? after.uploadId : undefined };
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return bytes.length >= prefix.length && Buffer.compare(bytes.subarray(0, prefix.length), prefix) === 0;
}

/** The common prefix that a name falls under, if any. */
function commonPrefix(name: Uint8Array, prefixBytes: number, delimiter: Buffer | undefined): Buffer | undefined {
  if (delimiter === undefined) {
    return undefined;
  }
  const bytes = Buffer.from(name.buffer, name.byteOffset, name.byteLength);
  const at = bytes.indexOf(delimiter, prefixBytes);
  return at < 0 ? undefined : bytes.subarray(0, at + delimiter.length);
}

/** Reads what the page shows and one item more. After a common prefix it scans one item, then doubles: a level of
 *  nothing but prefixes costs one seek each, a level of names one scan. */
export function pageOf<Item>(query: ListQuery, scan: Scan<Item>, listed: Listed<Item>): Page<Item> {
  const items: Item[] = [];
  const prefixes: string[] = [];
  const page = (next: After | undefined): Page<Item> => ({ items, prefixes, next });
  if (query.limit <= 0) {
    return page(undefined);
  }
  const prefix = Buffer.from(query.prefix);
  const delimiter = query.delimiter ? Buffer.from(query.delimiter) : undefined;
  let from = firstPosition(prefix, query.after);
  /** What the page ends with so far: an item, or a common prefix. */
  let last: { readonly item: Item } | { readonly prefix: string } | undefined;
  const afterLast = (): After | undefined => {
    if (last === undefined) return undefined;
    return "item" in last ? listed.after(last.item) : { skip: "prefix", name: last.prefix };
  };
  let count = delimiter === undefined ? query.limit + 1 : 8;
  for (;;) {
    const batch = scan(from, count);
    let collapsed: Buffer | undefined;
    for (const item of batch) {
      const name = listed.nameBytes(item);
      if (collapsed !== undefined && startsWith(name, collapsed)) {
        continue;
      }
      if (!startsWith(name, prefix)) {
        return page(undefined);
      }
      if (items.length + prefixes.length === query.limit) {
        return page(afterLast());
      }
      collapsed = commonPrefix(name, prefix.length, delimiter);
      if (collapsed === undefined) {
        items.push(item);
        last = { item };
      } else {
        const text = collapsed.toString();
        prefixes.push(text);
        last = { prefix: text };
      }
    }
    if (batch.length < count || last === undefined) {
      return page(undefined);
    }
    from = firstPosition(prefix, afterLast());
    count = collapsed === undefined ? Math.min(count * 2, query.limit + 1 - items.length - prefixes.length) : 1;
  }
}
