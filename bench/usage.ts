// What a server spends: its processor time and memory from /proc, its event-loop delay from its own metrics. The delay of
// a thread that does nothing says how much of that is the machine's.

import { once } from "node:events";
import { readFileSync } from "node:fs";
import { get } from "node:http";
import { Worker } from "node:worker_threads";

const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4096;
const MIB = 1024 * 1024;
const SAMPLE_MS = 50;

/** User and system time of all threads so far. */
export function cpuSeconds(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function rssMib(pid: number): number {
  return (Number(readFileSync(`/proc/${pid}/statm`, "latin1").split(" ")[1]) * PAGE_BYTES) / MIB;
}

/** Looks at the memory often, from its making to its end. */
export class PeakRss {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #peak = 0;

  constructor(pid: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.#look(), SAMPLE_MS);
    this.#look();
  }

  #look(): void {
    this.#peak = Math.max(this.#peak, rssMib(this.#pid));
  }

  end(): number {
    clearInterval(this.#timer);
    this.#look();
    return this.#peak;
  }
}

/** The p99 since the last question, ms, as `nodejs_eventloop_lag_p99_seconds` has it: the 10 ms of its timer included. */
export async function loopDelayMs(admin: URL): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  get(new URL("/metrics", admin), { agent: false }, (answer) => {
    let text = "";
    answer.setEncoding("latin1");
    answer.on("data", (part: string) => {
      text += part;
    });
    answer.once("end", () => resolve(text));
  }).once("error", reject);
  const found = /^nodejs_eventloop_lag_p99_seconds (\S+)$/m.exec(await promise);
  if (found === null) throw new Error("the metrics do not tell the event-loop delay");
  return Number(found[1]) * 1000;
}

/** The same of a thread that does nothing else: what the machine and its other programs add to every program. */
export class IdleLoop {
  readonly #worker = new Worker(new URL("./idle.ts", import.meta.url), {
    execArgv: ["--disable-warning=ExperimentalWarning"],
  });

  async delayMs(): Promise<number> {
    this.#worker.postMessage("delay");
    const [delayMs] = (await once(this.#worker, "message")) as [number];
    return delayMs;
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
