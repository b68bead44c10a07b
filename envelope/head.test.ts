import { createSecretKey } from "node:crypto";
import { expect, test } from "vitest";
import { fingerprintOf } from "./head.ts";

test("a fingerprint tells keys apart, whichever way they are held", () => {
  const bytes = new Uint8Array(32).fill(1);
  const other = Uint8Array.from(bytes);
  other[31] = 2;
  expect(fingerprintOf(bytes)).toHaveLength(16);
  expect(fingerprintOf(createSecretKey(bytes))).toEqual(fingerprintOf(bytes));
  expect(fingerprintOf(other)).not.toEqual(fingerprintOf(bytes));
});
