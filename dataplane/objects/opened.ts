/**
 * Objects whose envelope was opened, and a bounded memory of them: opening is a pure function of key, place and bytes, so
 * what was opened from equal bytes under the same bucket key need not be opened again. Who may use that key is asked before.
 */
import type { ReadContents } from "../../envelope/envelope.ts";
import type { BucketKey } from "../keys/keys.ts";
import type { Entry } from "../storage/storage.ts";

export interface OpenedObject {
  readonly entry: Entry;
  readonly contents: ReadContents<"object">;
  readonly bucketKey: BucketKey;
  readonly bodyId: Uint8Array;
}

export interface OpenedMemory {
  get(entry: Entry, envelope: Uint8Array, bucketKey: BucketKey): OpenedObject | undefined;
  put(opened: OpenedObject, envelope: Uint8Array): void;
}

/** Not the entry: a small body may hang on it. */
interface Remembered extends Omit<OpenedObject, "entry"> {
  readonly envelope: Uint8Array;
}

/** Forgets what was not asked for the longest. An entry takes about two kilobytes. */
export function createOpenedMemory(entriesMax: number): OpenedMemory {
  const byPlace = new Map<string, Remembered>();
  return {
    get(entry, envelope, bucketKey) {
      const place = placeOf(entry);
      const found = byPlace.get(place);
      if (found === undefined) return undefined;
      if (found.bucketKey.key !== bucketKey.key || Buffer.compare(found.envelope, envelope) !== 0) {
        byPlace.delete(place);
        return undefined;
      }
      byPlace.delete(place);
      byPlace.set(place, found);
      const { contents, bodyId } = found;
      return { entry, contents, bucketKey, bodyId };
    },
    put({ entry, contents, bucketKey, bodyId }, envelope) {
      const oldest = byPlace.size >= entriesMax ? byPlace.keys().next().value : undefined;
      if (oldest !== undefined) byPlace.delete(oldest);
      // The storage may use its buffer again.
      byPlace.set(placeOf(entry), { contents, bucketKey, bodyId, envelope: Uint8Array.from(envelope) });
    },
  };
}

function placeOf({ ref, version }: Entry): string {
  return `${ref.bucket}\0${version}\0${ref.name}`;
}
