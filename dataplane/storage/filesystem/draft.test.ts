import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BUCKET, bytesOf, get, ref, SIGNAL, sourceOf } from "../contract/bench.ts";
import type { Storage } from "../storage.ts";
import { createDisk, type Disk } from "./disk.ts";
import { openFilesystem } from "./filesystem.ts";

const MIB = 1024 * 1024;
const CHUNK = 64 * 1024;

let folder: string;
let storage: Storage;
let writes: number[];

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "coffer-draft-"));
  writes = [];
  const real = createDisk();
  const disk: Disk = {
    ...real,
    write(file, buffers, position) {
      writes.push(buffers.reduce((bytes, { length }) => bytes + length, 0));
      return real.write(file, buffers, position);
    },
  };
  storage = await openFilesystem({ folder, disk });
  await storage.createBucket(BUCKET, SIGNAL);
});
afterEach(async () => {
  await storage.close();
  rmSync(folder, { recursive: true });
});

async function store(name: string, buffers: readonly Uint8Array[]): Promise<void> {
  const draft = storage.draft(ref(name), sourceOf("e"), SIGNAL);
  for (const buffer of buffers) {
    await draft.write([buffer]);
  }
  await draft.commit();
}

function chunksOf(bytes: Uint8Array): Uint8Array[] {
  return Array.from({ length: Math.ceil(bytes.length / CHUNK) }, (_, at) =>
    Uint8Array.from(bytes.subarray(at * CHUNK, (at + 1) * CHUNK)),
  );
}

describe("the buffers of a body", () => {
  it.each([CHUNK, MIB, 3 * MIB + 5])("of %d bytes give back their memory once they are stored", async (bytes) => {
    const body = bytesOf("a", bytes);
    const buffers = chunksOf(body);
    await store("a", buffers);
    expect(buffers.filter(({ length }) => length >= CHUNK)).toEqual([]);
    expect((await get(storage, "a"))?.bytes.equals(body)).toBe(true);
  });

  it("keep it where others lie beside them", async () => {
    const body = bytesOf("a", 2 * MIB);
    const beside = Buffer.alloc(3 * MIB);
    beside.set(body, 1);
    await store("a", [beside.subarray(1, MIB + 1), beside.subarray(MIB + 1, 2 * MIB + 1)]);
    expect(beside.length).toBe(3 * MIB);
    expect((await get(storage, "a"))?.bytes.equals(body)).toBe(true);
  });
});

describe("writes to a file", () => {
  it("gather what comes in small pieces, up to a block, and the rest goes at the end", async () => {
    await store("a", chunksOf(bytesOf("a", 3 * MIB + 5 * CHUNK)));
    expect(writes).toEqual([MIB, MIB, MIB, 5 * CHUNK]);
  });

  it("are one for a body that is smaller than a block", async () => {
    await store("a", chunksOf(bytesOf("a", MIB / 2)));
    expect(writes).toEqual([MIB / 2]);
  });

  it("are smaller when many bodies come at once, and all come out whole", async () => {
    const bodies = Array.from({ length: 40 }, (_, at) => bytesOf(`${at}`, MIB));
    const drafts = bodies.map((_, at) => storage.draft(ref(`${at}`), sourceOf("e"), SIGNAL));
    for (let chunk = 0; chunk < MIB / CHUNK; chunk += 1) {
      await Promise.all(
        drafts.map(async (draft, at) => {
          await draft.write([Uint8Array.from(bodies[at]?.subarray(chunk * CHUNK, (chunk + 1) * CHUNK) ?? [])]);
        }),
      );
    }
    await Promise.all(drafts.map((draft) => draft.commit()));
    expect(Math.max(...writes)).toBeLessThanOrEqual(MIB / 4 + CHUNK);
    for (const [at, body] of bodies.entries()) {
      expect((await get(storage, `${at}`))?.bytes.equals(body)).toBe(true);
    }
  });
});
