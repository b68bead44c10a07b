// Brings Helm, built from its Go module, once, into the user's cache folder, and runs it on the chart. Nothing of the
// user's own Helm is read: each run has a home of its own.

import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { parseAllDocuments } from "yaml";
import { prepareGoProgram } from "../goprogram.ts";

const run = promisify(execFile);

export const CHART = join(import.meta.dirname, "..", "..", "charts", "coffer");

const SOURCES = join(import.meta.dirname, "go");
const RUN_MS = 300_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/** What Helm takes a cluster to be that it was not shown. */
const KUBERNETES = { major: "1", minor: "34" } as const;

/** Path of Helm. Says what takes long. Fails with a message that tells what to install. */
export async function prepareHelm(say: (line: string) => void): Promise<string> {
  const version = /^require helm\.sh\/helm\/v3 v(\S+)$/m.exec(await readFile(join(SOURCES, "go.mod"), "utf8"))?.[1];
  if (version === undefined) throw new Error(`${SOURCES}/go.mod pins no helm.sh/helm/v3`);
  const program = {
    name: "helm",
    module: SOURCES,
    files: ["go.mod", "go.sum"],
    target: "helm.sh/helm/v3/cmd/helm",
    linkerFlags: linkerFlags(version),
    neededFor: "the tests of the chart",
  };
  return await prepareGoProgram(program, say);
}

export interface HelmAnswer {
  readonly code: number;
  readonly output: string;
  readonly errors: string;
}

/** Runs it. Resolves with a refusal too. */
export async function askHelm(
  helm: string,
  flags: readonly string[],
  kubeconfig?: string,
  limitMs = RUN_MS,
): Promise<HelmAnswer> {
  const home = await mkdtemp(join(tmpdir(), "coffer-helm-"));
  try {
    const { stdout, stderr } = await run(helm, [...flags], {
      // Without a kubeconfig it must not find the one of whoever runs the tests.
      env: { PATH: process.env["PATH"], HOME: home, KUBECONFIG: kubeconfig ?? join(home, "none") },
      timeout: limitMs,
      maxBuffer: OUTPUT_BYTES_MAX,
    });
    return { code: 0, output: stdout, errors: stderr };
  } catch (error) {
    if (!(error instanceof Error && "code" in error && typeof error.code === "number")) throw error;
    const { code, stdout = "", stderr = "" } = error as Error & { code: number; stdout?: string; stderr?: string };
    return { code, output: stdout, errors: stderr };
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

/** An object that a chart renders. */
export interface Rendered {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

/** Everything that the chart renders with these values, hooks too; lists are taken apart, with the list's annotations. */
export async function render(
  helm: string,
  values: object,
  release = { name: "coffer", namespace: "coffer-system" },
): Promise<Rendered[]> {
  const flags = ["template", release.name, CHART, "--namespace", release.namespace, "--values", "-"];
  const { code, output, errors } = await withValues(helm, flags, values);
  if (code !== 0) throw new Error(`helm template failed: ${errors}`);
  return parseObjects(output);
}

/** Runs it with values from a file in place of "-". */
export async function withValues(
  helm: string,
  flags: readonly string[],
  values: object,
  kubeconfig?: string,
  limitMs = RUN_MS,
): Promise<HelmAnswer> {
  const folder = await mkdtemp(join(tmpdir(), "coffer-values-"));
  try {
    const file = join(folder, "values.json");
    await writeFile(file, JSON.stringify(values));
    return await askHelm(
      helm,
      flags.map((flag) => (flag === "-" ? file : flag)),
      kubeconfig,
      limitMs,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function parseObjects(text: string): Rendered[] {
  const objects: Rendered[] = [];
  for (const document of parseAllDocuments(text)) {
    const [error] = document.errors;
    if (error !== undefined) throw new Error(`No YAML: ${error.message}\n${text}`);
    const object = document.toJS() as (Rendered & { readonly items?: readonly Rendered[] }) | null;
    if (object === null) continue;
    if (object.kind === "List") objects.push(...(object.items ?? []).map((item) => itemOf(object, item)));
    else objects.push(object);
  }
  return objects;
}

/** An item of a list has the list's annotations too: it is the list that is a hook. */
function itemOf(list: Rendered, item: Rendered): Rendered {
  const annotations = { ...list.metadata.annotations, ...item.metadata.annotations };
  return { ...item, metadata: { ...item.metadata, annotations } };
}

function linkerFlags(version: string): string {
  const helm = "helm.sh/helm/v3";
  const facts = {
    [`${helm}/internal/version.version`]: `v${version}`,
    [`${helm}/pkg/lint/rules.k8sVersionMajor`]: KUBERNETES.major,
    [`${helm}/pkg/lint/rules.k8sVersionMinor`]: KUBERNETES.minor,
    [`${helm}/pkg/chartutil.k8sVersionMajor`]: KUBERNETES.major,
    [`${helm}/pkg/chartutil.k8sVersionMinor`]: KUBERNETES.minor,
  };
  const set = Object.entries(facts).map(([name, value]) => `-X ${name}=${value}`);
  return ["-s", "-w", ...set].join(" ");
}
