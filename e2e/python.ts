// Pythons with what the tests run of the Python package index, each in an environment of its own in the user's cache
// folder: made once, used by every later run. Nothing is installed into the system's Python.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { twice } from "./twice.ts";

const run = promisify(execFile);

/** Each has its file of pinned requirements. The AWS CLI comes with awscrt, without which it has no CRC64NVME. */
export const PYTHON_TOOLS = ["boto3", "aws-cli", "schemathesis"] as const;
export type PythonTool = (typeof PYTHON_TOOLS)[number];

const INSTALL_MS = 300_000;
const OLDEST = [3, 10] as const;

/**
 * The folder of the programs of an environment that has the tool: `python` is among them. Says what takes long. Fails
 * with a message that tells what to install.
 */
export async function preparePython(tool: PythonTool, say: (line: string) => void): Promise<string> {
  const requirements = join(import.meta.dirname, "requirements", `${tool}.txt`);
  const pinned = await readFile(requirements, "utf8");
  const version = createHash("sha256").update(pinned).digest("hex").slice(0, 12);
  const folder = join(cacheFolder(), `${tool}-${version}`);
  const programs = join(folder, "bin");
  if (await isThere(join(programs, "python"))) return programs;
  await findPython();
  say(`Making a Python environment with ${tool} in ${folder} (once).`);
  await mkdir(cacheFolder(), { recursive: true });
  await twice("Making it", say, () => makeEnvironment(tool, folder, requirements));
  return programs;
}

async function makeEnvironment(tool: PythonTool, folder: string, requirements: string): Promise<void> {
  // Beside its place, then moved: a run that is ended half-way, or one beside us, leaves nothing that looks finished.
  const draft = `${folder}.${process.pid}`;
  try {
    await run("python3", ["-m", "venv", draft], { timeout: INSTALL_MS }).catch((cause: unknown) => {
      throw new Error("python3 has no working venv module. On Debian and Ubuntu: apt install python3-venv", { cause });
    });
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r", requirements];
    await run(join(draft, "bin", "python"), pip, { timeout: INSTALL_MS }).catch((cause: unknown) => {
      throw new Error(`${tool} cannot be installed from the Python package index: ${lastLine(cause)}`, { cause });
    });
    await rename(draft, folder).catch(async (error: unknown) => {
      if (!(await isThere(join(folder, "bin", "python")))) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
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
