import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConfigError } from "./config.ts";
import { openSource, watchChanges } from "./sources.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "coffer-sources-"));
});
afterEach(() => rm(folder, { recursive: true }));

const DOCUMENT = '{"format":1}';

async function problemsOf(path: string | undefined, environment: Record<string, string>): Promise<readonly string[]> {
  const error = await openSource(path, environment)
    .read()
    .catch((caught: unknown) => caught);
  return error instanceof ConfigError ? error.problems : [];
}

describe("openSource()", () => {
  it.each<[string, string, string | Buffer]>([
    ["JSON", "config.json", DOCUMENT],
    ["gzip", "config.json", gzipSync(DOCUMENT)],
    ["JSON in a file of any name", "config", DOCUMENT],
    ["gzip in a file of any name", "config", gzipSync(DOCUMENT)],
    ["YAML", "config.yaml", "format: 1"],
    ["TOML", "config.toml", "format = 1"],
  ])("takes what has a format as a whole document, in %s", async (_sentence, name, bytes) => {
    await writeFile(join(folder, name), bytes);
    expect(await openSource(join(folder, name), {}).read()).toMatchObject({
      kind: "document",
      document: { format: 1 },
    });
  });

  it.each<[string, string, string | Buffer, RegExp]>([
    ["a file that is not JSON, without quoting it", "c.json", '{"secret":"marker', /c\.json:1: the file is not JSON/],
    ["a line that is not JSON", "c.json", '{"a": 1,\n"b": marker,\n"c": 2\n}\n', /c\.json:2: the file is not JSON/],
    ["a name that JSON has twice", "c.json", '{"a": "marker",\n"a": 1}', /c\.json:2: a name stands twice/],
    ["the same of any name", "c", '{"secret":"marker', /c: the file is not JSON, nor does its name end in \.toml, /],
    ["an empty JSON file", "c.json", "", /c\.json:1: the file is not JSON/],
    ["a cut gzip file", "c", gzipSync('{"a":1}').subarray(0, 12), /c: the file is not whole gzip/],
    ["a file that is not TOML", "c.toml", '[kms]\ntoken = "marker', /c\.toml:2: the file is not TOML/],
    ["a file that is not YAML", "c.yml", 'kms:\n  a: "marker\n', /c\.yml:\d+: the file is not YAML/],
    ["a file with a name twice", "c.yaml", "kms: {a: 1, a: marker}", /c\.yaml:1: the file is not YAML \(DUPLICATE_KEY/],
    ["a list in place of sections", "c.yaml", "- marker", /c\.yaml: must hold sections/],
  ])("refuses %s", async (_sentence, name, bytes, expected) => {
    const path = join(folder, name);
    await writeFile(path, bytes);
    await expect(openSource(path, {}).read()).rejects.toThrow(expected);
    await expect(openSource(path, {}).read()).rejects.not.toThrow(/marker/);
  });

  it("says why a file cannot be read", async () => {
    await expect(openSource(join(folder, "absent"), {}).read()).rejects.toThrow(/absent: .*ENOENT/);
  });

  it("reads the files of a folder, and refuses one that it would not read", async () => {
    await writeFile(join(folder, "kms.toml"), '[kms]\nprovider = "local"');
    await writeFile(join(folder, "encryption.yaml"), "encryption: {cache_size: 7}");
    await writeFile(join(folder, "README.md"), "no configuration");
    const read = await openSource(folder, {}).read();
    expect(read).toMatchObject({ kind: "wish", wish: { provider: "local", cache: { maxEntries: 7 } } });
    await writeFile(join(folder, "dev.toml"), "");
    await expect(openSource(folder, {}).read()).rejects.toThrow(/dev\.toml: is not read: kms, encryption and coffer/);
  });

  it("tells of all at once, also where a file is none of its own, or cannot be read", async () => {
    await writeFile(join(folder, "dev.toml"), "");
    await writeFile(join(folder, "kms.toml"), "[kms");
    await mkdir(join(folder, "encryption.toml"));
    await writeFile(join(folder, "coffer.yaml"), "server: {region: ''}\nbuckets: [{name: X}]\n");
    const problems = await problemsOf(folder, { COFFER_S3_PORT: "abc", COFFER_CACHE_SIZE: "abc" });
    expect(problems.map((problem) => problem.replaceAll(`${folder}/`, ""))).toEqual([
      "COFFER_S3_PORT must be a port from 0 to 65535",
      "dev.toml: is not read: kms, encryption and coffer are",
      "encryption.toml: the file cannot be read: EISDIR",
      "kms.toml:1: the file is not TOML",
      expect.stringMatching(/^COFFER_CACHE_SIZE: must be /),
      expect.stringMatching(/^coffer\.yaml:1 server\.region: must be /),
      expect.stringMatching(/^coffer\.yaml:2 buckets\.0\.name: must be /),
    ]);
  });

  it("tells of where the process runs when all else is right, too", async () => {
    await writeFile(join(folder, "config.json"), DOCUMENT);
    for (const [path, more] of [
      [undefined, { COFFER_KMS_PROVIDER: "local" }],
      [join(folder, "config.json"), {}],
    ] as const) {
      expect(await problemsOf(path, { ...more, COFFER_S3_PORT: "abc" })).toEqual([
        "COFFER_S3_PORT must be a port from 0 to 65535",
      ]);
    }
  });

  it("has the fingerprint of what it read, which changes with every file of it", async () => {
    const tokenFile = join(folder, "token");
    await writeFile(tokenFile, "one");
    await writeFile(join(folder, "kms.toml"), `provider = 1`);
    const source = openSource(folder, {
      COFFER_KMS_PROVIDER: "vault",
      COFFER_KMS_ENDPOINT: "https://vault.test",
      COFFER_KMS_TOKEN_FILE: tokenFile,
    });
    await expect(source.read()).rejects.toThrow(/kms\.toml:1 provider: is not known/);
    await writeFile(join(folder, "kms.toml"), "");
    const first = await source.read();
    expect(await source.fingerprint()).toBe(first.hash);
    await writeFile(tokenFile, "two");
    expect(await source.fingerprint()).not.toBe(first.hash);
    const second = await source.read();
    await writeFile(join(folder, "coffer.toml"), "[server]");
    expect(await source.fingerprint()).not.toBe(second.hash);
  });
});

describe("watchChanges()", () => {
  it.each([false, true])("tells of a file that was replaced, and of nothing else (folder: %s)", async (isFolder) => {
    const path = join(folder, "coffer.json");
    await writeFile(path, '{"encryption":{"cache_size":1},"kms":{"provider":"local"}}');
    const source = openSource(isFolder ? folder : path, {});
    const { hash } = await source.read();
    const stop = new AbortController();
    const seen: unknown[] = [];
    const onChange = async (): Promise<void> => {
      seen.push(await source.read());
      stop.abort();
    };
    const watching = watchChanges(source, hash, onChange, stop.signal);
    await writeFile(`${path}.tmp`, '{"encryption":{"cache_size":2},"kms":{"provider":"local"}}');
    await rename(`${path}.tmp`, path);
    await watching;
    expect(seen).toMatchObject([{ wish: { cache: { maxEntries: 2 } } }]);
  });
});
