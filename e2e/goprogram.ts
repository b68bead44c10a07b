// Builds a program from its Go module, once, into the user's cache folder. A build is named by all that it is made of, so
// that another version never takes it for its own.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { twice } from "./twice.ts";

const run = promisify(execFile);

export interface GoProgram {
  /** File name of the program, and the beginning of its folder's. */
  readonly name: string;
  /** Other names that it is called by, beside it. */
  readonly aliases?: readonly string[];
  /** The folder of its go.mod. */
  readonly module: string;
  /** All of the module that it is made of. */
  readonly files: readonly string[];
  /** What to build, as `go build` has it. */
  readonly target: string;
  readonly linkerFlags: string;
  /** For people: "the tests of the chart". */
  readonly neededFor: string;
}

const BUILD_MS = 30 * 60_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** Path of the program. Says what takes long. Fails with a message that tells what to install. */
export async function prepareGoProgram(program: GoProgram, say: (line: string) => void): Promise<string> {
  const { name, aliases = [], module, target, linkerFlags, neededFor } = program;
  const folder = join(cacheFolder(), `${name}-${await fingerprintOf(program)}`);
  const path = join(folder, name);
  if (await isThere(path)) return path;
  await run("go", ["version"]).catch(() => {
    throw new Error(`go was not found. Install Go 1.24 or newer: ${neededFor} need ${name}, which is built with it.`);
  });
  say(`Building ${name} into ${folder} (once; it takes some minutes).`);
  // Beside its place, then moved: a build that is ended half-way leaves nothing that looks finished.
  const draft = `${folder}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  try {
    const go = ["go", "build", "-ldflags", linkerFlags, "-o", join(draft, name), target];
    const settings = {
      cwd: module,
      env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-mod=readonly -trimpath -buildvcs=false" },
      timeout: BUILD_MS,
      maxBuffer: OUTPUT_BYTES_MAX,
    };
    // Its modules come over the network.
    const build = () => run("nice", ["-n", "15", ...go], settings);
    await twice(`Building ${name}`, say, build).catch((cause: unknown) => {
      throw new Error(`${name} cannot be built: ${lastLines(cause)}`, { cause });
    });
    for (const alias of aliases) await symlink(name, join(draft, alias));
    await rename(draft, folder).catch(async (error: unknown) => {
      if (!(await isThere(path))) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return path;
}

async function fingerprintOf({ module, files, target, linkerFlags }: GoProgram): Promise<string> {
  const hash = createHash("sha256");
  for (const file of files) hash.update(await readFile(join(module, file)));
  return hash.update(target).update(linkerFlags).digest("hex").slice(0, 12);
}

function cacheFolder(): string {
  return join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "coffer");
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function lastLines(cause: unknown): string {
  const text = cause instanceof Error && "stderr" in cause ? String(cause.stderr) : String(cause);
  return text.trim().split("\n").slice(-5).join("\n");
}
