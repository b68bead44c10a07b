import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createLineWriter, describeError } from "./log.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "coffer-log-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

function fail(error: Error): never {
  throw error;
}

describe("createLineWriter()", () => {
  it("writes every line whole and in order, many at a time", async () => {
    const descriptor = openSync(join(folder, "log"), "a");
    const writer = createLineWriter(descriptor, fail);
    const lines = Array.from({ length: 20_000 }, (_none, index) => `line ${index} ü ${"x".repeat(index % 100)}`);
    for (const line of lines) await writer.write(line);
    await writer.flush();
    closeSync(descriptor);
    expect(readFileSync(join(folder, "log"), "utf8")).toBe(`${lines.join("\n")}\n`);
  });

  it("writes what waits, without being asked", async () => {
    const descriptor = openSync(join(folder, "log"), "a");
    const writer = createLineWriter(descriptor, fail);
    void writer.write("one");
    while (readFileSync(join(folder, "log"), "utf8") !== "one\n")
      await new Promise((resolve) => setTimeout(resolve, 10));
    await writer.flush();
    closeSync(descriptor);
    expect(readFileSync(join(folder, "log"), "utf8")).toBe("one\n");
  });

  it("says that it is full with a promise, once 4 MiB wait", () => {
    const descriptor = openSync(join(folder, "log"), "a");
    const writer = createLineWriter(descriptor, fail);
    const line = "x".repeat(1024 * 1024 - 1);
    // The first is on its way at once; the others wait behind it.
    const answers = Array.from({ length: 6 }, () => writer.write(line));
    expect(answers.slice(0, 5)).toEqual(Array.from({ length: 5 }, () => undefined));
    expect(answers[5]).toBeInstanceOf(Promise);
    return answers[5];
  });

  it("keeps lines that could not be written, and tells", async () => {
    const path = join(folder, "log");
    const readOnly = openSync(path, "a+");
    closeSync(readOnly);
    const told: string[] = [];
    const writer = createLineWriter(readOnly, (error) => told.push(error.message));
    void writer.write("kept");
    await writer.flush();
    expect(told[0]).toMatch(/EBADF/);
    const others: number[] = [];
    // The kernel gives the lowest number that is free.
    for (let given = openSync(path, "a"); given !== readOnly; given = openSync(path, "a")) others.push(given);
    await writer.flush();
    for (const descriptor of [readOnly, ...others]) closeSync(descriptor);
    expect(readFileSync(path, "utf8")).toBe("kept\n");
  });
});

describe("a line writer that cannot write", () => {
  it("keeps a bounded number of lines, and refuses more", async () => {
    const path = join(folder, "log");
    closeSync(openSync(path, "a"));
    const readOnly = openSync(path, "r");
    const told: string[] = [];
    const writer = createLineWriter(readOnly, (error) => told.push(error.message));
    const line = "x".repeat(1024 * 1024 - 1);
    let taken = 0;
    for (let refused = false; !refused && taken < 100; ) {
      try {
        await writer.write(line);
        taken += 1;
      } catch {
        refused = true;
      }
    }
    await writer.flush();
    closeSync(readOnly);
    expect(taken).toBeGreaterThan(4);
    expect(taken).toBeLessThan(40);
    expect(told[0]).toMatch(/EBADF/);
  });
});

describe("describeError()", () => {
  it("names an error and its causes", () => {
    const error = new Error("outer", { cause: new TypeError("inner") });
    expect(describeError(error)).toMatch(/^Error: outer ← TypeError: inner\n/);
  });

  it("ends with a chain that bites its tail", () => {
    const error = new Error("self");
    error.cause = error;
    expect(describeError(error).length).toBeLessThan(2000);
  });
});
