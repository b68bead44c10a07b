/* Whether the bucket in which a body was begun is still that one, and no later one of its name. Kept in memory: no body
 * outlives its process. */

import { StorageError } from "../storage.ts";

export class BucketLives {
  readonly #lives = new Map<string, { ended: boolean }>();

  /** What it gives throws "no-bucket" once the bucket has gone. */
  assertSame(bucket: string): () => void {
    const life = this.#lives.get(bucket) ?? { ended: false };
    this.#lives.set(bucket, life);
    return () => {
      if (life.ended) {
        throw new StorageError("no-bucket", `Bucket "${bucket}" was removed meanwhile`);
      }
    };
  }

  /** Runs the removal of a bucket. One that finds none may be the second of one that had no answer. */
  async ending(bucket: string, removal: Promise<unknown>): Promise<void> {
    try {
      await removal;
      this.#end(bucket);
    } catch (error) {
      if (error instanceof StorageError && error.code === "no-bucket") {
        this.#end(bucket);
      }
      throw error;
    }
  }

  #end(bucket: string): void {
    const life = this.#lives.get(bucket);
    this.#lives.delete(bucket);
    if (life !== undefined) {
      life.ended = true;
    }
  }
}
