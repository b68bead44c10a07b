import { describe, expect, it } from "vitest";
import type { Log } from "../log.ts";
import type { Storage } from "../storage/storage.ts";
import { runChecks } from "./check.ts";

async function run(checks: (() => ReturnType<Storage["check"]>)[]) {
  const stopping = new AbortController();
  const said: string[] = [];
  const counted: number[][] = [];
  const say = (message: string, fields?: unknown) => void said.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const log: Log = { error: say, warn: say, info: say, debug: say, setLevel() {} };
  const storage = {
    check: async () => {
      const next = checks.shift();
      if (checks.length === 0) stopping.abort();
      return (await next?.()) ?? [];
    },
  };
  const metrics = { checked: (lost: number, orphans: number) => void counted.push([lost, orphans]) };
  await runChecks({ storage, log, metrics, firstMs: 1, everyMs: 1 }, stopping.signal);
  return { said, counted };
}

describe("runChecks()", () => {
  it("names what is lost, counts what is only space, and goes on after a check that failed", async () => {
    const { said, counted } = await run([
      () => Promise.reject(new Error("disk")),
      async () => [
        { kind: "record-without-body", where: "photos/a" },
        { kind: "body-without-record", where: "00ff" },
        { kind: "body-without-record", where: "01ff" },
      ],
    ]);
    expect(counted).toEqual([[1, 2]]);
    expect(said[0]).toMatch(/cannot be compared/);
    expect(said[1]).toBe('a body is missing {"where":"photos/a"}');
    expect(said[2]).toMatch(/"bodiesMissing":1,"bodiesWithoutRecord":2/);
  });

  it("ends at once when it is told to", async () => {
    const stopping = new AbortController();
    stopping.abort();
    const storage = { check: () => Promise.reject(new Error("never asked")) };
    const needs = { storage, log: {} as Log, metrics: { checked() {} }, firstMs: 60_000, everyMs: 1 };
    await expect(runChecks(needs, stopping.signal)).resolves.toBeUndefined();
  });
});
