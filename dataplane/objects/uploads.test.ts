import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import type { ChecksumAlgorithm } from "../call.ts";
import {
  bodyOf,
  bucketEntry,
  callOf,
  codeOf,
  createWorld,
  credentialWith,
  getWanted,
  PHOTO,
  plainBytes,
  putWanted,
  read,
  type World,
} from "./contract/world.ts";
import { combineWhole, createDigest } from "./digests.ts";
import type { CompletedPart, CompleteWanted, PutWanted, UploadInfo } from "./objects.ts";

const CHUNK = 16_384;

function completeWanted(more: Partial<CompleteWanted> = {}): CompleteWanted {
  return {
    conditions: { ifMatch: undefined, ifNoneMatch: undefined },
    sizeBytes: undefined,
    checksums: new Map(),
    ...more,
  };
}

async function begin(world: World, wanted: Partial<PutWanted> = {}): Promise<UploadInfo> {
  return world.objects.createUpload(callOf(world), PHOTO, putWanted(wanted));
}

async function putPart(world: World, { ref }: UploadInfo, partNumber: number, bytes: Uint8Array) {
  const { etag } = await world.objects.putPart(callOf(world), { ...ref, partNumber }, bodyOf(bytes));
  return { partNumber, etag, checksums: new Map() } satisfies CompletedPart;
}

function complete(
  world: World,
  { ref }: UploadInfo,
  parts: readonly CompletedPart[],
  more: Partial<CompleteWanted> = {},
) {
  return world.objects.completeUpload(callOf(world), ref, parts, completeWanted(more));
}

function digestOf(algorithm: ChecksumAlgorithm, bytes: Uint8Array): Uint8Array {
  const digest = createDigest(algorithm);
  digest.update(bytes);
  return digest.digest();
}

describe("an upload in parts", () => {
  test("becomes one object of its parts in the listed order, with gaps and unlisted parts left out", async () => {
    const world = await createWorld(localKey());
    const upload = await begin(world, { headers: new Map([["content-type", "text/plain"]]) });
    const one = await putPart(world, upload, 1, plainBytes(3 * CHUNK, 1));
    await putPart(world, upload, 2, plainBytes(10, 2));
    const five = await putPart(world, upload, 5, plainBytes(CHUNK + 7, 5));
    const info = await complete(world, upload, [one, five]);
    expect(info.sizeBytes).toBe(4 * CHUNK + 7);
    expect(info.etag).toMatch(/^[0-9a-f]{32}-2$/);
    expect(info.partsCount).toBe(2);
    expect(info.headers.get("content-type")).toBe("text/plain");
    const whole = Buffer.concat([plainBytes(3 * CHUNK, 1), plainBytes(CHUNK + 7, 5)]);
    expect(Buffer.compare(await read(world, PHOTO), whole)).toBe(0);
    expect(Buffer.compare(await read(world, PHOTO, { kind: "part", partNumber: 5 }), plainBytes(CHUNK + 7, 5))).toBe(0);
    expect(await codeOf(read(world, PHOTO, { kind: "part", partNumber: 2 }))).toBe("InvalidPartNumber");
  });

  test("answers every range as a slice of the whole, also across parts", async () => {
    const world = await createWorld(localKey());
    const upload = await begin(world);
    const sizes = [CHUNK, 1, 2 * CHUNK - 1, CHUNK + 1];
    const bodies = sizes.map((size, index) => plainBytes(size, index));
    const parts: CompletedPart[] = [];
    for (const [index, body] of bodies.entries()) parts.push(await putPart(world, upload, index + 1, body));
    await complete(world, upload, parts);
    const whole = Buffer.concat(bodies);
    const edges = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, CHUNK + 2, 2 * CHUNK, 3 * CHUNK, 3 * CHUNK + 1, whole.length - 1];
    for (const first of edges) {
      for (const last of edges.filter((edge) => edge >= first)) {
        const got = await read(world, PHOTO, { kind: "bytes", first, last });
        expect(Buffer.compare(got, whole.subarray(first, last + 1)), `${first}-${last}`).toBe(0);
      }
    }
  });

  test("of a single part keeps a part count and an opaque ETag of one part", async () => {
    const world = await createWorld(localKey());
    const upload = await begin(world);
    const info = await complete(world, upload, [await putPart(world, upload, 7, plainBytes(5))]);
    expect([info.etag.slice(32), info.partsCount]).toEqual(["-1", 1]);
    expect(Buffer.compare(await read(world, PHOTO), plainBytes(5))).toBe(0);
  });

  test("has MD5 ETags if AES256 was asked for", async () => {
    const world = await createWorld(localKey());
    const encryption = {
      shown: "AES256",
      kmsKeyId: undefined,
      context: undefined,
      bucketKeyEnabled: undefined,
    } as const;
    const upload = await begin(world, { encryption });
    const bodies = [plainBytes(100, 1), plainBytes(50, 2)];
    const md5s = bodies.map((body) => createHash("md5").update(body).digest());
    const parts = [await putPart(world, upload, 1, bodies[0] as Uint8Array)];
    parts.push(await putPart(world, upload, 2, bodies[1] as Uint8Array));
    expect(parts.map(({ etag }) => etag)).toEqual(md5s.map((md5) => md5.toString("hex")));
    const info = await complete(world, upload, parts);
    expect(info.etag).toBe(`${createHash("md5").update(Buffer.concat(md5s)).digest("hex")}-2`);
    expect(info.shown).toBe("AES256");
  });

  test.each(["bucket", "object"] as const)("works with key mode %s and plaintext parts alike", async (keyMode) => {
    const world = await createWorld(localKey());
    const buckets = [bucketEntry("photos", { keyMode, allowPlaintext: keyMode === "bucket", algorithm: "Auto" })];
    world.shown = keyMode === "bucket" ? "none" : "aws:kms";
    const call = callOf(world, { buckets });
    const upload = await world.objects.createUpload(call, PHOTO, putWanted());
    const parts: CompletedPart[] = [];
    for (const partNumber of [1, 2]) {
      const body = bodyOf(plainBytes(CHUNK + partNumber, partNumber));
      const { etag } = await world.objects.putPart(callOf(world, { buckets }), { ...upload.ref, partNumber }, body);
      parts.push({ partNumber, etag, checksums: new Map() });
    }
    const info = await world.objects.completeUpload(callOf(world, { buckets }), upload.ref, parts, completeWanted());
    expect(info.shown).toBe(world.shown);
    const whole = Buffer.concat([plainBytes(CHUNK + 1, 1), plainBytes(CHUNK + 2, 2)]);
    expect(Buffer.compare(await read(world, PHOTO, undefined, callOf(world, { buckets })), whole)).toBe(0);
    const second = await read(world, PHOTO, { kind: "part", partNumber: 2 }, callOf(world, { buckets }));
    expect(Buffer.compare(second, plainBytes(CHUNK + 2, 2))).toBe(0);
  });

  test("takes the last of two attempts at a part", async () => {
    const world = await createWorld(localKey());
    const upload = await begin(world);
    const before = await putPart(world, upload, 1, plainBytes(100, 1));
    const after = await putPart(world, upload, 1, plainBytes(100, 1));
    expect(after.etag).not.toBe(before.etag);
    expect(await codeOf(complete(world, upload, [before]))).toBe("InvalidPart");
    await complete(world, upload, [after]);
    expect(Buffer.compare(await read(world, PHOTO), plainBytes(100, 1))).toBe(0);
  });
});

describe("completeUpload() refuses", () => {
  const rows: readonly (readonly [string, readonly number[], Partial<CompleteWanted>, string])[] = [
    ["parts out of order", [2, 1], {}, "InvalidPartOrder"],
    ["a part twice", [1, 1], {}, "InvalidPartOrder"],
    ["no parts", [], {}, "MalformedXML"],
    ["a part that was never uploaded", [1, 3], {}, "InvalidPart"],
    ["another size than was said", [1, 2], { sizeBytes: 7 }, "InvalidRequest"],
    [
      "a checksum that the upload does not have",
      [1, 2],
      { checksums: new Map([["CRC32", { value: new Uint8Array(4), parts: undefined }]]) },
      "InvalidRequest",
    ],
    ["a kind of checksum where it was begun without one", [1, 2], { kind: "whole" }, "InvalidRequest"],
    ["to replace what does not exist", [1, 2], { conditions: { ifMatch: "x", ifNoneMatch: undefined } }, "NoSuchKey"],
  ];
  test.each(rows)("%s", async (_sentence, numbers, more, code) => {
    const world = await createWorld(localKey());
    const upload = await begin(world);
    const parts = new Map<number, CompletedPart>([[3, { partNumber: 3, etag: "x", checksums: new Map() }]]);
    for (const number of [1, 2]) parts.set(number, await putPart(world, upload, number, plainBytes(20, number)));
    const listed = numbers.map((number) => parts.get(number) as CompletedPart);
    expect(await codeOf(complete(world, upload, listed, more))).toBe(code);
    expect(await codeOf(read(world, PHOTO))).toBe("NoSuchKey");
  });

  test("a part under 5 MiB that is not the last", async () => {
    const world = await createWorld(localKey(), { partBytesMin: 30 });
    const upload = await begin(world);
    const parts = [await putPart(world, upload, 1, plainBytes(29)), await putPart(world, upload, 2, plainBytes(1))];
    expect(await codeOf(complete(world, upload, parts))).toBe("EntityTooSmall");
    const longer = await putPart(world, upload, 1, plainBytes(30));
    expect(await codeOf(complete(world, upload, [longer, parts[1] as CompletedPart]))).toBe("done");
  });

  test("gaps where the checksum is composite, but not where it is that of the whole", async () => {
    const world = await createWorld(localKey());
    for (const [kind, code] of [
      ["composite", "InvalidPart"],
      ["whole", "done"],
    ] as const) {
      const upload = await begin(world, { checksum: { algorithm: "CRC32", kind } });
      const parts = [await putPart(world, upload, 1, plainBytes(9)), await putPart(world, upload, 3, plainBytes(9))];
      expect(await codeOf(complete(world, upload, parts))).toBe(code);
    }
  });
});

describe("checksums of an upload", () => {
  const choices: readonly (readonly [ChecksumAlgorithm, "composite" | "whole", "done" | "InvalidRequest"])[] = [
    ["CRC32", "composite", "done"],
    ["CRC32", "whole", "done"],
    ["CRC32C", "composite", "done"],
    ["CRC32C", "whole", "done"],
    ["CRC64NVME", "whole", "done"],
    ["CRC64NVME", "composite", "InvalidRequest"],
    ["SHA1", "composite", "done"],
    ["SHA256", "composite", "done"],
    ["SHA256", "whole", "InvalidRequest"],
  ];
  test.each(choices)("%s, %s", async (algorithm, kind, code) => {
    const world = await createWorld(localKey());
    expect(await codeOf(begin(world, { checksum: { algorithm, kind } }))).toBe(code);
    if (code !== "done") return;
    const upload = await begin(world, { checksum: { algorithm, kind } });
    expect(upload.checksum).toEqual({ algorithm, kind });
    const bodies = [plainBytes(300, 1), plainBytes(77, 2)];
    const values = bodies.map((body) => digestOf(algorithm, body));
    const parts: CompletedPart[] = [];
    for (const [index, body] of bodies.entries()) {
      const part = await putPart(world, upload, index + 1, body);
      parts.push({ ...part, checksums: new Map([[algorithm, values[index] as Uint8Array]]) });
    }
    const expected = digestOf(algorithm, Buffer.concat(kind === "whole" ? bodies : values));
    const wrong = Uint8Array.from(expected).fill(1);
    const stated = (value: Uint8Array, count: number | undefined = undefined): Partial<CompleteWanted> => ({
      checksums: new Map([[algorithm, { value, parts: count }]]),
    });
    expect(await codeOf(complete(world, upload, parts, stated(wrong)))).toBe("BadDigest");
    expect(await codeOf(complete(world, upload, parts, stated(expected, 1)))).toBe(
      kind === "composite" ? "BadDigest" : "InvalidRequest",
    );
    const other = kind === "composite" ? "whole" : "composite";
    expect(await codeOf(complete(world, upload, parts, { kind: other }))).toBe("InvalidRequest");
    const lying = [
      { ...(parts[0] as CompletedPart), checksums: new Map([[algorithm, wrong]]) },
      parts[1] as CompletedPart,
    ];
    expect(await codeOf(complete(world, upload, lying))).toBe("InvalidPart");
    const count = kind === "composite" ? parts.length : undefined;
    const info = await complete(world, upload, parts, { kind, ...stated(expected, count) });
    const [checksum] = info.checksums;
    expect({ ...checksum, value: Buffer.from(checksum?.value ?? []) }).toEqual({
      algorithm,
      kind,
      value: Buffer.from(expected),
      parts: kind === "composite" ? 2 : undefined,
    });
  });

  test("a part with another algorithm than the upload's is refused, Content-MD5 is not", async () => {
    const world = await createWorld(localKey());
    const { ref } = await begin(world, { checksum: { algorithm: "CRC32", kind: "composite" } });
    const bytes = plainBytes(10);
    const announcing = (algorithm: ChecksumAlgorithm) =>
      bodyOf(bytes, { announced: new Map([[algorithm, digestOf(algorithm, bytes)]]) });
    const put = (algorithm: ChecksumAlgorithm) =>
      world.objects.putPart(callOf(world), { ...ref, partNumber: 1 }, announcing(algorithm));
    expect(await codeOf(put("SHA256"))).toBe("InvalidRequest");
    expect(await codeOf(put("MD5"))).toBe("done");
    expect((await put("CRC32")).checksums.map(({ algorithm }) => algorithm)).toEqual(["CRC32"]);
  });

  test("combineWhole() is what completeUpload() answers for a part of a megabyte and an empty one", async () => {
    const world = await createWorld(localKey());
    const upload = await begin(world, { checksum: { algorithm: "CRC64NVME", kind: "whole" } });
    const bytes = plainBytes(2 ** 20);
    const parts = [await putPart(world, upload, 1, bytes), await putPart(world, upload, 2, new Uint8Array(0))];
    const info = await complete(world, upload, parts);
    const value = combineWhole("CRC64NVME", [{ value: digestOf("CRC64NVME", bytes), plainBytes: bytes.length }]);
    expect(Buffer.from(info.checksums[0]?.value ?? [])).toEqual(Buffer.from(value));
    expect(Buffer.compare(await read(world, PHOTO), bytes)).toBe(0);
    expect(await read(world, PHOTO, { kind: "part", partNumber: 2 })).toHaveLength(0);
  });
});

describe("the end of an upload", () => {
  test("the same Complete again gives the same answer, also after the object was replaced; another gives NoSuchUpload", async () => {
    const world = await createWorld(localKey());
    const upload = await begin(world);
    const parts = [await putPart(world, upload, 1, plainBytes(20)), await putPart(world, upload, 2, plainBytes(9))];
    const info = await complete(world, upload, parts);
    world.nowMs += 60_000;
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(3)), putWanted());
    const onlyNew = { conditions: { ifMatch: undefined, ifNoneMatch: "*" } } as const;
    expect(await complete(world, upload, parts, onlyNew)).toEqual(info);
    expect(await codeOf(complete(world, upload, parts.slice(0, 1)))).toBe("NoSuchUpload");
    const descending = parts.map((part, index) => ({ ...part, partNumber: 2 - index }));
    expect(await codeOf(complete(world, upload, descending))).toBe("InvalidPartOrder");
    expect((await read(world, PHOTO)).length).toBe(3);
  });

  test("another Complete after it is refused as the first would have been", async () => {
    const world = await createWorld(localKey());
    const choice = { algorithm: "SHA256", kind: "composite" } as const;
    const upload = await begin(world, { checksum: choice });
    const bodies = [plainBytes(20, 1), plainBytes(9, 2)];
    const one = await putPart(world, upload, 1, bodies[0] as Uint8Array);
    const two = await putPart(world, upload, 2, bodies[1] as Uint8Array);
    const parts = [one, two];
    const value = digestOf("SHA256", Buffer.concat(bodies.map((body) => digestOf("SHA256", body))));
    const stated = (bytes: Uint8Array, count: number | undefined): Partial<CompleteWanted> => ({
      checksums: new Map([["SHA256", { value: bytes, parts: count }]]),
    });
    const others: readonly (readonly [readonly CompletedPart[], Partial<CompleteWanted>, string])[] = [
      [[one, { ...two, partNumber: 1 }], {}, "InvalidPartOrder"],
      [[one, { ...two, partNumber: 3 }], {}, "InvalidPart"],
      [parts, { sizeBytes: 28 }, "InvalidRequest"],
      [parts, stated(new Uint8Array(32), undefined), "BadDigest"],
      [parts, stated(value, 3), "BadDigest"],
      [parts, { checksums: new Map([["CRC32", { value: new Uint8Array(4), parts: undefined }]]) }, "InvalidRequest"],
      [parts, { kind: "whole" }, "InvalidRequest"],
    ];
    const codes = async () =>
      Promise.all(others.map(([listed, more]) => codeOf(complete(world, upload, listed, more))));
    const expected = others.map(([, , code]) => code);
    expect(await codes()).toEqual(expected);
    const said = { sizeBytes: 29, kind: choice.kind, ...stated(value, 2) };
    const info = await complete(world, upload, parts, said);
    expect(await codes()).toEqual(expected);
    expect(await complete(world, upload, parts, said)).toEqual(info);
    expect(await complete(world, upload, parts)).toEqual(info);
  });

  test("two identical Completes at once get the same answer", async () => {
    const world = await createWorld(localKey());
    const upload = await begin(world);
    const parts = [await putPart(world, upload, 1, plainBytes(20))];
    const [one, other] = await Promise.all([complete(world, upload, parts), complete(world, upload, parts)]);
    expect(one).toEqual(other);
  });

  test.each(["completed", "aborted", "unknown"])(
    "an upload that is %s takes no part, no abort and no listing",
    async (end) => {
      const world = await createWorld(localKey());
      const upload = await begin(world);
      const part = await putPart(world, upload, 1, plainBytes(20));
      if (end === "completed") await complete(world, upload, [part]);
      if (end !== "completed") await world.objects.abortUpload(callOf(world), upload.ref);
      const ref = end === "unknown" ? { ...upload.ref, uploadId: "0".repeat(32) } : upload.ref;
      const call = callOf(world);
      expect(await codeOf(world.objects.putPart(call, { ...ref, partNumber: 1 }, bodyOf(plainBytes(1))))).toBe(
        "NoSuchUpload",
      );
      expect(await codeOf(world.objects.abortUpload(call, ref))).toBe("NoSuchUpload");
      expect(await codeOf(world.objects.parts(call, ref, 0, 10))).toBe("NoSuchUpload");
      expect((await world.objects.uploads(call, "photos", { ...EVERY, afterUploadId: "" })).uploads).toEqual([]);
    },
  );

  test("conditions are judged at the commit: of two creations one is refused", async () => {
    const world = await createWorld(localKey());
    const upload = await begin(world);
    const parts = [await putPart(world, upload, 1, plainBytes(20))];
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(3)), putWanted());
    const onlyNew = { conditions: { ifMatch: undefined, ifNoneMatch: "*" } } as const;
    expect(await codeOf(complete(world, upload, parts, onlyNew))).toBe("PreconditionFailed");
    const { info } = await world.objects.head(callOf(world), PHOTO, getWanted());
    const replacing = { conditions: { ifMatch: info.etag, ifNoneMatch: undefined } };
    expect(await codeOf(complete(world, upload, parts, replacing))).toBe("done");
  });
});

const EVERY = { prefix: "", delimiter: "", after: "", limit: 1000 };

describe("listings of uploads and parts", () => {
  test("parts come by number, page by page, with how the upload is encrypted", async () => {
    const world = await createWorld(localKey());
    const upload = await begin(world);
    for (const number of [3, 1, 2]) await putPart(world, upload, number, plainBytes(number));
    const first = await world.objects.parts(callOf(world), upload.ref, 0, 2);
    expect(first.page.items.map(({ partNumber, sizeBytes }) => [partNumber, sizeBytes])).toEqual([
      [1, 1],
      [2, 2],
    ]);
    expect(first.upload).toEqual(upload);
    expect(first.page.next).toBe(2);
    const second = await world.objects.parts(callOf(world), upload.ref, 2, 2);
    expect([second.page.items.length, second.page.next]).toEqual([1, undefined]);
  });

  test("uploads come by name and id, page by page", async () => {
    const world = await createWorld(localKey());
    for (const name of ["b", "a", "b", "c/d"]) {
      await world.objects.createUpload(callOf(world), { bucket: "photos", name }, putWanted());
    }
    const all = await world.objects.uploads(callOf(world), "photos", { ...EVERY, delimiter: "/", afterUploadId: "" });
    expect(all.uploads.map(({ ref }) => ref.name)).toEqual(["a", "b", "b"]);
    expect(all.prefixes).toEqual(["c/"]);
    const seen: string[] = [];
    let last: { name: string; uploadId: string } | undefined = { name: "", uploadId: "" };
    while (last !== undefined) {
      const query = { ...EVERY, limit: 1, after: last.name, afterUploadId: last.uploadId };
      const page = await world.objects.uploads(callOf(world), "photos", query);
      seen.push(...page.uploads.map(({ ref }) => ref.uploadId));
      last = page.last;
    }
    expect(new Set(seen).size).toBe(4);
  });

  test("a part number outside 1 … 10,000 is refused before its body is read", async () => {
    const world = await createWorld(localKey());
    const { ref } = await begin(world);
    for (const partNumber of [0, 10_001, 1.5]) {
      const put = world.objects.putPart(callOf(world), { ...ref, partNumber }, bodyOf(plainBytes(1)));
      expect(await codeOf(put)).toBe("InvalidArgument");
    }
    const principal = credentialWith("Read");
    const put = world.objects.putPart(callOf(world, { principal }), { ...ref, partNumber: 1 }, bodyOf(plainBytes(1)));
    expect(await codeOf(put)).toBe("AccessDenied");
  });
});
