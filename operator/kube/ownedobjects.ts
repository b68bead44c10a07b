// Keeps objects as they are wanted, by server-side apply: when they are first seen, when what is wanted changes, and when
// somebody else has changed them. What is as it should be is not asked for again.

import { createHash } from "node:crypto";
import type { Kube } from "./client.ts";
import { type KubeObject, type ObjectName, objectKey, type ResourceType } from "./resources.ts";
import type { ScopedWatch } from "./scopedwatch.ts";

/** A type of object that is kept, and the watch of those that are ours. */
export interface OwnedType {
  readonly type: ResourceType<KubeObject>;
  readonly watch: ScopedWatch<KubeObject>;
}

/** `taken`: another's stands there, and is not touched. `due`: to be applied, since it is missing or not as wanted. */
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

  constructor(kube: Kube) {
    this.#kube = kube;
  }

  /** `isOurs` judges an object that was not known to be ours. */
  async look(
    { type, watch }: OwnedType,
    wanted: KubeObject,
    isOurs: (object: KubeObject) => boolean,
    signal: AbortSignal,
  ): Promise<OwnedState> {
    const name = nameOf(wanted);
    // Only what has our labels is watched, and what was made a moment ago may not have come by yet.
    const there = watch.find(name) ?? (await this.#kube.read(type, name, signal));
    if (there === undefined) return "due";
    if (!isOurs(there)) return "taken";
    const applied = this.#applied.get(keyOf(type, name));
    return applied?.wanted === hashOf(wanted) && applied.result === resultOf(there) ? "right" : "due";
  }

  async apply({ type, watch }: OwnedType, wanted: KubeObject, signal: AbortSignal): Promise<void> {
    const result = await this.#kube.apply(type, wanted, { force: true }, signal);
    this.#applied.set(keyOf(type, nameOf(wanted)), { wanted: hashOf(wanted), result: resultOf(result) });
    watch.note(result);
  }

  /** What is ours; another's stays. */
  async remove({ type, watch }: OwnedType, name: ObjectName, signal: AbortSignal): Promise<void> {
    const known = watch.find(name);
    this.#applied.delete(keyOf(type, name));
    if (known === undefined) return;
    const { uid } = known.metadata;
    await this.#kube.remove(type, name, uid === undefined ? {} : { uid }, signal);
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
