/** The door of the deep module behind all protocols: what objects are, what may be done with them, and who does it. */
import { completeUpload } from "./complete.ts";
import { getObject, headObject } from "./get.ts";
import { listObjects } from "./list.ts";
import { audited, type Deed, type ObjectsNeeds } from "./needs.ts";
import { listParts, putPart } from "./parts.ts";
import { putObject } from "./put.ts";
import { removeObject } from "./remove.ts";
import type { ObjectStore } from "./store.ts";
import { abortUpload, createUpload, listUploads } from "./uploads.ts";

export type { ObjectRef, Page, PartRef, UploadRef } from "../storage/storage.ts";
export type { DefaultShown, ObjectsNeeds } from "./needs.ts";
export type * from "./store.ts";

/** Keeps nothing but caches: any number of stores may work on one storage. */
export function createObjects(needs: ObjectsNeeds): ObjectStore {
  return {
    put: (call, ref, body, wanted) =>
      audited(
        needs,
        call,
        write("PutObject", ref),
        () => putObject(needs, call, ref, body, wanted),
        (info) => info.sizeBytes,
      ),
    get: (call, ref, wanted) => getObject(needs, call, ref, wanted),
    head: (call, ref, wanted) => headObject(needs, call, ref, wanted),
    list: (call, bucket, query) =>
      audited(needs, call, readOf("ListObjects", bucket), () => listObjects(needs, call, bucket, query)),
    remove: (call, ref, wanted) =>
      audited(needs, call, write("DeleteObject", ref), () => removeObject(needs, call, ref, wanted)),
    createUpload: (call, ref, wanted) =>
      audited(needs, call, write("CreateMultipartUpload", ref), () => createUpload(needs, call, ref, wanted)),
    putPart: (call, part, body) =>
      audited(
        needs,
        call,
        write("UploadPart", part),
        () => putPart(needs, call, part, body),
        (info) => info.sizeBytes,
      ),
    completeUpload: (call, upload, parts, wanted) =>
      audited(
        needs,
        call,
        write("CompleteMultipartUpload", upload),
        () => completeUpload(needs, call, upload, parts, wanted),
        (info) => info.sizeBytes,
      ),
    abortUpload: (call, upload) =>
      audited(needs, call, write("AbortMultipartUpload", upload), () => abortUpload(needs, call, upload)),
    parts: (call, upload, afterPartNumber, limit) =>
      audited(needs, call, readOf("ListParts", upload.bucket, upload.name), () =>
        listParts(needs, call, upload, afterPartNumber, limit),
      ),
    uploads: (call, bucket, query) =>
      audited(needs, call, readOf("ListMultipartUploads", bucket), () => listUploads(needs, call, bucket, query)),
  };
}

function write(operation: string, { bucket, name }: { readonly bucket: string; readonly name: string }): Deed {
  return { operation, kind: "write", bucket, name };
}

function readOf(operation: string, bucket: string, name?: string): Deed {
  return { operation, kind: "read", bucket, name };
}
