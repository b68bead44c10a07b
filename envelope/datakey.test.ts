import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { openDataKey, SEALED_DATA_KEY_BYTES, sealDataKey, ZERO_ID } from "./datakey.ts";

const dataKey = createHash("sha256").update("data key").digest();
const customerKey = createHash("sha256").update("customer key").digest();
const bodyId = new Uint8Array(16).fill(7);
const bucketKeyId = new Uint8Array(16).fill(11);

test("a data key opens under the key that it was sealed under, for its body, and nowhere else", () => {
  const segment = sealDataKey(dataKey, customerKey, ZERO_ID, bodyId);
  expect(segment).toHaveLength(SEALED_DATA_KEY_BYTES);
  expect(Buffer.from(openDataKey(segment, customerKey, ZERO_ID, bodyId)).equals(dataKey)).toBe(true);
  const wrongKey = expect.objectContaining({ code: "WrongKey" });
  expect(() => openDataKey(segment, dataKey, ZERO_ID, bodyId)).toThrow(wrongKey);
  expect(() => openDataKey(segment, customerKey, bucketKeyId, bodyId)).toThrow(wrongKey);
  expect(() => openDataKey(segment, customerKey, ZERO_ID, ZERO_ID)).toThrow(wrongKey);
});

test("what is no data key is a mistake of the caller", () => {
  const mistake = /Mistake in the calling code/;
  expect(() => sealDataKey(dataKey.subarray(1), customerKey, ZERO_ID, bodyId)).toThrow(mistake);
  expect(() => sealDataKey(dataKey, customerKey.subarray(1), ZERO_ID, bodyId)).toThrow(mistake);
  expect(() => sealDataKey(dataKey, customerKey, ZERO_ID, bodyId.subarray(1))).toThrow(mistake);
});
