import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { durationMs, sizeBytes } from "./units.ts";

describe("durationMs()", () => {
  it.each([
    ["0s", 0],
    ["100ms", 100],
    ["90s", 90_000],
    ["1h30m", 5_400_000],
    ["1m1ms", 60_001],
    ["720h", 2_592_000_000],
    ["99999h99999h99999h99999h", 4 * 99_999 * 3_600_000],
  ])("%s is %d ms", (text, expected) => {
    expect(durationMs(text)).toBe(expected);
  });

  it.each(["", "5", "s", "-5s", "1d", "1.5s", "5S", "100000s", "1s1s1s1s1s", " 5s"])("refuses %j", (text) => {
    expect(() => durationMs(text)).toThrow(RangeError);
  });
});

describe("sizeBytes()", () => {
  it.each<[string, bigint]>([
    ["1", 1n],
    ["64Ki", 65_536n],
    ["10Gi", 10_737_418_240n],
    ["1Ti", 1_099_511_627_776n],
    ["999999999999999Ti", 999_999_999_999_999n << 40n],
  ])("%s is %d bytes", (text, expected) => {
    expect(sizeBytes(text)).toBe(expected);
  });

  it.each(["", "0", "01", "Gi", "1G", "1.5Gi", "-1", "1000000000000000"])("refuses %j", (text) => {
    expect(() => sizeBytes(text)).toThrow(RangeError);
  });

  it("orders as the numbers do", () => {
    const digits = fc.integer({ min: 1, max: 1_000_000 });
    fc.assert(
      fc.property(digits, digits, (a, b) => {
        expect(sizeBytes(`${a}Mi`) < sizeBytes(`${b}Mi`)).toBe(a < b);
      }),
    );
  });
});
