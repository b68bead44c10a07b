// The clients that come as packages of Debian, Ubuntu and their like. As root they are installed; anyone else is told what
// to install. What the package manager installs stays, so that the next run finds it.

import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Each is a package, and a program of its name. */
const PROGRAMS = ["rclone", "s3cmd", "restic", "curl"] as const;

const INSTALL_MS = 300_000;

/** Resolves when all are there. Says what takes long. Fails with a message that tells what to install. */
export async function prepareDebian(say: (line: string) => void): Promise<void> {
  const missing = await missingOf(PROGRAMS);
  if (missing.length === 0) return;
  const command = `apt-get install ${missing.join(" ")}`;
  const wanted = `The tests with real S3 clients need ${missing.join(", ")}. On Debian and Ubuntu: sudo ${command}`;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot || (await missingOf(["apt-get"])).length > 0) throw new Error(wanted);
  say(`Installing ${missing.join(", ")} by apt-get (once).`);
  const settings = { timeout: INSTALL_MS, env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } };
  try {
    await run("apt-get", ["update", "-qq"], settings);
    await run("apt-get", ["install", "-y", "-qq", "--no-install-recommends", ...missing], settings);
  } catch (cause) {
    const errors = cause instanceof Error && "stderr" in cause ? String(cause.stderr).trim() : String(cause);
    throw new Error(`${wanted}\napt-get failed: ${errors.split("\n").at(-1)}`, { cause });
  }
}

async function missingOf<Name extends string>(programs: readonly Name[]): Promise<readonly Name[]> {
  const folders = (process.env["PATH"] ?? "").split(delimiter);
  const found = await Promise.all(
    programs.map(async (program) => {
      const looks = await Promise.all(folders.map((folder) => isProgram(join(folder, program))));
      return looks.includes(true);
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
