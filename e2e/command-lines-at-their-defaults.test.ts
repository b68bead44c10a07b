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
import { COMMAND_LINES, type CommandLine, openCommandLine } from "./commandlines.ts";
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

function holdCommandLine(name: (typeof COMMAND_LINES)[number], how: string, setting: Setting): void {
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

async function hashOfFile(path: string): Promise<string> {
  const file = await open(path);
  try {
    return await sha256Of(file.createReadStream({ autoClose: false }) as AsyncIterable<Buffer>);
  } finally {
    await file.close();
  }
}
