import { describe, expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
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
  restart,
  type World,
} from "./contract/world.ts";
import type { Change, CompletedPart, PutWanted } from "./objects.ts";

const TAGS = new Map([
  ["a", "1"],
  ["ü", ""],
]);
const SIGNAL = new AbortController().signal;

const tagsAre = (tags: ReadonlyMap<string, string>): Change => ({ kind: "tags", tags });
const resealed = (more: Partial<PutWanted["encryption"]>): Change => ({
  kind: "encryption",
  encryption: { ...putWanted().encryption, ...more },
});

async function infoOf(world: World, call = callOf(world)) {
  return (await world.objects.head(call, PHOTO, getWanted())).info;
}

describe("change()", () => {
  test("sets tags, replaces them and takes them away, and leaves body, ETag and times", async () => {
    const world = await createWorld(localKey());
    const headers = new Map([["content-type", "text/plain"]]);
    const before = await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(70_000)), putWanted({ headers }));
    for (const tags of [TAGS, new Map([["b", "2"]]), new Map<string, string>()]) {
      world.nowMs += 60_000;
      const info = await world.objects.change(callOf(world), PHOTO, tagsAre(tags));
      expect(info).toEqual({ ...before, tags });
      await restart(world);
      expect(await infoOf(world)).toEqual(info);
      expect(Buffer.compare(await read(world, PHOTO), plainBytes(70_000))).toBe(0);
    }
  });

  test("writes an envelope with a new salt, also for the same tags", async () => {
    const world = await createWorld(localKey());
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(5)), putWanted({ tags: TAGS }));
    const envelopes = new Set<string>();
    for (let round = 0; round < 3; round += 1) {
      await world.objects.change(callOf(world), PHOTO, tagsAre(TAGS));
      const envelope = (await world.storage.find(PHOTO, SIGNAL))?.envelope ?? new Uint8Array(0);
      envelopes.add(Buffer.from(envelope).toString("hex"));
    }
    expect(envelopes.size).toBe(3);
  });

  test("is made on what is there when somebody else was faster", async () => {
    const world = await createWorld(localKey());
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(5)), putWanted());
    const update = world.storage.update.bind(world.storage);
    world.storage.update = async (...given) => {
      world.storage.update = update;
      await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(9)), putWanted());
      return update(...given);
    };
    const info = await world.objects.change(callOf(world), PHOTO, tagsAre(TAGS));
    expect(info).toMatchObject({ sizeBytes: 9, tags: TAGS });
    expect(await infoOf(world)).toEqual(info);
  });

  test("of what is not there is NoSuchKey", async () => {
    const world = await createWorld(localKey());
    expect(await codeOf(world.objects.change(callOf(world), PHOTO, tagsAre(TAGS)))).toBe("NoSuchKey");
  });

  test("seals the data key alone anew, and body, ETag and LastModified stay", async () => {
    const world = await createWorld(localKey());
    const wanted = putWanted({ encryption: { ...putWanted().encryption, shown: "AES256" }, tags: TAGS });
    const before = await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(70_000)), wanted);
    const changes: Partial<PutWanted["encryption"]>[] = [
      { shown: "aws:kms", bucketKeyEnabled: false },
      { shown: "aws:kms", bucketKeyEnabled: true },
      { shown: "aws:kms", kmsKeyId: world.key.kmsKeyId, context: new Map([["team", "a"]]) },
      { shown: "AES256" },
    ];
    for (const change of changes) {
      world.nowMs += 1000;
      const info = await world.objects.change(callOf(world), PHOTO, resealed(change));
      const { etag, modifiedMs, tags, sizeBytes } = before;
      expect(info).toMatchObject({ etag, modifiedMs, tags, sizeBytes, shown: change.shown });
      expect(info.bucketKeyEnabled).toBe(change.bucketKeyEnabled ?? false);
      expect(info.context).toEqual(change.context ?? new Map());
      await restart(world);
      expect(await infoOf(world)).toEqual(info);
      expect(Buffer.compare(await read(world, PHOTO), plainBytes(70_000))).toBe(0);
    }
    const other = resealed({ shown: "aws:kms", kmsKeyId: "another" });
    expect(await codeOf(world.objects.change(callOf(world), PHOTO, other))).toBe("KMS.NotFoundException");
  });

  test("gives plaintext no key: that takes a copy", async () => {
    const world = await createWorld(localKey());
    world.shown = "none";
    const call = callOf(world, { buckets: [bucketEntry("photos", { allowPlaintext: true })] });
    await world.objects.put(call, PHOTO, bodyOf(plainBytes(5)), putWanted());
    const code = await codeOf(world.objects.change(call, PHOTO, resealed({ shown: "aws:kms" })));
    expect(code).toBe("InvalidRequest");
    expect((await world.objects.change(call, PHOTO, tagsAre(TAGS))).shown).toBe("none");
  });
});

describe("storedParts()", () => {
  test("tells of each part its number, size and checksum", async () => {
    const world = await createWorld(localKey());
    const checksum = { algorithm: "SHA256", kind: "composite" } as const;
    const { ref } = await world.objects.createUpload(callOf(world), PHOTO, putWanted({ checksum }));
    const parts: CompletedPart[] = [];
    const sums: string[] = [];
    for (const partNumber of [1, 2]) {
      const body = bodyOf(plainBytes(1000 * partNumber));
      const part = await world.objects.putPart(callOf(world), { ...ref, partNumber }, body);
      parts.push({ partNumber, etag: part.etag, checksums: new Map() });
      sums.push(...part.checksums.map(({ value }) => Buffer.from(value).toString("hex")));
    }
    const conditions = { ifMatch: undefined, ifNoneMatch: undefined };
    await world.objects.completeUpload(callOf(world), ref, parts, {
      conditions,
      sizeBytes: undefined,
      checksums: new Map(),
    });
    const found = await world.objects.storedParts(callOf(world), PHOTO, getWanted().conditions);
    expect(found.info.partsCount).toBe(2);
    expect(found.parts.map(({ partNumber, sizeBytes }) => [partNumber, sizeBytes])).toEqual([
      [1, 1000],
      [2, 2000],
    ]);
    expect(found.parts.map(({ checksum: sum }) => Buffer.from(sum?.value ?? []).toString("hex"))).toEqual(sums);
  });

  test("of an object in one piece are none, and a condition that fails is told", async () => {
    const world = await createWorld(localKey());
    const { etag } = await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(5)), putWanted());
    const { conditions } = getWanted();
    expect((await world.objects.storedParts(callOf(world), PHOTO, conditions)).parts).toEqual([]);
    const none = { ...conditions, ifNoneMatch: [etag] };
    expect(await codeOf(world.objects.storedParts(callOf(world), PHOTO, none))).toBe("NotModified");
  });
});
