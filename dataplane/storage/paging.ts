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
  name(item: Item): string;
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

/** The common prefix that a name falls under, if any. Text is well-formed: what it holds, its bytes hold in the same order. */
function commonPrefix(name: string, prefix: string, delimiter: string | undefined): string | undefined {
  if (delimiter === undefined) {
    return undefined;
  }
  const at = name.indexOf(delimiter, prefix.length);
  return at < 0 ? undefined : name.slice(0, at + delimiter.length);
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
  const { prefix } = query;
  const prefixBytes = Buffer.from(prefix);
  const delimiter = query.delimiter === "" ? undefined : query.delimiter;
  let from = firstPosition(prefixBytes, query.after);
  /** What the page ends with so far: an item, or a common prefix. */
  let last: { readonly item: Item } | { readonly prefix: string } | undefined;
  const afterLast = (): After | undefined => {
    if (last === undefined) return undefined;
    return "item" in last ? listed.after(last.item) : { skip: "prefix", name: last.prefix };
  };
  let count = delimiter === undefined ? query.limit + 1 : 8;
  for (;;) {
    const batch = scan(from, count);
    let collapsed: string | undefined;
    for (const item of batch) {
      const name = listed.name(item);
      if (collapsed !== undefined && name.startsWith(collapsed)) {
        continue;
      }
      if (!name.startsWith(prefix)) {
        return page(undefined);
      }
      if (items.length + prefixes.length === query.limit) {
        return page(afterLast());
      }
      collapsed = commonPrefix(name, prefix, delimiter);
      if (collapsed === undefined) {
        items.push(item);
        last = { item };
      } else {
        prefixes.push(collapsed);
        last = { prefix: collapsed };
      }
    }
    if (batch.length < count || last === undefined) {
      return page(undefined);
    }
    from = firstPosition(prefixBytes, afterLast());
    count = collapsed === undefined ? Math.min(count * 2, query.limit + 1 - items.length - prefixes.length) : 1;
  }
}
