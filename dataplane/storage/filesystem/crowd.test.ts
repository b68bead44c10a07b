import { expect, it } from "vitest";
import { Crowd } from "./crowd.ts";

const MIB = 1024 * 1024;

function crowdOf(bodies: number): Crowd {
  const crowd = new Crowd();
  for (let at = 0; at < bodies; at += 1) {
    crowd.enter();
  }
  return crowd;
}

it.each([
  [0, MIB],
  [1, MIB],
  [16, MIB],
  [17, MIB / 2],
  [32, MIB / 2],
  [33, MIB / 4],
  [64, MIB / 4],
  [128, MIB / 8],
  [256, MIB / 16],
  [5_000, MIB / 16],
])("with %d bodies a block has %d bytes", (bodies, bytes) => {
  expect(crowdOf(bodies).blockBytes()).toBe(bytes);
});

it("blocks grow again when bodies have gone", () => {
  const crowd = crowdOf(64);
  for (let at = 0; at < 48; at += 1) {
    crowd.leave();
  }
  expect(crowd.blockBytes()).toBe(MIB);
});
