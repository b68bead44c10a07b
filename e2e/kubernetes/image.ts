// Our image, built from the project's own Dockerfile, as an archive that every runtime loads. Built once for what it is
// made of, and kept in the user's cache folder.

import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { join, matchesGlob } from "node:path";
import { parse } from "yaml";
import { CHART } from "../chart/helm.ts";
import { ROOT } from "../harness.ts";
import { twice } from "../twice.ts";
import { baseName, prepareBase } from "./base.ts";
import { type Engine, hasImage, runningEngine, withEngine } from "./engine.ts";
import { withLock } from "./lock.ts";

export interface Image {
  readonly repository: string;
  /** The one that the chart asks for by default. */
  readonly defaultTag: string;
  /** The same image under a name that no other has. */
  readonly tag: string;
  readonly archive: string;
}

/** Where the chart looks for it by default. */
const REPOSITORY = "localhost/coffer";
const CACHE = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "coffer");
const PACKAGES = "localhost/coffer-modules";
const PREFIX = "image-";
const WAIT_MS = 20 * 60_000;
const KEPT = 3;
/** Of a registry that answers not at all. */
const PUBLIC_BASE = "node:26-slim";

export async function prepareImage(say: (line: string) => void): Promise<Image> {
  const base = await baseName().catch(() => undefined);
  const key = await contentKey(base ?? PUBLIC_BASE);
  const folder = join(CACHE, `${PREFIX}${key}`);
  const image = {
    repository: REPOSITORY,
    defaultTag: await chartVersion(),
    tag: key,
    archive: join(folder, "image.tar"),
  };
  if (existsSync(image.archive)) return image;
  return await withLock(join(CACHE, "image.lock"), WAIT_MS, async () => {
    if (existsSync(image.archive)) return image;
    await withEngine(join(CACHE, "docker"), say, async (engine) => {
      say(`Building the image with ${engine.name}.`);
      await build(engine, base, image, folder, say);
    });
    await removeOld(folder);
    return image;
  });
}

async function build(
  engine: Engine,
  ownBase: string | undefined,
  image: Image,
  folder: string,
  say: (line: string) => void,
): Promise<void> {
  const { docker } = engine;
  const names = [`${image.repository}:${image.defaultTag}`, `${image.repository}:${image.tag}`];
  const base = await chooseBase(engine, ownBase);
  const proxies = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"].filter((name) => process.env[name] !== undefined);
  const flags = ["--network=host", `--build-arg=BASE=${base}`, ...proxies.map((name) => `--build-arg=${name}`)];
  // The packages keep a name, so that they are not swept away: they change seldom, and take long.
  await twice("The build", say, () => docker("build", ...flags, "--target=modules", `--tag=${PACKAGES}`, ROOT));
  await docker("build", ...flags, ...names.map((name) => `--tag=${name}`), ROOT);
  // Beside its place, then moved: a run that is ended half-way leaves nothing that looks finished.
  const draft = `${folder}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  try {
    await docker("save", "--output", join(draft, "image.tar"), ...names);
    await rename(draft, folder);
    await docker("rmi", "--no-prune", `${image.repository}:${image.tag}`);
    await docker("image", "prune", "--force");
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** The Dockerfile's own where it can be pulled or was once, else one of this machine's parts. */
async function chooseBase(engine: Engine, ownBase: string | undefined): Promise<string> {
  if ((await runningEngine()) !== undefined) {
    const isThere = await engine.docker("pull", "--quiet", PUBLIC_BASE).then(
      () => true,
      () => hasImage(engine, PUBLIC_BASE),
    );
    if (isThere) return PUBLIC_BASE;
  }
  if (ownBase === undefined) throw new Error(`Docker cannot pull ${PUBLIC_BASE}, and no base can be made here`);
  await prepareBase(engine, ownBase);
  return ownBase;
}

async function chartVersion(): Promise<string> {
  return (parse(await readFile(join(CHART, "Chart.yaml"), "utf8")) as { appVersion: string }).appVersion;
}

/** Of everything that goes into the image. */
async function contentKey(base: string): Promise<string> {
  const hash = createHash("sha256");
  const ignored = await readFile(join(ROOT, ".dockerignore"), "utf8");
  hash.update(ignored).update(await readFile(join(ROOT, "Dockerfile")));
  hash.update(base);
  for (const path of await contextOf(ignored)) hash.update(`${path}\n`).update(await readFile(join(ROOT, path)));
  return hash.digest("hex").slice(0, 12);
}

/** The files that a .dockerignore lets through which first shuts everything out. */
async function contextOf(ignored: string): Promise<readonly string[]> {
  const lines = ignored.split("\n").filter((line) => line !== "" && !line.startsWith("#") && line !== "*");
  const wanted = lines.filter((line) => line.startsWith("!")).map((line) => line.slice(1));
  const shut = lines.filter((line) => !line.startsWith("!"));
  const files: string[] = [];
  for (const top of wanted) {
    if ((await stat(join(ROOT, top))).isFile()) files.push(top);
    else
      for (const below of await readdir(join(ROOT, top), { recursive: true, withFileTypes: true })) {
        if (below.isFile()) files.push(join(below.parentPath, below.name).slice(ROOT.length + 1));
      }
  }
  const isShut = (path: string) => shut.some((glob) => matchesGlob(path, glob) || matchesGlob(path, `${glob}/**`));
  return files.filter((path) => !isShut(path)).sort();
}

async function removeOld(newest: string): Promise<void> {
  const folders: { readonly path: string; readonly atMs: number }[] = [];
  for (const name of await readdir(CACHE)) {
    const path = join(CACHE, name);
    if (name.startsWith(PREFIX) && path !== newest && !name.endsWith(".lock")) {
      folders.push({ path, atMs: (await stat(path)).mtimeMs });
    }
  }
  const old = folders.sort((a, b) => b.atMs - a.atMs).slice(KEPT - 1);
  for (const { path } of old) await rm(path, { recursive: true, force: true });
}
