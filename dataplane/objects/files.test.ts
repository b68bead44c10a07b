import { mkdtemp, open, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import { openStorage } from "../storage/open.ts";
import type { Storage } from "../storage/storage.ts";
import {
  bodyOf,
  bucketEntry,
  callOf,
  codeOf,
  createWorld,
  getWanted,
  PHOTO,
  plainBytes,
  putWanted,
  read,
  type World,
} from "./contract/world.ts";
import type { CompletedPart, CopyWanted } from "./objects.ts";

const MARKER = "MARKER-c0ffee-0123456789-of-this-test";
const SIGNAL = new AbortController().signal;
const LARGE_BYTES = 300_000;
const COMPLETE = {
  conditions: { ifMatch: undefined, ifNoneMatch: undefined },
  sizeBytes: undefined,
  checksums: new Map(),
};

const onItself = (headers: ReadonlyMap<string, string>): CopyWanted => ({
  ...putWanted(),
  checksum: undefined,
  headers,
  tags: undefined,
  source: { ifMatch: undefined, ifNoneMatch: undefined, ifModifiedSinceMs: undefined, ifUnmodifiedSinceMs: undefined },
});

const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function createOverFiles(): Promise<{ world: World; folder: string; storage: Storage }> {
  const folder = await mkdtemp(join(tmpdir(), "coffer-objects-"));
  ends.push(() => rm(folder, { recursive: true, force: true }));
  const storage = await openStorage({ type: "filesystem", folder, report: () => undefined });
  ends.push(() => storage.close());
  for (const bucket of ["photos", "music"]) await storage.createBucket(bucket, SIGNAL);
  const world = await createWorld(localKey(), { around: () => storage });
  return { world, folder, storage };
}

async function filesBelow(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
}

async function upload(world: World, bodies: readonly Uint8Array[]): Promise<void> {
  const { ref } = await world.objects.createUpload(callOf(world), PHOTO, putWanted());
  const parts: CompletedPart[] = [];
  for (const [index, bytes] of bodies.entries()) {
    const partNumber = index + 1;
    const { etag } = await world.objects.putPart(callOf(world), { ...ref, partNumber }, bodyOf(bytes));
    parts.push({ partNumber, etag, checksums: new Map() });
  }
  await world.objects.completeUpload(callOf(world), ref, parts, COMPLETE);
}

describe("over files", () => {
  test("a hundred changes of one object at once, tags and copies onto itself, are all made", async () => {
    const { world } = await createOverFiles();
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(LARGE_BYTES)), putWanted());
    const many = Array.from({ length: 100 }, (_, at) => new Map([["at", String(at)]]));
    await Promise.all([
      ...many.map((tags) => world.objects.change(callOf(world), PHOTO, { kind: "tags", tags })),
      ...many.map((headers) => world.objects.copy(callOf(world), PHOTO, PHOTO, onItself(headers))),
    ]);
    const { info } = await world.objects.head(callOf(world), PHOTO, getWanted());
    expect(Number(info.tags.get("at"))).toBeLessThan(100);
    expect(Number(info.headers.get("at"))).toBeLessThan(100);
    expect(Buffer.compare(await read(world, PHOTO), plainBytes(LARGE_BYTES))).toBe(0);
  });

  test.each([0, 1, 65_536, 70_000, LARGE_BYTES, 3 * 2 ** 20])(
    "a body of %i bytes comes back, whole and in part",
    async (count) => {
      const { world } = await createOverFiles();
      const bytes = plainBytes(count);
      await world.objects.put(callOf(world), PHOTO, bodyOf(bytes), putWanted());
      expect(Buffer.compare(await read(world, PHOTO), bytes)).toBe(0);
      for (const first of [0, 16_383, 16_384, count - 1].filter((at) => at >= 0 && at < count)) {
        const got = await read(world, PHOTO, { kind: "bytes", first, last: first + 20_000 });
        expect(Buffer.compare(got, bytes.subarray(first, first + 20_001))).toBe(0);
      }
    },
  );

  test("a body in parts comes back, of small parts and of large ones", async () => {
    const { world, storage } = await createOverFiles();
    Object.assign(storage.traits, { partBytesMin: 0 });
    const bodies = [LARGE_BYTES, 10, 90_000].map((count, index) => plainBytes(count, index));
    await upload(world, bodies);
    const whole = Buffer.concat(bodies);
    expect(Buffer.compare(await read(world, PHOTO), whole)).toBe(0);
    for (const first of [0, LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 9, LARGE_BYTES + 10]) {
      const got = await read(world, PHOTO, { kind: "bytes", first, last: first + 30 });
      expect(Buffer.compare(got, whole.subarray(first, first + 31))).toBe(0);
    }
    expect(Buffer.compare(await read(world, PHOTO, { kind: "part", partNumber: 3 }), bodies[2] as Uint8Array)).toBe(0);
  });

  test("a reading finishes though its object is replaced and removed, and its files go when it ends", async () => {
    const { world, folder } = await createOverFiles();
    const bytes = plainBytes(5 * 2 ** 20);
    await world.objects.put(callOf(world), PHOTO, bodyOf(bytes), putWanted());
    const reading = await world.objects.get(callOf(world), PHOTO, getWanted());
    await world.objects.remove(callOf(world), PHOTO, { ifMatch: undefined });
    const slices: Uint8Array[] = [];
    for await (const block of reading) slices.push(...block);
    expect(Buffer.compare(Buffer.concat(slices), bytes)).toBe(0);
    await expect.poll(async () => (await bodyFiles(folder)).length).toBe(0);
  });

  test("a flipped bit, a cut or a missing body file is an error that is audited, never other bytes, never an absence", async () => {
    const { world, folder } = await createOverFiles();
    const damage: readonly (readonly [string, (path: string) => Promise<void>])[] = [
      ["a flipped bit", (path) => flipOnDisk(path, 200_000)],
      ["a cut", (path) => cutOnDisk(path, 250_000)],
      ["a missing file", (path) => rm(path)],
    ];
    for (const [sentence, damageFile] of damage) {
      await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(LARGE_BYTES)), putWanted());
      await expect.poll(async () => (await bodyFiles(folder)).length).toBe(1);
      const [path] = await bodyFiles(folder);
      await damageFile(path as string);
      expect(await codeOf(read(world, PHOTO)), sentence).toBe("InternalError");
      expect(world.audit.at(-1)?.failure?.tamper, sentence).toBe(true);
      const end = read(world, PHOTO, { kind: "bytes", first: LARGE_BYTES - 100, last: undefined });
      const got = await end.catch(() => undefined);
      if (got !== undefined) expect(Buffer.compare(got, plainBytes(LARGE_BYTES).subarray(-100))).toBe(0);
    }
  });

  test("nothing of bodies, headers, tags or context is on the disk, in audit lines or in messages", async () => {
    const { world, folder } = await createOverFiles();
    const text = Buffer.from(MARKER.repeat(20));
    const large = Buffer.from(MARKER.repeat(10_000));
    const wanted = putWanted({
      headers: new Map([
        ["content-type", MARKER],
        ["x-amz-meta-m", MARKER],
      ]),
      tags: new Map([["tag", MARKER]]),
      encryption: {
        shown: "aws:kms",
        kmsKeyId: undefined,
        context: new Map([["purpose", MARKER]]),
        bucketKeyEnabled: undefined,
      },
    });
    const messages: string[] = [];
    for (const [index, bytes] of [text, large].entries()) {
      const ref = { bucket: "photos", name: `object-${index}` };
      const info = await world.objects.put(callOf(world), ref, bodyOf(bytes), wanted);
      expect(info.headers.get("x-amz-meta-m")).toBe(MARKER);
      const failing = world.objects.put(callOf(world), ref, bodyOf(bytes, { plainBytes: 1 }), wanted);
      await failing.catch((error: Error) => messages.push(error.message));
    }
    for (const to of ["photos", "music"]) {
      const from = { bucket: "photos", name: "object-1" };
      const source = getWanted().conditions;
      const copy = { ...wanted, source, checksum: undefined };
      await world.objects.copy(callOf(world), from, { bucket: to, name: "copy" }, copy);
      const change = { kind: "tags", tags: new Map([["other", `${MARKER}2`]]) } as const;
      await world.objects.change(callOf(world), { bucket: to, name: "copy" }, change);
    }
    await upload(world, [large]);
    const plaintext = [bucketEntry("photos", { keyMode: "object" })];
    await world.objects.put(callOf(world, { buckets: plaintext }), PHOTO, bodyOf(text), wanted);
    let readBytes = 0;
    for (const path of await filesBelow(folder)) {
      const bytes = await readUnlessGone(path);
      expect(bytes.includes(MARKER), path).toBe(false);
      readBytes += bytes.length;
    }
    expect(readBytes).toBeGreaterThan(large.length);
    expect(JSON.stringify(world.audit)).not.toContain(MARKER);
    expect(messages).toHaveLength(2);
    expect(messages.join("\n")).not.toContain(MARKER);
  });
});

/** The files of bodies that have been replaced go by and by. */
async function readUnlessGone(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return Buffer.alloc(0);
  }
}

function bodyFiles(folder: string): Promise<string[]> {
  return filesBelow(join(folder, "bodies"));
}

async function flipOnDisk(path: string, at: number): Promise<void> {
  const file = await open(path, "r+");
  const byte = new Uint8Array(1);
  await file.read(byte, 0, 1, at);
  byte[0] = (byte[0] ?? 0) ^ 4;
  await file.write(byte, 0, 1, at);
  await file.close();
}

async function cutOnDisk(path: string, bytes: number): Promise<void> {
  const file = await open(path, "r+");
  await file.truncate(bytes);
  await file.close();
}
