import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BUCKET, bytesOf, put, query, readAll, ref, rejection, SIGNAL } from "../contract/bench.ts";
import { type Storage, StorageError } from "../storage.ts";
import { openFilesystem } from "./filesystem.ts";
import { IndexReader } from "./reader.ts";

const MIB = 1024 * 1024;

let folder: string;
let storage: Storage;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "coffer-damage-"));
  storage = await openFilesystem({ folder });
  await storage.createBucket(BUCKET, SIGNAL);
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function bodyPath(): string {
  const bodies = join(folder, "bodies");
  const found = readdirSync(bodies).flatMap((sub) =>
    readdirSync(join(bodies, sub)).map((file) => join(bodies, sub, file)),
  );
  expect(found).toHaveLength(1);
  return found[0] ?? "";
}

describe("a body file", () => {
  it("that is missing is damaged, never absent and never empty", async () => {
    const entry = await put(storage, "a", bytesOf("a", MIB));
    rmSync(bodyPath());
    expect(await storage.find(ref("a"), SIGNAL)).toMatchObject({ tag: entry.tag });
    await expect(readAll(storage, entry)).rejects.toMatchObject(rejection("damaged"));
    await expect(readAll(storage, entry, 5, 6)).rejects.toMatchObject(rejection("damaged"));
    expect(await storage.check(SIGNAL)).toMatchObject([{ kind: "record-without-body" }]);
    await storage.close();
  });

  it.each([0, 1, MIB, 3 * MIB - 1])("cut to %i bytes never ends cleanly", async (length) => {
    const entry = await put(storage, "a", bytesOf("a", 3 * MIB));
    truncateSync(bodyPath(), length);
    await expect(readAll(storage, entry)).rejects.toMatchObject(rejection("damaged"));
    await expect(readAll(storage, entry, 3 * MIB - 1)).rejects.toMatchObject(rejection("damaged"));
    expect((await readAll(storage, entry, 0, length)).equals(bytesOf("a", 3 * MIB).subarray(0, length))).toBe(true);
    expect(await storage.check(SIGNAL)).toMatchObject([{ kind: "record-without-body" }]);
    await storage.close();
  });

  it("to which no record refers is found, and left alone", async () => {
    await put(storage, "a", bytesOf("a", MIB));
    const stray = join(folder, "bodies", "00", `00${"f".repeat(30)}`);
    writeFileSync(stray, "stray");
    expect(await storage.check(SIGNAL)).toEqual([{ kind: "body-without-record", where: `file "00${"f".repeat(30)}"` }]);
    expect(readFileSync(stray, "utf8")).toBe("stray");
    await storage.close();
  });
});

interface Region {
  readonly path: string;
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
}

/** Calls `look` over the index with each bit of the region flipped in turn; what it throws must say "damaged".
 *  The share of bits for which it did. */
function withEachFlip(region: Region, look: (reader: IndexReader) => void): number {
  const { path, bytes, from, to } = region;
  let refused = 0;
  const descriptor = openSync(path, "r+");
  for (let bit = from * 8; bit < to * 8; bit += 1) {
    const byte = bytes[bit >> 3] ?? 0;
    writeSync(descriptor, Buffer.of(byte ^ (1 << (bit & 7))), 0, 1, bit >> 3);
    const reader = new IndexReader(path);
    try {
      look(reader);
    } catch (error) {
      if (!(error instanceof StorageError) || error.code !== "damaged") {
        throw error;
      }
      refused += 1;
    } finally {
      reader.close();
      writeSync(descriptor, Buffer.of(byte), 0, 1, bit >> 3);
    }
  }
  closeSync(descriptor);
  return refused / ((to - from) * 8);
}

describe("a flipped bit in the index", () => {
  const names = ["left", "middle", "right"];
  let path: string;
  let bytes: Buffer;

  beforeEach(async () => {
    for (const name of names) {
      await put(storage, name, bytesOf(name, 100), { envelope: `the envelope of ${name}` });
    }
    await storage.putDocument("document", Buffer.from("what it says"), "absent", SIGNAL);
    await storage.close();
    path = join(folder, "index.sqlite");
    bytes = readFileSync(path);
  });

  /** From the header of the record's row to its end. */
  function recordOf(name: string): Region {
    const at = bytes.indexOf(`the envelope of ${name}`);
    const from = bytes.lastIndexOf(BUCKET, at) - 14;
    expect(bytes.lastIndexOf(name, at)).toBeGreaterThan(from);
    return { path, bytes, from, to: at + `the envelope of ${name}`.length + 4 };
  }

  function whole<Result>(look: (reader: IndexReader) => Result): Result {
    const reader = new IndexReader(path);
    const result = look(reader);
    reader.close();
    return result;
  }

  it.each(names)("of the record %s is an error or changes nothing: never an absent object", (name) => {
    const expected = whole((reader) => reader.find(BUCKET, name));
    expect(expected?.storedBytes).toBe(100);
    const share = withEachFlip(recordOf(name), (reader) => {
      expect(reader.find(BUCKET, name)).toEqual(expected);
    });
    expect(share).toBeGreaterThan(0.8);
  });

  it.each(names)("of the record %s never lets a listing leave it out or show other values", (name) => {
    for (const wanted of [query(), query({ prefix: name })]) {
      const expected = whole((reader) => reader.list(BUCKET, wanted));
      withEachFlip(recordOf(name), (reader) => {
        expect(reader.list(BUCKET, wanted)).toEqual(expected);
      });
    }
  });

  it("of a document is an error or changes nothing, so that no key is made anew because of it", () => {
    const at = bytes.indexOf("what it says");
    const from = bytes.lastIndexOf("document", at) - 7;
    const expected = whole((reader) => [reader.document("document"), reader.documents("", "", 10)]);
    expect(expected[0]).toBeDefined();
    const share = withEachFlip({ path, bytes, from, to: at + 16 }, (reader) => {
      expect([reader.document("document"), reader.documents("", "", 10)]).toEqual(expected);
    });
    expect(share).toBeGreaterThan(0.8);
  });

  it("of a small body that lies in the index never makes the object absent", () => {
    const at = bytes.indexOf(bytesOf("middle", 100));
    withEachFlip({ path, bytes, from: at - 8, to: at + 20 }, (reader) => {
      expect(reader.find(BUCKET, "middle")).toBeDefined();
    });
  });
});

describe("an index", () => {
  it("that another program made is refused and left as it is", async () => {
    await storage.close();
    const path = join(folder, "index.sqlite");
    rmSync(path);
    const other = new DatabaseSync(path);
    other.exec("CREATE TABLE theirs (a); PRAGMA application_id = 7; PRAGMA user_version = 3");
    other.close();
    await expect(openFilesystem({ folder })).rejects.toMatchObject(rejection("damaged"));
  });

  it("of a newer version is refused", async () => {
    await storage.close();
    const index = new DatabaseSync(join(folder, "index.sqlite"));
    index.exec("PRAGMA user_version = 999");
    index.close();
    await expect(openFilesystem({ folder })).rejects.toMatchObject(rejection("unsupported"));
  });

  it("that is no database is refused as damaged", async () => {
    await storage.close();
    writeFileSync(join(folder, "index.sqlite"), bytesOf("noise", 65_536));
    await expect(openFilesystem({ folder })).rejects.toMatchObject(rejection("damaged"));
  });
});
