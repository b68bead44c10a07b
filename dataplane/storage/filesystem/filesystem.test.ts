import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { empty } from "../contract/bench.ts";
import { storageContract } from "../contract/contract.ts";
import type { Storage } from "../storage.ts";
import { openFilesystem } from "./filesystem.ts";

let folder: string;
let storage: Storage;
let clock: () => number = Date.now;

// One for all tests, emptied between them: opening takes a thread and several syncs.
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "coffer-storage-"));
  storage = await openFilesystem({ folder, nowMs: () => clock() });
});
afterAll(async () => {
  await storage.close();
  rmSync(folder, { recursive: true });
});

storageContract("filesystem", async (nowMs) => {
  clock = nowMs;
  return { storage, end: () => empty(storage) };
});
