/** A storage in the hands of an attacker: it stores honestly, and gives back what its edits make of it. */
import type { Entry, Storage } from "../../storage/storage.ts";

export interface Edits {
  envelope?: (envelope: Uint8Array) => Uint8Array;
  body?: (body: Uint8Array) => Uint8Array;
  tail?: (tail: Uint8Array) => Uint8Array;
  /** Says that the body is as long as it was, whatever has become of it. */
  claimLength?: boolean;
}

/** `edits` may be exchanged at any time. */
export function tamperingWith(edits: () => Edits): (storage: Storage) => Storage {
  return (storage) => {
    const honest = new WeakMap<Entry, Entry>();
    const [find, list, read, tail] = [storage.find, storage.list, storage.read, storage.tail].map((method) =>
      method.bind(storage),
    ) as unknown as [Storage["find"], Storage["list"], Storage["read"], Storage["tail"]];

    async function bodyOf(entry: Entry, signal: AbortSignal): Promise<Uint8Array> {
      const blocks: Uint8Array[] = [];
      for await (const block of read(entry, 0, entry.storedBytes, signal)) blocks.push(block);
      return edits().body?.(Buffer.concat(blocks)) ?? Buffer.concat(blocks);
    }

    async function edited(entry: Entry, signal: AbortSignal): Promise<Entry> {
      const { envelope, body, claimLength } = edits();
      const storedBytes =
        body === undefined || claimLength === true ? entry.storedBytes : (await bodyOf(entry, signal)).length;
      const changed = { ...entry, storedBytes, envelope: envelope?.(entry.envelope as Uint8Array) ?? entry.envelope };
      honest.set(changed, entry);
      return changed;
    }

    storage.find = async (ref, signal) => {
      const entry = await find(ref, signal);
      return entry && edited(entry, signal);
    };
    storage.list = async (bucket, query, signal) => {
      const page = await list(bucket, query, signal);
      return { ...page, items: await Promise.all(page.items.map((entry) => edited(entry, signal))) };
    };
    storage.read = async function* (entry, fromByte, toByte, signal) {
      const body = await bodyOf(honest.get(entry) ?? entry, signal);
      yield body.subarray(fromByte, toByte);
    };
    storage.tail = async (entry, signal) => {
      const bytes = await tail(honest.get(entry) ?? entry, signal);
      return edits().tail?.(bytes) ?? bytes;
    };
    return storage;
  };
}

export function flipped(bytes: Uint8Array, bit: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  const at = bit >> 3;
  changed[at] = (changed[at] ?? 0) ^ (1 << (bit & 7));
  return changed;
}
