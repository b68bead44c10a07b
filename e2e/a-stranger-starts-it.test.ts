// One command on a machine that has never seen it: ready within ten seconds, and every line that it prints works.

import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runShell } from "./clients.ts";
import { createFolders, ROOT, removeFolders, type Store, type StoreFolders, startStore, waitFor } from "./harness.ts";
import { isRunning } from "./processes.ts";

/** What a quiet machine is promised, and what a busy one is given beside it. */
const READY_MS = 10_000;
const STOPPED_MS = 5000;
const PATIENCE = 8;

describe("npm start", () => {
  let folders: StoreFolders;
  let store: Store;
  beforeAll(async () => {
    folders = await createFolders();
    store = await startStore({ folders, byNpm: true });
  });
  afterAll(async () => {
    await store?.stop();
    await removeFolders(folders);
  });

  test("is ready within ten seconds", () => {
    expect(store.readyMs).toBeLessThan(READY_MS * PATIENCE);
  });

  test("says where it listens and where the credentials are", () => {
    const printed = store.printed();
    for (const url of Object.values(store.urls)) expect(printed).toContain(url);
    expect(printed).toContain(join(folders.dataDir, "access", "photos-app.env"));
  });

  test("prints lines that work as they are printed", async () => {
    const lines = printedLines(store.printed());
    const [source, ...tries] = lines;
    expect(source).toMatch(/^set -a; \. .*; set \+a$/);
    expect(tries.length).toBeGreaterThanOrEqual(3);
    expect(tries.filter((line) => line.includes("curl")).length).toBeGreaterThan(0);
    expect(
      tries.filter((line) => line.includes("@aws-sdk/client-s3") || line.includes("aws s3")).length,
    ).toBeGreaterThan(0);
    const outputs: string[] = [];
    for (const line of tries) {
      const { code, output, errors } = await runShell(`${source}\n${line}`, ROOT);
      expect({ line, code, errors }).toEqual({ line, code: 0, errors: "" });
      outputs.push(output);
    }
    expect(outputs.filter((output) => output === "hello\n").length).toBeGreaterThanOrEqual(2);
    expect(outputs.at(-1)).toContain("hello.txt");
  });

  test("is followed by the lines of the README, as they are pasted", async () => {
    const readme = await readFile(join(ROOT, "README.md"), "utf8");
    const lines =
      [...readme.matchAll(/```sh\n([^`]*)```/g)].find(([, block]) => block?.startsWith("set -a;"))?.[1] ?? "";
    const { code, output, errors } = await runShell(`set -e\n${lines.replace("./data/", `${folders.dataDir}/`)}`, ROOT);
    expect({ code, errors }).toEqual({ code: 0, errors: "" });
    expect(output).toMatch(/hello\n$/);
  });

  test("keeps credentials and keys from other users of the machine", async () => {
    const modeOf = async (path: string) => ((await stat(path)).mode & 0o777).toString(8);
    expect(await modeOf(join(folders.dataDir, "access", "photos-app.env"))).toBe("600");
    expect(await modeOf(join(folders.secretsDir, "config.json"))).toBe("600");
    expect(await modeOf(join(folders.secretsDir, "local-key-ring", "ring.json"))).toBe("600");
    expect(await modeOf(folders.secretsDir)).toBe("700");
  });

  test("refuses a second start on the same folders, and goes on", async () => {
    await expect(startStore({ folders })).rejects.toThrow(/Another npm start/);
    expect((await fetch(`${store.urls.admin}/readyz`)).status).toBe(200);
  });

  test("stops at once on Ctrl-C, and starts again with everything that was stored", async () => {
    const dataPlane = await store.dataPlanePid();
    const startedMs = performance.now();
    await store.stop();
    expect(performance.now() - startedMs).toBeLessThan(STOPPED_MS * PATIENCE);
    expect(isRunning(dataPlane)).toBe(false);
    store = await startStore({ folders, byNpm: true });
    expect(store.readyMs).toBeLessThan(READY_MS * PATIENCE);
    const lines = printedLines(store.printed());
    const { output } = await runShell(
      `${lines[0]}\n${lines.find((line) => !line.includes("echo") && line.startsWith("curl"))}`,
      ROOT,
    );
    expect(output).toBe("hello\n");
  });

  test("stops as well when only npm is told to", async () => {
    const dataPlane = await store.dataPlanePid();
    process.kill(store.pid, "SIGTERM");
    await waitFor("the data plane to end", STOPPED_MS * PATIENCE, () => !isRunning(dataPlane));
    await store.stop();
  });
});

/** The lines below "Try it:", as a person would copy them. */
function printedLines(printed: string): readonly string[] {
  const below = printed.split("Try it:")[1] ?? "";
  return below
    .split("\n")
    .filter((line) => line.startsWith("  "))
    .map((line) => line.trim());
}
