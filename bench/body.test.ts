import { hash } from "node:crypto";
import { expect, test } from "vitest";
import { BenchBody } from "./body.ts";

const MIB = 2 ** 20;

test.each([1, 1024, 65_535, 65_536, 65_537, MIB, MIB + 1, 3 * MIB + 70_000])(
  "a body of %d bytes has chunks that make it up, each with its hash",
  (sizeBytes) => {
    const body = new BenchBody(sizeBytes);
    let at = 0;
    for (const { bytes, sha256 } of body.chunks()) {
      expect(sha256).toBe(hash("sha256", bytes));
      expect(body.holds(bytes, at)).toBe(true);
      at += bytes.length;
    }
    expect(at).toBe(sizeBytes);
  },
);

test("other bytes, bytes from elsewhere and bytes behind the end are told apart", () => {
  const body = new BenchBody(MIB + 1000);
  const [first] = body.chunks();
  const bytes = Buffer.from(first?.bytes ?? []);
  expect(body.holds(bytes, 0)).toBe(true);
  expect(body.holds(bytes, 1)).toBe(false);
  expect(body.holds(bytes, MIB)).toBe(false);
  bytes[500] = (bytes[500] ?? 0) ^ 1;
  expect(body.holds(bytes, 0)).toBe(false);
});
