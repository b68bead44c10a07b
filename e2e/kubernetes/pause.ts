// The image that holds the namespaces of each pod, made without any engine: one static program in one layer.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export const PAUSE_IMAGE = "localhost/pause:1";

const ARCHITECTURES: Readonly<Partial<Record<NodeJS.Architecture, string>>> = { x64: "amd64", arm64: "arm64" };
const EPOCH = "1970-01-01T00:00:00Z";

/** Packs the program as `docker save` would; the path of the archive. */
export async function packPause(program: string, folder: string): Promise<string> {
  const work = join(folder, "pause");
  await mkdir(join(work, "layer"), { recursive: true });
  await copyFile(program, join(work, "layer", "pause"));
  await run("tar", ["-cf", join(work, "layer.tar"), "-C", join(work, "layer"), "--owner=0", "--group=0", "pause"]);
  const digest = createHash("sha256")
    .update(await readFile(join(work, "layer.tar")))
    .digest("hex");
  const config = {
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    os: "linux",
    created: EPOCH,
    config: { Entrypoint: ["/pause"], User: "65535:65535", WorkingDir: "/" },
    rootfs: { type: "layers", diff_ids: [`sha256:${digest}`] },
    history: [{ created: EPOCH, created_by: "pause" }],
  };
  const manifest = [{ Config: "config.json", RepoTags: [PAUSE_IMAGE], Layers: ["layer.tar"] }];
  await writeFile(join(work, "config.json"), JSON.stringify(config));
  await writeFile(join(work, "manifest.json"), JSON.stringify(manifest));
  const archive = join(folder, "pause.tar");
  await run("tar", ["-cf", archive, "-C", work, "config.json", "layer.tar", "manifest.json"]);
  return archive;
}
