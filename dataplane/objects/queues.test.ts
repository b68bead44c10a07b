import { describe, expect, test } from "vitest";
import { Queues } from "./queues.ts";

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

describe("queues", () => {
  test("let all of very many through", async () => {
    const queues = new Queues();
    const one = counter();
    const other = counter();
    const run = (key: string, work: () => Promise<void>) => queues.run(key, 2, isOvertaken, work);
    await Promise.all(
      Array.from({ length: 200 }, (_, at) =>
        at % 2 === 0 ? run("one", () => one.increase()) : run("other", () => other.increase()),
      ),
    );
    expect([one.value, other.value]).toEqual([100, 100]);
  });

  test("give up after so many attempts, and let the next one try", async () => {
    const queues = new Queues();
    let tried = 0;
    const lost = queues.run("one", 3, isOvertaken, async () => {
      tried += 1;
      throw new Overtaken("again");
    });
    await expect(lost).rejects.toThrow("again");
    expect(tried).toBe(4);
    expect(await queues.run("one", 3, isOvertaken, async () => "through")).toBe("through");
  });

  test("throw at once what is no overtaking, whether or not others wait", async () => {
    const queues = new Queues();
    const fails = () => queues.run("one", 3, isOvertaken, () => Promise.reject(new Error("wrong")));
    await expect(fails()).rejects.toThrow("wrong");
    const one = counter();
    const held = [1, 2, 3].map(() => queues.run("one", 3, isOvertaken, () => one.increase()));
    await expect(fails()).rejects.toThrow("wrong");
    await Promise.all(held);
    expect(one.value).toBe(3);
  });
});
