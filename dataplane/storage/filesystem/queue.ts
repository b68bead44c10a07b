/* The main thread's side of the writer: what is asked while a commit runs waits and goes as the next batch. After a
 * failed commit all writes are refused until a probe has committed and has been read back. */

import { Worker } from "node:worker_threads";
import { type Health, StorageError } from "../storage.ts";
import type { CommitFaults } from "./commit-faults.ts";
import type { Answer, Batch, Ended, Made, Operation, Question, Reply } from "./operations.ts";
import type { WriterData } from "./writer.ts";

const WAITING_MAX = 16_384;
/** A batch has at most this many bytes, unless a single operation has more. */
const ARENA_BYTES = 4 * 1024 * 1024;

type Blobs = readonly (readonly Uint8Array[])[];

interface Waiting {
  readonly operation: Operation;
  readonly blobs: Blobs;
  readonly bytes: number;
  readonly settled: (answer: Answer) => void;
  readonly failed: (error: StorageError) => void;
}

export interface QueueOptions {
  readonly path: string;
  readonly nowMs: () => number;
  readonly probeEveryMs: number;
  readonly faults: CommitFaults | undefined;
  /** In the tick in which a commit becomes known, before its caller hears of it. */
  readonly onEnded: (ended: Ended) => void;
  readonly onBroken: (reason: string) => void;
  /** Once commits work again: what was left uncertain can be looked up. */
  readonly onMended: () => void;
}

function sizeOf(blobs: Blobs): number {
  let bytes = 0;
  for (const buffers of blobs) {
    for (const buffer of buffers) {
      bytes += buffer.length;
    }
  }
  return bytes;
}

export class WriterQueue {
  readonly #options: QueueOptions;
  readonly #worker: Worker;
  readonly #arena = new Uint8Array(new SharedArrayBuffer(ARENA_BYTES));
  #waiting: Waiting[] = [];
  #flight: readonly Waiting[] = [];
  #scheduled = false;
  #broken: { readonly code: "full" | "broken"; readonly reason: string } | undefined;
  #probes = 0;
  #probeTimer: NodeJS.Timeout | undefined;
  #idle: (() => void)[] = [];
  readonly #exited: Promise<void>;

  constructor(options: QueueOptions) {
    this.#options = options;
    const workerData: WriterData = { path: options.path, faults: options.faults?.shared };
    // None of this process's own flags: some of them no thread takes.
    const thread = { workerData, name: "index-writer", execArgv: ["--disable-warning=ExperimentalWarning"] };
    this.#worker = new Worker(new URL("./writer.ts", import.meta.url), thread);
    this.#worker.on("message", (reply: Reply) => this.#onReply(reply));
    this.#worker.on("error", (error) => this.#onFailed("broken", `the writer has ended: ${String(error)}`));
    this.#exited = new Promise((resolve) => {
      this.#worker.once("exit", () => resolve());
    });
  }

  health(): Health {
    return { writable: this.#broken === undefined, reason: this.#broken?.reason };
  }

  /** Throws what a write would be refused with now. */
  assertWritable(): void {
    if (this.#broken !== undefined) {
      throw this.#refusal(this.#broken);
    }
  }

  #refusal(broken: { code: "full" | "broken"; reason: string }): StorageError {
    return new StorageError(broken.code, `The index takes no writes: ${broken.reason}`);
  }

  /** Resolves once it is durable. What the batch failed with as a whole leaves the outcome unknown. */
  async run(operation: Operation, blobs: Blobs): Promise<Made | undefined> {
    this.assertWritable();
    if (this.#waiting.length >= WAITING_MAX) {
      throw new StorageError("unreachable", "Too much waits for the index");
    }
    const answer = await new Promise<Answer>((settled, failed) => {
      this.#waiting.push({ operation, blobs, bytes: sizeOf(blobs), settled, failed });
      this.#schedule();
    });
    if ("refused" in answer) {
      throw new StorageError(answer.refused, answer.message);
    }
    return answer.made;
  }

  /** Not at once: what other callers ask in the same turn shares the commit. */
  #schedule(): void {
    if (this.#flight.length === 0 && this.#waiting.length > 0 && !this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => {
        this.#scheduled = false;
        this.#send();
      });
    }
  }

  #send(): void {
    if (this.#broken !== undefined) {
      return;
    }
    let bytes = 0;
    let count = 0;
    for (const next of this.#waiting) {
      if (count > 0 && bytes + next.bytes > ARENA_BYTES) {
        break;
      }
      bytes += next.bytes;
      count += 1;
    }
    this.#flight = this.#waiting.splice(0, count);
    this.#ask(this.#pack(bytes));
  }

  #pack(bytes: number): Batch {
    const packed = bytes <= ARENA_BYTES ? this.#arena.subarray(0, bytes) : new Uint8Array(new SharedArrayBuffer(bytes));
    let at = 0;
    const operations = this.#flight.map(({ operation, blobs }) => {
      const spans: number[] = [];
      for (const buffers of blobs) {
        const start = at;
        for (const buffer of buffers) {
          packed.set(buffer, at);
          at += buffer.length;
        }
        spans.push(start, at - start);
      }
      return { operation, spans };
    });
    return { ask: "batch", operations, bytes: packed, nowMs: this.#options.nowMs() };
  }

  #ask(question: Question): void {
    this.#worker.postMessage(question);
  }

  #onReply(reply: Reply): void {
    switch (reply.reply) {
      case "answers":
        this.#onAnswers(reply.answers);
        return;
      case "failed":
        this.#onFailed(reply.code, reply.reason);
        return;
      default:
        this.#onProbed(reply.reason);
    }
  }

  #onAnswers(answers: readonly Answer[]): void {
    const flight = this.#flight;
    this.#flight = [];
    for (const answer of answers) {
      if ("ended" in answer && answer.ended !== undefined) {
        this.#options.onEnded(answer.ended);
      }
    }
    flight.forEach((waiting, at) => {
      const answer = answers[at];
      if (answer !== undefined) {
        waiting.settled(answer);
      }
    });
    this.#schedule();
    this.#tellIdle();
  }

  #onFailed(code: "full" | "broken", reason: string): void {
    const flight = this.#flight;
    this.#flight = [];
    this.#waiting.unshift(...flight);
    this.distrust(code, reason);
  }

  /** Refuses all writes, those that wait too, until a probe has held. What is being committed is left to its end. */
  distrust(code: "full" | "broken", reason: string): void {
    const broken = { code, reason };
    const failed = this.#waiting;
    this.#waiting = [];
    this.#broken = broken;
    this.#options.onBroken(reason);
    for (const waiting of failed) {
      waiting.failed(this.#refusal(broken));
    }
    this.#probeLater();
    this.#tellIdle();
  }

  #probeLater(): void {
    clearTimeout(this.#probeTimer);
    this.#probeTimer = setTimeout(() => {
      this.#probes += 1;
      this.#ask({ ask: "probe", value: this.#probes });
    }, this.#options.probeEveryMs);
    this.#probeTimer.unref();
  }

  #onProbed(reason: string | undefined): void {
    if (reason === undefined) {
      this.#broken = undefined;
      this.#options.onMended();
      return;
    }
    this.#broken = { code: this.#broken?.code ?? "broken", reason };
    this.#probeLater();
  }

  #tellIdle(): void {
    if (this.#flight.length === 0 && this.#waiting.length === 0) {
      for (const idle of this.#idle.splice(0)) {
        idle();
      }
    }
  }

  /** Waits for what was asked, then ends the thread. */
  async close(): Promise<void> {
    while (this.#flight.length > 0 || this.#waiting.length > 0) {
      await new Promise<void>((resolve) => {
        this.#idle.push(resolve);
      });
    }
    clearTimeout(this.#probeTimer);
    this.#ask({ ask: "close" });
    await this.#exited;
  }
}
