// `npm test`: brings what the tests need, runs them, and ends with one line of counts. Says what it does while it does it.
//   npm test -- --tier unit|integration|e2e   one of the three tiers
//   npm test -- --checks          types, lint and dead code first; each that fails counts as a failed test
//   npm test -- NAME …            test files with that in their name

import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { prepareHelm } from "./chart/helm.ts";
import { prepareBinaries } from "./cluster/binaries.ts";
import { prepareDebian } from "./debian.ts";
import { prepareJudge } from "./gitops/judge.ts";
import { prepareOpenBao } from "./openbao.ts";
import { PYTHON_TOOLS, preparePython } from "./python.ts";

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface Tier {
  readonly name: "unit" | "integration" | "e2e";
  readonly what: string;
  readonly config: string;
  readonly reporter: string;
  /** A run that hangs is a failure too, and one that is told soon. */
  readonly limitMs: number;
}

const MINUTE_MS = 60_000;
const ROOT = join(import.meta.dirname, "..");
const CHECKS = ["types", "lint", "dead"] as const;
const CRASHED: Counts = { passed: 0, failed: 1, skipped: 0 };
const NOTHING: Counts = { passed: 0, failed: 0, skipped: 0 };

const TIERS: readonly Tier[] = [
  {
    name: "unit",
    what: "Unit tests: every room by itself.",
    config: "vitest.config.ts",
    reporter: "default",
    limitMs: 15 * MINUTE_MS,
  },
  {
    name: "integration",
    what: "Integration tests: the API and the operator against a real API server and etcd.",
    config: "e2e/cluster/vitest.config.ts",
    reporter: "default",
    limitMs: 15 * MINUTE_MS,
  },
  {
    name: "e2e",
    what: "End-to-end tests: the whole store, started as a user starts it, and real clients.",
    config: "e2e/vitest.config.ts",
    reporter: "verbose",
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
  if (tiers.length === 0) throw new Error(`There is no tier ${values.tier}: unit, integration or e2e`);
  say(`Node ${process.version}.`);
  const counts: Counts[] = [];
  if (values.checks) for (const check of CHECKS) counts.push(await runCheck(check));
  for (const tier of tiers) {
    if (tier.name === "unit") counts.push(await bring(async () => say(`\nOpenBao: ${await prepareOpenBao(say)}`)));
    if (tier.name === "e2e") counts.push(await bringClients());
    if (tier.name === "integration") {
      const brought = await bringControlPlane();
      counts.push(brought, await bring(async () => say(`Helm: ${await prepareHelm(say)}`)));
      counts.push(await bring(async () => say(`Judge of health: ${await prepareJudge(say)}`)));
      // Without it each of them would fail, and say the same.
      if (brought.failed > 0) continue;
    }
    counts.push(await runTier(tier, positionals));
  }
  const { passed, failed, skipped } = counts.reduce(sum, NOTHING);
  say(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  process.exitCode = failed > 0 ? 1 : 0;
}

async function runCheck(check: string): Promise<Counts> {
  say(`\nChecking: npm run ${check}`);
  const code = await runProgram("npm", ["run", "--silent", check], 5 * MINUTE_MS);
  if (code === 0) return NOTHING;
  say(`npm run ${check} failed.`);
  return CRASHED;
}

/** Tests that need none of them run without them too. */
async function bringClients(): Promise<Counts> {
  say("");
  const counts: Counts[] = [];
  for (const tool of PYTHON_TOOLS) {
    counts.push(await bring(async () => say(`Python with ${tool}: ${await preparePython(tool, say)}`)));
  }
  counts.push(await bring(() => prepareDebian(say)));
  return counts.reduce(sum, NOTHING);
}

function bringControlPlane(): Promise<Counts> {
  return bring(async () => {
    const { apiServer, etcd } = await prepareBinaries(say);
    say(`\nAPI server: ${apiServer}, etcd: ${etcd}`);
  });
}

async function bring(what: () => Promise<void>): Promise<Counts> {
  try {
    await what();
    return NOTHING;
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return CRASHED;
  }
}

async function runTier(tier: Tier, names: readonly string[]): Promise<Counts> {
  say(`\n${tier.what}`);
  const folder = await mkdtemp(join(tmpdir(), "coffer-test-"));
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
    const counts = await readCounts(report);
    if (counts === undefined) say(`The ${tier.name} tests ended without a report (${code ?? "out of time"}).`);
    if (counts === undefined || (code !== 0 && counts.failed === 0)) return sum(counts ?? NOTHING, CRASHED);
    return counts;
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

/** The parts of vitest's report that are counted. A file that does not even load has no tests, and is one failure. */
interface Report {
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string }[];
  }[];
}

async function readCounts(path: string): Promise<Counts | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const report = JSON.parse(text) as Report;
  return report.testResults
    .map(({ status, assertionResults }) => {
      const countOf = (wanted: string) => assertionResults.filter((result) => result.status === wanted).length;
      const [passed, failed] = [countOf("passed"), countOf("failed")];
      const isBroken = status === "failed" && failed === 0;
      return { passed, failed: failed + (isBroken ? 1 : 0), skipped: assertionResults.length - passed - failed };
    })
    .reduce(sum, NOTHING);
}

function sum(one: Counts, other: Counts): Counts {
  return {
    passed: one.passed + other.passed,
    failed: one.failed + other.failed,
    skipped: one.skipped + other.skipped,
  };
}

await main();
