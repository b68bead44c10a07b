import { expect, test } from "vitest";
import { createListedMemory } from "./listed.ts";

const run = (bytes: number): Buffer => Buffer.alloc(bytes);

test("what was not asked for the longest is forgotten first, once the bytes are more than may be", () => {
  const memory = createListedMemory(4500);
  memory.put("a", run(1000));
  memory.put("b", run(1000));
  memory.put("c", run(1000));
  expect(memory.get("a")).toHaveLength(1000);
  memory.put("d", run(1000));
  expect(["a", "b", "c", "d"].map((digest) => memory.get(digest)?.length)).toEqual([1000, undefined, 1000, 1000]);
});

test("each run is counted with what it takes beside its bytes, so that empty ones are bounded too", () => {
  const memory = createListedMemory(10_000);
  for (let at = 0; at < 1000; at += 1) memory.put(String(at), run(0));
  const kept = Array.from({ length: 1000 }, (_, at) => memory.get(String(at))).filter((found) => found !== undefined);
  expect(kept.length).toBeGreaterThan(10);
  expect(kept.length).toBeLessThan(100);
  expect(memory.bytes).toBeLessThanOrEqual(10_000);
});

test("what is put again is counted once, and what is larger than all that may be is not kept", () => {
  const memory = createListedMemory(2000);
  memory.put("a", run(1000));
  const { bytes } = memory;
  memory.put("a", run(1000));
  expect(memory.bytes).toBe(bytes);
  memory.put("b", run(3000));
  expect([memory.get("a"), memory.get("b"), memory.bytes]).toEqual([undefined, undefined, 0]);
});
