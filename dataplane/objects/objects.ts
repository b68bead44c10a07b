/** The door of the deep module behind all protocols: what objects are, what may be done with them, and who does it. */
import { getObject, headObject } from "./get.ts";
import { listObjects } from "./list.ts";
import { audited, type Deed, type ObjectsNeeds } from "./needs.ts";
import { putObject } from "./put.ts";
import { removeObject } from "./remove.ts";
import type { ObjectStore } from "./store.ts";

export type { DefaultShown, ObjectsNeeds } from "./needs.ts";
export type * from "./store.ts";

/** Keeps nothing but caches: any number of stores may work on one storage. */
export function createObjects(needs: ObjectsNeeds): Pick<ObjectStore, "put" | "get" | "head" | "list" | "remove"> {
  return {
    put: (call, ref, body, wanted) =>
      audited(
        needs,
        call,
        { operation: "PutObject", kind: "write", ...placeOf(ref) },
        () => putObject(needs, call, ref, body, wanted),
        (info) => info.sizeBytes,
      ),
    get: (call, ref, wanted) => getObject(needs, call, ref, wanted),
    head: (call, ref, wanted) => headObject(needs, call, ref, wanted),
    list: (call, bucket, query) =>
      audited(needs, call, { operation: "ListObjects", kind: "read", bucket }, () =>
        listObjects(needs, call, bucket, query),
      ),
    remove: (call, ref, wanted) =>
      audited(needs, call, { operation: "DeleteObject", kind: "write", ...placeOf(ref) }, () =>
        removeObject(needs, call, ref, wanted),
      ),
  };
}

function placeOf({ bucket, name }: { readonly bucket: string; readonly name: string }): Pick<Deed, "bucket" | "name"> {
  return { bucket, name };
}
