// `npm test`: brings what the tests need, runs them, and ends with one line of counts. Says what it does while it does it.
//   npm test -- --tier unit|integration|e2e|cluster   one of the four tiers
//   npm test -- --checks          types, lint and dead code first; each that fails counts as a failed test
//   npm test -- NAME …            test files with that in their name

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { prepareHelm } from "./chart/helm.ts";
import { prepareBinaries } from "./cluster/binaries.ts";
import { prepareCurl, prepareDebian } from "./debian.ts";
import { prepareJudge } from "./gitops/judge.ts";
import { prepareCluster } from "./kubernetes/bring.ts";
import { prepareOpenBao } from "./openbao.ts";
import { PYTHON_TOOLS, preparePython } from "./python.ts";
import {
  type FileOutcome,
  failed,
  NOTHING,
  type Outcome,
  readReport,
  sum,
  withAnotherRun,
  worthAnotherRun,
} from "./report.ts";
import useOwnFolder from "./temporary.ts";

type Say = (line: string) => void;

interface Part {
  readonly name: string;
  /** Says where it is. */
  readonly prepare: (tell: Say) => Promise<string>;
  readonly isNeededByAll?: true;
}

interface Tier {
  readonly name: "unit" | "integration" | "e2e" | "cluster";
  readonly what: string;
  readonly config: string;
  readonly reporter: string;
  /** What is installed or built before the tests run. */
  readonly parts: readonly Part[];
  /** A run that hangs is a failure too, and one that is told soon. */
  readonly limitMs: number;
}

const MINUTE_MS = 60_000;
const ROOT = join(import.meta.dirname, "..");
const CHECKS = ["types", "lint", "dead"] as const;

const CLIENTS: readonly Part[] = [
  ...PYTHON_TOOLS.map((tool) => ({ name: `Python with ${tool}`, prepare: (tell: Say) => preparePython(tool, tell) })),
  { name: "Programs of Debian", prepare: (tell: Say) => prepareDebian(tell).then(() => "installed") },
];

const CONTROL_PLANE: readonly Part[] = [
  { name: "API server and etcd", prepare: bringControlPlane, isNeededByAll: true },
  { name: "Helm", prepare: prepareHelm },
  { name: "Judge of health", prepare: prepareJudge },
];

const CLUSTER: readonly Part[] = [
  { name: "What a cluster is made of", prepare: prepareCluster, isNeededByAll: true },
  { name: "Helm", prepare: prepareHelm, isNeededByAll: true },
  { name: "OpenBao", prepare: prepareOpenBao },
  { name: "Python with boto3", prepare: (tell: Say) => preparePython("boto3", tell) },
];

const TIERS: readonly Tier[] = [
  {
    name: "unit",
    what: "Unit tests: every room by itself.",
    config: "vitest.config.ts",
    reporter: "default",
    parts: [
      { name: "OpenBao", prepare: prepareOpenBao },
      { name: "curl", prepare: (tell: Say) => prepareCurl(tell).then(() => "installed") },
    ],
    limitMs: 30 * MINUTE_MS,
  },
  {
    name: "integration",
    what: "Integration tests: the API and the operator against a real API server and etcd.",
    config: "e2e/cluster/vitest.config.ts",
    reporter: "default",
    parts: CONTROL_PLANE,
    limitMs: 30 * MINUTE_MS,
  },
  {
    name: "e2e",
    what: "End-to-end tests: the whole store, started as a user starts it, and real clients.",
    config: "e2e/vitest.config.ts",
    reporter: "verbose",
    parts: CLIENTS,
    limitMs: 30 * MINUTE_MS,
  },
  {
    name: "cluster",
    what: "Tests on a cluster: the chart and the image on a real one, and all that users are promised there.",
    config: "e2e/kubernetes/vitest.config.ts",
    reporter: "verbose",
    parts: CLUSTER,
    limitMs: 30 * MINUTE_MS,
  },
];

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { tier: { type: "string" }, checks: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const tiers = TIERS.filter((tier) => values.tier === undefined || values.tier === tier.name);
  if (tiers.length === 0) throw new Error(`There is no tier ${values.tier}: unit, integration, e2e or cluster`);
  say(`Node ${process.version}.`);
  useOwnFolder();
  const outcomes: Outcome[] = [];
  if (values.checks) for (const check of CHECKS) outcomes.push(await runCheck(check));
  for (const tier of tiers) outcomes.push(await bringAndRun(tier, positionals));
  tell(outcomes.reduce(sum, NOTHING));
}

/** What failed is told again at the end: the log before it is long. */
function tell({ passed, skipped, failures, unsteady }: Outcome): void {
  if (unsteady.length > 0) say(`\nFailed once, and passed by itself:\n${unsteady.map((one) => `  ${one}\n`).join("")}`);
  if (failures.length > 0) say(`\nFailed:\n${failures.map((failure) => `  ${failure}\n`).join("")}`);
  say(`${passed} passed, ${failures.length} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  process.exitCode = failures.length > 0 ? 1 : 0;
}

async function runCheck(check: string): Promise<Outcome> {
  say(`\nChecking: npm run ${check}`);
  const code = await runProgram("npm", ["run", "--silent", check], 5 * MINUTE_MS);
  return code === 0 ? NOTHING : failed(`npm run ${check}`);
}

async function bringAndRun(tier: Tier, names: readonly string[]): Promise<Outcome> {
  say("");
  let brought = NOTHING;
  for (const part of tier.parts) {
    const outcome = await bring(part);
    brought = sum(brought, outcome);
    // Without it each of the tests would fail, and say the same.
    if (outcome.failures.length > 0 && part.isNeededByAll === true) return brought;
  }
  return sum(brought, await runTier(tier, names));
}

async function bringControlPlane(tell: Say): Promise<string> {
  const { apiServer, etcd } = await prepareBinaries(tell);
  return `${apiServer}, ${etcd}`;
}

async function bring({ name, prepare }: Part): Promise<Outcome> {
  try {
    say(`${name}: ${await prepare(say)}`);
    return NOTHING;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    say(why);
    return failed(`${name}: ${why.split("\n")[0]}`);
  }
}

/** Tests with real parts may fail by chance. A file that failed is run once more, by itself; what passes only then is
 *  told at the end, to be mended. */
async function runTier(tier: Tier, names: readonly string[]): Promise<Outcome> {
  say(`\n${tier.what}`);
  const first = await runFiles(tier, names);
  const again = first.files === undefined ? [] : worthAnotherRun(first.files);
  if (first.files === undefined || again.length === 0) return outcomeOf(tier, first);
  say(`\nOnce more, by itself: ${again.join(", ")}`);
  const second = await runFiles(tier, again);
  if (second.code !== 0 || second.files === undefined) return outcomeOf(tier, first);
  return outcomeOf(tier, { code: 0, files: withAnotherRun(first.files, second.files) });
}

interface Run {
  /** Undefined: ended by a signal, or out of time. */
  readonly code: number | undefined;
  /** Undefined: it wrote no report. */
  readonly files: readonly FileOutcome[] | undefined;
}

function outcomeOf({ name }: Tier, { code, files }: Run): Outcome {
  const ending = `ended with ${code ?? "a signal, or out of time"}`;
  if (files === undefined) return failed(`the ${name} tests ${ending}, without a report`);
  const outcome = files.reduce(sum, NOTHING);
  if (code === 0 || outcome.failures.length > 0) return outcome;
  return sum(outcome, failed(`the ${name} tests ${ending}, though none of them failed`));
}

async function runFiles(tier: Tier, names: readonly string[]): Promise<Run> {
  const folder = await mkdtemp(join(tmpdir(), "coffer-report-"));
  const report = join(folder, "report.json");
  try {
    const code = await runProgram(
      process.execPath,
      [
        join(ROOT, "node_modules", "vitest", "vitest.mjs"),
        "run",
        `--config=${tier.config}`,
        `--reporter=${tier.reporter}`,
        "--reporter=json",
        `--outputFile.json=${report}`,
        ...(names.length > 0 ? ["--passWithNoTests", ...names] : []),
      ],
      tier.limitMs,
    );
    return { code, files: await readReport(report, ROOT) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The exit code; undefined if it was ended by a signal or took too long. What it prints is shown as it comes. */
async function runProgram(program: string, args: readonly string[], limitMs: number): Promise<number | undefined> {
  const child = spawn(program, args, { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] });
  const timer = setTimeout(() => {
    say(`${program} took longer than ${limitMs / MINUTE_MS} minutes and is ended.`);
    child.kill();
    setTimeout(() => child.kill("SIGKILL"), 10_000).unref();
  }, limitMs);
  const { promise, resolve } = Promise.withResolvers<number | undefined>();
  child.once("error", (error) => {
    say(`${program} cannot be started: ${error.message}`);
    resolve(undefined);
  });
  child.once("close", (code) => resolve(code ?? undefined));
  const code = await promise;
  clearTimeout(timer);
  return code;
}

await main();
