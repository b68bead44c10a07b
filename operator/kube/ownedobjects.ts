// Keeps objects as they are wanted, by server-side apply: when they are first seen, when what is wanted changes, and when
// somebody else has changed them. What is as it should be is not asked for again.

import { createHash } from "node:crypto";
import type { Kube } from "./client.ts";
import { isKubeError } from "./failure.ts";
import { type KubeObject, type ObjectName, objectKey, type ResourceType } from "./resources.ts";
import type { ScopedWatch } from "./scopedwatch.ts";

/** A type of object that is kept, and the watch of those that are ours. */
export interface OwnedType {
  readonly type: ResourceType<KubeObject>;
  readonly watch: ScopedWatch<KubeObject>;
}

/** `taken`: another's stood there when it was last looked at; to be applied, in case it has gone. `due`: to be applied,
 *  since it is missing or not as wanted. */
export type OwnedState = "right" | "due" | "taken";

interface Applied {
  /** Of what was sent. */
  readonly wanted: string;
  /** Of what the API server made of it. */
  readonly result: string;
}

export class OwnedObjects {
  readonly #kube: Kube;
  readonly #applied = new Map<string, Applied>();
  readonly #taken = new Set<string>();
  /** Uids of what was removed while it was being applied: the watch may tell of that before the apply has its answer. */
  readonly #removedMeanwhile = new Map<string, Set<string | undefined>>();

  /** Hears of objects that are removed by others. */
  constructor(kube: Kube, types: readonly OwnedType[]) {
    this.#kube = kube;
    for (const { type, watch } of types) {
      watch.listen((change) => {
        if (change.kind !== "removed") return;
        const key = keyOf(type, nameOf(change.object));
        this.#applied.delete(key);
        this.#removedMeanwhile.get(key)?.add(change.object.metadata.uid);
      });
    }
  }

  /** By what is known: asks nobody. */
  look({ type, watch }: OwnedType, wanted: KubeObject, isOurs: (object: KubeObject) => boolean): OwnedState {
    const name = nameOf(wanted);
    const key = keyOf(type, name);
    const there = watch.find(name);
    const applied = this.#applied.get(key);
    if (there === undefined) {
      if (this.#taken.has(key)) return "taken";
      // What was made a moment ago may not have come by yet.
      return applied?.wanted === hashOf(wanted) ? "right" : "due";
    }
    if (!isOurs(there)) return "taken";
    return applied?.wanted === hashOf(wanted) && applied.result === resultOf(there) ? "right" : "due";
  }

  /** `taken`: another's stands there, and was not touched. */
  async apply(
    { type, watch }: OwnedType,
    wanted: KubeObject,
    isOurs: (object: KubeObject) => boolean,
    signal: AbortSignal,
  ): Promise<"applied" | "taken"> {
    const name = nameOf(wanted);
    const key = keyOf(type, name);
    // Only what has our labels is watched.
    const there = watch.find(name) ?? (await this.#kube.read(type, name, signal));
    if (there !== undefined && !isOurs(there)) {
      this.#taken.add(key);
      return "taken";
    }
    this.#taken.delete(key);
    const removed = new Set<string | undefined>();
    this.#removedMeanwhile.set(key, removed);
    try {
      const result = await this.#applyOver(type, wanted, there, signal);
      if (removed.has(result.metadata.uid)) return "applied";
      this.#applied.set(key, { wanted: hashOf(wanted), result: resultOf(result) });
      watch.note(result);
      return "applied";
    } finally {
      this.#removedMeanwhile.delete(key);
    }
  }

  /** What is ours; another's stays. */
  async remove({ type, watch }: OwnedType, name: ObjectName, signal: AbortSignal): Promise<void> {
    const known = watch.find(name);
    this.#applied.delete(keyOf(type, name));
    if (known === undefined) return;
    const { uid } = known.metadata;
    await this.#kube.remove(type, name, uid === undefined ? {} : { uid }, signal);
  }

  /** What another has added to one of our lists stays, unless no valid object comes of it: then our lists are set whole
   *  first. */
  async #applyOver(
    type: ResourceType<KubeObject>,
    wanted: KubeObject,
    there: KubeObject | undefined,
    signal: AbortSignal,
  ): Promise<KubeObject> {
    try {
      return await this.#kube.apply(type, wanted, { force: true }, signal);
    } catch (error) {
      const { spec } = wanted as KubeObject & { readonly spec?: object };
      if (there === undefined || spec === undefined || !isKubeError(error, "invalid")) throw error;
      // If that is refused too, it says the same.
      await this.#kube.patch(type, nameOf(wanted), { spec }, signal);
      return await this.#kube.apply(type, wanted, { force: true }, signal);
    }
  }
}

function nameOf({ metadata: { namespace = "", name } }: KubeObject): ObjectName {
  return { namespace, name };
}

function keyOf({ plural }: ResourceType<KubeObject>, name: ObjectName): string {
  return `${plural}/${objectKey(name)}`;
}

function hashOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("base64");
}

/** Changes when somebody changes what was applied, and as rarely as can be when only a status changes: a generation counts
 *  changes of the spec, where there is one. */
function resultOf({ metadata }: KubeObject): string {
  const { uid, generation, resourceVersion, labels, annotations, ownerReferences } = metadata;
  if (generation === undefined) return `${uid}/${resourceVersion}`;
  return hashOf([uid, generation, labels, annotations, ownerReferences]);
}
