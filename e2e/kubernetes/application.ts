// Applications in pods, which know what `envFrom` of an access Secret tells them and nothing else. What they run is sent
// into a pod of our image as it is installed on this machine, since no cluster has to reach a registry: a Python with all
// that it loads, or the packages that the Node of the image loads.

import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { cp, mkdir, mkdtemp, readdir, readFile, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { promisify } from "node:util";
import { sayAside } from "../clients.ts";
import { ROOT, waitFor } from "../harness.ts";
import { preparePython } from "../python.ts";
import { sharedCluster } from "./cluster.ts";
import type { KubeObject } from "./objects.ts";
import type { Team } from "./team.ts";

const run = promisify(execFile);

const FOLDER = "/application";
const RUNNING_MS = 120_000;
const REACHABLE_MS = 30_000;
const TREE_BYTES_MAX = 512 * 1024 * 1024;
const JAVASCRIPT_PACKAGES = ["@aws-sdk/client-s3", "@aws-sdk/s3-request-presigner"];
/** Of Python's own library: what no application loads, and what is compiled for flags that nobody gives. */
const UNUSED = ["site-packages", "test", "config-*", "idlelib", "lib2to3", "tkinter", "ensurepip", "distutils"];
const COMPILED = "*.opt-*.pyc";
/** Of the packages: what only installs others. */
const INSTALLERS = ["pip", "setuptools", "pkg_resources"];
/** Descriptions of all that Amazon has, in folders; files beside them are needed always. */
const SERVICES = "botocore/data";

export type Language = "javascript" | "python";

/** A pod that waits for an application, with each Secret's keys as its environment. Starts once all of them are there. */
export function applicationPod(name: string, secrets: readonly string[]): object {
  const container = {
    name: "application",
    image: sharedCluster().image,
    command: ["sleep", "infinity"],
    workingDir: FOLDER,
    envFrom: secrets.map((secret) => ({ secretRef: { name: secret } })),
    volumeMounts: [{ name: "application", mountPath: FOLDER }],
  };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels: { app: name } },
    spec: {
      enableServiceLinks: false,
      // It does not hear that it should end.
      terminationGracePeriodSeconds: 0,
      containers: [container],
      volumes: [{ name: "application", emptyDir: {} }],
    },
  };
}

/** Brings a language with its S3 client into the pod, when that runs. Then scripts run there; what they print. */
export async function installApplication(
  team: Team,
  pod: string,
  language: Language,
): Promise<(script: string) => Promise<string>> {
  const isRunning = (object: KubeObject | undefined) => object?.status?.phase === "Running";
  const [tree] = await Promise.all([
    language === "python" ? pythonTree() : javascriptTree(),
    team.until("pods", pod, "to run", isRunning, RUNNING_MS),
  ]);
  await team.exec(pod, ["tar", "-x", "-f", "-", "-C", FOLDER], tree);
  const command = language === "python" ? [`${FOLDER}/python`, "-c"] : ["node", "--input-type=module", "--eval"];
  return (script) => team.exec(pod, [...command, script]);
}

const ASK = `
  const answered = await fetch(process.env.AWS_ENDPOINT_URL_S3).then(() => true, () => false);
  process.stdout.write(String(answered));
`;

/** A node learns of a Service's pods a moment after these are ready, and refuses connections till then. */
export async function untilReachable(team: Team, pod: string): Promise<void> {
  await waitFor("the store to be reachable from the pod", REACHABLE_MS, async () => {
    return (await team.exec(pod, ["node", "--input-type=module", "--eval", ASK])) === "true";
  });
}

async function javascriptTree(): Promise<Buffer> {
  const folders = new Set<string>();
  for (const name of JAVASCRIPT_PACKAGES) await addPackage(name, ROOT, folders);
  return await pack(["-C", ROOT, ...[...folders].map((folder) => relative(ROOT, folder))]);
}

/** The package that a file in a folder would import, and those that it imports itself. */
async function addPackage(name: string, from: string, folders: Set<string>): Promise<void> {
  const folder = join(from, "node_modules", name);
  if (!existsSync(folder)) {
    // One that may be missing is missing everywhere.
    if (from !== ROOT) await addPackage(name, dirname(from), folders);
    return;
  }
  if (folders.has(folder)) return;
  folders.add(folder);
  const { dependencies = {} } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as {
    dependencies?: Readonly<Record<string, string>>;
  };
  for (const dependency of Object.keys(dependencies)) await addPackage(dependency, folder, folders);
}

/** With its own C library, so that it does not matter which one the image has. */
async function pythonTree(): Promise<Buffer> {
  const program = join(await preparePython("boto3", sayAside), "python");
  const { library, packages } = await foldersOf(program);
  const folder = await mkdtemp(join(tmpdir(), "coffer-python-"));
  try {
    await mkdir(join(folder, "libraries"));
    const modules = (await readdir(join(library, "lib-dynload"))).filter((name) => /^(?!_tkinter).*\.so$/.test(name));
    const linked = await linkedBy([program, ...modules.map((name) => join(library, "lib-dynload", name))]);
    for (const path of linked) await cp(await realpath(path), join(folder, "libraries", basename(path)));
    await cp(await realpath(program), join(folder, "interpreter"));
    await writeFile(join(folder, "python"), starter(linked), { mode: 0o755 });
    const version = basename(library);
    const services = (await readdir(join(packages, SERVICES))).filter((name) => name !== "s3" && !name.includes("."));
    const left = [
      COMPILED,
      ...UNUSED.map((name) => `lib/${version}/${name}`),
      ...[...INSTALLERS, ...services.map((name) => `${SERVICES}/${name}`)].map((path) => `site-packages/${path}`),
    ];
    return await pack([
      ...left.map((path) => `--exclude=${path}`),
      ...["-C", folder, "libraries", "interpreter", "python"],
      ...["-C", dirname(dirname(library)), `lib/${version}`],
      ...["-C", dirname(packages), basename(packages)],
    ]);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function foldersOf(program: string): Promise<{ library: string; packages: string }> {
  const script = "import json, sysconfig; at = sysconfig.get_paths(); print(json.dumps([at['stdlib'], at['purelib']]))";
  const { stdout } = await run(program, ["-c", script]);
  const [library = "", packages = ""] = JSON.parse(stdout) as readonly string[];
  return { library, packages };
}

/** The loader and all libraries. */
async function linkedBy(files: readonly string[]): Promise<readonly string[]> {
  const { stdout } = await run("ldd", [...files]);
  const found = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path = ""]) => path);
  // By their names: two modules may have found the same one by two paths.
  return [...new Map(found.map((path) => [basename(path), path])).values()];
}

function starter(linked: readonly string[]): string {
  const loader = linked.map((path) => basename(path)).find((name) => name.startsWith("ld-"));
  return `#!/bin/sh
export PYTHONHOME=${FOLDER} PYTHONPATH=${FOLDER}/site-packages PYTHONDONTWRITEBYTECODE=1
exec ${FOLDER}/libraries/${loader} --library-path ${FOLDER}/libraries ${FOLDER}/interpreter "$@"
`;
}

async function pack(what: readonly string[]): Promise<Buffer> {
  const flags = ["-c", "-f", "-", "--owner=0", "--group=0", ...what];
  const { stdout } = await run("tar", flags, { encoding: "buffer", maxBuffer: TREE_BYTES_MAX });
  return stdout;
}
