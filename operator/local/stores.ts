// Which store this process runs. It runs one: a second EncryptedStore has no place here. Pure.

import type { EncryptedBucket } from "../../crds/encryptedbucket.ts";
import type { EncryptedStore } from "../../crds/encryptedstore.ts";
import { API_VERSION, DEFAULT_STORE } from "../../crds/names.ts";
import { validate } from "../../crds/validate.ts";
import { storeNameOf } from "../compile/compile.ts";
import { momentOf } from "../conditions.ts";

export interface ChosenStore {
  /** undefined: nobody needs one yet. */
  readonly store: EncryptedStore | undefined;
  /** Made here, because a bucket wants the store that nobody names. */
  readonly isNew: boolean;
  readonly refused: ReadonlyMap<string, string>;
}

/** The store that was here first stays; the default is made once, when a bucket wants it and there is no other. */
export function chooseStore(
  stores: readonly EncryptedStore[],
  buckets: readonly EncryptedBucket[],
  now: Date,
): ChosenStore {
  const [store, ...others] = [...stores].sort(byAge);
  const refused = new Map(
    others.map(({ metadata }) => [
      metadata.name,
      `npm start runs one store, and "${store?.metadata.name}" is it: run this one with folders and ports of its own`,
    ]),
  );
  if (store !== undefined) return { store, isNew: false, refused };
  const isWanted = buckets.some((bucket) => storeNameOf(bucket) === DEFAULT_STORE);
  return isWanted ? { store: defaultStore(now), isNew: true, refused } : { store: undefined, isNew: false, refused };
}

/** What is wrong with a bucket's store, if it is not the one that runs. */
export function missingStore(bucket: EncryptedBucket, running: EncryptedStore | undefined): string | undefined {
  const wanted = storeNameOf(bucket);
  if (running?.metadata.name === wanted) return undefined;
  if (running === undefined) return `EncryptedStore "${wanted}" does not exist: make it, or leave storeRef out`;
  const name = running.metadata.name;
  return `EncryptedStore "${wanted}" does not run here: npm start runs one store, "${name}"; name that in spec.storeRef`;
}

function defaultStore(now: Date): EncryptedStore {
  const made = validate({
    apiVersion: API_VERSION,
    kind: "EncryptedStore",
    metadata: { name: DEFAULT_STORE },
    spec: { backend: { type: "Filesystem" } },
  });
  if ("problems" in made) throw new Error(`The default store is refused: ${made.problems[0]?.message}`);
  const metadata = { name: DEFAULT_STORE, generation: 1, creationTimestamp: momentOf(now) };
  return { ...(made.object as EncryptedStore), metadata };
}

function byAge(left: EncryptedStore, right: EncryptedStore): number {
  const seen = Number(isSettled(right)) - Number(isSettled(left));
  if (seen !== 0) return seen;
  const leftMade = left.metadata.creationTimestamp ?? "";
  const rightMade = right.metadata.creationTimestamp ?? "";
  if (leftMade !== rightMade) return leftMade < rightMade ? -1 : 1;
  return left.metadata.name < right.metadata.name ? -1 : 1;
}

/** One that served before, whatever came to stand beside it. */
function isSettled(store: EncryptedStore): boolean {
  return store.status.endpoints !== undefined;
}
