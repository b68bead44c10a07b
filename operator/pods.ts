// What pods have loaded and how far their jobs are: one question a pod, whoever wants to know. Asks their admin
// listeners; judging the answers is rollout.ts's.

import type { ConfigAnswer, JobsAnswer, ReadyAnswer } from "../dataplane/admin/api.ts";
import type { PodFacts } from "./rollout.ts";

export interface Pods {
  /** Never rejects but with the signal's reason: a pod that does not answer is one that is not ready. */
  ask(pod: { readonly name: string; readonly adminUrl: string }, signal: AbortSignal): Promise<PodFacts>;
}

/** A pod that pauses, or a machine that is busy, takes a while; one that has gone says so at once. */
const ANSWER_MS = 5000;

export function createPods(): Pods {
  const asking = new Map<string, Promise<PodFacts>>();
  return {
    async ask(pod, signal) {
      const under = asking.get(pod.adminUrl) ?? question(pod.name, pod.adminUrl, asking);
      asking.set(pod.adminUrl, under);
      const answer = await under;
      signal.throwIfAborted();
      return answer;
    },
  };
}

async function question(name: string, adminUrl: string, asking: Map<string, Promise<PodFacts>>): Promise<PodFacts> {
  try {
    const signal = AbortSignal.timeout(ANSWER_MS);
    const [ready, config, jobs] = await Promise.all([
      get<ReadyAnswer>(`${adminUrl}/readyz`, signal),
      get<ConfigAnswer>(`${adminUrl}/config`, signal),
      get<JobsAnswer>(`${adminUrl}/jobs`, signal),
    ]);
    return factsOf(name, ready, config, jobs);
  } catch (error) {
    const why =
      error instanceof Error && error.name === "TimeoutError" ? "it does not answer in time" : "it does not answer";
    return { name, ready: false, reasons: [why], revision: undefined, refused: undefined, providers: [], jobs: [] };
  } finally {
    asking.delete(adminUrl);
  }
}

async function get<Answer>(url: string, signal: AbortSignal): Promise<Answer> {
  const response = await fetch(url, { signal, headers: { connection: "close" } });
  return (await response.json()) as Answer;
}

function factsOf(name: string, ready: ReadyAnswer, config: ConfigAnswer, jobs: JobsAnswer): PodFacts {
  const { refused } = config;
  return {
    name,
    ready: ready.ready,
    reasons: ready.reasons,
    revision: config.revision,
    refused: refused === undefined ? undefined : refusalWords(refused.problems, refused.problemsCount),
    untried: config.providers.filter(({ checkedAtMs }) => checkedAtMs === undefined).map(({ name: of }) => of),
    providers: config.providers
      .filter(({ checkedAtMs }) => checkedAtMs !== undefined)
      .map((state) => ({
        name: state.name,
        canWrap: state.canWrap === true,
        canUnwrap: state.canUnwrap === true,
        failure: state.failure,
      })),
    jobs: jobs.jobs,
  };
}

function refusalWords(problems: readonly string[], count: number): string {
  const more = count > 1 ? ` (and ${count - 1} more)` : "";
  return `${problems[0] ?? "it does not say why"}${more}`;
}
