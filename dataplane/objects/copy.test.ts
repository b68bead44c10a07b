import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { bodyIdOf, sealEnvelope } from "../../envelope/envelope.ts";
import { sealedBytes } from "../../envelope/sizes.ts";
import { localKey } from "../../kms/contract/localkey.ts";
import type { Call } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { openStorage } from "../storage/open.ts";
import { type ObjectRef, type Storage, StorageError } from "../storage/storage.ts";
import {
  bodyOf,
  bucketEntry,
  callOf,
  codeOf,
  copyWanted,
  createWorld,
  credentialWith,
  getWanted,
  plainBytes,
  putWanted,
  read,
  restart,
  type World,
  type WorldOptions,
} from "./contract/world.ts";
import { createDigest } from "./digests.ts";
import type { CompletedPart, CopyWanted, ObjectInfo, PutWanted } from "./objects.ts";

const FROM: ObjectRef = { bucket: "photos", name: "a/ü.txt" };
const TO: ObjectRef = { bucket: "photos", name: "copy" };
const OTHER: ObjectRef = { bucket: "music", name: "copy" };
const SIGNAL = new AbortController().signal;
const COMPLETE = {
  conditions: { ifMatch: undefined, ifNoneMatch: undefined },
  sizeBytes: undefined,
  checksums: new Map(),
};
const HEADERS = new Map([
  ["content-type", "text/plain"],
  ["x-amz-meta-who", "ü"],
]);
const TAGS = new Map([["a", "1"]]);

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const wantedWith = (encryption: Partial<PutWanted["encryption"]>): Pick<PutWanted, "encryption"> => ({
  encryption: { ...putWanted().encryption, ...encryption },
});

async function overFiles(): Promise<World> {
  const folder = await mkdtemp(join(tmpdir(), "coffer-copy-"));
  ends.push(() => rm(folder, { recursive: true, force: true }));
  const storage = await openStorage({ type: "filesystem", folder, report: () => undefined });
  ends.push(() => storage.close());
  for (const bucket of ["photos", "music"]) await storage.createBucket(bucket, SIGNAL);
  return createWorld(localKey(), { around: () => storage });
}

const inMemory = (options?: WorldOptions): Promise<World> => createWorld(localKey(), options);

/** Counts the bytes of bodies that are read, and the bodies that are shared. */
function watched(storage: Storage): { readBytes: number; shared: number } {
  const seen = { readBytes: 0, shared: 0 };
  const [readBody, copy] = [storage.read.bind(storage), storage.copy.bind(storage)];
  storage.read = async function* (...given) {
    for await (const block of readBody(...given)) {
      seen.readBytes += block.length;
      yield block;
    }
  };
  storage.copy = (...given) => {
    seen.shared += 1;
    return copy(...given);
  };
  return seen;
}

async function inParts(world: World, bodies: readonly Uint8Array[], wanted = putWanted(), call = callOf(world)) {
  const { ref } = await world.objects.createUpload(call, FROM, wanted);
  const parts: CompletedPart[] = [];
  for (const [index, bytes] of bodies.entries()) {
    const { etag } = await world.objects.putPart(call, { ...ref, partNumber: index + 1 }, bodyOf(bytes));
    parts.push({ partNumber: index + 1, etag, checksums: new Map() });
  }
  return world.objects.completeUpload(call, ref, parts, COMPLETE);
}

async function expectBytes(world: World, ref: ObjectRef, bytes: Uint8Array, call = callOf(world)): Promise<void> {
  expect(Buffer.compare(await read(world, ref, undefined, call), bytes)).toBe(0);
}

const headOf = async (world: World, ref: ObjectRef, call = callOf(world)): Promise<ObjectInfo> =>
  (await world.objects.head(call, ref, getWanted())).info;

describe("copy() leaves the body where it is", () => {
  test.each([
    ["memory", inMemory],
    ["files", overFiles],
  ] as const)("in %s, whatever its size and wherever it goes", async (_where, create) => {
    const world = await create();
    const seen = watched(world.storage);
    for (const size of [0, 1, 16_384, 70_000, 3_000_000]) {
      const bytes = plainBytes(size);
      const wanted = putWanted({ headers: HEADERS, tags: TAGS, checksum: { algorithm: "SHA256", kind: "whole" } });
      const before = await world.objects.put(callOf(world), FROM, bodyOf(bytes), wanted);
      world.nowMs += 60_000;
      for (const to of [TO, OTHER]) {
        const info = await world.objects.copy(callOf(world), FROM, to, copyWanted());
        expect(info).toEqual({ ...before, ref: to, modifiedMs: world.nowMs });
        expect(await headOf(world, to)).toEqual(info);
      }
      expect(seen.readBytes).toBe(0);
      await expectBytes(world, TO, bytes);
      await world.objects.remove(callOf(world), FROM, { ifMatch: undefined });
      await restart(world);
      await expectBytes(world, OTHER, bytes);
      seen.readBytes = 0;
    }
    expect(seen.shared).toBe(10);
  });

  test("also of an object in parts, with the parts as they were", async () => {
    const world = await overFiles();
    const seen = watched(world.storage);
    const wanted = putWanted({ checksum: { algorithm: "CRC32", kind: "composite" } });
    const bodies = [plainBytes(70_000, 1), plainBytes(50_000, 2)];
    const before = await inParts(world, bodies, wanted);
    const info = await world.objects.copy(callOf(world), FROM, OTHER, copyWanted());
    expect(info).toEqual({ ...before, ref: OTHER, modifiedMs: world.nowMs });
    expect(info).toMatchObject({ partsCount: 2, checksums: [{ kind: "composite", parts: 2 }] });
    expect(seen).toEqual({ readBytes: 0, shared: 1 });
    const second = await read(world, OTHER, { kind: "part", partNumber: 2 });
    expect(Buffer.compare(second, bodies[1] as Uint8Array)).toBe(0);
    const { parts } = await world.objects.storedParts(callOf(world), OTHER, getWanted().conditions);
    expect(parts.map(({ partNumber, sizeBytes }) => [partNumber, sizeBytes])).toEqual([
      [1, 70_000],
      [2, 50_000],
    ]);
  });

  test("under the target bucket's own key: the source's bucket key opens no copy", async () => {
    const world = await inMemory();
    await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(50)), putWanted());
    await world.objects.copy(callOf(world), FROM, OTHER, copyWanted());
    const [source, copy] = await Promise.all([world.storage.find(FROM, SIGNAL), world.storage.find(OTHER, SIGNAL)]);
    const [before, after] = [source?.envelope, copy?.envelope] as [Uint8Array, Uint8Array];
    expect(Buffer.compare(bodyIdOf(before), bodyIdOf(after))).toBe(0);
    expect(Buffer.compare(before.subarray(4, 20), after.subarray(4, 20))).not.toBe(0);
  });

  test("with other headers and tags where they are given", async () => {
    const world = await inMemory();
    const source = putWanted({ headers: HEADERS, tags: TAGS });
    await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(5)), source);
    const headers = new Map([["content-type", "image/png"]]);
    const replaced = await world.objects.copy(callOf(world), FROM, TO, copyWanted({ headers }));
    expect(replaced).toMatchObject({ headers, tags: TAGS });
    const tagged = await world.objects.copy(callOf(world), FROM, TO, copyWanted({ tags: new Map() }));
    expect(tagged).toMatchObject({ headers: HEADERS, tags: new Map() });
    expect(await headOf(world, TO)).toEqual(tagged);
  });

  test("summed anew where another checksum is asked for, and with the one that it has", async () => {
    const world = await inMemory();
    const seen = watched(world.storage);
    const bytes = plainBytes(70_000);
    const checksum = { algorithm: "SHA1", kind: "whole" } as const;
    await world.objects.put(callOf(world), FROM, bodyOf(bytes), putWanted({ checksum }));
    const same = await world.objects.copy(callOf(world), FROM, TO, copyWanted({ checksum: "SHA1" }));
    expect(same.checksums.map(({ algorithm }) => algorithm)).toEqual(["SHA1"]);
    expect(seen.readBytes).toBe(0);
    const other = await world.objects.copy(callOf(world), FROM, TO, copyWanted({ checksum: "CRC64NVME" }));
    const digest = createDigest("CRC64NVME");
    digest.update(bytes);
    expect(other.checksums).toMatchObject([{ algorithm: "CRC64NVME", kind: "whole" }]);
    const [found] = (await headOf(world, TO)).checksums;
    expect(Buffer.compare(found?.value ?? new Uint8Array(0), digest.digest())).toBe(0);
    expect(seen.shared).toBe(2);
  });
});

describe("copy() between kinds of encryption", () => {
  const MODES: Readonly<Record<string, [Partial<BucketEntry>, PutWanted["encryption"], "none" | "aws:kms"]>> = {
    plaintext: [{ allowPlaintext: true }, putWanted().encryption, "none"],
    "a bucket key": [{}, putWanted().encryption, "aws:kms"],
    "a key of the KMS": [{ keyMode: "object" }, putWanted().encryption, "aws:kms"],
    "AES256 and MD5": [{}, wantedWith({ shown: "AES256" }).encryption, "aws:kms"],
    "a context of its own": [
      {},
      wantedWith({ shown: "aws:kms", context: new Map([["team", "a"]]) }).encryption,
      "aws:kms",
    ],
    "the other suite": [{ algorithm: "ChaCha20-Poly1305" }, putWanted().encryption, "aws:kms"],
    "whatever suite is faster": [{ algorithm: "Auto" }, putWanted().encryption, "aws:kms"],
    "larger chunks": [{ chunkBytes: 65_536 }, putWanted().encryption, "aws:kms"],
  };
  const NAMES = Object.keys(MODES);
  const PAIRS = NAMES.flatMap((from) => NAMES.map((to) => [from, to] as const));

  function callBetween(world: World, from: string, to: string): Call {
    const entry = (bucket: string, mode: string) => bucketEntry(bucket, MODES[mode]?.[0]);
    return callOf(world, { buckets: [entry("photos", from), entry("music", to)] });
  }

  const isShared = (from: string, to: string): boolean => {
    if (from === "plaintext" || to === "plaintext") return from === to;
    const [before, after] = [from, to].map((mode) => MODES[mode]?.[0].algorithm ?? "AES-256-GCM");
    return after === "Auto" || before === "Auto" || before === after;
  };

  test.each(PAIRS)("from %s to %s keeps bytes and ETag", async (from, to) => {
    const world = await inMemory();
    const seen = watched(world.storage);
    const call = callBetween(world, from, to);
    const [, sourceWanted, sourceShown] = MODES[from] as (typeof MODES)[string];
    const [, encryption, shown] = MODES[to] as (typeof MODES)[string];
    for (const bodies of [[plainBytes(40_000)], [plainBytes(30_000), plainBytes(20_000, 3)]]) {
      world.shown = sourceShown;
      const wanted = { ...putWanted(), encryption: sourceWanted };
      const [first] = bodies as [Uint8Array];
      const before =
        bodies.length === 1
          ? await world.objects.put(call, FROM, bodyOf(first), wanted)
          : await inParts(world, bodies, wanted, call);
      world.shown = shown;
      seen.shared = 0;
      const info = await world.objects.copy(call, FROM, OTHER, copyWanted({ encryption }));
      expect(info.etag).toBe(before.etag);
      expect(info.shown).toBe(encryption.shown ?? shown);
      expect(info.context).toEqual(encryption.context ?? new Map());
      // Of the suites here, the faster one may be either.
      if (from !== "whatever suite is faster") expect(seen.shared).toBe(isShared(from, to) ? 1 : 0);
      expect(info.partsCount).toBe(seen.shared === 1 ? before.partsCount : undefined);
      await restart(world);
      expect(await headOf(world, OTHER, call)).toEqual(info);
      const whole = Buffer.concat(bodies);
      expect(Buffer.compare(await read(world, OTHER, undefined, call), whole)).toBe(0);
      const range = await read(world, OTHER, { kind: "bytes", first: 20_000, last: 30_100 }, call);
      expect(Buffer.compare(range, whole.subarray(20_000, 30_101))).toBe(0);
    }
  });

  test("does not inherit the source's encryption, nor its context", async () => {
    const world = await inMemory();
    const context = new Map([["team", "a"]]);
    const wanted = putWanted(wantedWith({ shown: "aws:kms", context }));
    await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(5)), wanted);
    const info = await world.objects.copy(callOf(world), FROM, TO, copyWanted());
    expect(info).toMatchObject({ context: new Map(), bucketKeyEnabled: true });
    world.shown = "AES256";
    expect((await world.objects.copy(callOf(world), FROM, TO, copyWanted())).shown).toBe("AES256");
  });

  test("streams where the storage cannot share a body", async () => {
    const world = await inMemory();
    world.storage.copy = () => Promise.reject(new StorageError("unsupported", "injected"));
    const bytes = plainBytes(2_500_000);
    const before = await world.objects.put(callOf(world), FROM, bodyOf(bytes), putWanted());
    expect((await world.objects.copy(callOf(world), FROM, TO, copyWanted())).etag).toBe(before.etag);
    await expectBytes(world, TO, bytes);
  });
});

describe("copy() is refused", () => {
  test("by any condition on its source that does not hold", async () => {
    const world = await inMemory();
    const { etag, modifiedMs } = await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(5)), putWanted());
    const cases: [Partial<CopyWanted["source"]>, string][] = [
      [{ ifMatch: [etag] }, "done"],
      [{ ifMatch: ["other"] }, "PreconditionFailed"],
      [{ ifNoneMatch: ["other"] }, "done"],
      [{ ifNoneMatch: [etag] }, "PreconditionFailed"],
      [{ ifModifiedSinceMs: modifiedMs - 1000 }, "done"],
      [{ ifModifiedSinceMs: modifiedMs }, "PreconditionFailed"],
      [{ ifUnmodifiedSinceMs: modifiedMs }, "done"],
      [{ ifUnmodifiedSinceMs: modifiedMs - 1000 }, "PreconditionFailed"],
      [{ ifMatch: [etag], ifUnmodifiedSinceMs: modifiedMs - 1000 }, "done"],
      [{ ifNoneMatch: [etag], ifModifiedSinceMs: modifiedMs - 1000 }, "PreconditionFailed"],
    ];
    for (const [conditions, code] of cases) {
      const source = { ...getWanted().conditions, ...conditions };
      expect([conditions, await codeOf(world.objects.copy(callOf(world), FROM, TO, copyWanted({ source })))]).toEqual([
        conditions,
        code,
      ]);
    }
  });

  test("by a condition on its target that does not hold, at the commit too", async () => {
    const world = await inMemory();
    await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(5)), putWanted());
    const only = copyWanted({ conditions: { ifMatch: undefined, ifNoneMatch: "*" } });
    const codes = await Promise.all(
      Array.from({ length: 5 }, () => codeOf(world.objects.copy(callOf(world), FROM, TO, only))),
    );
    expect(codes.toSorted()).toEqual(["PreconditionFailed", ...Array(3).fill("PreconditionFailed"), "done"]);
    const same = copyWanted({ conditions: { ifMatch: "other", ifNoneMatch: undefined } });
    expect(await codeOf(world.objects.copy(callOf(world), FROM, TO, same))).toBe("PreconditionFailed");
  });

  test("onto itself unless something changes", async () => {
    const world = await inMemory();
    const bytes = plainBytes(50_000);
    await world.objects.put(callOf(world), FROM, bodyOf(bytes), putWanted({ headers: HEADERS }));
    expect(await codeOf(world.objects.copy(callOf(world), FROM, FROM, copyWanted()))).toBe("InvalidRequest");
    const changes: Partial<CopyWanted>[] = [
      { headers: new Map() },
      { tags: TAGS },
      wantedWith({ shown: "AES256" }),
      wantedWith({ bucketKeyEnabled: false }),
    ];
    for (const change of changes) {
      world.nowMs += 1000;
      const info = await world.objects.copy(callOf(world), FROM, FROM, copyWanted(change));
      expect(info).toEqual(await headOf(world, FROM));
      expect(info.modifiedMs).toBe(world.nowMs);
      await expectBytes(world, FROM, bytes);
    }
  });

  test("of more than 5 GiB, before anything is read", async () => {
    const world = await inMemory();
    await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(5)), putWanted());
    const find = world.storage.find.bind(world.storage);
    const bucketKey = await world.keys.current(callOf(world), bucketEntry("photos"));
    const sizes = { least: 5 * 2 ** 30, most: 5 * 2 ** 30 + 1 };
    for (const [name, sizeBytes] of Object.entries(sizes)) {
      const place = { kind: "object", objectName: FROM.name, versionId: "" } as const;
      const head = Buffer.from("4f455331010110000000000000000000".padEnd(64, "0"), "hex");
      head[6] = 14;
      const contents = {
        key: { mode: "bucket", dataKey: new Uint8Array(32) },
        bodyHead: head,
        sizeBytes,
        etag: { bytes: new Uint8Array(16), parts: 1 },
        modifiedMs: 1,
        shown: "aws:kms",
      } as const;
      const envelope = sealEnvelope(place, contents, bucketKey.id, new Uint8Array(16), bucketKey.key);
      world.storage.find = async (ref, signal) => {
        const entry = await find(ref, signal);
        return entry && ref.name === FROM.name
          ? { ...entry, envelope, storedBytes: sealedBytes(sizeBytes, 14) }
          : entry;
      };
      const code = await codeOf(world.objects.copy(callOf(world), FROM, TO, copyWanted()));
      expect([name, code]).toEqual([name, name === "least" ? "done" : "InvalidRequest"]);
    }
  });

  test("to who may not read the source, or not write the target, and tells absence only to who may list", async () => {
    const world = await inMemory();
    const copy = (from: ObjectRef, to: ObjectRef, ...permissions: ("Read" | "Write" | "List")[]) =>
      codeOf(world.objects.copy(callOf(world, { principal: credentialWith(...permissions) }), from, to, copyWanted()));
    await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(5)), putWanted());
    await world.objects.put(callOf(world), OTHER, bodyOf(plainBytes(5)), putWanted());
    expect(await copy(FROM, TO, "Read", "Write")).toBe("done");
    expect(await copy(FROM, TO, "Write", "List")).toBe("AccessDenied");
    expect(await copy(FROM, TO, "Read", "List")).toBe("AccessDenied");
    expect(await copy(OTHER, TO, "Read", "Write", "List")).toBe("AccessDenied");
    expect(await copy(FROM, OTHER, "Read", "Write", "List")).toBe("AccessDenied");
    const nothing = { bucket: "photos", name: "nothing" };
    expect(await copy(nothing, TO, "Read", "Write", "List")).toBe("NoSuchKey");
    expect(await copy(nothing, TO, "Read", "Write")).toBe("AccessDenied");
  });
});

describe("a source that is replaced while it is copied", () => {
  const after = plainBytes(60_000, 9);

  test("is copied as it is then", async () => {
    const world = await inMemory();
    await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(5)), putWanted());
    const copy = world.storage.copy.bind(world.storage);
    world.storage.copy = async (...given) => {
      world.storage.copy = copy;
      await world.objects.put(callOf(world), FROM, bodyOf(after), putWanted());
      return copy(...given);
    };
    await world.objects.copy(callOf(world), FROM, TO, copyWanted());
    await expectBytes(world, TO, after);
  });

  test("onto itself is never put back", async () => {
    const world = await inMemory();
    world.storage.copy = () => Promise.reject(new StorageError("unsupported", "injected"));
    await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(5)), putWanted());
    const draft = world.storage.draft.bind(world.storage);
    world.storage.draft = (...given) => {
      world.storage.draft = draft;
      const open = draft(...given);
      const commit = open.commit.bind(open);
      open.commit = async (expect_) => {
        await world.objects.put(callOf(world), FROM, bodyOf(after), putWanted());
        return commit(expect_);
      };
      return open;
    };
    const info = await world.objects.copy(callOf(world), FROM, FROM, copyWanted({ headers: HEADERS }));
    expect(info).toMatchObject({ sizeBytes: after.length, headers: HEADERS });
    await expectBytes(world, FROM, after);
  });

  test("again and again is a conflict", async () => {
    const world = await inMemory();
    await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(5)), putWanted());
    const copy = world.storage.copy.bind(world.storage);
    world.storage.copy = async (...given) => {
      await world.objects.put(callOf(world), FROM, bodyOf(after), putWanted());
      return copy(...given);
    };
    expect(await codeOf(world.objects.copy(callOf(world), FROM, TO, copyWanted()))).toBe("ConditionalRequestConflict");
  });

  test("or removed is not there", async () => {
    const world = await inMemory();
    await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(5)), putWanted());
    const copy = world.storage.copy.bind(world.storage);
    world.storage.copy = async (...given) => {
      await world.objects.remove(callOf(world), FROM, { ifMatch: undefined });
      return copy(...given);
    };
    expect(await codeOf(world.objects.copy(callOf(world), FROM, TO, copyWanted()))).toBe("NoSuchKey");
  });
});

describe("a source that does not authenticate", () => {
  const flipped = (bytes: Uint8Array): Uint8Array => {
    const other = Uint8Array.from(bytes);
    other[other.length - 5] = (other[other.length - 5] ?? 0) ^ 1;
    return other;
  };
  const chacha = (world: World): Call =>
    callOf(world, { buckets: [bucketEntry("photos"), bucketEntry("music", { algorithm: "ChaCha20-Poly1305" })] });

  test("is not sealed again: nothing is stored, and the line says tamper", async () => {
    const world = await inMemory();
    await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(70_000)), putWanted());
    const readBody = world.storage.read.bind(world.storage);
    world.storage.read = async function* (...given) {
      for await (const block of readBody(...given)) yield flipped(block);
    };
    expect(await codeOf(world.objects.copy(chacha(world), FROM, OTHER, copyWanted()))).toBe("InternalError");
    expect(world.audit.at(-1)).toMatchObject({ operation: "CopyObject", failure: { tamper: true } });
    expect(await world.storage.find(OTHER, SIGNAL)).toBeUndefined();
  });

  test("is not given another envelope either", async () => {
    const world = await inMemory();
    await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(50)), putWanted());
    await restart(world);
    const find = world.storage.find.bind(world.storage);
    world.storage.find = async (ref, signal) => {
      const entry = await find(ref, signal);
      return entry && { ...entry, envelope: flipped(entry.envelope ?? new Uint8Array(0)) };
    };
    expect(await codeOf(world.objects.copy(callOf(world), FROM, OTHER, copyWanted()))).toBe("InternalError");
    const change = { kind: "tags", tags: TAGS } as const;
    expect(await codeOf(world.objects.change(callOf(world), FROM, change))).toBe("InternalError");
  });

  test("or is shorter than was sealed is not copied", async () => {
    const world = await inMemory();
    await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(50)), putWanted());
    const find = world.storage.find.bind(world.storage);
    world.storage.find = async (ref, signal) => {
      const entry = await find(ref, signal);
      return entry && { ...entry, storedBytes: entry.storedBytes - 1 };
    };
    expect(await codeOf(world.objects.copy(callOf(world), FROM, OTHER, copyWanted()))).toBe("InternalError");
  });
});

test("copy() writes a line for the target and one for the source", async () => {
  const world = await inMemory();
  await world.objects.put(callOf(world), FROM, bodyOf(plainBytes(5)), putWanted());
  world.audit.length = 0;
  await world.objects.copy(callOf(world), FROM, OTHER, copyWanted());
  expect(world.audit.filter(({ kind }) => kind !== "key")).toMatchObject([
    { operation: "CopyObject", kind: "read", bucket: "photos", name: FROM.name, bytes: 5 },
    { operation: "CopyObject", kind: "write", bucket: "music", name: "copy", bytes: 5 },
  ]);
});

describe("copyPart()", () => {
  async function prepared(size: number, wanted = putWanted()) {
    const world = await inMemory();
    const bytes = plainBytes(size);
    await inParts(world, [bytes.subarray(0, size / 2), bytes.subarray(size / 2)]);
    const { ref } = await world.objects.createUpload(callOf(world), OTHER, wanted);
    return { world, bytes, part: { ...ref, partNumber: 3 } };
  }
  const whole = { source: getWanted().conditions, range: undefined };

  test("seals a range, or all, of a source of another bucket as a part", async () => {
    const { world, bytes, part } = await prepared(
      100_000,
      putWanted({ checksum: { algorithm: "CRC32C", kind: "whole" } }),
    );
    const range = { first: 49_000, last: 70_000 };
    const first = await world.objects.copyPart(callOf(world), FROM, { ...part, partNumber: 1 }, { ...whole, range });
    const second = await world.objects.copyPart(callOf(world), FROM, { ...part, partNumber: 2 }, whole);
    expect(first).toMatchObject({ sizeBytes: 21_001, checksums: [{ algorithm: "CRC32C" }] });
    const parts = [first, second].map(({ partNumber, etag }) => ({ partNumber, etag, checksums: new Map() }));
    await world.objects.completeUpload(callOf(world), part, parts, COMPLETE);
    await expectBytes(world, OTHER, Buffer.concat([bytes.subarray(49_000, 70_001), bytes]));
  });

  test("of the same bytes twice never has the same ETag, since it has a salt of its own", async () => {
    const { world, part } = await prepared(1000);
    const one = await world.objects.copyPart(callOf(world), FROM, part, whole);
    const two = await world.objects.copyPart(callOf(world), FROM, part, whole);
    expect(one.etag).not.toBe(two.etag);
  });

  test("takes no range beyond the source, and no source whose condition does not hold", async () => {
    const { world, part } = await prepared(1000);
    const copy = (wanted: object) => codeOf(world.objects.copyPart(callOf(world), FROM, part, { ...whole, ...wanted }));
    expect(await copy({ range: { first: 0, last: 999 } })).toBe("done");
    expect(await copy({ range: { first: 0, last: 1000 } })).toBe("InvalidRange");
    expect(await copy({ range: { first: 1000, last: 1001 } })).toBe("InvalidRange");
    expect(await copy({ range: { first: 5, last: 4 } })).toBe("InvalidRange");
    expect(await copy({ source: { ...whole.source, ifMatch: ["x"] } })).toBe("PreconditionFailed");
  });

  test("needs the right to read the source, an open upload, and a part number", async () => {
    const { world, part } = await prepared(1000);
    const principal = credentialWith("Write", "List");
    const mine = { ...part, bucket: "photos", name: "x" };
    const copy = (to: typeof part, call = callOf(world)) => codeOf(world.objects.copyPart(call, FROM, to, whole));
    expect(await copy(mine, callOf(world, { principal }))).toBe("AccessDenied");
    expect(await copy({ ...part, uploadId: "0".repeat(32) })).toBe("NoSuchUpload");
    expect(await copy({ ...part, partNumber: 10_001 })).toBe("InvalidArgument");
  });

  test("reads the source as it is when it is replaced before its first byte", async () => {
    const { world, part } = await prepared(1000);
    const after = plainBytes(2000, 5);
    const readBody = world.storage.read.bind(world.storage);
    world.storage.read = async function* (...given) {
      world.storage.read = readBody;
      await world.objects.put(callOf(world), FROM, bodyOf(after), putWanted());
      yield* readBody(...given);
    };
    expect((await world.objects.copyPart(callOf(world), FROM, part, whole)).sizeBytes).toBe(2000);
  });
});
