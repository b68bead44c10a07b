/** The door of the deep module behind all protocols: what objects are, what may be done with them, and who does it. */
import { completeUpload } from "./complete.ts";
import { getObject, headObject } from "./get.ts";
import { listObjects } from "./list.ts";
import { createOpenedMemory } from "./opened.ts";
import { listParts, putPart } from "./parts.ts";
import { putObject } from "./put.ts";
import { removeObject } from "./remove.ts";
import { rewrapObjects } from "./rewrap.ts";
import { audited, type Deed, type ObjectsNeeds } from "./room.ts";
import type { ObjectStore } from "./store.ts";
import { abortUpload, createUpload, listUploads } from "./uploads.ts";

export type { ObjectRef, UploadRef } from "../storage/storage.ts";
export type { DefaultShown, ObjectsNeeds } from "./room.ts";
export type * from "./store.ts";

/** About 8 MiB. */
const OPENED_MAX = 4096;

/** Keeps nothing but caches: any number of stores may work on one storage. */
export function createObjects(needs: ObjectsNeeds): ObjectStore {
  const room = { ...needs, opened: createOpenedMemory(OPENED_MAX) };
  return {
    put: (call, ref, body, wanted) =>
      audited(
        room,
        call,
        write("PutObject", ref),
        () => putObject(room, call, ref, body, wanted),
        (info) => info.sizeBytes,
      ),
    get: (call, ref, wanted) => getObject(room, call, ref, wanted),
    head: (call, ref, wanted) => headObject(room, call, ref, wanted),
    list: (call, bucket, query) =>
      audited(room, call, readOf("ListObjects", bucket), () => listObjects(room, call, bucket, query)),
    remove: (call, ref, wanted) =>
      audited(room, call, write("DeleteObject", ref), () => removeObject(room, call, ref, wanted)),
    createUpload: (call, ref, wanted) =>
      audited(room, call, write("CreateMultipartUpload", ref), () => createUpload(room, call, ref, wanted)),
    putPart: (call, part, body) =>
      audited(
        room,
        call,
        write("UploadPart", part),
        () => putPart(room, call, part, body),
        (info) => info.sizeBytes,
      ),
    completeUpload: (call, upload, parts, wanted) =>
      audited(
        room,
        call,
        write("CompleteMultipartUpload", upload),
        () => completeUpload(room, call, upload, parts, wanted),
        (info) => info.sizeBytes,
      ),
    abortUpload: (call, upload) =>
      audited(room, call, write("AbortMultipartUpload", upload), () => abortUpload(room, call, upload)),
    parts: (call, upload, afterPartNumber, limit) =>
      audited(room, call, readOf("ListParts", upload.bucket, upload.name), () =>
        listParts(room, call, upload, afterPartNumber, limit),
      ),
    uploads: (call, bucket, query) =>
      audited(room, call, readOf("ListMultipartUploads", bucket), () => listUploads(room, call, bucket, query)),
    rewrap: (call, bucket, cursor) =>
      audited(room, call, { operation: "RewrapObjects", kind: "key", bucket }, () =>
        rewrapObjects(room, call, bucket, cursor),
      ),
  };
}

function write(
  operation: Deed["operation"],
  { bucket, name }: { readonly bucket: string; readonly name: string },
): Deed {
  return { operation, kind: "write", bucket, name };
}

function readOf(operation: Deed["operation"], bucket: string, name?: string): Deed {
  return { operation, kind: "read", bucket, name };
}
