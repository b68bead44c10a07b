// Brings the programs of Kubernetes, built from their Go modules, once, into the user's cache folder: all in one, so that
// the tests of the API server and those on a whole cluster share one build. KUBEBUILDER_ASSETS spares the first the build.

import { access, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type GoProgram, prepareGoProgram } from "../goprogram.ts";

/** Paths of the two programs that an API server needs. */
export interface Binaries {
  readonly etcd: string;
  readonly apiServer: string;
}

/** Paths of what a whole cluster runs. */
export interface ClusterPrograms {
  /** The part is its first argument. */
  readonly kubernetes: string;
  readonly kubectl: string;
  readonly coreDns: string;
  /** Holds the namespaces of a pod. */
  readonly pause: string;
}

const SOURCES = join(import.meta.dirname, "go");
const PARTS = ["etcd", "kube-apiserver", "kubectl"] as const;

/** Says what takes long. Fails with a message that tells what to install. */
export async function prepareBinaries(say: (line: string) => void): Promise<Binaries> {
  const given = process.env["KUBEBUILDER_ASSETS"] ?? "";
  const folder = given === "" ? dirname(await prepareGoProgram(await kubernetes(), say)) : given;
  const binaries = { etcd: join(folder, "etcd"), apiServer: join(folder, "kube-apiserver") };
  for (const path of Object.values(binaries)) {
    if (!(await isThere(path))) throw new Error(`${path} does not exist, though KUBEBUILDER_ASSETS should have it`);
  }
  return binaries;
}

/** The same for a whole cluster. */
export async function prepareKubernetes(say: (line: string) => void): Promise<ClusterPrograms> {
  const path = await prepareGoProgram(await kubernetes(), say);
  return {
    kubernetes: path,
    kubectl: await prepareKubectl(say),
    coreDns: await prepareGoProgram(partOfNode("coredns"), say),
    pause: await prepareGoProgram(partOfNode("pause"), say),
  };
}

/** For a cluster that somebody else made. */
export async function prepareKubectl(say: (line: string) => void): Promise<string> {
  return join(dirname(await prepareGoProgram(await kubernetes(), say)), "kubectl");
}

async function kubernetes(): Promise<GoProgram> {
  const version = /^\tk8s\.io\/kubernetes v(\S+)$/m.exec(await readFile(join(SOURCES, "go.mod"), "utf8"))?.[1];
  if (version === undefined) throw new Error(`${SOURCES}/go.mod pins no k8s.io/kubernetes`);
  return {
    name: "kubernetes",
    aliases: PARTS,
    module: SOURCES,
    files: ["go.mod", "go.sum", "cmd/kubernetes/main.go"],
    target: "./cmd/kubernetes",
    linkerFlags: linkerFlags(version),
    neededFor: "the tests with a real API server",
  };
}

function partOfNode(name: "coredns" | "pause"): GoProgram {
  return {
    name,
    module: SOURCES,
    files: ["go.mod", "go.sum", `cmd/${name}/main.go`],
    target: `./cmd/${name}`,
    linkerFlags: "-s -w",
    neededFor: "the tests on a cluster of one node",
  };
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
  // client-go has a copy of its own: what kubectl says of itself.
  return ["-s", "-w", ...set, `-X k8s.io/client-go/pkg/version.gitVersion=v${version}`].join(" ");
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
