/* The multipart side of the writer's transaction: an upload, its parts, and the one step that makes an object of them.
 * Parts are taken over as they lie: no body is read or written by completing. */

import { StorageError } from "../storage.ts";
import type { Made, NameOf, OperationOf, UploadOf } from "./operations.ts";
import { assertExpected, newTag, type Records } from "./records.ts";
import type { Place } from "./rows.ts";

type CompletedValues = readonly [tag: string, modified: number, stored: number, envelope: Uint8Array];
type PartValues = readonly [number: number, tag: string, stored: number, inline: number | null, file: string | null];

interface ListedPart {
  readonly storedBytes: number;
  readonly place: Place;
}

export class Uploads {
  readonly #records: Records;

  constructor(records: Records) {
    this.#records = records;
  }

  /** `state`: that it must have. */
  #open(upload: UploadOf, state?: Uint8Array): number {
    this.#records.assertBucket(upload.bucket);
    const sql = "SELECT id, state FROM uploads WHERE bucket = ? AND name = ? AND upload = ?";
    const name = Buffer.from(upload.name);
    const found = this.#records.sql.one<[number, Uint8Array]>(sql, upload.bucket, name, upload.uploadId);
    if (found === undefined) {
      throw new StorageError("no-upload", `There is no open upload "${upload.uploadId}" of "${upload.name}"`);
    }
    if (state !== undefined && Buffer.compare(found[1], state) !== 0) {
      throw new StorageError("changed", `Upload "${upload.uploadId}" is no longer what was found`);
    }
    return found[0];
  }

  #completed(upload: UploadOf): Made | undefined {
    const sql = "SELECT tag, modified, stored, envelope FROM completed WHERE bucket = ? AND name = ? AND upload = ?";
    const name = Buffer.from(upload.name);
    const found = this.#records.sql.one<CompletedValues>(sql, upload.bucket, name, upload.uploadId);
    return found && { tag: found[0], modifiedMs: found[1], storedBytes: found[2], envelope: found[3] };
  }

  create(upload: OperationOf<"createUpload">, state: Uint8Array, nowMs: number): undefined {
    const name = Buffer.from(upload.name);
    const { bucket, uploadId } = upload;
    this.#records.assertBucket(bucket);
    const sql = "SELECT 1 FROM uploads WHERE bucket = ? AND name = ? AND upload = ?";
    if (this.#records.sql.one(sql, bucket, name, uploadId) !== undefined || this.#completed(upload) !== undefined) {
      throw new StorageError("exists", `Upload "${uploadId}" exists`);
    }
    const insert = "INSERT INTO uploads (bucket, name, upload, started, state) VALUES (?, ?, ?, ?, ?)";
    this.#records.sql.run(insert, bucket, name, uploadId, nowMs, state);
  }

  update(upload: OperationOf<"updateUpload">, before: Uint8Array, state: Uint8Array): undefined {
    const owner = this.#open(upload, before);
    this.#records.sql.run("UPDATE uploads SET state = ? WHERE id = ?", state, owner);
  }

  part(part: OperationOf<"part">, envelope: Uint8Array, bytes: Uint8Array, nowMs: number): Made {
    const owner = this.#open(part);
    const { partNumber } = part;
    const sql = "SELECT tag, inline, file FROM parts WHERE owner = ? AND number = ?";
    const old = this.#records.sql.one<[string, number | null, string | null]>(sql, owner, partNumber);
    assertExpected(old?.[0], part.expect, `Part ${partNumber}`);
    const place = this.#records.keep(part.body, bytes);
    if (old !== undefined) {
      this.#records.release({ inline: old[1], file: old[2], list: null });
    }
    const tag = newTag();
    const storedBytes = part.body === "inline" ? bytes.length : part.body.storedBytes;
    const replace = `INSERT OR REPLACE INTO parts (owner, number, tag, modified, stored, inline, file, envelope)
      VALUES (?, ?, ?, ?, ?, ?, ?, ?)`;
    const { inline, file } = place;
    this.#records.sql.run(replace, owner, partNumber, tag, nowMs, storedBytes, inline, file, envelope);
    return { tag, modifiedMs: nowMs, storedBytes, envelope: undefined };
  }

  complete(
    complete: OperationOf<"complete">,
    envelope: Uint8Array,
    tail: Uint8Array,
    state: Uint8Array | undefined,
    nowMs: number,
  ): Made {
    const before = this.#completed(complete);
    if (before !== undefined) {
      return before;
    }
    const owner = this.#open(complete, state);
    const name = Buffer.from(complete.name);
    const old = this.#records.find(complete.bucket, name);
    const { listed, unlisted } = this.#sorted(owner, complete);
    assertExpected(old?.[0], complete.expect, `"${complete.name}"`);
    const list = this.#records.newList(tail);
    let storedBytes = 0;
    for (const part of listed) {
      if (part.storedBytes > 0) {
        this.#records.addPiece(list, storedBytes, part.storedBytes, part.place);
      }
      storedBytes += part.storedBytes;
    }
    for (const part of unlisted) {
      this.#records.release(part.place);
    }
    if (old !== undefined) {
      this.#records.release({ inline: old[3], file: old[4], list: old[5] });
    }
    const tag = newTag();
    const place = { inline: null, file: null, list };
    this.#records.write({ bucket: complete.bucket, name, tag, modifiedMs: nowMs, storedBytes, ...place, envelope });
    const made = { tag, modifiedMs: nowMs, storedBytes, envelope: undefined };
    this.#end(owner, complete, { ...made, envelope });
    return made;
  }

  /** The parts of the upload: those listed, in the order of the list, and the others. */
  #sorted(owner: number, complete: OperationOf<"complete">): { listed: ListedPart[]; unlisted: ListedPart[] } {
    const sql = "SELECT number, tag, stored, inline, file FROM parts WHERE owner = ?";
    const parts = new Map(this.#records.sql.all<PartValues>(sql, owner).map((part) => [part[0], part]));
    const plain = ([, , storedBytes, inline, file]: PartValues): ListedPart => {
      return { storedBytes, place: { inline, file, list: null } };
    };
    const listed = complete.parts.map(({ partNumber, tag }) => {
      const part = parts.get(partNumber);
      if (part?.[1] !== tag) {
        throw new StorageError("changed", `Part ${partNumber} is no longer what was listed`);
      }
      parts.delete(partNumber);
      return plain(part);
    });
    return { listed, unlisted: [...parts.values()].map(plain) };
  }

  #end(owner: number, upload: NameOf & { uploadId: string }, made: Made): void {
    const name = Buffer.from(upload.name);
    const sql = `INSERT INTO completed (bucket, name, upload, started, state, ended, tag, modified, stored, envelope)
      SELECT bucket, name, upload, started, state, ?, ?, ?, ?, ? FROM uploads WHERE bucket = ? AND name = ? AND upload = ?`;
    const { tag, modifiedMs, storedBytes, envelope = null } = made;
    const { bucket, uploadId } = upload;
    this.#records.sql.run(sql, modifiedMs, tag, modifiedMs, storedBytes, envelope, bucket, name, uploadId);
    this.#forget(owner);
  }

  #forget(owner: number): void {
    this.#records.sql.run("DELETE FROM parts WHERE owner = ?", owner);
    this.#records.sql.run("DELETE FROM uploads WHERE id = ?", owner);
  }

  #abandon(owner: number): void {
    const sql = "SELECT inline, file FROM parts WHERE owner = ?";
    for (const [inline, file] of this.#records.sql.all<[number | null, string | null]>(sql, owner)) {
      this.#records.release({ inline, file, list: null });
    }
    this.#forget(owner);
  }

  abort(upload: OperationOf<"abort">): undefined {
    this.#abandon(this.#open(upload));
  }

  /** What remains of a bucket's uploads goes with it. */
  endAllOf(bucket: string): void {
    for (const [owner] of this.#records.sql.all<[number]>("SELECT id FROM uploads WHERE bucket = ?", bucket)) {
      this.#abandon(owner);
    }
    this.#records.sql.run("DELETE FROM completed WHERE bucket = ?", bucket);
  }
}
