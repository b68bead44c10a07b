// The image that ours stands on where `node:26-slim` cannot be pulled: a folder tree of this machine's Node, the libraries
// that it loads, npm, the authorities that this machine trusts, and BusyBox for a shell. Debian's, so for Linux alone.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, cp, mkdir, mkdtemp, realpath, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { ROOT } from "../harness.ts";
import type { Engine } from "./engine.ts";

const run = promisify(execFile);

const NODE = join(ROOT, "node_modules", "node", "bin", "node");
const BUSYBOX = "/bin/busybox";
const AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt";
/** Names are resolved by libraries that no program names. */
const RESOLVERS = ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"];
const FOLDERS = [
  "app",
  "dev",
  "etc/ssl/certs",
  "home/node",
  "proc",
  "run",
  "sys",
  "usr/bin",
  "usr/local/bin",
  "var/tmp",
];
const USERS =
  "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";
const GROUPS = "root:x:0:\nnode:x:1000:\nnobody:x:65534:\n";

interface Parts {
  readonly libraries: readonly string[];
  readonly npm: string;
  /** Where packages come from on this machine. */
  readonly registry: string;
}

async function partsOfBase(): Promise<Parts> {
  const { stdout: linked } = await run("ldd", [NODE]);
  const libraries = [...linked.matchAll(/(\/\S+)/g)].map(([, path = ""]) => path);
  const besides = dirname(libraries.find((path) => path.includes("libc.so")) ?? "/lib");
  const resolvers = RESOLVERS.map((name) => join(besides, name)).filter((path) => existsSync(path));
  const { stdout: found } = await run("bash", ["-c", "command -v npm"]).catch(() => {
    throw new Error("npm was not found: the image is built with it.");
  });
  const npm = join(dirname(await realpath(found.trim())), "..");
  const { stdout: registry } = await run("npm", ["config", "get", "registry"], { cwd: tmpdir() });
  return { libraries: [...libraries, ...resolvers], npm, registry: registry.trim() };
}

/** Another base has another name. */
export async function baseName(): Promise<string> {
  const { libraries, npm, registry } = await partsOfBase();
  // Another copy of the same Node, as each clone has one, makes no other base.
  const hash = createHash("sha256").update(`${registry} ${process.version} ${(await stat(NODE)).size}\n`);
  for (const path of [BUSYBOX, join(npm, "package.json"), AUTHORITIES, ...libraries]) {
    const found = existsSync(path) ? await stat(await realpath(path)) : undefined;
    hash.update(`${path} ${found?.size} ${found?.mtimeMs}\n`);
  }
  return `localhost/coffer-base:${hash.digest("hex").slice(0, 12)}`;
}

/** Makes it known to the engine, once. */
export async function prepareBase({ docker }: Engine, name: string): Promise<void> {
  if ((await docker("images", "--quiet", name)).trim() !== "") return;
  const folder = await mkdtemp(join(tmpdir(), "coffer-base-"));
  try {
    const tree = join(folder, "tree");
    await makeTree(tree, await partsOfBase());
    const archive = join(folder, "base.tar");
    await run("tar", ["-cf", archive, "-C", tree, "--owner=0", "--group=0", "."]);
    const path = "ENV PATH=/usr/local/bin:/usr/bin:/bin";
    await docker("import", "--change", path, archive, name);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function makeTree(tree: string, { libraries, npm, registry }: Parts): Promise<void> {
  for (const folder of FOLDERS) await mkdir(join(tree, folder), { recursive: true });
  await mkdir(join(tree, "tmp"));
  await chmod(join(tree, "tmp"), 0o1777);
  await chmod(join(tree, "var", "tmp"), 0o1777);
  for (const path of libraries) {
    await mkdir(join(tree, dirname(path)), { recursive: true });
    await cp(await realpath(path), join(tree, path));
  }
  await cp(NODE, join(tree, "usr/local/bin/node"));
  await cp(BUSYBOX, join(tree, "usr/bin/busybox"));
  const { stdout: applets } = await run(BUSYBOX, ["--list"]);
  for (const applet of applets.trim().split("\n")) {
    if (applet !== "busybox") await symlink("busybox", join(tree, "usr/bin", applet));
  }
  if (!existsSync(join(tree, "bin"))) await symlink("usr/bin", join(tree, "bin"));
  const modules = join(tree, "usr/local/lib/node_modules");
  await mkdir(modules, { recursive: true });
  await cp(npm, join(modules, "npm"), { recursive: true, verbatimSymlinks: true });
  await symlink("../lib/node_modules/npm/bin/npm-cli.js", join(tree, "usr/local/bin/npm"));
  await mkdir(join(tree, "usr/local/etc"));
  await writeFile(join(tree, "usr/local/etc/npmrc"), `registry=${registry}\ncafile=${AUTHORITIES}\n`);
  await cp(await realpath(AUTHORITIES), join(tree, AUTHORITIES));
  await writeFile(join(tree, "etc/passwd"), USERS);
  await writeFile(join(tree, "etc/group"), GROUPS);
  await writeFile(join(tree, "etc/nsswitch.conf"), "hosts: files dns\n");
}
