// What S3 says that a bucket is, in memory: names to objects, uploads to parts, and how names are listed. The store is held
// against it.

export interface Stored {
  readonly body: Buffer;
  readonly etag: string;
  readonly contentType: string;
}

export interface PartStored {
  readonly body: Buffer;
  readonly etag: string;
}

export interface OpenUpload {
  readonly name: string;
  readonly uploadId: string;
  readonly contentType: string;
  readonly parts: Map<number, PartStored>;
}

export interface ListAsked {
  readonly prefix: string;
  readonly delimiter: string;
  readonly pageSize: number;
  /** Where the listing begins; "" at its beginning. */
  readonly after: string;
}

export interface ListPage {
  readonly names: readonly string[];
  readonly prefixes: readonly string[];
  readonly truncated: boolean;
}

export class Model {
  readonly objects = new Map<string, Stored>();
  readonly uploads: OpenUpload[] = [];

  names(): readonly string[] {
    return [...this.objects.keys()].toSorted(byBytes);
  }

  /** All pages, each with as many names and common prefixes as it holds; a common prefix stands once in all of them. */
  pages(asked: ListAsked): readonly ListPage[] {
    const { prefix, delimiter, pageSize, after } = asked;
    const skipsBelow = isCommonPrefix(asked);
    const shown: { readonly text: string; readonly isPrefix: boolean }[] = [];
    for (const name of this.names()) {
      if (!name.startsWith(prefix) || byBytes(name, after) <= 0) continue;
      if (skipsBelow && name.startsWith(after)) continue;
      const at = delimiter === "" ? -1 : name.indexOf(delimiter, prefix.length);
      const text = at < 0 ? name : name.slice(0, at + delimiter.length);
      if (at >= 0 && shown.some((one) => one.isPrefix && one.text === text)) continue;
      shown.push({ text, isPrefix: at >= 0 });
    }
    const pages: ListPage[] = [];
    for (let from = 0; from === 0 || from < shown.length; from += pageSize) {
      const page = shown.slice(from, from + pageSize);
      pages.push({
        names: page.filter(({ isPrefix }) => !isPrefix).map(({ text }) => text),
        prefixes: page.filter(({ isPrefix }) => isPrefix).map(({ text }) => text),
        truncated: from + pageSize < shown.length,
      });
    }
    return pages;
  }
}

/** As UTF-8, which is another order than that of JavaScript's text beyond U+FFFF. */
function byBytes(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

/** Whether a listing would show where it begins as a common prefix. */
export function isCommonPrefix({ prefix, delimiter, after }: ListAsked): boolean {
  if (delimiter === "" || !after.startsWith(prefix)) return false;
  const at = after.indexOf(delimiter, prefix.length);
  return at >= 0 && at + delimiter.length === after.length;
}
