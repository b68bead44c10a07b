// Programs that come as packages of Debian, Ubuntu and their like. As root they are installed; anyone else is told what
// to install. What the package manager installs stays, so that the next run finds it.

import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { withLock } from "./kubernetes/lock.ts";
import { machineFolder } from "./temporary.ts";
import { twice } from "./twice.ts";

const run = promisify(execFile);

/** Each program that is looked for, and the package that has it. */
export type Packages = Readonly<Record<string, string>>;

const CURL: Packages = { curl: "curl" };
const CLIENTS: Packages = { rclone: "rclone", s3cmd: "s3cmd", restic: "restic", ...CURL };

/** Where root's programs are, which not every path has. */
const MORE_FOLDERS = ["/usr/sbin", "/sbin"];
const INSTALL_MS = 600_000;
/** Another package manager may be at work: it serves one at a time. */
const WAITING = ["-o", "DPkg::Lock::Timeout=300"];

/** Resolves when all are there. Says what takes long. Fails with a message that tells what to install. */
export async function prepareDebian(say: (line: string) => void): Promise<void> {
  await preparePackages(CLIENTS, "The tests with real S3 clients", say);
}

/** The same for what runs the lines that `npm start` prints. */
export async function prepareCurl(say: (line: string) => void): Promise<void> {
  await preparePackages(CURL, "The tests of what is printed to be pasted", say);
}

/** The same for any programs; a path is looked for as it stands. */
export async function preparePackages(
  packages: Packages,
  neededFor: string,
  say: (line: string) => void,
): Promise<void> {
  const programs = Object.keys(packages);
  if ((await missingOf(programs)).length === 0) return;
  if (process.getuid?.() !== 0) return await install(await missingOf(programs), packages, neededFor, say);
  // The package manager serves one at a time, and refuses the other.
  await withLock(join(machineFolder(), "coffer-packages.lock"), INSTALL_MS, async () => {
    const missing = await missingOf(programs);
    if (missing.length > 0) await install(missing, packages, neededFor, say);
  });
}

async function install(
  programs: readonly string[],
  packages: Packages,
  neededFor: string,
  say: (line: string) => void,
): Promise<void> {
  const missing = [...new Set(programs.map((program) => packages[program] ?? program))];
  const command = `apt-get install ${missing.join(" ")}`;
  const wanted = `${neededFor} need ${missing.join(", ")}. On Debian and Ubuntu: sudo ${command}`;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot || (await missingOf(["apt-get"])).length > 0) throw new Error(wanted);
  say(`Installing ${missing.join(", ")} by apt-get (once).`);
  const settings = { timeout: INSTALL_MS, env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };
  try {
    await twice("apt-get", say, async () => {
      await run("apt-get", [...WAITING, "update", "-qq"], settings);
      await run("apt-get", [...WAITING, "install", "-y", "-qq", "--no-install-recommends", ...missing], settings);
    });
  } catch (cause) {
    const errors = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : String(cause);
    throw new Error(`${wanted}\napt-get failed: ${errors.split("\n").at(-1)}`, { cause });
  }
}

async function missingOf(programs: readonly string[]): Promise<readonly string[]> {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), ...MORE_FOLDERS];
  const found = await Promise.all(
    programs.map(async (program) => {
      const paths = program.startsWith("/") ? [program] : folders.map((folder) => join(folder, program));
      return (await Promise.all(paths.map(isProgram))).includes(true);
    }),
  );
  return programs.filter((_, at) => !found[at]);
}

function isProgram(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
