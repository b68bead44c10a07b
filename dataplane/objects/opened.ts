/**
 * Objects whose envelope was opened, and a bounded memory of them: opening is a pure function of key, place and bytes, so
 * what was opened from equal bytes under the same bucket key need not be opened again. Who may use that key is asked before.
 */
import type { ReadContents } from "../../envelope/envelope.ts";
import type { SegmentOpener } from "../../envelope/segment.ts";
import type { BucketKey } from "../keys/keys.ts";
import type { Entry } from "../storage/storage.ts";

export interface OpenedObject {
  readonly entry: Entry;
  readonly contents: ReadContents<"object">;
  readonly bucketKey: BucketKey;
  readonly bodyId: Uint8Array;
  /** What all who read the body have in common, for as long as the envelope is remembered. */
  readonly shared: { opener?: SegmentOpener };
}

export interface OpenedMemory {
  get(entry: Entry, envelope: Uint8Array, bucketKey: BucketKey): OpenedObject | undefined;
  put(opened: OpenedObject, envelope: Uint8Array): void;
}

/** Not the entry: a small body may hang on it. */
interface Remembered extends Omit<OpenedObject, "entry"> {
  readonly envelope: Uint8Array;
}

/**
 * Forgets what was not asked for the longest, by halves: the older half goes as a whole once the younger is full. An
 * entry takes about three kilobytes.
 */
export function createOpenedMemory(entriesMax: number): OpenedMemory {
  let young = new Map<string, Remembered>();
  let old = new Map<string, Remembered>();
  const remember = (place: string, remembered: Remembered): void => {
    if (young.size >= entriesMax / 2) {
      old = young;
      young = new Map();
    }
    young.set(place, remembered);
  };
  return {
    get(entry, envelope, bucketKey) {
      const place = placeOf(entry);
      const isYoung = young.get(place);
      const found = isYoung ?? old.get(place);
      if (found === undefined) return undefined;
      if (found.bucketKey.key !== bucketKey.key || Buffer.compare(found.envelope, envelope) !== 0) {
        young.delete(place);
        old.delete(place);
        return undefined;
      }
      if (isYoung === undefined) remember(place, found);
      const { contents, bodyId, shared } = found;
      return { entry, contents, bucketKey, bodyId, shared };
    },
    put({ entry, contents, bucketKey, bodyId, shared }, envelope) {
      // The storage may use its buffer again.
      remember(placeOf(entry), { contents, bucketKey, bodyId, shared, envelope: Uint8Array.from(envelope) });
    },
  };
}

function placeOf({ ref, version }: Entry): string {
  return `${ref.bucket}\0${version}\0${ref.name}`;
}
