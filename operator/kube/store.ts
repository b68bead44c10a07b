// What a reflector knows of the objects of one type. An object that was removed and made again while nobody looked is
// another object: its uid says so, and both halves are told.

import { type KubeObject, type ObjectName, objectKey } from "./resources.ts";

export type Change<Shape> =
  | { readonly kind: "added"; readonly object: Shape }
  | { readonly kind: "changed"; readonly object: Shape; readonly before: Shape }
  | { readonly kind: "removed"; readonly object: Shape };

export interface ObjectStore<Shape extends KubeObject> {
  /** undefined: there was none when the API server last told us. */
  find(name: ObjectName): Shape | undefined;
  all(): readonly Shape[];
  inNamespace(namespace: string): readonly Shape[];
}

/** The side that a reflector writes. Every method returns what changed, in order. */
export interface WritableStore<Shape extends KubeObject> extends ObjectStore<Shape> {
  put(object: Shape): Change<Shape>[];
  drop(object: Shape): Change<Shape>[];
  /** All that there is. */
  replaceAll(objects: readonly Shape[]): Change<Shape>[];
}

export function createStore<Shape extends KubeObject>(): WritableStore<Shape> {
  const byKey = new Map<string, Shape>();
  const byNamespace = new Map<string, Map<string, Shape>>();

  function set(key: string, object: Shape): void {
    byKey.set(key, object);
    const namespace = object.metadata.namespace ?? "";
    const there = byNamespace.get(namespace);
    if (there === undefined) byNamespace.set(namespace, new Map([[key, object]]));
    else there.set(key, object);
  }

  function unset(key: string, object: Shape): void {
    byKey.delete(key);
    const namespace = object.metadata.namespace ?? "";
    const there = byNamespace.get(namespace);
    there?.delete(key);
    if (there?.size === 0) byNamespace.delete(namespace);
  }

  function put(object: Shape): Change<Shape>[] {
    const key = objectKey(object.metadata);
    const before = byKey.get(key);
    if (before !== undefined && isNoNews(before, object)) return [];
    set(key, object);
    if (before === undefined) return [{ kind: "added", object }];
    if (before.metadata.uid === object.metadata.uid) return [{ kind: "changed", object, before }];
    return [
      { kind: "removed", object: before },
      { kind: "added", object },
    ];
  }

  return {
    find: (name) => byKey.get(objectKey(name)),
    all: () => [...byKey.values()],
    inNamespace: (namespace) => [...(byNamespace.get(namespace)?.values() ?? [])],
    put,

    drop(object) {
      const key = objectKey(object.metadata);
      const before = byKey.get(key);
      // Another of that name is there already.
      if (before === undefined || before.metadata.uid !== object.metadata.uid) return [];
      unset(key, before);
      return [{ kind: "removed", object }];
    },

    replaceAll(objects) {
      const keys = new Set(objects.map(({ metadata }) => objectKey(metadata)));
      const gone = [...byKey].filter(([key]) => !keys.has(key));
      for (const [key, object] of gone) unset(key, object);
      return [...gone.map(([, object]) => ({ kind: "removed" as const, object })), ...objects.flatMap(put)];
    },
  };
}

/** The same state, or an older one: what we wrote ourselves is known before the watch tells what was before it. Versions
 *  of one object are numbers that grow, wherever etcd is behind the API server; elsewhere only equality says something. */
function isNoNews(before: KubeObject, object: KubeObject): boolean {
  if (before.metadata.uid !== object.metadata.uid) return false;
  const known = Number(before.metadata.resourceVersion);
  const told = Number(object.metadata.resourceVersion);
  if (Number.isSafeInteger(known) && Number.isSafeInteger(told)) return told <= known;
  return before.metadata.resourceVersion === object.metadata.resourceVersion;
}
