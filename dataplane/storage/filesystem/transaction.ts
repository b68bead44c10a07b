/* Judges and does single operations inside the writer's transaction: buckets, objects, documents, doomed files.
 * A refusal is thrown before anything of its operation has been written, so it needs no undoing. */

import type { DatabaseSync } from "node:sqlite";
import { type Expect, StorageError } from "../storage.ts";
import type { Answer, Made, NameOf, Operation, OperationOf } from "./operations.ts";
import { assertExpected, newTag, Records, Statements } from "./records.ts";
import { documentCrc, type Place } from "./rows.ts";
import { Uploads } from "./uploads.ts";

const NO_BYTES = new Uint8Array();

type PieceValues = readonly [start: number, stored: number, inline: number | null, there: number];

/** All operations, over one connection. */
export class Transaction {
  readonly #sql: Statements;
  readonly #records: Records;
  readonly #uploads: Uploads;

  constructor(index: DatabaseSync) {
    this.#sql = new Statements(index);
    this.#records = new Records(this.#sql);
    this.#uploads = new Uploads(this.#records);
  }

  /** Refusals are answers; what else is thrown fails the whole transaction. */
  apply(operation: Operation, blobs: readonly Uint8Array[], nowMs: number): Answer {
    try {
      const made = this.#do(operation, blobs, nowMs);
      return { made, ended: this.#records.ended() };
    } catch (error) {
      if (error instanceof StorageError) {
        return { refused: error.code, message: error.message };
      }
      throw error;
    }
  }

  #do(operation: Operation, blobs: readonly Uint8Array[], nowMs: number): Made | undefined {
    const [first = NO_BYTES, second = NO_BYTES, third = NO_BYTES] = blobs;
    switch (operation.does) {
      case "createBucket":
        this.#sql.run("INSERT OR IGNORE INTO buckets (name) VALUES (?)", operation.bucket);
        return undefined;
      case "removeBucket":
        return this.#removeBucket(operation.bucket);
      case "put":
        return this.#put(operation, first, second, third, nowMs);
      case "copy":
        return this.#copy(operation, first, nowMs);
      case "update":
        return this.#update(operation, first);
      case "remove":
        return this.#remove(operation, operation.expect);
      case "createUpload":
        return this.#uploads.create(operation, first, nowMs);
      case "updateUpload":
        return this.#uploads.update(operation, first, second);
      case "part":
        return this.#uploads.part(operation, first, third, nowMs);
      case "complete":
        return this.#uploads.complete(operation, first, second, operation.held ? third : undefined, nowMs);
      case "abort":
        return this.#uploads.abort(operation);
      case "expire":
        this.#sql.run("DELETE FROM completed WHERE ended < ?", operation.beforeMs);
        return undefined;
      case "putDocument":
        return this.#putDocument(operation, first);
      case "removeDocument":
        return this.#removeDocument(operation);
      default:
        return this.#doom(operation);
    }
  }

  #removeBucket(bucket: string): undefined {
    this.#records.assertBucket(bucket);
    if (this.#sql.one("SELECT 1 FROM records WHERE bucket = ? LIMIT 1", bucket) !== undefined) {
      throw new StorageError("not-empty", `Bucket "${bucket}" is not empty`);
    }
    this.#uploads.endAllOf(bucket);
    this.#sql.run("DELETE FROM buckets WHERE name = ?", bucket);
  }

  #put(put: OperationOf<"put">, envelope: Uint8Array, tail: Uint8Array, bytes: Uint8Array, nowMs: number): Made {
    const name = Buffer.from(put.name);
    this.#records.assertBucket(put.bucket);
    const old = this.#records.find(put.bucket, name);
    assertExpected(old?.[0], put.expect, `"${put.name}"`);
    const storedBytes = put.body === "inline" ? bytes.length : put.body.storedBytes;
    const reuse = put.body === "inline" && tail.length === 0 && bytes.length > 0 ? (old?.[3] ?? null) : null;
    let place = this.#records.keep(put.body, bytes, reuse);
    if (tail.length > 0) {
      const list = this.#records.newList(tail);
      if (storedBytes > 0) {
        this.#records.addPiece(list, 0, storedBytes, place);
      }
      place = { inline: null, file: null, list };
    }
    if (old !== undefined && reuse === null) {
      this.#records.release({ inline: old[3], file: old[4], list: old[5] });
    }
    const tag = newTag();
    this.#records.write({ bucket: put.bucket, name, tag, modifiedMs: nowMs, storedBytes, ...place, envelope });
    return { tag, modifiedMs: nowMs, storedBytes, envelope: undefined };
  }

  #copy(copy: OperationOf<"copy">, envelope: Uint8Array, nowMs: number): Made {
    const name = Buffer.from(copy.name);
    this.#records.assertBucket(copy.bucket);
    const source = this.#records.find(copy.from.bucket, Buffer.from(copy.from.name));
    assertExpected(source?.[0], copy.from.tag, `"${copy.from.name}"`);
    const old = this.#records.find(copy.bucket, name);
    assertExpected(old?.[0], copy.expect, `"${copy.name}"`);
    const [, , storedBytes = 0, inline = null, , list = null] = source ?? [];
    const place = this.#copyOf({ inline, file: null, list }, copy.files);
    if (old !== undefined) {
      this.#records.release({ inline: old[3], file: old[4], list: old[5] });
    }
    const tag = newTag();
    this.#records.write({ bucket: copy.bucket, name, tag, modifiedMs: nowMs, storedBytes, ...place, envelope });
    return { tag, modifiedMs: nowMs, storedBytes, envelope: undefined };
  }

  #copyInline(inline: number): number {
    return this.#sql.run("INSERT INTO bodies (bytes) SELECT bytes FROM bodies WHERE id = ?", inline);
  }

  #copyOf(source: Place, files: readonly string[]): Place {
    const pieces = this.#piecesOf(source);
    files.forEach((file) => {
      this.#records.refer(file);
    });
    if (source.inline !== null) {
      return { inline: this.#copyInline(source.inline), file: null, list: null };
    }
    if (source.list === null) {
      return { inline: null, file: files[0] ?? null, list: null };
    }
    const list = this.#sql.run("INSERT INTO lists (tail) SELECT tail FROM lists WHERE id = ?", source.list);
    let at = 0;
    for (const [start, stored, inline] of pieces) {
      const file = inline === null ? (files[at++] ?? null) : null;
      const copied = inline === null ? null : this.#copyInline(inline);
      this.#records.addPiece(list, start, stored, { inline: copied, file, list: null });
    }
    return { inline: null, file: null, list };
  }

  /** The pieces of a list; all inline bytes are there, since what is copied from nothing would take another's place. */
  #piecesOf(source: Place): readonly PieceValues[] {
    const sql = `SELECT start, stored, inline, EXISTS (SELECT 1 FROM bodies WHERE id = inline)
      FROM pieces WHERE list = ? ORDER BY start`;
    const pieces = source.list === null ? [] : this.#sql.all<PieceValues>(sql, source.list);
    const missing = pieces.some(([, , inline, there]) => inline !== null && there === 0);
    const body = "SELECT 1 FROM bodies WHERE id = ?";
    if (missing || (source.inline !== null && this.#sql.one(body, source.inline) === undefined)) {
      throw new StorageError("damaged", "The body to be copied is missing");
    }
    const list = "SELECT 1 FROM lists WHERE id = ?";
    if (source.list !== null && this.#sql.one(list, source.list) === undefined) {
      throw new StorageError("damaged", "The list of parts to be copied is missing");
    }
    return pieces;
  }

  #update(update: OperationOf<"update">, envelope: Uint8Array): Made {
    const name = Buffer.from(update.name);
    this.#records.assertBucket(update.bucket);
    const old = this.#records.find(update.bucket, name);
    if (old?.[0] !== update.tag) {
      throw new StorageError("changed", `"${update.name}" is no longer what was expected`);
    }
    const [, modifiedMs, storedBytes, inline, file, list] = old;
    const tag = newTag();
    this.#records.write({ bucket: update.bucket, name, tag, modifiedMs, storedBytes, inline, file, list, envelope });
    return { tag, modifiedMs, storedBytes, envelope: undefined };
  }

  #remove(ref: NameOf, expect: Expect | undefined): undefined {
    const name = Buffer.from(ref.name);
    this.#records.assertBucket(ref.bucket);
    const old = this.#records.find(ref.bucket, name);
    assertExpected(old?.[0], expect, `"${ref.name}"`);
    if (old !== undefined) {
      this.#sql.run("DELETE FROM records WHERE bucket = ? AND name = ?", ref.bucket, name);
      this.#records.release({ inline: old[3], file: old[4], list: old[5] });
    }
  }

  #documentTag(path: Uint8Array): string | undefined {
    return this.#sql.one<[string]>("SELECT tag FROM documents WHERE path = ?", path)?.[0];
  }

  #putDocument(put: OperationOf<"putDocument">, bytes: Uint8Array): Made {
    const path = Buffer.from(put.path);
    assertExpected(this.#documentTag(path), put.expect, `Document "${put.path}"`);
    const tag = newTag();
    const sql = "INSERT OR REPLACE INTO documents (path, tag, bytes, crc) VALUES (?, ?, ?, ?)";
    this.#sql.run(sql, path, tag, bytes, documentCrc(path, tag, bytes));
    return { tag, modifiedMs: 0, storedBytes: bytes.length, envelope: undefined };
  }

  #removeDocument(remove: OperationOf<"removeDocument">): undefined {
    const path = Buffer.from(remove.path);
    assertExpected(this.#documentTag(path), remove.expect, `Document "${remove.path}"`);
    this.#sql.run("DELETE FROM documents WHERE path = ?", path);
  }

  #doom(operation: OperationOf<"doom" | "forget" | "shred">): undefined {
    if (operation.does === "shred") {
      return this.#shred(operation.list);
    }
    const sql =
      operation.does === "doom" ? "INSERT INTO doomed_files (id) VALUES (?)" : "DELETE FROM doomed_files WHERE id = ?";
    for (const file of operation.files) {
      this.#sql.run(sql, file);
    }
  }

  #shred(list: number): undefined {
    const sql = "SELECT inline, file FROM pieces WHERE list = ?";
    for (const [inline, file] of this.#sql.all<[number | null, string | null]>(sql, list)) {
      this.#records.release({ inline, file, list: null });
    }
    this.#sql.run("DELETE FROM pieces WHERE list = ?", list);
    this.#sql.run("DELETE FROM lists WHERE id = ?", list);
    this.#sql.run("DELETE FROM doomed_lists WHERE id = ?", list);
  }
}
