import { describe, expect, it } from "vitest";
import type { Call } from "../call.ts";
import type { BucketKeys } from "../keys/keys.ts";
import { noCounts } from "../keys/keys.ts";
import { bucketEntry, callOf, createWorld } from "../objects/contract/world.ts";
import { createEmptyJob, createRewrapJob } from "./jobs.ts";
import type { JobStep } from "./kind.ts";

const spec = { bucket: "photos", wish: "v2" };
const nowhere = {} as never;
const nobody = () => false;
const NONE_MADE = { get: () => undefined, all: () => [] };

/** Answers steps from a script and writes down with which cursor each was asked. */
function scripted(name: string, cursors: (string | undefined)[], asked: string[]) {
  return async (_call: unknown, _bucket: unknown, cursor: string | undefined) => {
    asked.push(`${name} ${cursor}`);
    return { cursor: cursors.shift(), counts: { ...noCounts, scanned: 1, current: 1 }, keyVersions: ["2"] };
  };
}

async function sweep(hasDataKeys: boolean): Promise<string[]> {
  const asked: string[] = [];
  const keys = {
    rewrap: scripted("keys", ["k1", undefined], asked),
    wrapsDataKeys: async () => hasDataKeys,
  } as unknown as BucketKeys;
  const objects = {
    rewrap: scripted("objects", ["a/ü", undefined], asked),
    rewrapUploads: scripted("uploads", ["u1 a/ü", undefined], asked),
  };
  const job = createRewrapJob(keys, objects, nobody);
  const call = { snapshot: { buckets: new Map([["photos", bucketEntry("photos")]]), made: NONE_MADE } } as never;
  let step: JobStep = await job.step(call, spec, undefined);
  while (step.cursor !== undefined) step = await job.step(call, spec, step.cursor);
  return asked;
}

describe("createRewrapJob()", () => {
  it("wraps the bucket's keys, and looks at no object where the KMS wrapped none of their data keys", async () => {
    expect(await sweep(false)).toEqual(["keys undefined", "keys k1"]);
  });

  it("goes on with open uploads, and then with objects, where the KMS wrapped some of their data keys", async () => {
    const uploads = ["uploads undefined", "uploads u1 a/ü"];
    expect(await sweep(true)).toEqual(["keys undefined", "keys k1", ...uploads, "objects undefined", "objects a/ü"]);
  });

  describe("before it looks at uploads and objects", () => {
    const under = (rewrapWish: string) =>
      ({ buckets: new Map([["photos", bucketEntry("photos", { rewrapWish })]]), made: NONE_MADE }) as never;
    const by = (kind: "anonymous" | "job", more: object = {}): Call => {
      const call = {
        bucket: "photos",
        operation: "PutObject",
        principal: { kind, job: "empty" },
        snapshot: under("v1"),
      };
      return { ...call, ...more } as unknown as Call;
    };
    const CASES: [who: string, underWay: Call, waits: boolean][] = [
      ["a writer that came under another wish", by("anonymous"), true],
      [
        "a writer under a configuration without the bucket",
        by("anonymous", { snapshot: { buckets: new Map(), made: NONE_MADE } }),
        true,
      ],
      ["a writer that came under this wish", by("anonymous", { snapshot: under("v2") }), false],
      ["a writer of another bucket", by("anonymous", { bucket: "music" }), false],
      ["a reader", by("anonymous", { operation: "GetObject" }), false],
      ["a part, which is encrypted by the data key of its upload", by("anonymous", { operation: "UploadPart" }), false],
      ["a job", by("job"), false],
    ];
    it.each(CASES)("it goes on only without %s, if that may hold a key of the version before", async (...of) => {
      const [, underWay, waits] = of;
      const asked: string[] = [];
      const objects = { rewrap: nowhere, rewrapUploads: scripted("uploads", [undefined], asked) };
      const job = createRewrapJob(nowhere, objects, (holds) => holds(underWay));
      const step = await job.step({ snapshot: under("v2") } as never, spec, "uploads:");
      expect([step.waits, step.cursor]).toEqual(waits ? ["WritesUnderWay", "uploads:"] : [undefined, "objects:"]);
      expect(asked).toEqual(waits ? [] : ["uploads undefined"]);
    });
  });

  it("wants each bucket that serves and has a wish, those of self-service too", () => {
    const buckets = [
      bucketEntry("photos", { rewrapWish: "v2" }),
      bucketEntry("music"),
      bucketEntry("going", { rewrapWish: "v2", state: "empty-and-remove" }),
    ];
    const made = { get: () => undefined, all: () => [bucketEntry("mine", { rewrapWish: "v2" })] };
    expect(createRewrapJob(nowhere, nowhere, nobody).wanted({ config: { buckets }, made } as never)).toEqual([
      spec,
      { bucket: "mine", wish: "v2" },
    ]);
  });

  it("is done where the bucket has left the configuration", async () => {
    const call = { snapshot: { buckets: new Map(), made: NONE_MADE } } as never;
    expect(await createRewrapJob(nowhere, nowhere, nobody).step(call, spec, undefined)).toMatchObject({
      cursor: undefined,
    });
  });
});

describe("wrapsDataKeys()", () => {
  it("is true from before the first data key that the KMS wraps, for that bucket alone", async () => {
    const { localKey } = await import("../../kms/contract/localkey.ts");
    const world = await createWorld(localKey());
    const call = callOf(world);
    const photos = bucketEntry("photos");
    expect(await world.keys.wrapsDataKeys(call, photos)).toBe(false);
    await world.keys.wrapDataKey(call, photos, new Uint8Array(32), new Uint8Array(16).fill(7), {});
    expect(await world.keys.wrapsDataKeys(call, photos)).toBe(true);
    expect(await world.keys.wrapsDataKeys(call, bucketEntry("music"))).toBe(false);
  });

  it("is true again for a bucket that was removed with all that belongs to it, and came again under its name", async () => {
    const { localKey } = await import("../../kms/contract/localkey.ts");
    const world = await createWorld(localKey());
    const call = callOf(world, { buckets: [bucketEntry("photos", { state: "empty-and-remove" })] });
    const dataKey = new Uint8Array(32);
    const bodyId = new Uint8Array(16).fill(7);
    await world.keys.wrapDataKey(callOf(world), bucketEntry("photos"), dataKey, bodyId, {});
    const removal = createEmptyJob(world.storage, world.objects, { removing: (_bucket, step) => step() });
    await removal.step(call, { bucket: "photos", wish: "" }, undefined);
    await world.storage.createBucket("photos", call.signal);
    const again = bucketEntry("photos");
    expect(await world.keys.wrapsDataKeys(call, again)).toBe(false);
    await world.keys.wrapDataKey(callOf(world), again, dataKey, bodyId, {});
    expect(await world.keys.wrapsDataKeys(call, again)).toBe(true);
  });
});
