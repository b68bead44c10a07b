import { expect, test } from "vitest";
import { localKey } from "../../kms/contract/localkey.ts";
import { bodyOf, callOf, codeOf, createWorld, PHOTO, plainBytes, putWanted, read } from "./contract/world.ts";

test("removes an object, and what is absent is removed already", async () => {
  const world = await createWorld(localKey());
  await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(1)), putWanted());
  for (let round = 0; round < 2; round += 1) {
    expect(await codeOf(world.objects.remove(callOf(world), PHOTO, { ifMatch: undefined }))).toBe("done");
    expect(await codeOf(read(world, PHOTO))).toBe("NoSuchKey");
  }
});

test("removes only what If-Match names", async () => {
  const world = await createWorld(localKey());
  const remove = (ifMatch: string) => codeOf(world.objects.remove(callOf(world), PHOTO, { ifMatch }));
  expect(await remove("x")).toBe("NoSuchKey");
  const { etag } = await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(1)), putWanted());
  expect(await remove("x")).toBe("PreconditionFailed");
  expect(await read(world, PHOTO)).toHaveLength(1);
  expect(await remove(etag)).toBe("done");
  expect(await codeOf(read(world, PHOTO))).toBe("NoSuchKey");
});

test("never removes what replaced the object that If-Match named", async () => {
  const world = await createWorld(localKey());
  const { etag } = await world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(1)), putWanted());
  const [removed, replaced] = await Promise.all([
    codeOf(world.objects.remove(callOf(world), PHOTO, { ifMatch: etag })),
    codeOf(world.objects.put(callOf(world), PHOTO, bodyOf(plainBytes(2)), putWanted())),
  ]);
  expect(replaced).toBe("done");
  expect(["done", "PreconditionFailed"]).toContain(removed);
  expect(await read(world, PHOTO)).toHaveLength(2);
});
