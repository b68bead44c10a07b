// The loop of `npm start`: read the folder, pass after pass until nothing changes, then sleep until something may have.

import type { DataPlaneConfig } from "../../dataplane/config/config.ts";
import { createPods } from "../pods.ts";
import type { PodFacts } from "../rollout.ts";
import { createApplier } from "./applying.ts";
import type { Bell } from "./bell.ts";
import type { Child } from "./child.ts";
import type { Urls } from "./hints.ts";
import { type PassNeeds, runPass } from "./pass.ts";
import type { Providers } from "./providers.ts";
import type { Records } from "./records.ts";
import { createReport } from "./report.ts";
import type { Terminal } from "./terminal.ts";

export interface RuntimeNeeds {
  readonly folder: string;
  readonly statusDir: string;
  readonly accessDir: string;
  readonly configPath: string;
  readonly urls: Urls;
  readonly providers: Providers;
  readonly child: Child;
  readonly bell: Bell;
  readonly terminal: Terminal;
  readonly records: Records;
  readonly config: DataPlaneConfig | undefined;
  readonly now: () => Date;
}

/** A pass that changes something is followed by another, but not for ever. */
const PASSES_MAX = 25;
const HURRY_MS = 100;
const RETRY_MS = 1000;
/** How long after a change it makes sense to look that often. */
const HURRYING_MS = 15_000;
const REST_MS = 5000;
/** How long a start may take, and how often it may fail, before it is told as an outage. */
const START_MS = 15_000;
const FAILURES_MAX = 3;
const POD_NAME = "the data plane";

/** Runs until the signal aborts. What cannot be written is told, and tried again: the data plane goes on meanwhile. */
export async function runRuntime(needs: RuntimeNeeds, signal: AbortSignal): Promise<void> {
  const runtime = createRuntime(needs);
  let lastFailure = "";
  while (!signal.aborted) {
    let againAfterMs = RETRY_MS;
    try {
      againAfterMs = await runtime.settle(signal);
      lastFailure = "";
    } catch (error) {
      if (signal.aborted) return;
      const failure = error instanceof Error ? error.message : String(error);
      if (failure !== lastFailure) needs.terminal.warn(`${failure}; it is tried again`);
      lastFailure = failure;
    }
    await needs.bell.wait(againAfterMs, signal);
  }
}

function createRuntime(needs: RuntimeNeeds) {
  const { child, now } = needs;
  const pods = createPods();
  const report = createReport(needs);
  const applier = createApplier(needs, report);
  const passNeeds: PassNeeds = { ...needs, tell: report.tell, failed: report.failed };
  let records = needs.records;
  let config = needs.config;
  let lastReadyMs = now().getTime();
  let lastChangeMs = lastReadyMs;
  let wasReady = false;

  async function ask(signal: AbortSignal): Promise<PodFacts[]> {
    if (config === undefined) return [];
    if (!child.isRunning()) return [notRunning("it is being started")];
    const facts = await pods.ask({ name: POD_NAME, adminUrl: needs.urls.admin }, signal);
    if (facts.ready) {
      lastReadyMs = now().getTime();
      wasReady = true;
      child.wasReady();
    }
    return [facts];
  }

  return {
    /** Passes until nothing changes; the time in ms after which to come again. */
    async settle(signal: AbortSignal): Promise<number> {
      const applied = await applier.apply(records);
      records = applied.records;
      const restMs = applied.againAfterMs ?? REST_MS;
      for (let pass = 0; pass < PASSES_MAX && !signal.aborted; pass += 1) {
        const facts = await ask(signal);
        const withoutReadyPodMs = now().getTime() - lastReadyMs;
        const isStarting = !wasReady && withoutReadyPodMs < START_MS && child.failures() < FAILURES_MAX;
        const state = { records, secrets: applied.secrets, config, pods: facts, isStarting, withoutReadyPodMs };
        const result = await runPass(state, passNeeds, now(), signal);
        records = result.records;
        config = result.config;
        if (config !== undefined) child.start();
        if (result.isChanged) {
          lastChangeMs = now().getTime();
          continue;
        }
        report.settled(records);
        const againMs = Math.min(restMs, result.againAfterMs ?? REST_MS);
        if (!isPending(facts, config)) return againMs;
        const isRecent = now().getTime() - lastChangeMs < HURRYING_MS;
        return Math.min(isRecent ? HURRY_MS : RETRY_MS, againMs);
      }
      return HURRY_MS;
    },
  };
}

/** Whether what is wanted is on its way, so that looking again soon makes sense. */
function isPending(facts: readonly PodFacts[], config: DataPlaneConfig | undefined): boolean {
  if (config === undefined) return false;
  const isBehind = facts.some(
    (pod) => !pod.ready || (pod.refused === undefined && (pod.revision ?? 0) < config.revision),
  );
  const wishes = new Map(config.buckets.map(({ name, rewrapWish }) => [name, rewrapWish]));
  const isSwept = facts.every((pod) =>
    pod.jobs.every((job) => job.kind !== "rewrap" || job.state === "blocked" || job.wish === wishes.get(job.bucket)),
  );
  const isTrying = facts.some(({ ready, untried = [] }) => ready && untried.length > 0);
  return isBehind || isTrying || !isSwept;
}

function notRunning(why: string): PodFacts {
  return {
    name: POD_NAME,
    ready: false,
    reasons: [why],
    revision: undefined,
    refused: undefined,
    providers: [],
    jobs: [],
  };
}
