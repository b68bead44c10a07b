import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, expect, it } from "vitest";
import { BUCKET, bytesOf, put, putPart, ref, SIGNAL, sourceOf, upload } from "../contract/bench.ts";
import type { Storage } from "../storage.ts";
import { openFilesystem } from "./filesystem.ts";

let folder: string;
let storage: Storage;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "coffer-check-"));
  storage = await openFilesystem({ folder });
  await storage.createBucket(BUCKET, SIGNAL);
});
afterEach(async () => {
  await storage.close();
  rmSync(folder, { recursive: true });
});

function tamper(sql: string): void {
  const index = new DatabaseSync(join(folder, "index.sqlite"), { timeout: 5_000 });
  index.exec(sql);
  index.close();
}

async function populate(): Promise<void> {
  await put(storage, "small", bytesOf("small", 100));
  await put(storage, "with tail", bytesOf("tail", 100), { tail: bytesOf("t", 10) });
  await put(storage, "large", bytesOf("large", 100_000));
  await storage.createUpload(upload("u"), Buffer.from("s"), sourceOf("e"), SIGNAL);
  await putPart(storage, upload("u"), 1, bytesOf("1", 100_000));
  await putPart(storage, upload("u"), 2, bytesOf("2", 100));
}

it("finds nothing where all is well, also while the store works", async () => {
  await populate();
  const controller = new AbortController();
  const working = (async () => {
    for (let round = 0; !controller.signal.aborted; round += 1) {
      await put(storage, `${round % 7}`, bytesOf("w", round % 2 === 0 ? 100 : 100_000));
      await storage.remove(ref(`${(round + 3) % 7}`), undefined, SIGNAL);
    }
  })();
  for (let round = 0; round < 10; round += 1) {
    expect(await storage.check(SIGNAL)).toEqual([]);
  }
  controller.abort();
  await working;
});

it.each([
  [
    "an object's small body",
    "DELETE FROM bodies WHERE id = (SELECT inline FROM records WHERE name = CAST('small' AS BLOB))",
  ],
  ["a part's small body", "DELETE FROM bodies WHERE id = (SELECT inline FROM parts WHERE number = 2)"],
  ["a list", "DELETE FROM lists"],
])("finds the record of %s that is missing in the index", async (_what, sql) => {
  await populate();
  tamper(sql);
  expect(await storage.check(SIGNAL)).toMatchObject([{ kind: "record-without-body" }]);
});

it("finds a small body to which no record refers", async () => {
  await populate();
  tamper("INSERT INTO bodies (id, bytes) VALUES (12345, x'00')");
  expect(await storage.check(SIGNAL)).toEqual([{ kind: "body-without-record", where: "body 12345 within the index" }]);
});

it("ends when it is aborted", async () => {
  await populate();
  await expect(storage.check(AbortSignal.abort(new Error("gone")))).rejects.toThrow("gone");
});
