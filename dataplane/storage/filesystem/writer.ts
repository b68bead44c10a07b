/* The writer thread: the only one that changes the index. What waits comes as one batch and becomes one transaction;
 * the answer follows the commit. Checkpoints come after the answer, small and often, so that no caller waits for one. */

import type { DatabaseSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import { CommitFaults } from "./commit-faults.ts";
import type { Answer, Batch, Question, Reply } from "./operations.ts";
import { openForReading, openForWriting } from "./schema.ts";
import { Transaction } from "./transaction.ts";

const CHECKPOINT_PAGES = 500;
const PAGE_BYTES = 16_384;
const SLOW_COMMIT_MS = 150;
const SQLITE_FULL = 13;

export interface WriterData {
  readonly path: string;
  readonly faults: SharedArrayBuffer | undefined;
}

class Writer {
  readonly #path: string;
  readonly #faults: CommitFaults | undefined;
  #index: DatabaseSync;
  #transaction: Transaction;
  /** Roughly what the log holds since the last checkpoint. */
  #logPages = 0;
  /** Why nothing more may be committed over this connection. */
  #suspect: string | undefined;

  constructor(data: WriterData) {
    this.#path = data.path;
    this.#faults = data.faults && new CommitFaults(data.faults);
    this.#index = openForWriting(this.#path);
    this.#transaction = new Transaction(this.#index);
  }

  run(batch: Batch): Reply {
    if (this.#suspect !== undefined) {
      return { reply: "failed", code: "broken", reason: this.#suspect };
    }
    try {
      this.#index.exec("BEGIN IMMEDIATE");
      const answers = batch.operations.map(({ operation, spans }): Answer => {
        const blobs: Uint8Array[] = [];
        for (let at = 0; at < spans.length; at += 2) {
          const start = spans[at] ?? 0;
          blobs.push(batch.bytes.subarray(start, start + (spans[at + 1] ?? 0)));
        }
        return this.#transaction.apply(operation, blobs, batch.nowMs);
      });
      this.#commit();
      this.#logPages += Math.ceil(batch.bytes.length / PAGE_BYTES) + 2 * batch.operations.length;
      return { reply: "answers", answers };
    } catch (error) {
      return this.#failed(error);
    }
  }

  #commit(): void {
    const fault = this.#faults?.take() ?? "none";
    if (fault === "failed" || fault === "full") {
      throw Object.assign(new Error(`injected: ${fault}`), { errcode: fault === "full" ? SQLITE_FULL : 10 });
    }
    if (fault === "killed before") {
      process.kill(process.pid, "SIGKILL");
    }
    if (fault === "slow") {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, SLOW_COMMIT_MS);
    }
    this.#index.exec("COMMIT");
    if (fault === "killed after") {
      process.kill(process.pid, "SIGKILL");
    }
    if (fault === "failed but persisted") {
      throw new Error("injected: failed but persisted");
    }
  }

  /** What a failed commit has left in its connection is not to be built upon: the probe opens another. */
  #failed(error: unknown): Reply {
    this.#suspect = String(error);
    const code = error instanceof Error && "errcode" in error && error.errcode === SQLITE_FULL ? "full" : "broken";
    return { reply: "failed", code, reason: this.#suspect };
  }

  /** A checkpoint that failed has lost nothing, since the log still holds it all; but the disk is not to be trusted. */
  checkpointIfDue(): void {
    if (this.#logPages < CHECKPOINT_PAGES || this.#suspect !== undefined) {
      return;
    }
    this.#logPages = 0;
    try {
      this.#checkpoint();
    } catch (error) {
      this.#suspect = String(error);
    }
  }

  #checkpoint(): void {
    this.#index.prepare("PRAGMA wal_checkpoint(PASSIVE)").get();
  }

  /** Commits a value over a new connection and reads it back over another. */
  probe(value: number): Reply {
    try {
      this.close();
      this.#index = openForWriting(this.#path);
      this.#transaction = new Transaction(this.#index);
      this.#index.exec(`BEGIN IMMEDIATE; INSERT OR REPLACE INTO probe (id, value) VALUES (1, ${value})`);
      this.#commit();
      this.#checkpoint();
      const reader = openForReading(this.#path);
      const found = reader.prepare("SELECT value FROM probe WHERE id = 1").get();
      reader.close();
      this.#suspect = found?.["value"] === value ? undefined : "the probe was not read back";
      return { reply: "probed", reason: this.#suspect };
    } catch (error) {
      return { reply: "probed", reason: String(error) };
    }
  }

  close(): void {
    if (this.#index.isOpen) {
      this.#index.close();
    }
  }
}

const writer = new Writer(workerData as WriterData);

parentPort?.on("message", (question: Question) => {
  switch (question.ask) {
    case "batch":
      parentPort?.postMessage(writer.run(question));
      writer.checkpointIfDue();
      return;
    case "probe":
      parentPort?.postMessage(writer.probe(question.value));
      return;
    default:
      writer.close();
      parentPort?.close();
  }
});
