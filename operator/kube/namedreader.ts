// Reads Secrets and ConfigMaps by name, and not again while their metadata say that they are as they were. So one edit
// costs one read, however many there are.

import type { Kube } from "./client.ts";
import { type KubeObject, type ObjectName, objectKey, type ResourceType } from "./resources.ts";
import type { ScopedWatch } from "./scopedwatch.ts";

export class NamedReader<Shape extends KubeObject> {
  readonly #kube: Kube;
  readonly #type: ResourceType<Shape>;
  readonly #metadata: ScopedWatch<Shape>;
  readonly #read = new Map<string, Shape>();

  /** `metadata` is a watch of the same type. */
  constructor(kube: Kube, type: ResourceType<Shape>, metadata: ScopedWatch<Shape>) {
    this.#kube = kube;
    this.#type = type;
    this.#metadata = metadata;
    metadata.listen((change) => {
      if (change.kind === "removed") this.#read.delete(objectKey(change.object.metadata));
    });
  }

  /** undefined: there is none, for certain. */
  async read(name: ObjectName, signal: AbortSignal): Promise<Shape | undefined> {
    const key = objectKey(name);
    const known = this.#read.get(key);
    if (known !== undefined && this.#isCurrent(name, known)) return known;
    const object = await this.#kube.read(this.#type, name, signal);
    if (object === undefined) this.#read.delete(key);
    else this.#read.set(key, object);
    return object;
  }

  /** What the API server answered to a write of ours. */
  note(object: Shape): void {
    this.#read.set(objectKey(object.metadata), object);
    this.#metadata.note(object);
  }

  forget(name: ObjectName): void {
    this.#read.delete(objectKey(name));
  }

  #isCurrent(name: ObjectName, { metadata }: Shape): boolean {
    const now = this.#metadata.find(name)?.metadata;
    return now !== undefined && now.uid === metadata.uid && now.resourceVersion === metadata.resourceVersion;
  }
}
