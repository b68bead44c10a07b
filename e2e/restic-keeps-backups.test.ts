// restic at its defaults: what is backed up is there, whole, and comes back; a second backup of the same moves nothing.

import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { applicationEnvironment, sayAside } from "./clients.ts";
import { prepareDebian } from "./debian.ts";
import { type Credentials, removeFolders } from "./harness.ts";
import { movesOf } from "./moves.ts";
import { createMd5Bucket, type SelfService, startSelfService } from "./selfservice.ts";
import { readTree, writeTree } from "./trees.ts";

const run = promisify(execFile);

let service: SelfService;
let folder: string;
beforeAll(async () => {
  await prepareDebian(sayAside);
  folder = await mkdtemp(join(tmpdir(), "coffer-restic-"));
  service = await startSelfService();
}, 400_000);
afterAll(async () => {
  await service?.store.stop();
  if (service !== undefined) await removeFolders(service.store);
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
});

const BUCKETS: Readonly<Record<string, () => Promise<Credentials> | Credentials>> = {
  "opaque ETags": () => service.app,
  "MD5 ETags": () => createMd5Bucket(service.admin, "backups"),
};

interface Summary {
  readonly message_type: string;
  readonly files_new: number;
  readonly files_unmodified: number;
  readonly data_blobs: number;
  readonly data_added: number;
}

for (const [kind, bucketOf] of Object.entries(BUCKETS)) {
  describe(`with ${kind}`, () => {
    let restic: (...args: readonly string[]) => Promise<string>;
    let tree: string;
    let work: string;
    beforeAll(async () => {
      const credentials = await bucketOf();
      work = await mkdtemp(join(folder, "work-"));
      tree = join(work, "tree");
      await writeTree(tree);
      const env = {
        ...applicationEnvironment(credentials),
        HOME: work,
        RESTIC_CACHE_DIR: join(work, "cache"),
        RESTIC_PASSWORD: randomBytes(16).toString("hex"),
        RESTIC_REPOSITORY: `s3:${credentials.endpoint}/${credentials.bucket}/repository`,
      };
      // A path from here, so that what else goes on above the tree is no part of it.
      const settings = { cwd: work, env, timeout: 240_000, maxBuffer: 16 * 1024 * 1024 };
      restic = async (...args) => (await run("restic", args, settings)).stdout;
      await restic("init");
    });

    const backUp = async (): Promise<Summary> => {
      const lines = (await restic("backup", "--json", "tree")).trim().split("\n");
      return JSON.parse(lines.at(-1) ?? "") as Summary;
    };

    test("backs up, and the second time adds no data", async () => {
      expect(await backUp()).toMatchObject({ message_type: "summary", files_new: 6, files_unmodified: 0 });
      const before = await movesOf(service.store);
      const second = await backUp();
      expect(second).toMatchObject({ files_new: 0, files_unmodified: 6, data_blobs: 0, data_added: 0 });
      // A lock that goes again, and the snapshot itself.
      const after = await movesOf(service.store);
      expect((after["PutObject"] ?? 0) - (before["PutObject"] ?? 0)).toBe(2);
    });

    test("lists its snapshots, and finds all data whole", async () => {
      const snapshots = JSON.parse(await restic("snapshots", "--json")) as readonly unknown[];
      expect(snapshots).toHaveLength(2);
      expect(await restic("check", "--read-data")).toContain("no errors were found");
    });

    test("restores what was backed up", async () => {
      await restic("restore", "latest", "--target", join(work, "restored"));
      expect(await readTree(join(work, "restored", "tree"))).toEqual(await readTree(tree));
    });

    test("forgets, removes what nothing needs any more, and what is left is whole", async () => {
      await rm(join(tree, "large.bin"));
      await writeFile(join(tree, "readme.txt"), randomBytes(2000));
      await backUp();
      await restic("forget", "--keep-last", "1", "--prune");
      expect(JSON.parse(await restic("snapshots", "--json"))).toHaveLength(1);
      expect(await restic("check", "--read-data")).toContain("no errors were found");
      await restic("restore", "latest", "--target", join(work, "later"));
      expect(await readTree(join(work, "later", "tree"))).toEqual(await readTree(tree));
    });
  });
}
