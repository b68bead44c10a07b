// aws-cli, rclone and s3cmd work as they come, with opaque and with MD5 ETags: whatever they store they get back, and what
// they synchronized once they do not move again.

import { randomBytes } from "node:crypto";
import { mkdtemp, open, readFile, rm, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ListObjectsV2Command, type S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MIB, sha256Of } from "./bodies.ts";
import { s3Client } from "./clients.ts";
import { COMMAND_LINES, type CommandLine, type CommandLineName, openCommandLine } from "./commandlines.ts";
import { type Credentials, removeFolders } from "./harness.ts";
import { movesOf } from "./moves.ts";
import { createMd5Bucket, type SelfService, startSelfService } from "./selfservice.ts";
import { readTree, writeTree } from "./trees.ts";

let service: SelfService;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "coffer-clients-"));
  service = await startSelfService();
});
afterAll(async () => {
  await service?.store.stop();
  if (service !== undefined) await removeFolders(service.store);
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

interface Setting {
  readonly hasMd5: boolean;
  readonly asksForSse: boolean;
  credentials(client: string): Promise<Credentials> | Credentials;
}

const SETTINGS: Readonly<Record<string, Setting>> = {
  "with opaque ETags": { hasMd5: false, asksForSse: false, credentials: () => service.app },
  "with MD5 ETags that it asks for": { hasMd5: true, asksForSse: true, credentials: () => service.app },
  "with MD5 ETags by its bucket's setting": {
    hasMd5: true,
    asksForSse: false,
    credentials: (client) => createMd5Bucket(service.admin, `md5-${client}`),
  },
};

for (const [how, setting] of Object.entries(SETTINGS)) {
  for (const name of COMMAND_LINES) describe(`${name} ${how}`, () => holdCommandLine(name, how, setting));
}

function holdCommandLine(name: CommandLineName, how: string, setting: Setting): void {
  let client: CommandLine;
  let s3: S3Client;
  let bucket: string;
  let work: string;
  beforeAll(async () => {
    const credentials = await setting.credentials(name);
    bucket = credentials.bucket;
    work = await mkdtemp(join(folder, `${name}-`));
    client = await openCommandLine(name, credentials, join(work, "home"), setting);
    s3 = s3Client(credentials);
  }, 400_000);
  afterAll(async () => {
    s3?.destroy();
    if (work !== undefined) await rm(work, { recursive: true, force: true });
  });

  const etagsBelow = async (at: string): Promise<Readonly<Record<string, string>>> => {
    const listed = await s3.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: `${at}/` }));
    const entries = (listed.Contents ?? []).map(({ Key = "", ETag = "" }) => [Key.slice(at.length + 1), ETag]);
    return Object.fromEntries(entries);
  };

  test("puts, gets, lists, copies without fetching, and deletes", async () => {
    const at = `${bucket}/${name} ${how}/single`;
    const bodies = { "one ä + 100%.bin": randomBytes(100_000), empty: Buffer.alloc(0), "two #1": randomBytes(1000) };
    for (const [key, body] of Object.entries(bodies)) {
      await writeFile(join(work, "sent"), body);
      await client.put(join(work, "sent"), `${at}/${key}`);
      await client.get(`${at}/${key}`, join(work, "got"));
      expect((await readFile(join(work, "got"))).equals(body)).toBe(true);
    }
    expect(await client.list(at)).toEqual(Object.keys(bodies).sort());
    const before = await movesOf(service.store);
    await client.copy(`${at}/one ä + 100%.bin`, `${at}/copied/three ä.bin`);
    const after = await movesOf(service.store);
    expect(after).toEqual({ ...before, CopyObject: (before["CopyObject"] ?? 0) + 1 });
    await client.get(`${at}/copied/three ä.bin`, join(work, "got"));
    expect((await readFile(join(work, "got"))).equals(bodies["one ä + 100%.bin"])).toBe(true);
    await client.remove(`${at}/one ä + 100%.bin`);
    expect(await client.list(at)).toEqual(["copied/three ä.bin", "empty", "two #1"]);
    await client.removeAll(at);
    expect(await etagsBelow(`${name} ${how}/single`)).toEqual({});
  });

  test("syncs a tree there and back, and the second time moves nothing", async () => {
    const at = `${bucket}/${name} ${how}/tree`;
    const [tree, back] = [join(work, "tree"), join(work, "back")];
    const names = await writeTree(tree);
    await client.syncTo(tree, at);
    expect(await client.list(at)).toEqual(names);
    const sent = await movesOf(service.store);
    await client.syncTo(tree, at);
    expect(await movesOf(service.store)).toEqual(sent);
    await client.syncFrom(at, back);
    expect(await readTree(back)).toEqual(await readTree(tree));
    const brought = await movesOf(service.store);
    await client.syncFrom(at, back);
    expect(await movesOf(service.store)).toEqual(brought);

    await writeFile(join(tree, "readme.txt"), randomBytes(1001));
    await unlink(join(tree, "with space", "ä + 100%.bin"));
    await client.syncTo(tree, at);
    expect(await client.list(at)).toEqual(names.filter((one) => !one.includes("ä")));
    const changed = await movesOf(service.store);
    expect(changed).toMatchObject({ PutObject: (brought["PutObject"] ?? 0) + 1, UploadPart: brought["UploadPart"] });
    await client.syncFrom(at, back);
    expect(await readTree(back)).toEqual(await readTree(tree));
  });

  test(`sees ETags that ${setting.hasMd5 ? "are" : "nobody takes for"} MD5s`, async () => {
    const etags = await etagsBelow(`${name} ${how}/tree`);
    const files = Object.entries(await readTree(join(work, "tree")));
    expect(Object.keys(etags).sort()).toEqual(files.map(([key]) => key).sort());
    for (const [key, { bytes, md5 }] of files) {
      const isWhole = bytes < client.partsFromBytes;
      if (setting.hasMd5 && isWhole) expect({ key, etag: etags[key] }).toEqual({ key, etag: `"${md5}"` });
      else expect({ key, etag: etags[key] }).toEqual({ key, etag: expect.stringMatching(/^"[0-9a-f]{32}-\d+"$/) });
      if (!setting.hasMd5) expect(etags[key]).not.toContain(md5);
    }
  });

  test("uploads a large file in parts, and gets it back", async () => {
    const at = `${bucket}/${name} ${how}/large`;
    const bytes = client.partsFromBytes + MIB + 1;
    await writeFile(join(work, "large"), randomBytes(MIB));
    const file = await open(join(work, "large"), "r+");
    await file.truncate(bytes);
    await file.close();
    const before = await movesOf(service.store);
    await client.put(join(work, "large"), at);
    const after = await movesOf(service.store);
    expect(after["CompleteMultipartUpload"]).toBe((before["CompleteMultipartUpload"] ?? 0) + 1);
    expect(after["PutObject"]).toBe(before["PutObject"]);
    await client.get(at, join(work, "fetched"));
    expect(await hashOfFile(join(work, "fetched"))).toBe(await hashOfFile(join(work, "large")));
    await client.remove(at);
  });
}

describe("their other words", () => {
  const open = async (name: CommandLineName, credentials: Credentials, asksForSse: boolean) => {
    const home = await mkdtemp(join(folder, "home-"));
    return { home, client: await openCommandLine(name, credentials, home, { asksForSse }) };
  };

  test("aws-cli sends each checksum that it knows, and verifies what it gets", async () => {
    const { home, client } = await open("aws-cli", service.app, false);
    const [sent, got] = [join(home, "sent"), join(home, "got")];
    await writeFile(sent, randomBytes(70_000));
    for (const algorithm of ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]) {
      const where = ["--bucket", service.app.bucket, "--key", `checksum/${algorithm}`];
      await client.run("s3api", "put-object", ...where, "--body", sent, "--checksum-algorithm", algorithm);
      const head = await client.run("s3api", "head-object", ...where, "--checksum-mode", "ENABLED");
      expect(JSON.parse(head)).toMatchObject({
        [`Checksum${algorithm}`]: expect.stringMatching(/^[A-Za-z0-9+/]+=*$/),
        ChecksumType: "FULL_OBJECT",
      });
      await client.run("s3api", "get-object", ...where, "--checksum-mode", "ENABLED", got);
      expect((await readFile(got)).equals(await readFile(sent))).toBe(true);
    }
  });

  test("aws-cli uploads in parts with a CRC64NVME of the whole", async () => {
    const { home, client } = await open("aws-cli", service.app, false);
    await writeFile(join(home, "sent"), randomBytes(9 * MIB));
    const at = `${service.app.bucket}/checksum/parts`;
    await client.run("s3", "cp", "--checksum-algorithm", "CRC64NVME", join(home, "sent"), `s3://${at}`);
    await client.run("s3", "cp", "--checksum-mode", "ENABLED", `s3://${at}`, join(home, "got"));
    expect((await readFile(join(home, "got"))).equals(await readFile(join(home, "sent")))).toBe(true);
    const where = ["--bucket", service.app.bucket, "--key", "checksum/parts", "--checksum-mode", "ENABLED"];
    expect(JSON.parse(await client.run("s3api", "head-object", ...where))).toMatchObject({
      ChecksumCRC64NVME: expect.stringMatching(/^[A-Za-z0-9+/]{11}=$/),
      ChecksumType: "FULL_OBJECT",
    });
  });

  test.each([
    ["by their bytes", false, ["--download"]],
    ["by the MD5s of the ETags", true, []],
  ] as const)("rclone finds a tree to be the same %s", async (_how, asksForSse, flags) => {
    const { home, client } = await open("rclone", service.app, asksForSse);
    const [tree, at] = [join(home, "tree"), `${service.app.bucket}/check/${asksForSse}`];
    const names = await writeTree(tree);
    await client.syncTo(tree, at);
    const told = await client.run("check", ...flags, tree, `coffer:${at}`);
    expect(told).toContain("0 differences found");
    expect(told).toContain(`${names.length} matching files`);
    expect(told).not.toContain("could not be checked");
    await writeFile(join(tree, "with space", "a&b=c #1.txt"), randomBytes(65_536));
    await expect(client.run("check", ...flags, tree, `coffer:${at}`)).rejects.toThrow("1 differences found");
  });

  test("each makes a bucket of its own, sees it, and removes it again", async () => {
    for (const name of COMMAND_LINES) {
      const { client } = await open(name, service.admin, false);
      const bucket = `made-by-${name}`;
      const [make, list, remove] = BUCKET_WORDS[name];
      const at = `${name === "rclone" ? "coffer:" : "s3://"}${bucket}`;
      await client.run(...make, at);
      expect(await client.run(...list)).toContain(bucket);
      await client.run(...remove, at);
      expect(await client.run(...list)).not.toContain(bucket);
    }
  });
});

type Three = readonly [make: readonly string[], list: readonly string[], remove: readonly string[]];

const BUCKET_WORDS: Readonly<Record<CommandLineName, Three>> = {
  "aws-cli": [
    ["s3", "mb"],
    ["s3", "ls"],
    ["s3", "rb"],
  ],
  rclone: [["mkdir"], ["lsd", "coffer:"], ["rmdir"]],
  s3cmd: [["mb"], ["ls"], ["rb"]],
};

async function hashOfFile(path: string): Promise<string> {
  const file = await open(path);
  try {
    return await sha256Of(file.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>);
  } finally {
    await file.close();
  }
}
