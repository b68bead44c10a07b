// Brings etcd and kube-apiserver: from KUBEBUILDER_ASSETS, else built from their Go modules, once, into the user's cache
// folder. A build is named by all that it is made of, so that another version never takes it for its own.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Paths of the two programs. */
export interface Binaries {
  readonly etcd: string;
  readonly apiServer: string;
}

const SOURCES = join(import.meta.dirname, "go");
const FILES = ["go.mod", "go.sum", "cmd/controlplane/main.go"] as const;
/** A cold build, on a machine with little to spare. */
const BUILD_MS = 40 * 60_000;

/** Says what takes long. Fails with a message that tells what to install. */
export async function prepareBinaries(say: (line: string) => void): Promise<Binaries> {
  const given = process.env["KUBEBUILDER_ASSETS"];
  if (given !== undefined && given !== "") return await found(given, "KUBEBUILDER_ASSETS");
  const { version, fingerprint } = await described();
  const folder = join(cacheFolder(), `controlplane-${version}-${fingerprint}`);
  if (!(await isThere(join(folder, "controlplane")))) await build(folder, version, say);
  return await found(folder, "the cache");
}

async function found(folder: string, where: string): Promise<Binaries> {
  const binaries = { etcd: join(folder, "etcd"), apiServer: join(folder, "kube-apiserver") };
  for (const path of Object.values(binaries)) {
    if (!(await isThere(path))) throw new Error(`${path} does not exist, though ${where} should have it`);
  }
  return binaries;
}

async function build(folder: string, version: string, say: (line: string) => void): Promise<void> {
  await run("go", ["version"]).catch(() => {
    throw new Error(
      "go was not found. Install Go 1.24 or newer, or set KUBEBUILDER_ASSETS to etcd and kube-apiserver.",
    );
  });
  say(`Building etcd and the API server of Kubernetes ${version} into ${folder} (once; it takes some minutes).`);
  // Beside its place, then moved: a build that is ended half-way leaves nothing that looks finished.
  const draft = `${folder}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  try {
    const output = join(draft, "controlplane");
    const go = ["go", "build", "-ldflags", linkerFlags(version), "-o", output, "./cmd/controlplane"];
    await run("nice", ["-n", "15", ...go], {
      cwd: SOURCES,
      env: { ...process.env, CGO_ENABLED: "0", GOFLAGS: "-mod=readonly -trimpath -buildvcs=false" },
      timeout: BUILD_MS,
      maxBuffer: 16 * 1024 * 1024,
    }).catch((cause: unknown) => {
      throw new Error(`etcd and the API server cannot be built: ${lastLines(cause)}`, { cause });
    });
    for (const name of ["etcd", "kube-apiserver"]) await symlink("controlplane", join(draft, name));
    await rename(draft, folder).catch(async (error: unknown) => {
      if (!(await isThere(join(folder, "controlplane")))) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** What the programs say of their own version: features depend on it. */
function linkerFlags(version: string): string {
  const [major, minor] = version.split(".");
  const facts = {
    gitVersion: `v${version}`,
    gitMajor: major,
    gitMinor: minor,
    gitTreeState: "clean",
    buildDate: "1970-01-01T00:00:00Z",
  };
  const set = Object.entries(facts).map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`);
  return ["-s", "-w", ...set].join(" ");
}

async function described(): Promise<{ readonly version: string; readonly fingerprint: string }> {
  const hash = createHash("sha256");
  for (const file of FILES) hash.update(await readFile(join(SOURCES, file)));
  const version = /^\tk8s\.io\/kubernetes v(\S+)$/m.exec(await readFile(join(SOURCES, "go.mod"), "utf8"))?.[1];
  if (version === undefined) throw new Error(`${SOURCES}/go.mod pins no k8s.io/kubernetes`);
  hash.update(linkerFlags(version));
  return { version, fingerprint: hash.digest("hex").slice(0, 12) };
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
