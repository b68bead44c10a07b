import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import { Failure } from "../failure.ts";
import {
  bodyOf,
  callOf,
  codeOf,
  createWorld,
  getWanted,
  PHOTO,
  plainBytes,
  putWanted,
  read,
} from "./contract/world.ts";

const CHUNK = 16_384;

describe("ranges", () => {
  test("are exact at every chunk edge", async () => {
    for (const count of [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 3 * CHUNK - 1]) {
      const world = await createWorld(localKey());
      const bytes = plainBytes(count);
      await world.objects.put(callOf(world), PHOTO, bodyOf(bytes), putWanted());
      const near = [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, count - 1].filter((at) => at < count);
      for (const first of near) {
        for (const last of near.filter((at) => at >= first)) {
          const got = await read(world, PHOTO, { kind: "bytes", first, last });
          expect(Buffer.compare(got, bytes.subarray(first, last + 1)), `${first}-${last} of ${count}`).toBe(0);
        }
      }
    }
  });

  test("equal a slice, whatever the size and wherever they lie", async () => {
    const world = await createWorld(localKey());
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 * CHUNK }),
        fc.nat(5 * CHUNK),
        fc.nat(5 * CHUNK),
        async (count, from, length) => {
          const bytes = plainBytes(count);
          const first = from % count;
          await world.objects.put(callOf(world), PHOTO, bodyOf(bytes), putWanted());
          const got = await read(world, PHOTO, { kind: "bytes", first, last: first + length });
          expect(Buffer.compare(got, bytes.subarray(first, first + length + 1))).toBe(0);
          const tail = await read(world, PHOTO, { kind: "suffix", bytes: length + 1 });
          expect(Buffer.compare(tail, bytes.subarray(Math.max(0, count - length - 1)))).toBe(0);
        },
      ),
      { numRuns: 80 },
    );
  });

  test("small ones read only the chunks that they touch", async () => {
    let readBytes = 0;
    const world = await createWorld(localKey(), {
      around: (storage) => {
        const inner = storage.read.bind(storage);
        storage.read = (entry, from, to, signal) => {
          readBytes += to - from;
          return inner(entry, from, to, signal);
        };
        return storage;
      },
    });
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(40 * CHUNK)), putWanted());
    await read(world, PHOTO, { kind: "bytes", first: 20 * CHUNK + 5, last: 20 * CHUNK + 4000 });
    expect(readBytes).toBe(CHUNK + 16);
  });

  test("say what they are, and the whole says that it is whole", async () => {
    const world = await createWorld(localKey());
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(10)), putWanted());
    const wanted = getWanted({ kind: "bytes", first: 2, last: 5 });
    const reading = await world.objects.get(callOf(world), PHOTO, wanted);
    expect([reading.fromByte, reading.toByte, reading.partial]).toEqual([2, 6, true]);
    await reading.close();
    const heading = await world.objects.head(callOf(world), PHOTO, wanted);
    expect([heading.fromByte, heading.toByte, heading.partial]).toEqual([2, 6, true]);
    const whole = await world.objects.head(callOf(world), PHOTO, getWanted());
    expect([whole.fromByte, whole.toByte, whole.partial]).toEqual([0, 10, false]);
    const beyond = getWanted({ kind: "bytes", first: 10, last: undefined });
    expect(await codeOf(world.objects.head(callOf(world), PHOTO, beyond))).toBe("InvalidRange");
    expect(await codeOf(world.objects.get(callOf(world), PHOTO, beyond))).toBe("InvalidRange");
    const second = getWanted({ kind: "part", partNumber: 2 });
    expect(await codeOf(world.objects.head(callOf(world), PHOTO, second))).toBe("InvalidPartNumber");
  });
});

describe("a reading", () => {
  test("finishes with the object that it began with, though the name is overwritten and removed", async () => {
    const world = await createWorld(localKey());
    const bytes = plainBytes(3 * 2 ** 20);
    await world.objects.put(callOf(world), PHOTO, bodyOf(bytes), putWanted());
    const reading = await world.objects.get(callOf(world), PHOTO, getWanted());
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(3)), putWanted());
    await world.objects.remove(callOf(world), PHOTO, { ifMatch: undefined });
    const slices: Uint8Array[] = [];
    for await (const block of reading) slices.push(...block);
    expect(Buffer.compare(Buffer.concat(slices), bytes)).toBe(0);
  });

  test("comes in blocks of at most a megabyte or so", async () => {
    const world = await createWorld(localKey());
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(5 * 2 ** 20)), putWanted());
    const reading = await world.objects.get(callOf(world), PHOTO, getWanted());
    for await (const block of reading) {
      expect(block.reduce((sum, slice) => sum + slice.length, 0)).toBeLessThan(1.1 * 2 ** 20);
    }
  });

  test("writes its audit line when its bytes have gone", async () => {
    const world = await createWorld(localKey());
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(50)), putWanted());
    const before = world.audit.length;
    const reading = await world.objects.get(callOf(world), PHOTO, getWanted());
    expect(world.audit).toHaveLength(before);
    for await (const _block of reading) expect(world.audit).toHaveLength(before);
    await reading.close();
    expect(world.audit.slice(before)).toEqual([
      { operation: "GetObject", kind: "read", bucket: "photos", name: PHOTO.name, bytes: 50, failure: undefined },
    ]);
  });

  test.each(["closed", "left"])("that is %s early says so, once, and lets go of the storage", async (how) => {
    let open = 0;
    const world = await createWorld(localKey(), {
      around: (storage) => {
        const inner = storage.read.bind(storage);
        storage.read = async function* (entry, from, to, signal) {
          open += 1;
          try {
            yield* inner(entry, from, to, signal);
          } finally {
            open -= 1;
          }
        };
        return storage;
      },
    });
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(3 * 2 ** 20)), putWanted());
    const reading = await world.objects.get(callOf(world), PHOTO, getWanted());
    expect(open).toBe(1);
    if (how === "left") {
      for await (const _block of reading) break;
    }
    await reading.close();
    expect(open).toBe(0);
    const lines = world.audit.filter(({ operation }) => operation === "GetObject");
    expect(lines.map(({ failure }) => failure?.code)).toEqual(["ClientClosedRequest"]);
    const rest: unknown[] = [];
    for await (const block of reading) rest.push(block);
    expect(rest).toEqual([]);
  });

  test("ends with the call", async () => {
    const world = await createWorld(localKey());
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(4 * 2 ** 20)), putWanted());
    const aborting = new AbortController();
    const reading = await world.objects.get(callOf(world, { signal: aborting.signal }), PHOTO, getWanted());
    const reads = (async () => {
      for await (const _block of reading) aborting.abort();
    })();
    expect(await codeOf(reads)).toBe("ClientClosedRequest");
  });
});

describe("conditions of a read", () => {
  test("are judged for GET and HEAD alike, and spare the body", async () => {
    const world = await createWorld(localKey());
    const { etag } = await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(9)), putWanted());
    const rows = [
      [{ ifMatch: [etag] }, "done"],
      [{ ifMatch: ["other"] }, "PreconditionFailed"],
      [{ ifNoneMatch: [etag] }, "NotModified"],
      [{ ifNoneMatch: ["other"] }, "done"],
      [{ ifModifiedSinceMs: world.nowMs }, "NotModified"],
      [{ ifUnmodifiedSinceMs: world.nowMs - 1000 }, "PreconditionFailed"],
    ] as const;
    for (const [conditions, code] of rows) {
      const wanted = getWanted(undefined, conditions);
      expect(await codeOf(world.objects.head(callOf(world), PHOTO, wanted))).toBe(code);
      expect(await codeOf(world.objects.get(callOf(world), PHOTO, wanted))).toBe(code);
    }
  });
});

describe("the memory of an answer", () => {
  test("is asked for by the length of the range, before anything of the body is read", async () => {
    const world = await createWorld(localKey());
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(100_000)), putWanted());
    const asked: number[] = [];
    const call = { ...callOf(world), reserve: (bytes: number) => void asked.push(bytes) };
    const reading = await world.objects.get(call, PHOTO, getWanted({ kind: "bytes", first: 10, last: 29 }));
    await reading.close();
    expect(asked).toEqual([20]);
  });

  test("that is not there refuses the read, and nothing is read", async () => {
    const world = await createWorld(localKey());
    await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(100_000)), putWanted());
    let reads = 0;
    const read = world.storage.read.bind(world.storage);
    world.storage.read = (...wanted) => {
      reads += 1;
      return read(...wanted);
    };
    const refuse = (): void => {
      throw new Failure("SlowDown", "no memory is left");
    };
    expect(await codeOf(world.objects.get({ ...callOf(world), reserve: refuse }, PHOTO, getWanted()))).toBe("SlowDown");
    expect(reads).toBe(0);
  });
});
