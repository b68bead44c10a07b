/**
 * What is judged on what is there and then written may be overtaken by another, and has to be judged again. Who was
 * overtaken stands in line with the others of his kind: else of many at once most would be overtaken again and again.
 */
import type { ObjectRef } from "../storage/storage.ts";

/** Of all who change an object from what it is. */
export function queueOf({ bucket, name }: ObjectRef): string {
  return `object ${bucket}/${name}`;
}

export class Queues {
  /** By what they change: the end of the last in line, which never rejects. */
  readonly #lasts = new Map<string, Promise<void>>();

  /** Tries at once unless somebody stands in line; in line it tries so often, and then throws what it was overtaken by. */
  async run<Result>(
    key: string,
    attemptsMax: number,
    isOvertaken: (error: unknown) => boolean,
    work: () => Promise<Result>,
  ): Promise<Result> {
    if (!this.#lasts.has(key)) {
      try {
        return await work();
      } catch (error) {
        if (!isOvertaken(error)) throw error;
      }
    }
    return this.#behindOthers(key, async () => {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await work();
        } catch (error) {
          if (!isOvertaken(error) || attempt === attemptsMax) throw error;
        }
      }
    });
  }

  async #behindOthers<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#lasts.get(key);
    const { promise: end, resolve } = Promise.withResolvers<void>();
    this.#lasts.set(key, end);
    try {
      await before;
      return await work();
    } finally {
      resolve();
      if (this.#lasts.get(key) === end) this.#lasts.delete(key);
    }
  }
}
