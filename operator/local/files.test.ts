// What the runtime keeps in files, each over a folder of its own.

import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { printAccessFile, seeAccessFile, surroundingsOf, writeAccessFile } from "./accessfiles.ts";
import { readConfigFile, writeConfigFile } from "./configfile.ts";
import { prepareFolder, readIfThere, removeDurably, writeDurably } from "./durable.ts";
import { folderFingerprint, readFolder } from "./folder.ts";
import { takeLock } from "./lock.ts";
import { openLogFile } from "./logfiles.ts";
import { findReferred } from "./references.ts";
import { readStatusFiles } from "./statusfiles.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "coffer-files-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

describe("writeDurably()", () => {
  test("replaces a file whole, with its mode, and leaves nothing beside it", async () => {
    const path = join(folder, "a.json");
    await writeDurably(path, "first", 0o600);
    await writeDurably(path, "second", 0o600);
    expect(await readFile(path, "utf8")).toBe("second");
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readdir(folder)).toEqual(["a.json"]);
  });

  test("leaves the old file and no draft when it cannot be replaced", async () => {
    await mkdir(join(folder, "a.json"));
    await expect(writeDurably(join(folder, "a.json"), "x", 0o600)).rejects.toThrow();
    expect(await readdir(folder)).toEqual(["a.json"]);
  });

  test("is cleaned up after by prepareFolder(), which also sets the mode", async () => {
    await writeFile(join(folder, ".config.json.1234.draft"), "half");
    await writeFile(join(folder, ".keep"), "");
    await chmod(folder, 0o755);
    await prepareFolder(folder, 0o700);
    expect(await readdir(folder)).toEqual([".keep"]);
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });
});

test("readIfThere() and removeDurably() take absence for an answer", async () => {
  expect(await readIfThere(join(folder, "none"))).toBeUndefined();
  await removeDurably(join(folder, "none"));
  await expect(readIfThere(folder)).rejects.toThrow();
});

describe("readFolder()", () => {
  test("reads what kubectl would, in order, and says which files are broken", async () => {
    await writeFile(join(folder, "b.yaml"), "kind: B\n---\nkind: C\n");
    await writeFile(join(folder, "a.json"), '{"kind": "A"}');
    await writeFile(join(folder, "c.yml"), "a: [\n");
    await writeFile(join(folder, ".hidden.yaml"), "kind: H\n");
    await writeFile(join(folder, "note.txt"), "kind: N\n");
    await mkdir(join(folder, "d.yaml"));
    const { documents, broken } = await readFolder(folder);
    expect(documents.map(({ file, document }) => [file, document.line, document.value])).toEqual([
      ["a.json", 1, { kind: "A" }],
      ["b.yaml", 1, { kind: "B" }],
      ["b.yaml", 3, { kind: "C" }],
    ]);
    expect([...broken.keys()]).toEqual(["c.yml", "d.yaml"]);
    expect(broken.get("d.yaml")).toEqual({ line: undefined, reason: "cannot be read: EISDIR" });
  });

  test("reads one file alone", async () => {
    await writeFile(join(folder, "a.yaml"), "kind: A\n");
    await writeFile(join(folder, "b.yaml"), "kind: B\n");
    expect((await readFolder(join(folder, "b.yaml"))).documents.map(({ file }) => file)).toEqual(["b.yaml"]);
  });

  test("refuses a file that is too large", async () => {
    await writeFile(join(folder, "a.yaml"), `# ${"x".repeat(4 * 1024 * 1024)}\n`);
    expect((await readFolder(folder)).broken.get("a.yaml")?.reason).toBe("is larger than 4 MiB");
  });

  test("has a fingerprint that changes with every file", async () => {
    const before = await folderFingerprint(folder);
    await writeFile(join(folder, "a.yaml"), "kind: A\n");
    const added = await folderFingerprint(folder);
    await writeFile(join(folder, "a.yaml"), "kind: B\n");
    const changed = await folderFingerprint(folder);
    expect(new Set([before, added, changed]).size).toBe(3);
    expect(await folderFingerprint(folder)).toBe(changed);
  });
});

describe("access files", () => {
  const pair = { accessKeyId: "CFRABCDEFGHIJKLMNOP", secret: "abcdefghijklmnopqrstuvwxyz-_0123" };
  const urls = { s3: "http://127.0.0.1:9000", rest: "http://127.0.0.1:8080", admin: "" };
  const around = surroundingsOf(urls, "photos");

  test("hold the keys that an application reads", () => {
    const names = printAccessFile(pair, around)
      .trim()
      .split("\n")
      .map((line) => line.split("=")[0]);
    expect(names).toEqual([
      "AWS_ENDPOINT_URL_S3",
      "AWS_REGION",
      "AWS_DEFAULT_REGION",
      "AWS_ACCESS_KEY_ID",
      "AWS_SECRET_ACCESS_KEY",
      "BUCKET_NAME",
      "COFFER_REST_URL",
      "COFFER_TOKEN",
    ]);
    expect(printAccessFile(pair, surroundingsOf(urls, undefined))).not.toContain("BUCKET_NAME");
  });

  test("are found again, and seen to be untidy when anything else has changed", async () => {
    const path = join(folder, "photos-app.env");
    expect(await seeAccessFile(path, around)).toEqual({ kind: "absent" });
    await writeAccessFile(path, pair, around);
    expect(await seeAccessFile(path, around)).toEqual({ kind: "pair", pair, isTidy: true });
    const moved = { ...around, s3Url: "http://127.0.0.1:9001" };
    expect(await seeAccessFile(path, moved)).toEqual({ kind: "pair", pair, isTidy: false });
  });

  test.each([["a note"], ["AWS_ACCESS_KEY_ID=short\nAWS_SECRET_ACCESS_KEY=$(rm -rf)\n"], [""]])(
    "in which no pair stands are somebody else's: %s",
    async (text) => {
      const path = join(folder, "photos-app.env");
      await writeFile(path, text);
      expect(await seeAccessFile(path, around)).toMatchObject({ kind: "foreign" });
    },
  );
});

describe("config file", () => {
  test("is absent, or whole, or refused without a word of what stands in it", async () => {
    const path = join(folder, "config.json");
    expect(await readConfigFile(path)).toBeUndefined();
    await writeFile(path, '{"secret": "hunter2hunter2"');
    await expect(readConfigFile(path)).rejects.toThrow("it is not JSON");
    await writeFile(path, '{"secret": "hunter2hunter2"}');
    await expect(readConfigFile(path)).rejects.not.toThrow("hunter2");
  });

  test("is not replaced by what no data plane would take", async () => {
    const path = join(folder, "config.json");
    await expect(writeConfigFile(path, {} as never)).rejects.toThrow();
    expect(await readIfThere(path)).toBeUndefined();
  });
});

test("readStatusFiles() passes over what is no status, and names it", async () => {
  await writeFile(join(folder, "KmsProvider.local.json"), "{");
  await writeFile(join(folder, "KmsProvider.other.json"), '{"kind": "KmsProvider"}');
  const { records, problems } = await readStatusFiles(folder);
  expect(records.size).toBe(0);
  expect(problems).toHaveLength(2);
});

test("takeLock() gives a lock once, until it is released", () => {
  const first = takeLock(folder);
  expect(first).toBeDefined();
  expect(takeLock(folder)).toBeUndefined();
  first?.release();
  const second = takeLock(folder);
  expect(second).toBeDefined();
  second?.release();
});

test("openLogFile() cuts at a size and at the end of a line, and keeps the newest files", async () => {
  const failures: unknown[] = [];
  const log = openLogFile(join(folder, "a.log"), (error) => failures.push(error), 10);
  for (const chunk of [
    "1234567890",
    "tail\nnext ",
    "x\n",
    "0123456789\n",
    "a\n",
    "0123456789\nb\n",
    "0123456789\nc\n",
  ]) {
    log.write(Buffer.from(chunk));
  }
  log.close();
  expect(failures).toEqual([]);
  const names = (await readdir(folder)).sort();
  expect(names).toEqual(["a.log", "a.log.1", "a.log.2", "a.log.3"]);
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), "utf8")));
  for (const text of texts.slice(1)) expect(text.endsWith("\n")).toBe(true);
});

describe("findReferred()", () => {
  const wanted = { kind: "Secret" as const, name: "mine", key: "ring.json" };
  const bytes = Buffer.from("text");

  test("finds a document of the folder before a file", async () => {
    const documents = [{ kind: "Secret" as const, name: "mine", values: new Map([["ring.json", bytes]]) }];
    expect(await findReferred(wanted, documents, folder)).toMatchObject({ bytes, place: 'Secret "mine"' });
    expect(await findReferred({ ...wanted, key: "other" }, documents, folder)).toMatchObject({
      reason: "SecretKeyMissing",
    });
    expect(await findReferred({ ...wanted, kind: "ConfigMap" }, documents, folder)).toMatchObject({
      reason: "ConfigMapNotFound",
    });
  });

  test("finds a file, and says where it looked", async () => {
    expect(await findReferred(wanted, [], folder)).toMatchObject({
      reason: "SecretNotFound",
      message: expect.stringContaining(join(folder, "mine", "ring.json")),
    });
    await mkdir(join(folder, "mine"));
    await writeFile(join(folder, "mine", "ring.json"), "text");
    expect(await findReferred(wanted, [], folder)).toMatchObject({ bytes });
    expect(await findReferred({ ...wanted, key: ".." }, [], folder)).toMatchObject({ reason: "SecretKeyMissing" });
  });
});
