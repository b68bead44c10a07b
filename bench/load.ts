// A closed loop: so many clients, each with its next request as soon as the last is answered. What it cost the server is
// taken over the same time.

import { cpuSeconds, type IdleLoop, loopDelayMs, PeakRss } from "./usage.ts";

export interface Measured {
  readonly operations: number;
  readonly seconds: number;
  readonly failed: number;
  readonly firstFailure: string | undefined;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly cpuMs: number;
  readonly rssMib: number;
  /** undefined where the server does not tell. */
  readonly loopMs: number | undefined;
  readonly idleLoopMs: number;
}

export interface Measuring {
  readonly pid: number;
  readonly admin: URL | undefined;
  readonly idle: IdleLoop;
}

/** What clients saw. */
export interface Run {
  readonly latenciesMs: number[];
  readonly failures: readonly string[];
  readonly seconds: number;
}

/** Runs `action` for that long after a short run that is not counted; `at` counts up through both. */
export async function measure(
  measuring: Measuring,
  clients: number,
  seconds: number,
  action: (at: number) => Promise<void>,
): Promise<Measured> {
  let at = 0;
  const next = (): Promise<void> => action(at++);
  await loop(clients, Math.min(1, seconds / 4), next);
  return observe(measuring, () => loop(clients, seconds, next));
}

/** What a run costs the server. */
export async function observe({ pid, admin, idle }: Measuring, load: () => Promise<Run>): Promise<Measured> {
  await Promise.all([admin && loopDelayMs(admin), idle.delayMs()]);
  const peak = new PeakRss(pid);
  const cpuBefore = cpuSeconds(pid);
  const run = await load();
  const cpuMs = (cpuSeconds(pid) - cpuBefore) * 1000;
  const rssMib = peak.end();
  const [loopMs, idleLoopMs] = await Promise.all([admin && loopDelayMs(admin), idle.delayMs()]);
  return { ...seen(run), cpuMs, rssMib, loopMs, idleLoopMs };
}

/** What clients saw of a server whose cost another row tells. */
export function seenAlone(run: Run): Measured {
  return { ...seen(run), cpuMs: Number.NaN, rssMib: Number.NaN, loopMs: undefined, idleLoopMs: Number.NaN };
}

function seen({ latenciesMs, failures, seconds }: Run) {
  const sorted = latenciesMs.toSorted((a, b) => a - b);
  const quantile = (part: number): number => sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN;
  return {
    operations: sorted.length,
    seconds,
    failed: failures.length,
    firstFailure: failures[0],
    p50Ms: quantile(0.5),
    p99Ms: quantile(0.99),
  };
}

/** So many clients, for that long. */
export async function loop(clients: number, seconds: number, next: () => Promise<void>): Promise<Run> {
  const endMs = performance.now() + seconds * 1000;
  return run(clients, () => performance.now() < endMs, next);
}

/** So many clients, that many times in all. */
export function timed(clients: number, count: number, action: (at: number) => Promise<void>): Promise<Run> {
  let at = 0;
  return run(
    clients,
    () => at < count,
    () => action(at++),
  );
}

async function run(clients: number, goesOn: () => boolean, next: () => Promise<void>): Promise<Run> {
  const latenciesMs: number[] = [];
  const failures: string[] = [];
  const begunMs = performance.now();
  const client = async (): Promise<void> => {
    while (goesOn()) {
      const askedMs = performance.now();
      try {
        await next();
        latenciesMs.push(performance.now() - askedMs);
      } catch (error) {
        failures.push(messageOf(error));
        // What refuses at once must not be asked a million times.
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return { latenciesMs, failures, seconds: (performance.now() - begunMs) / 1000 };
}

/** All of them, some at once. */
export async function each(count: number, clients: number, action: (at: number) => Promise<void>): Promise<void> {
  let at = 0;
  const client = async (): Promise<void> => {
    while (at < count) await action(at++);
  };
  await Promise.all(Array.from({ length: clients }, client));
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
