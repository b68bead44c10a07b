import { describe, expect, it } from "vitest";
import type { KubeObject } from "./resources.ts";
import { type Change, createStore } from "./store.ts";

function object(name: string, uid: string, resourceVersion: string, namespace = "team"): KubeObject {
  return { apiVersion: "v1", kind: "Secret", metadata: { namespace, name, uid, resourceVersion } };
}

function words(changes: readonly Change<KubeObject>[]): string[] {
  return changes.map(({ kind, object: { metadata } }) => `${kind} ${metadata.uid}@${metadata.resourceVersion}`);
}

describe("the store of a reflector", () => {
  it("tells what was added, changed and removed", () => {
    const store = createStore();
    expect(words(store.put(object("a", "1", "10")))).toEqual(["added 1@10"]);
    expect(words(store.put(object("a", "1", "11")))).toEqual(["changed 1@11"]);
    expect(words(store.put(object("a", "1", "11")))).toEqual([]);
    expect(words(store.drop(object("a", "1", "12")))).toEqual(["removed 1@12"]);
    expect(store.all()).toEqual([]);
    expect(store.inNamespace("team")).toEqual([]);
  });

  it("tells of an object that was made again as of two", () => {
    const store = createStore();
    store.put(object("a", "1", "10"));
    expect(words(store.put(object("a", "2", "20")))).toEqual(["removed 1@10", "added 2@20"]);
    expect(words(store.drop(object("a", "1", "15")))).toEqual([]);
    expect(store.find({ namespace: "team", name: "a" })?.metadata.uid).toBe("2");
  });

  it("tells the differences to a new list, what has gone first", () => {
    const store = createStore();
    for (const one of [object("a", "1", "10"), object("b", "2", "11"), object("c", "3", "12")]) store.put(one);
    const changes = store.replaceAll([object("b", "2", "11"), object("c", "9", "30"), object("d", "4", "31")]);
    expect(words(changes)).toEqual(["removed 1@10", "removed 3@12", "added 9@30", "added 4@31"]);
    expect(store.all().map(({ metadata }) => metadata.name)).toEqual(["b", "c", "d"]);
  });

  it("tells namespaces apart", () => {
    const store = createStore();
    store.put(object("a", "1", "10", "one"));
    store.put(object("a", "2", "11", "two"));
    expect(store.inNamespace("one").map(({ metadata }) => metadata.uid)).toEqual(["1"]);
    expect(store.find({ namespace: "two", name: "a" })?.metadata.uid).toBe("2");
    expect(store.find({ namespace: "three", name: "a" })).toBeUndefined();
  });
});
