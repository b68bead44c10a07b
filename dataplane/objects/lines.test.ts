import { describe, expect, test } from "vitest";
import { Lines } from "./lines.ts";

class Overtaken extends Error {}
const isOvertaken = (error: unknown) => error instanceof Overtaken;

/** A value that is read, thought about and written only if nobody else has written meanwhile. */
function counter() {
  let value = 0;
  return {
    get value() {
      return value;
    },
    async increase(): Promise<void> {
      const seen = value;
      await new Promise((resolve) => setImmediate(resolve));
      if (value !== seen) throw new Overtaken();
      value = seen + 1;
    },
  };
}

describe("lines", () => {
  test("let all of very many through", async () => {
    const lines = new Lines();
    const one = counter();
    const other = counter();
    const hold = (key: string, work: () => Promise<void>) => lines.hold(key, 2, isOvertaken, work);
    await Promise.all(
      Array.from({ length: 200 }, (_, at) =>
        at % 2 === 0 ? hold("one", () => one.increase()) : hold("other", () => other.increase()),
      ),
    );
    expect([one.value, other.value]).toEqual([100, 100]);
  });

  test("give up after so many attempts, and let the next one try", async () => {
    const lines = new Lines();
    let tried = 0;
    const lost = lines.hold("one", 3, isOvertaken, async () => {
      tried += 1;
      throw new Overtaken("again");
    });
    await expect(lost).rejects.toThrow("again");
    expect(tried).toBe(4);
    expect(await lines.hold("one", 3, isOvertaken, async () => "through")).toBe("through");
  });

  test("throw at once what is no overtaking, whether or not others wait", async () => {
    const lines = new Lines();
    const fails = () => lines.hold("one", 3, isOvertaken, () => Promise.reject(new Error("wrong")));
    await expect(fails()).rejects.toThrow("wrong");
    const one = counter();
    const held = [1, 2, 3].map(() => lines.hold("one", 3, isOvertaken, () => one.increase()));
    await expect(fails()).rejects.toThrow("wrong");
    await Promise.all(held);
    expect(one.value).toBe(3);
  });
});
