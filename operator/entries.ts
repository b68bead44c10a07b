// The configuration entries of buckets as their controllers last compiled them, until their stores join them. In memory
// alone: a bucket that has not been compiled yet keeps the entry that its store's configuration has.

import type { BucketEntry } from "../dataplane/config/config.ts";
import type { Finding } from "./compile/compile.ts";

export interface Compiled {
  readonly uid: string;
  /** By `itemOf` of the store. */
  readonly store: string;
  readonly outcome: BucketEntry | Finding;
}

export class Entries {
  readonly #byBucket = new Map<string, Compiled>();
  readonly #byStore = new Map<string, Map<string, Compiled>>();

  /** By `itemOf` of the bucket. */
  set(bucket: string, compiled: Compiled): void {
    this.forget(bucket);
    this.#byBucket.set(bucket, compiled);
    const there = this.#byStore.get(compiled.store);
    if (there === undefined) this.#byStore.set(compiled.store, new Map([[bucket, compiled]]));
    else there.set(bucket, compiled);
  }

  ofStore(store: string): ReadonlyMap<string, Compiled> {
    return this.#byStore.get(store) ?? new Map<string, Compiled>();
  }

  /** The store that it was compiled for. */
  forget(bucket: string): string | undefined {
    const known = this.#byBucket.get(bucket);
    this.#byBucket.delete(bucket);
    if (known === undefined) return undefined;
    const there = this.#byStore.get(known.store);
    there?.delete(bucket);
    if (there?.size === 0) this.#byStore.delete(known.store);
    return known.store;
  }
}
