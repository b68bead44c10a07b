// What a run of tests came to: how many passed, and what failed, by name, so that the end of a long log says it again.

import { readFile } from "node:fs/promises";
import { relative } from "node:path";

export interface Outcome {
  readonly passed: number;
  readonly skipped: number;
  /** One for each failure: what failed, and the first line of why. */
  readonly failures: readonly string[];
  /** The same of what failed once, and passed when its file ran again by itself. */
  readonly unsteady: readonly string[];
}

export interface FileOutcome extends Outcome {
  readonly name: string;
}

export const NOTHING: Outcome = { passed: 0, skipped: 0, failures: [], unsteady: [] };

/** More files than that do not fail by chance. */
const UNSTEADY_FILES_MAX = 3;
/** Such a file judges what the others did, so that by itself it would judge nothing. */
const JUDGES_THE_OTHERS = ".last.test.ts";

export function failed(what: string): Outcome {
  return { ...NOTHING, failures: [what] };
}

export function sum(one: Outcome, other: Outcome): Outcome {
  return {
    passed: one.passed + other.passed,
    skipped: one.skipped + other.skipped,
    failures: [...one.failures, ...other.failures],
    unsteady: [...one.unsteady, ...other.unsteady],
  };
}

/** The names of files to run again: those that failed, if they may have failed by chance; else none. */
export function worthAnotherRun(files: readonly FileOutcome[]): readonly string[] {
  const names = files.filter(({ failures }) => failures.length > 0).map(({ name }) => name);
  const mayBeChance = names.length <= UNSTEADY_FILES_MAX && !names.some((name) => name.endsWith(JUDGES_THE_OTHERS));
  return mayBeChance ? names : [];
}

/** The first run, with the second one's outcome of each file that passed there. What fails twice keeps its first reason. */
export function withAnotherRun(first: readonly FileOutcome[], second: readonly FileOutcome[]): readonly FileOutcome[] {
  return first.map((file) => {
    const again = second.find(({ name }) => name === file.name);
    const hasPassed = file.failures.length > 0 && again !== undefined && again.failures.length === 0;
    return hasPassed ? { ...again, unsteady: file.failures } : file;
  });
}

/** The parts of vitest's JSON report that are looked at. */
interface Report {
  readonly testResults: readonly FileResult[];
}

interface FileResult {
  readonly name: string;
  readonly status: string;
  readonly message?: string;
  readonly assertionResults: readonly TestResult[];
}

interface TestResult {
  readonly status: string;
  readonly fullName: string;
  readonly failureMessages?: readonly string[] | null;
}

/** Undefined if there is no report at `path`. File names are told from `root`. */
export async function readReport(path: string, root: string): Promise<readonly FileOutcome[] | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const report = JSON.parse(text) as Report;
  return report.testResults.map((file) => outcomeOf(file, relative(root, file.name)));
}

/** A file that does not even load has no tests, and is one failure; so is one whose hooks fail after all tests passed. */
function outcomeOf({ status, message, assertionResults }: FileResult, name: string): FileOutcome {
  const passed = assertionResults.filter((test) => test.status === "passed").length;
  const failing = assertionResults.filter((test) => test.status === "failed");
  const failures = failing.map((test) => `${name} > ${test.fullName}: ${firstLine(test.failureMessages?.[0])}`);
  if (status === "failed" && failing.length === 0) failures.push(`${name}: ${firstLine(message)}`);
  return { ...NOTHING, name, passed, failures, skipped: assertionResults.length - passed - failing.length };
}

function firstLine(message: string | undefined): string {
  return message?.trim().split("\n")[0] ?? "no message";
}
