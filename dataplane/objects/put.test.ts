import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import type { ChecksumAlgorithm } from "../call.ts";
import type { BucketEntry } from "../config/config.ts";
import { Failure } from "../failure.ts";
import type { Entry, Storage } from "../storage/storage.ts";
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
} from "./contract/world.ts";
import { createDigest } from "./digests.ts";
import type { PutWanted } from "./objects.ts";

const CHUNK = 16_384;
const ONLY_NEW = { ifMatch: undefined, ifNoneMatch: "*" } as const;
const WRITERS = 12;

function digestOf(algorithm: ChecksumAlgorithm, bytes: Uint8Array): Uint8Array {
  const digest = createDigest(algorithm);
  digest.update(bytes);
  return digest.digest();
}

describe("a body comes back as it was", () => {
  const edges = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1];
  const long = [2 ** 20 - 1, 2 ** 20, 2 ** 20 + 1, 3 * 2 ** 20 + 5];
  test.each([...edges, ...long])("of %i bytes", async (count) => {
    const world = await createWorld(localKey());
    const bytes = plainBytes(count);
    const info = await world.objects.put(callOf(world), PHOTO, bodyOf(bytes), putWanted());
    expect(info.sizeBytes).toBe(count);
    expect(Buffer.compare(await read(world, PHOTO), bytes)).toBe(0);
  });

  const modes: readonly (readonly [string, Partial<BucketEntry>])[] = [
    ["ChaCha20-Poly1305", { algorithm: "ChaCha20-Poly1305" }],
    ["whatever is faster here", { algorithm: "Auto" }],
    ["a data key that the KMS wraps", { keyMode: "object" }],
    ["chunks of 1 MiB", { chunkBytes: 1_048_576 }],
    ["a context of the bucket", { context: { team: "a" }, keyMode: "object" }],
  ];
  test.each(modes)("with %s", async (_sentence, more) => {
    const world = await createWorld(localKey());
    const buckets = [bucketEntry("photos", more)];
    const bytes = plainBytes(2 ** 20 + 3);
    const info = await world.objects.put(callOf(world, { buckets }), PHOTO, bodyOf(bytes), putWanted());
    expect(info.bucketKeyEnabled).toBe(!("keyMode" in more));
    expect(Buffer.compare(await read(world, PHOTO, undefined, callOf(world, { buckets })), bytes)).toBe(0);
  });

  test("however it comes cut", async () => {
    const world = await createWorld(localKey());
    await fc.assert(
      fc.asyncProperty(fc.nat(70_000), fc.integer({ min: 200, max: 40_000 }), async (count, stepBytes) => {
        const bytes = plainBytes(count, stepBytes);
        await world.objects.put(callOf(world), PHOTO, bodyOf(bytes, { stepBytes }), putWanted());
        expect(Buffer.compare(await read(world, PHOTO), bytes)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  test("byte by byte", async () => {
    const world = await createWorld(localKey());
    const bytes = plainBytes(CHUNK + 10);
    await world.objects.put(callOf(world), PHOTO, bodyOf(bytes, { stepBytes: 1, plainBytes: undefined }), putWanted());
    expect(Buffer.compare(await read(world, PHOTO), bytes)).toBe(0);
  });
});

describe("what is kept with an object", () => {
  test("is answered by put and by head alike", async () => {
    const world = await createWorld(localKey());
    const wanted: Partial<PutWanted> = {
      headers: new Map([
        ["content-type", "text/plain"],
        ["x-amz-meta-größe", "\u{1f600}"],
      ]),
      tags: new Map([["k", "v"]]),
      encryption: {
        shown: "aws:kms",
        kmsKeyId: world.key.kmsKeyId,
        context: new Map([["purpose", "test"]]),
        bucketKeyEnabled: undefined,
      },
      checksum: { algorithm: "SHA256", kind: "whole" },
    };
    const info = await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(5)), putWanted(wanted));
    const found = await world.objects.head(callOf(world), PHOTO, getWanted());
    expect({ ...found.info, checksums: [] }).toEqual({ ...info, checksums: [] });
    expect(info).toMatchObject({
      ref: PHOTO,
      modifiedMs: world.nowMs,
      headers: wanted.headers,
      tags: wanted.tags,
      shown: "aws:kms",
      kmsKeyId: world.key.kmsKeyId,
      bucketKeyEnabled: false,
      context: new Map([["purpose", "test"]]),
      partsCount: undefined,
    });
    expect(found.info.checksums).toHaveLength(1);
    expect(Buffer.from(found.info.checksums[0]?.value ?? [])).toEqual(
      createHash("sha256").update(plainBytes(5)).digest(),
    );
  });

  test("an ETag is the MD5 for who is shown AES256, else 32 digits and -1 that no MD5 has", async () => {
    const world = await createWorld(localKey());
    const md5 = createHash("md5").update(plainBytes(5)).digest("hex");
    const put = () => world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(5)), putWanted());
    const opaque = await put();
    expect(opaque.etag).toMatch(/^[0-9a-f]{32}-1$/);
    expect(opaque.etag).not.toContain(md5);
    expect((await put()).etag).not.toBe(opaque.etag);
    world.shown = "AES256";
    expect(await put()).toMatchObject({ etag: md5, shown: "AES256", kmsKeyId: undefined, bucketKeyEnabled: false });
  });

  test("plaintext is stored only where setting and configuration agree on it", async () => {
    const world = await createWorld(localKey());
    world.shown = "none";
    const marker = Buffer.from("MARKER-OF-PLAINTEXT");
    const stored = async (allowPlaintext: boolean) => {
      const buckets = [bucketEntry("photos", { allowPlaintext })];
      const info = await world.objects.put(callOf(world, { buckets }), PHOTO, bodyOf(marker), putWanted());
      expect(Buffer.compare(await read(world, PHOTO, undefined, callOf(world, { buckets })), marker)).toBe(0);
      const entry = (await world.storage.find(PHOTO, new AbortController().signal)) as Entry;
      const bytes: Uint8Array[] = [];
      const { signal } = new AbortController();
      for await (const block of world.storage.read(entry, 0, entry.storedBytes, signal)) bytes.push(block);
      return { shown: info.shown, plain: Buffer.concat(bytes).includes(marker) };
    };
    expect(await stored(false)).toEqual({ shown: "aws:kms", plain: false });
    expect(await stored(true)).toEqual({ shown: "none", plain: true });
  });
});

describe("put() refuses, and stores nothing,", () => {
  const bytes = plainBytes(100);
  const failing = new Failure("IncompleteBody", "The body ended early");
  const encryption = { shown: undefined, kmsKeyId: undefined, context: undefined, bucketKeyEnabled: undefined };
  const rows: readonly (readonly [string, () => ReturnType<typeof bodyOf>, Partial<PutWanted>, string])[] = [
    ["a body that is shorter than said", () => bodyOf(bytes, { plainBytes: 101 }), {}, "IncompleteBody"],
    ["a body that is longer than said", () => bodyOf(bytes, { plainBytes: 99 }), {}, "IncompleteBody"],
    [
      "a wrong Content-MD5",
      () => bodyOf(bytes, { announced: new Map([["MD5", new Uint8Array(16)]]) }),
      {},
      "BadDigest",
    ],
    ["a wrong CRC32", () => bodyOf(bytes, { announced: new Map([["CRC32", new Uint8Array(4)]]) }), {}, "BadDigest"],
    [
      "a checksum that was announced and never came",
      () => ({ ...bodyOf(bytes), announced: ["CRC32"], promised: () => new Map() }),
      {},
      "MalformedTrailerError",
    ],
    [
      "a body that breaks off",
      () => ({
        ...bodyOf(bytes),
        async *[Symbol.asyncIterator]() {
          yield bytes.subarray(0, 50);
          throw failing;
        },
      }),
      {},
      "IncompleteBody",
    ],
    ["If-Match on nothing", () => bodyOf(bytes), { conditions: { ifMatch: "x", ifNoneMatch: undefined } }, "NoSuchKey"],
    [
      "a KMS key that is not the bucket's",
      () => bodyOf(bytes),
      { encryption: { ...encryption, shown: "aws:kms", kmsKeyId: "other" } },
      "KMS.NotFoundException",
    ],
    [
      "a KMS key id without aws:kms",
      () => bodyOf(bytes),
      { encryption: { ...encryption, kmsKeyId: "other" } },
      "InvalidArgument",
    ],
    [
      "a context that pretends to be ours",
      () => bodyOf(bytes),
      { encryption: { ...encryption, shown: "aws:kms", context: new Map([["coffer:store", "x"]]) } },
      "InvalidArgument",
    ],
  ];
  test.each(rows)("%s", async (_sentence, body, wanted, code) => {
    const world = await createWorld(localKey());
    expect(await codeOf(world.objects.put(callOf(world), PHOTO, body(), putWanted(wanted)))).toBe(code);
    expect(await world.storage.find(PHOTO, new AbortController().signal)).toBeUndefined();
    const last = world.audit.at(-1);
    expect([last?.operation, last?.failure?.code, last?.failure?.tamper]).toEqual(["PutObject", code, false]);
  });

  test("a body whose request was aborted", async () => {
    const world = await createWorld(localKey());
    const aborting = new AbortController();
    const body = {
      ...bodyOf(bytes, { plainBytes: undefined }),
      async *[Symbol.asyncIterator]() {
        yield bytes;
        aborting.abort();
        yield bytes;
      },
    };
    const put = world.objects.put(callOf(world, { signal: aborting.signal }), PHOTO, body, putWanted());
    expect(await codeOf(put)).toBe("ClientClosedRequest");
    expect(await world.storage.find(PHOTO, new AbortController().signal)).toBeUndefined();
  });

  test("a failing condition before the first byte of the body is asked for", async () => {
    const world = await createWorld(localKey());
    await world.objects.put(callOf(world), PHOTO, bodyOf(bytes), putWanted());
    let asked = false;
    const body = {
      ...bodyOf(bytes),
      async *[Symbol.asyncIterator]() {
        asked = true;
        yield bytes;
      },
    };
    expect(await codeOf(world.objects.put(callOf(world), PHOTO, body, putWanted({ conditions: ONLY_NEW })))).toBe(
      "PreconditionFailed",
    );
    expect(asked).toBe(false);
  });
});

describe("conditions hold until the commit", () => {
  test("of many creations at once exactly one succeeds", async () => {
    const world = await createWorld(localKey());
    const puts = Array.from({ length: WRITERS }, (_, seed) =>
      codeOf(
        world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(10, seed)), putWanted({ conditions: ONLY_NEW })),
      ),
    );
    const codes = (await Promise.all(puts)).sort();
    expect(codes).toEqual([...Array.from({ length: WRITERS - 1 }, () => "PreconditionFailed"), "done"]);
  });

  test("of many replacements of one state exactly one succeeds", async () => {
    const world = await createWorld(localKey());
    const { etag } = await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(10)), putWanted());
    const conditions = { ifMatch: etag, ifNoneMatch: undefined };
    const puts = Array.from({ length: WRITERS }, (_, seed) =>
      codeOf(world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(10, seed)), putWanted({ conditions }))),
    );
    expect((await Promise.all(puts)).filter((code) => code === "done")).toHaveLength(1);
  });

  test("a commit that was overtaken is judged again, and the body is not asked for twice", async () => {
    let overtaken = 0;
    const world = await createWorld(localKey(), { around: (storage) => overtaking(storage, () => overtaken++ < 3) });
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(10)), putWanted());
    const put = world.objects.put(
      callOf(world),
      PHOTO,
      bodyOf(plainBytes(10, 2)),
      putWanted({ conditions: { ifMatch: "*", ifNoneMatch: undefined } }),
    );
    expect(await codeOf(put)).toBe("done");
    expect(overtaken).toBeGreaterThan(3);
    expect(Buffer.compare(await read(world, PHOTO), plainBytes(10, 2))).toBe(0);
  });

  test("a commit that is overtaken for ever ends in a conflict", async () => {
    const world = await createWorld(localKey(), { around: (storage) => overtaking(storage, () => true) });
    const put = world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(10)), putWanted({ conditions: ONLY_NEW }));
    expect(await codeOf(put)).toBe("ConditionalRequestConflict");
  });
});

/** A storage whose conditional commits fail while `when` says so, as if somebody else had been faster. */
function overtaking(storage: Storage, when: () => boolean): Storage {
  const begin = storage.draft.bind(storage);
  storage.draft = (ref, source, signal) => {
    const draft = begin(ref, source, signal);
    return {
      write: (buffers) => draft.write(buffers),
      commit: (expected) => draft.commit(expected !== undefined && when() ? "somebody else's" : expected),
      discard: () => draft.discard(),
    };
  };
  return storage;
}

test("the digests that the client announced are kept, but for Content-MD5", async () => {
  const world = await createWorld(localKey());
  const bytes = plainBytes(10);
  const announced = new Map<ChecksumAlgorithm, Uint8Array>(
    (["MD5", "CRC32C", "CRC64NVME"] as const).map((algorithm) => [algorithm, digestOf(algorithm, bytes)]),
  );
  const info = await world.objects.put(callOf(world), PHOTO, bodyOf(bytes, { announced }), putWanted());
  expect(info.checksums.map(({ algorithm, kind }) => [algorithm, kind])).toEqual([
    ["CRC32C", "whole"],
    ["CRC64NVME", "whole"],
  ]);
});
