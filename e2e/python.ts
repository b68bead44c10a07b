// A Python with the boto3 of requirements.txt, in the user's cache folder: made once, used by every later run. Nothing is
// installed into the system's Python.

import { execFile } from "node:child_process";
import { access, mkdir, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

const REQUIREMENTS = join(import.meta.dirname, "requirements.txt");
const INSTALL_MS = 300_000;
const OLDEST = [3, 10] as const;

/** The path of a Python that has boto3. Says what takes long. Fails with a message that tells what to install. */
export async function preparePython(say: (line: string) => void): Promise<string> {
  const folder = join(cacheFolder(), `boto3-${await boto3Version()}`);
  const python = join(folder, "bin", "python");
  if (await isThere(python)) return python;
  await findPython();
  say(`Making a Python environment with boto3 in ${folder} (once).`);
  // Beside its place, then moved: a run that is ended half-way, or one beside us, leaves nothing that looks finished.
  const draft = `${folder}.${process.pid}`;
  await mkdir(cacheFolder(), { recursive: true });
  try {
    await run("python3", ["-m", "venv", draft], { timeout: INSTALL_MS }).catch((cause: unknown) => {
      throw new Error("python3 has no working venv module. On Debian and Ubuntu: apt install python3-venv", { cause });
    });
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r", REQUIREMENTS];
    await run(join(draft, "bin", "python"), pip, { timeout: INSTALL_MS }).catch((cause: unknown) => {
      throw new Error(`boto3 cannot be installed from the Python package index: ${lastLine(cause)}`, { cause });
    });
    await rename(draft, folder).catch(async (error: unknown) => {
      if (!(await isThere(python))) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return python;
}

async function findPython(): Promise<void> {
  const wanted = OLDEST.join(".");
  const { stdout } = await run("python3", ["-c", "import sys; print(*sys.version_info[:2])"]).catch(() => {
    throw new Error(`python3 was not found. Install Python ${wanted} or newer; the tests with boto3 need it.`);
  });
  const [major = 0, minor = 0] = stdout.trim().split(" ").map(Number);
  if (major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1])) {
    throw new Error(`python3 is ${major}.${minor}. Install Python ${wanted} or newer; the tests with boto3 need it.`);
  }
}

async function boto3Version(): Promise<string> {
  const version = /^boto3==(\S+)$/m.exec(await readFile(REQUIREMENTS, "utf8"))?.[1];
  if (version === undefined) throw new Error(`${REQUIREMENTS} pins no boto3`);
  return version;
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

function lastLine(cause: unknown): string {
  const text = cause instanceof Error && "stderr" in cause ? String(cause.stderr) : String(cause);
  return text.trim().split("\n").at(-1) ?? "";
}
