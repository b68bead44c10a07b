import { describe, expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import { createLocalKms } from "../../kms/local.ts";
import { createRing, printRing, type Ring, withDisabledVersion, withNewVersion } from "../../kms/ring.ts";
import type { Call } from "../call.ts";
import { StorageError } from "../storage/storage.ts";
import {
  bodyOf,
  bucketEntry,
  callOf,
  codeOf,
  createWorld,
  getWanted,
  plainBytes,
  putWanted,
  read,
  restart,
  type World,
} from "./contract/world.ts";
import type { CompletedPart, PutWanted, UploadInfo } from "./objects.ts";

const NAMES = ["a", "b", "c/d"];
const AT = new Date(0);

function keyOver(ring: Ring) {
  return { kms: createLocalKms(ring), kmsKeyId: ring.id, options: { type: "Local" as const, ring: printRing(ring) } };
}

/** The same store after the key was rotated. */
function under(world: World, ring: Ring): World {
  return Object.assign(Object.create(world) as World, { key: keyOver(ring) });
}

const call = (world: World, keyMode: "bucket" | "object" = "object"): Call =>
  callOf(world, { buckets: [bucketEntry("photos", { keyMode, context: { team: "a" } })] });

async function filled(ring: Ring): Promise<World> {
  const world = await createWorld(keyOver(ring));
  for (const name of NAMES) {
    await world.objects.put(call(world), { bucket: "photos", name }, bodyOf(plainBytes(40_000)), putWanted());
  }
  await world.objects.put(
    call(world, "bucket"),
    { bucket: "photos", name: "by-bucket-key" },
    bodyOf(plainBytes(9)),
    putWanted(),
  );
  return world;
}

const counts = { scanned: 0, rewrapped: 0, current: 0, excluded: 0, conflict: 0, failed: 0 };

describe("rewrap()", () => {
  test("brings every data key that the KMS wrapped under its newest version, and finds nothing to do again", async () => {
    const first = createRing(AT);
    const world = await filled(first);
    const second = withNewVersion(first, AT);
    const rotated = under(world, second);
    expect(await world.objects.rewrap(call(rotated), "photos", undefined)).toEqual({
      cursor: undefined,
      counts: { ...counts, scanned: 3, rewrapped: 3 },
      keyVersions: ["2"],
    });
    const again = await world.objects.rewrap(call(rotated), "photos", undefined);
    expect(again.counts).toEqual({ ...counts, scanned: 3, current: 3 });
    await world.keys.rewrap(call(rotated), bucketEntry("photos", { context: { team: "a" } }), undefined);
    const retired = under(world, withDisabledVersion(second, 1));
    await restart(world);
    for (const name of NAMES) {
      const ref = { bucket: "photos", name };
      expect(Buffer.compare(await read(world, ref, undefined, call(retired)), plainBytes(40_000))).toBe(0);
    }
    const lines = world.audit.filter(({ operation }) => operation === "RewrapObject");
    expect(lines.map(({ kind, keyVersion }) => [kind, keyVersion])).toEqual(
      Array.from({ length: 6 }, () => ["key", "2"]),
    );
  });

  test("leaves body, ETag, times and metadata as they were", async () => {
    const ring = createRing(AT);
    const world = await createWorld(keyOver(ring));
    const ref = { bucket: "photos", name: "a" };
    const wanted = putWanted({ headers: new Map([["content-type", "text/plain"]]) });
    const before = await world.objects.put(call(world), ref, bodyOf(plainBytes(9)), wanted);
    world.nowMs += 5000;
    await world.objects.rewrap(call(under(world, withNewVersion(ring, AT))), "photos", undefined);
    const { info } = await world.objects.head(call(world), ref, getWanted());
    expect(info).toEqual(before);
  });

  test("leaves an object that is replaced meanwhile to its writer", async () => {
    const ring = createRing(AT);
    const world = await filled(ring);
    const update = world.storage.update.bind(world.storage);
    world.storage.update = async (entry, envelope, signal) => {
      await world.objects.put(call(world), entry.ref, bodyOf(plainBytes(3)), putWanted());
      return update(entry, envelope, signal);
    };
    const done = await world.objects.rewrap(call(under(world, withNewVersion(ring, AT))), "photos", undefined);
    expect(done.counts).toEqual({ ...counts, scanned: 3, conflict: 3 });
    expect(await read(world, { bucket: "photos", name: "a" }, undefined, call(world))).toHaveLength(3);
  });

  test("goes on without what the KMS refuses for ever, and excludes what is not under a key of the bucket", async () => {
    const ring = createRing(AT);
    const world = await filled(ring);
    const retired = under(world, withDisabledVersion(withNewVersion(ring, AT), 1));
    expect((await world.objects.rewrap(call(retired), "photos", undefined)).counts).toEqual({
      ...counts,
      scanned: 3,
      failed: 3,
    });
  });

  test("goes through a bucket of many objects in bounded steps", async () => {
    const world = await createWorld(localKey());
    for (let index = 0; index < 300; index += 1) {
      const ref = { bucket: "photos", name: `n${String(index).padStart(3, "0")}` };
      await world.objects.put(call(world), ref, bodyOf(plainBytes(1)), putWanted());
    }
    let scanned = 0;
    let steps = 0;
    for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
      const done = await world.objects.rewrap(call(world), "photos", cursor);
      scanned += done.counts.scanned;
      steps += 1;
      cursor = done.cursor;
    }
    expect([scanned, steps]).toEqual([300, 3]);
  });

  test("stops when the KMS cannot be asked, so that the step is repeated", async () => {
    const ring = createRing(AT);
    const world = await filled(ring);
    const broken = under(world, withNewVersion(ring, AT));
    const { KmsError } = await import("../../kms/kms.ts");
    broken.key.kms.wrap = () => Promise.reject(new KmsError("unreachable", "wrap", "injected"));
    expect(await codeOf(world.objects.rewrap(call(broken), "photos", undefined))).toBe("ServiceUnavailable");
  });
});

const COMPLETE = {
  conditions: { ifMatch: undefined, ifNoneMatch: undefined },
  sizeBytes: undefined,
  checksums: new Map(),
};
const REF = { bucket: "photos", name: "a/ü" };
const PART = plainBytes(40_000, 1);
const CONTEXT: Partial<PutWanted> = {
  encryption: { ...putWanted().encryption, shown: "aws:kms", context: new Map([["purpose", "x"]]) },
};

async function putPart(world: World, { ref }: UploadInfo, partNumber: number): Promise<CompletedPart> {
  const { etag } = await world.objects.putPart(call(world), { ...ref, partNumber }, bodyOf(PART));
  return { partNumber, etag, checksums: new Map() };
}

/** What a store is after the sweep, once nothing opens by the old version any more. */
async function afterSweep(world: World, second: Ring): Promise<World> {
  await world.keys.rewrap(call(world), bucketEntry("photos", { context: { team: "a" } }), undefined);
  await restart(world);
  return under(world, withDisabledVersion(second, 1));
}

describe("rewrapUploads()", () => {
  const KINDS: [how: string, keyMode: "bucket" | "object", wanted: Partial<PutWanted>][] = [
    ["the bucket's key mode", "object", {}],
    ["the request's own context", "bucket", CONTEXT],
  ];
  test.each(KINDS)(
    "keeps an upload whose data key the KMS wraps by %s usable without the old version",
    async (...of) => {
      const [, keyMode, wanted] = of;
      const first = createRing(AT);
      const world = await createWorld(keyOver(first));
      const upload = await world.objects.createUpload(call(world, keyMode), REF, putWanted(wanted));
      await world.objects.createUpload(call(world, "bucket"), REF, putWanted());
      const one = await putPart(world, upload, 1);
      const second = withNewVersion(first, AT);
      const rotated = under(world, second);
      expect(await world.objects.rewrapUploads(call(rotated), "photos", undefined)).toEqual({
        cursor: undefined,
        counts: { ...counts, scanned: 1, rewrapped: 1 },
        keyVersions: ["2"],
      });
      const again = await world.objects.rewrapUploads(call(rotated), "photos", undefined);
      expect(again.counts).toEqual({ ...counts, scanned: 1, current: 1 });
      const retired = await afterSweep(rotated, second);
      const two = await putPart(retired, upload, 2);
      const info = await retired.objects.completeUpload(call(retired), upload.ref, [one, two], COMPLETE);
      expect([info.context, info.sizeBytes]).toEqual([wanted.encryption?.context ?? new Map(), 80_000]);
      const bytes = await read(retired, REF, undefined, call(retired));
      expect(Buffer.compare(bytes, Buffer.concat([PART, PART]))).toBe(0);
    },
  );

  test("is not undone by a Complete that had begun before", async () => {
    const first = createRing(AT);
    const world = await createWorld(keyOver(first));
    const upload = await world.objects.createUpload(call(world), REF, putWanted());
    const parts = [await putPart(world, upload, 1)];
    const second = withNewVersion(first, AT);
    const rotated = under(world, second);
    const complete = world.storage.complete.bind(world.storage);
    let asked = 0;
    world.storage.complete = async (...given) => {
      asked += 1;
      if (asked === 1) await world.objects.rewrapUploads(call(rotated), "photos", undefined);
      return complete(...given);
    };
    await world.objects.completeUpload(call(rotated), upload.ref, parts, COMPLETE);
    expect(asked).toBe(2);
    const retired = await afterSweep(rotated, second);
    expect(Buffer.compare(await read(retired, REF, undefined, call(retired)), PART)).toBe(0);
  });

  test("leaves an upload that ends meanwhile to whoever ends it, and finds it no more", async () => {
    const ring = createRing(AT);
    const world = await createWorld(keyOver(ring));
    const rotated = under(world, withNewVersion(ring, AT));
    const kept = await world.objects.createUpload(call(world), REF, putWanted());
    const aborted = await world.objects.createUpload(call(world), REF, putWanted());
    const parts = [await putPart(world, kept, 1)];
    const update = world.storage.updateUpload.bind(world.storage);
    world.storage.updateUpload = async (found, ...given) => {
      if (found.uploadId === aborted.ref.uploadId) await world.objects.abortUpload(call(world), aborted.ref);
      else await world.objects.completeUpload(call(world), kept.ref, parts, COMPLETE);
      return update(found, ...given);
    };
    const done = await world.objects.rewrapUploads(call(rotated), "photos", undefined);
    expect(done.counts).toEqual({ ...counts, scanned: 2, conflict: 2 });
    expect((await world.objects.rewrapUploads(call(rotated), "photos", undefined)).counts).toEqual(counts);
    expect((await world.objects.rewrap(call(rotated), "photos", undefined)).counts.rewrapped).toBe(1);
  });

  test("goes through a bucket of many uploads in bounded steps, several of one name among them", async () => {
    const world = await createWorld(localKey());
    for (let index = 0; index < 300; index += 1) {
      await world.objects.createUpload(call(world), { ...REF, name: `n ${index % 7}` }, putWanted());
    }
    const steps: number[] = [];
    for (let cursor: string | undefined, more = true; more; more = cursor !== undefined) {
      const done = await world.objects.rewrapUploads(call(world), "photos", cursor);
      steps.push(done.counts.current);
      cursor = done.cursor;
    }
    expect(steps).toEqual([128, 128, 44]);
  });

  test("can be repeated when it was done and an error was answered", async () => {
    const ring = createRing(AT);
    const world = await createWorld(keyOver(ring));
    const rotated = under(world, withNewVersion(ring, AT));
    await world.objects.createUpload(call(world), REF, putWanted());
    const update = world.storage.updateUpload.bind(world.storage);
    world.storage.updateUpload = async (...given) => {
      await update(...given);
      throw new StorageError("unreachable", "injected");
    };
    const step = () => world.objects.rewrapUploads(call(rotated), "photos", undefined);
    expect(await codeOf(step())).toBe("ServiceUnavailable");
    world.storage.updateUpload = update;
    expect((await step()).counts).toEqual({ ...counts, scanned: 1, current: 1 });
  });
});
