import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { openSmall, type SmallUse, sealSmall } from "./small.ts";

const sealingKey = createHash("sha256").update("key").digest();
const context = [Buffer.from("context")];
const C = 2 ** 16;
const USES: readonly SmallUse[] = ["part-list", "envelope", "data-key", "local-wrap"];

describe.each(USES)("a small segment of use %s", (use) => {
  test.each([0, 1, 32, C - 1, C, C + 1, 2 * C - 1, 2 * C, 2 * C + 1])(
    "of %d bytes comes out as it went in",
    (length) => {
      const plain = Buffer.alloc(length, 3);
      const segment = sealSmall(use, sealingKey, context, plain);
      expect(Buffer.from(openSmall(use, sealingKey, context, segment)).equals(plain)).toBe(true);
    },
  );

  test("is another one each time, though it holds the same", () => {
    const [one, other] = [1, 2].map(() => sealSmall(use, sealingKey, context, Buffer.from("x")));
    expect(one).not.toEqual(other);
  });

  test("opens under no other use, key or context", () => {
    const segment = sealSmall(use, sealingKey, context, Buffer.from("x"));
    for (const other of USES.filter((name) => name !== use)) {
      expect(() => openSmall(other, sealingKey, context, segment)).toThrow(failing("Malformed"));
      const relabelled = Buffer.from(segment);
      relabelled[7] = 1 + USES.indexOf(other);
      expect(() => openSmall(other, sealingKey, context, relabelled)).toThrow(failing("WrongKey"));
    }
    const otherKey = createHash("sha256").update("other").digest();
    expect(() => openSmall(use, otherKey, context, segment)).toThrow(failing("WrongKey"));
    expect(() => openSmall(use, sealingKey, [Buffer.from("contexT")], segment)).toThrow(failing("WrongKey"));
    expect(() => openSmall(use, sealingKey, [], segment)).toThrow(failing("WrongKey"));
  });

  test("is refused with any bit flipped, by the class that the place of the bit gives", () => {
    const segment = sealSmall(use, sealingKey, context, Buffer.from("a few bytes"));
    for (let bit = 0; bit < 8 * segment.length; bit += 1) {
      const flipped = Buffer.from(segment);
      flipped[bit >> 3] = (segment[bit >> 3] as number) ^ (1 << (bit & 7));
      const byte = bit >> 3;
      const classes = byte < 16 ? ["Malformed", "Unsupported"] : byte < 64 ? ["WrongKey"] : ["Tampered"];
      expect(classes).toContain(failureOf(() => openSmall(use, sealingKey, context, flipped)));
    }
  });

  test("is refused at every truncation, and with anything behind it", () => {
    const segment = sealSmall(use, sealingKey, context, Buffer.from("a few bytes"));
    for (let length = 0; length < segment.length; length += 1) {
      const cut = segment.subarray(0, length);
      expect(["Malformed", "Tampered"]).toContain(failureOf(() => openSmall(use, sealingKey, context, cut)));
    }
    for (let more = 1; more < 40; more += 1) {
      const longer = Buffer.concat([segment, Buffer.alloc(more)]);
      expect(failureOf(() => openSmall(use, sealingKey, context, longer))).toBe("Tampered");
    }
  });

  test("of several chunks is refused where one is swapped, dropped or repeated", () => {
    const segment = sealSmall(use, sealingKey, context, Buffer.alloc(2 * C + 5));
    const chunk = (index: number) => segment.subarray(64 + index * (C + 16), 64 + (index + 1) * (C + 16));
    const start = segment.subarray(0, 64);
    for (const order of [
      [1, 0, 2],
      [0, 2],
      [1, 2],
      [0, 1],
      [0, 0, 2],
      [0, 1, 1, 2],
      [0, 1, 2, 2],
    ]) {
      const changed = Buffer.concat([start, ...order.map(chunk)]);
      expect(["Malformed", "Tampered"]).toContain(failureOf(() => openSmall(use, sealingKey, context, changed)));
    }
  });
});

function failureOf(open: () => unknown): string {
  try {
    open();
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
  return "opened";
}

function failing(code: string) {
  return expect.objectContaining({ name: "EnvelopeError", code });
}
