import { afterEach, expect, test, vi } from "vitest";
import { freshBytes } from "./random.ts";

afterEach(() => {
  vi.resetModules();
  vi.doUnmock("node:crypto");
  vi.useRealTimers();
});

test("freshBytes() gives as many bytes as were asked for, each time others", () => {
  const seen = new Set<string>();
  for (let index = 0; index < 20_000; index += 1) {
    const bytes = freshBytes(1 + (index % 32));
    expect(bytes).toHaveLength(1 + (index % 32));
    if (bytes.length >= 16) {
      seen.add(Buffer.from(bytes.subarray(0, 16)).toString("hex"));
    }
  }
  const asked = Array.from({ length: 20_000 }, (_, index) => 1 + (index % 32)).filter((count) => count >= 16).length;
  expect(seen.size).toBe(asked);
});

test("freshBytes() uses each byte of the generator once: its bits are balanced", () => {
  let ones = 0;
  for (let index = 0; index < 4096; index += 1) {
    for (const byte of freshBytes(32)) {
      ones += byte.toString(2).replaceAll("0", "").length;
    }
  }
  const bits = 4096 * 32 * 8;
  expect(Math.abs(ones - bits / 2)).toBeLessThan(6 * Math.sqrt(bits) * 0.5);
});

test.each([0, 33, -1])("%d bytes are a mistake of the caller", (byteCount) => {
  expect(() => freshBytes(byteCount)).toThrow(/Mistake in the calling code/);
});

test("a virtual machine that is restored twice gives other bytes, though its pool is the same", async () => {
  const first = await drawWithDeadGenerator(1_764_000_000_000, 5);
  const restored = await drawWithDeadGenerator(1_764_000_000_001, 5);
  expect(new Set([...first, ...restored]).size).toBe(10);
});

test("the same pool, clocks and thread in another process give other bytes", async () => {
  const pid = process.pid;
  try {
    const [one] = await drawWithDeadGenerator(0, 1);
    Object.defineProperty(process, "pid", { value: pid + 1 });
    const [other] = await drawWithDeadGenerator(0, 1);
    expect(other).not.toBe(one);
  } finally {
    Object.defineProperty(process, "pid", { value: pid });
  }
});

test("with a dead generator and stopped clocks the counter alone keeps bytes apart", async () => {
  expect(new Set(await drawWithDeadGenerator(0, 5_000)).size).toBe(5_000);
});

test("what was handed out is not in the pool any more", async () => {
  const filled: Uint8Array[] = [];
  vi.doMock("node:crypto", async (importOriginal) => ({
    ...(await importOriginal<typeof import("node:crypto")>()),
    randomFillSync: (buffer: Uint8Array) => {
      filled.push(buffer.fill(0xaa));
      return buffer;
    },
  }));
  vi.resetModules();
  const module = await import("./random.ts");
  module.freshBytes(16);
  module.freshBytes(32);
  const pool = filled.find((buffer) => buffer.length === 32 * 1024);
  expect(pool?.findIndex((byte) => byte !== 0)).toBe(64);
});

/** What a fresh copy of the module gives where the generator always gives zeros and both clocks stand. */
async function drawWithDeadGenerator(nowMs: number, draws: number): Promise<string[]> {
  vi.resetModules();
  vi.useFakeTimers({ now: nowMs, toFake: ["Date", "performance"] });
  vi.doMock("node:crypto", async (importOriginal) => ({
    ...(await importOriginal<typeof import("node:crypto")>()),
    randomFillSync: (buffer: Uint8Array) => buffer,
  }));
  const module = await import("./random.ts");
  return Array.from({ length: draws }, () => Buffer.from(module.freshBytes(32)).toString("hex"));
}
