// Which EncryptedBucket has a name that several want: asked at every pass of every bucket, judged anew only when the
// buckets of the namespace have changed.

import type { EncryptedBucket } from "../crds/encryptedbucket.ts";
import { holdersOf } from "./compile/compile.ts";
import type { ResourceName } from "./kind.ts";
import type { ScopedWatch } from "./kube/scopedwatch.ts";

export class Holders {
  readonly #buckets: ScopedWatch<EncryptedBucket>;
  readonly #judged = new Map<string, ReadonlyMap<string, string>>();

  constructor(buckets: ScopedWatch<EncryptedBucket>) {
    this.#buckets = buckets;
    buckets.listen(({ object }) => this.#judged.delete(object.metadata.namespace ?? ""));
  }

  /** Who has the name that this one wants; undefined: it has it itself. */
  holderOf({ namespace, name }: ResourceName): string | undefined {
    let holders = this.#judged.get(namespace);
    if (holders === undefined) {
      holders = holdersOf(this.#buckets.inNamespace(namespace));
      this.#judged.set(namespace, holders);
    }
    return holders.get(name);
  }
}
