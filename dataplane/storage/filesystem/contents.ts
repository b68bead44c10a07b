/* What is read of a body: where it lies is looked up and leased in one tick, so that it stays until it has been read,
 * whatever becomes of its record. */

import { type Entry, StorageError } from "../storage.ts";
import { Blocks } from "./blocks.ts";
import type { BodyFiles } from "./bodies.ts";
import type { Doomed } from "./doomed.ts";
import type { IndexEntry, IndexReader } from "./reader.ts";
import type { Place } from "./rows.ts";

/** Keeps the body of a record from going. To be taken in the tick in which the record was read. */
export function leaseOf(doomed: Doomed, row: Place): () => void {
  const id = row.file ?? row.list;
  return id === null ? () => undefined : doomed.lease(id);
}

export class Contents {
  readonly #reader: IndexReader;
  readonly #doomed: Doomed;
  readonly #blocks: Blocks;

  constructor(reader: IndexReader, doomed: Doomed, files: BodyFiles) {
    this.#reader = reader;
    this.#doomed = doomed;
    this.#blocks = new Blocks(files);
  }

  async *read(entry: IndexEntry | Entry, from: number, to: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    signal.throwIfAborted();
    if (!(from >= 0 && from <= to && to <= entry.storedBytes)) {
      throw new RangeError(`Bytes ${from} to ${to} of a body of ${entry.storedBytes}`);
    }
    if ("inline" in entry && entry.inline !== undefined) {
      yield this.#inline(entry.inline, entry.storedBytes).subarray(from, to);
      return;
    }
    const row = this.#reader.exactly(entry);
    if (from === to) {
      return;
    }
    if (row.inline !== null) {
      yield this.#inline(this.#reader.inline(row.inline), entry.storedBytes).subarray(from, to);
      return;
    }
    const release = leaseOf(this.#doomed, row);
    try {
      if (row.file !== null) {
        yield* this.#blocks.read(row.file, from, to, signal);
      } else {
        yield* this.#readPieces(row.list, from, to, signal);
      }
    } finally {
      release();
    }
  }

  #inline(bytes: Uint8Array | undefined, storedBytes: number): Uint8Array {
    if (bytes?.length !== storedBytes) {
      throw new StorageError("damaged", "A body in the index is missing or has another length");
    }
    return bytes;
  }

  async *#readPieces(list: number | null, from: number, to: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    if (list === null) {
      throw new StorageError("damaged", "A record names no body");
    }
    for (const piece of this.#reader.pieces(list, from, to)) {
      const start = Math.max(0, from - piece.start);
      const end = Math.min(piece.storedBytes, to - piece.start);
      if (piece.file !== null) {
        yield* this.#blocks.read(piece.file, start, end, signal);
      } else {
        const bytes = piece.inline === null ? undefined : this.#reader.inline(piece.inline);
        yield this.#inline(bytes, piece.storedBytes).subarray(start, end);
      }
    }
  }
}
