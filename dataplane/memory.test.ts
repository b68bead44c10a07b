import { expect, test } from "vitest";
import { release } from "./memory.ts";

const LARGE_BYTES = 16 * 1024;

test("what was released is empty, and so are all views of it", () => {
  const whole = new Uint8Array(LARGE_BYTES);
  const view = whole.subarray(10, 20);
  release([view]);
  expect([whole.length, view.length]).toEqual([0, 0]);
});

test("to release twice, or two views of the same memory, is no mistake", () => {
  const whole = new Uint8Array(LARGE_BYTES);
  release([whole.subarray(0, 10), whole.subarray(10)]);
  release([whole]);
  expect(whole.length).toBe(0);
});

test("small buffers keep their bytes", () => {
  const small = new Uint8Array(LARGE_BYTES - 1);
  release([small]);
  expect(small.length).toBe(LARGE_BYTES - 1);
});

test("buffers of Node's pool keep their bytes, since others lie beside them", () => {
  const pooled = Buffer.from("of the pool");
  const beside = Buffer.allocUnsafe(20_000).fill(7);
  release([pooled, beside]);
  expect([pooled.toString(), beside.length]).toEqual(["of the pool", 20_000]);
});

test("memory that threads share stays", () => {
  const shared = new Uint8Array(new SharedArrayBuffer(LARGE_BYTES));
  release([shared]);
  expect(shared.length).toBe(LARGE_BYTES);
});
