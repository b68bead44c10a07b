import { describe, expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import { createFaultyStorage, FAULTS, type Fault, FaultPlan, type Write } from "../storage/faults.ts";
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
  type World,
} from "./contract/world.ts";
import type { CompletedPart, CompleteWanted } from "./objects.ts";

const OLD = plainBytes(70_000, 1);
const NEW = plainBytes(90_000, 2);
const CONDITIONS = { ifMatch: undefined, ifNoneMatch: undefined };
const COMPLETE: CompleteWanted = { conditions: CONDITIONS, sizeBytes: undefined, checksums: new Map() };

async function createFaulty(): Promise<{ world: World; plan: FaultPlan }> {
  const plan = new FaultPlan();
  const world = await createWorld(localKey(), { around: (storage) => createFaultyStorage(storage, plan) });
  return { world, plan };
}

/** Whole, whatever came in between: the old bytes, the new ones, or nothing. */
async function stateOf(world: World): Promise<"old" | "new" | "gone" | "broken"> {
  if ((await codeOf(read(world, PHOTO))) === "NoSuchKey") return "gone";
  const bytes = await read(world, PHOTO);
  if (Buffer.compare(bytes, OLD) === 0) return "old";
  return Buffer.compare(bytes, NEW) === 0 ? "new" : "broken";
}

interface Upload {
  readonly ref: { readonly bucket: string; readonly name: string; readonly uploadId: string };
  readonly parts: readonly CompletedPart[];
}

async function upload(world: World): Promise<Upload> {
  const { ref } = await world.objects.createUpload(callOf(world), PHOTO, putWanted());
  const { etag } = await world.objects.putPart(callOf(world), { ...ref, partNumber: 1 }, bodyOf(NEW));
  return { ref, parts: [{ partNumber: 1, etag, checksums: new Map() }] };
}

const SOURCE = { ...PHOTO, name: "source" };
const COPY = {
  source: getWanted().conditions,
  headers: undefined,
  tags: undefined,
  encryption: putWanted().encryption,
  conditions: CONDITIONS,
  checksum: undefined,
};

const put = (world: World) => world.objects.put(callOf(world), PHOTO, bodyOf(NEW), putWanted());
const remove = (world: World) => world.objects.remove(callOf(world), PHOTO, { ifMatch: undefined });

/** What is there once the whole operation is done; only a step that commits does that alone. */
const STEPS: readonly (readonly [Write, "old" | "new" | "gone", (world: World, before: Upload) => Promise<unknown>])[] =
  [
    ["draft.write", "new", put],
    ["draft.commit", "new", put],
    ["remove", "gone", remove],
    ["createUpload", "old", (world) => world.objects.createUpload(callOf(world), PHOTO, putWanted())],
    [
      "part.write",
      "old",
      (world, { ref }) => world.objects.putPart(callOf(world), { ...ref, partNumber: 2 }, bodyOf(NEW)),
    ],
    [
      "part.commit",
      "old",
      (world, { ref }) => world.objects.putPart(callOf(world), { ...ref, partNumber: 2 }, bodyOf(NEW)),
    ],
    ["complete", "new", (world, { ref, parts }) => world.objects.completeUpload(callOf(world), ref, parts, COMPLETE)],
    ["copy", "new", (world) => world.objects.copy(callOf(world), SOURCE, PHOTO, COPY)],
    [
      "update",
      "old",
      (world) => world.objects.change(callOf(world), PHOTO, { kind: "tags", tags: new Map([["a", "1"]]) }),
    ],
    ["abort", "old", (world, { ref }) => world.objects.abortUpload(callOf(world), ref)],
  ];

describe.each(FAULTS)("a step of the storage that is %s", (fault: Fault) => {
  test.each(STEPS)("at %s leaves the old object or the new, whole, and can be repeated", async (step, after, run) => {
    const { world, plan } = await createFaulty();
    await world.objects.put(callOf(world), PHOTO, bodyOf(OLD), putWanted());
    await world.objects.put(callOf(world), SOURCE, bodyOf(NEW), putWanted());
    const before = await upload(world);
    plan.next(step, fault);
    const code = await codeOf(run(world, before));
    const state = await stateOf(world);
    if (fault === "slow") expect([code, state]).toEqual(["done", after]);
    else expect(["ServiceUnavailable", "ClientClosedRequest"]).toContain(code);
    if (fault === "failed but persisted") expect(state).toBe(step === "draft.write" ? "old" : after);
    if (fault === "failed") expect(state).toBe("old");
    expect(["old", after]).toContain(state);
    expect(["done", "NoSuchUpload"]).toContain(await codeOf(run(world, before)));
    expect(await stateOf(world)).toBe(after);
  });
});

test("a Complete whose answer was lost is answered when it is asked again", async () => {
  const { world, plan } = await createFaulty();
  const { ref, parts } = await upload(world);
  plan.next("complete", "failed but persisted");
  const complete = () => world.objects.completeUpload(callOf(world), ref, parts, COMPLETE);
  expect(await codeOf(complete())).toBe("ServiceUnavailable");
  expect((await complete()).sizeBytes).toBe(NEW.length);
});

test("a storage that is full or broken is told before the body is asked for", async () => {
  const { StorageError } = await import("../storage/storage.ts");
  for (const [code, answer] of [
    ["full", "InsufficientStorage"],
    ["broken", "ServiceUnavailable"],
  ] as const) {
    const world = await createWorld(localKey());
    world.storage.draft = () => {
      throw new StorageError(code, "injected");
    };
    const body = {
      ...bodyOf(NEW),
      [Symbol.asyncIterator]: (): AsyncIterator<Uint8Array> => {
        throw new Error("the body was asked for");
      },
    };
    expect(await codeOf(world.objects.put(callOf(world), PHOTO, body, putWanted()))).toBe(answer);
  }
});
