import { mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readDocument, readEnvironment, watchDocument } from "./sources.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "coffer-sources-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("readEnvironment()", () => {
  it("has defaults for everything but the configuration's path", () => {
    expect(readEnvironment({ COFFER_CONFIG: "/c.json" })).toEqual({
      configPath: "/c.json",
      listenAddress: "127.0.0.1",
      s3Port: 9000,
      restPort: 8080,
      adminPort: 9090,
      dataDir: "data",
    });
  });

  it("reports all problems at once", () => {
    expect(() => readEnvironment({ COFFER_S3_PORT: "x", COFFER_REST_PORT: "70000" })).toThrow(
      /3 problem.*COFFER_CONFIG.*COFFER_S3_PORT.*COFFER_REST_PORT/,
    );
  });
});

describe("readDocument()", () => {
  it("reads JSON, plain and gzip", async () => {
    await writeFile(join(folder, "plain"), '{"a":1}');
    await writeFile(join(folder, "zipped"), gzipSync('{"a":1}'));
    expect((await readDocument(join(folder, "plain"))).document).toEqual({ a: 1 });
    expect((await readDocument(join(folder, "zipped"))).document).toEqual({ a: 1 });
  });

  it.each<[string, Buffer, RegExp]>([
    ["a file that is not JSON, without quoting it", Buffer.from('{"secret":"marker'), /not JSON/],
    ["an empty file", Buffer.alloc(0), /not JSON/],
    ["a cut gzip file", gzipSync('{"a":1}').subarray(0, 12), /not whole gzip/],
  ])("refuses %s", async (_sentence, bytes, expected) => {
    await writeFile(join(folder, "bad"), bytes);
    await expect(readDocument(join(folder, "bad"))).rejects.toThrow(expected);
    await expect(readDocument(join(folder, "bad"))).rejects.not.toThrow(/marker/);
  });

  it("says why a file cannot be read", async () => {
    await expect(readDocument(join(folder, "absent"))).rejects.toThrow(/ENOENT/);
  });
});

describe("watchDocument()", () => {
  it("tells of a file that was replaced by rename, and of nothing else", async () => {
    const path = join(folder, "config.json");
    await writeFile(path, '{"n":1}');
    const { fileHash } = await readDocument(path);
    const stop = new AbortController();
    const seen: unknown[] = [];
    const watching = watchDocument(
      path,
      fileHash,
      async (read) => {
        seen.push((await read()).document);
        stop.abort();
      },
      stop.signal,
    );
    await writeFile(`${path}.tmp`, '{"n":2}');
    await rename(`${path}.tmp`, path);
    await watching;
    expect(seen).toEqual([{ n: 2 }]);
  });
});
