import { expect, test } from "vitest";
import { bodyOf, callOf, createWorld, PHOTO, plainBytes, putWanted, read } from "./contract/world.ts";

const CHUNK = 16_384;

test.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK - 1, 2 * CHUNK, 2 * CHUNK + 1, 2 ** 20, 3 * 2 ** 20 + 5])(
  "a body of %i bytes comes back as it was",
  async (count) => {
    const world = await createWorld();
    const bytes = plainBytes(count);
    const info = await world.objects.put(callOf(world), PHOTO, bodyOf(bytes), putWanted());
    expect(info.sizeBytes).toBe(count);
    expect(Buffer.compare(await read(world, PHOTO), bytes)).toBe(0);
  },
);
