/** The door of the deep module behind all protocols: what objects are, what may be done with them, and who does it. */
import type { Call } from "../call.ts";
import { storedParts } from "./attributes.ts";
import { changeObject } from "./change.ts";
import { completeUpload } from "./complete.ts";
import { copyObject, copyPart } from "./copy.ts";
import { getObject, headObject } from "./get.ts";
import { listObjects } from "./list.ts";
import { createListedMemory } from "./listed.ts";
import { createOpenedMemory } from "./opened.ts";
import { listParts, putPart } from "./parts.ts";
import { putObject } from "./put.ts";
import { Queues } from "./queues.ts";
import { removeObject } from "./remove.ts";
import { rewrapObjects, rewrapUploads } from "./rewrap.ts";
import { audited, type Deed, type ObjectsNeeds } from "./room.ts";
import type { ObjectStore } from "./store.ts";
import { abortUpload, createUpload, listUploads } from "./uploads.ts";

export type { ObjectRef, UploadRef } from "../storage/storage.ts";
export { verified } from "./promises.ts";
export type { DefaultShown, ObjectsNeeds } from "./room.ts";
export type * from "./store.ts";

/** About 12 MiB. */
const OPENED_MAX = 4096;
/** Of 65,535 names each, in 2.9 MB: about a million names, and 46 MB. */
const LISTED_GENERATIONS_MAX = 16;

/** Keeps nothing but caches: any number of stores may work on one storage. */
export function createObjects(needs: ObjectsNeeds): ObjectStore {
  const opened = createOpenedMemory(OPENED_MAX);
  const listed = createListedMemory(LISTED_GENERATIONS_MAX);
  const room = { ...needs, opened, listed, queues: new Queues() };
  const run = <Result>(call: Call, deed: Deed, work: () => Promise<Result>) => audited(room, call, deed, work);
  /** The same where bytes are moved: how many stands in the audit line. */
  const move = <Result extends Sized>(call: Call, deed: Deed, work: () => Promise<Result>) =>
    audited(room, call, deed, work, ({ sizeBytes }) => sizeBytes);
  return {
    put: (call, ref, body, wanted) =>
      move(call, write("PutObject", ref), () => putObject(room, call, ref, body, wanted)),
    get: (call, ref, wanted) => getObject(room, call, ref, wanted),
    head: (call, ref, wanted) => headObject(room, call, ref, wanted),
    storedParts: (call, ref, conditions) =>
      run(call, readOf("GetObjectAttributes", ref.bucket, ref.name), () => storedParts(room, call, ref, conditions)),
    list: (call, bucket, query) =>
      run(call, readOf("ListObjects", bucket), () => listObjects(room, call, bucket, query)),
    copy: (call, from, to, wanted) =>
      move(call, write("CopyObject", to), () => copyObject(room, call, from, to, wanted)),
    change: (call, ref, change) => run(call, write("ChangeObject", ref), () => changeObject(room, call, ref, change)),
    remove: (call, ref, wanted) => run(call, write("DeleteObject", ref), () => removeObject(room, call, ref, wanted)),
    createUpload: (call, ref, wanted) =>
      run(call, write("CreateMultipartUpload", ref), () => createUpload(room, call, ref, wanted)),
    putPart: (call, part, body) => move(call, write("UploadPart", part), () => putPart(room, call, part, body)),
    copyPart: (call, from, part, wanted) =>
      move(call, write("UploadPartCopy", part), () => copyPart(room, call, from, part, wanted)),
    completeUpload: (call, upload, parts, wanted) =>
      move(call, write("CompleteMultipartUpload", upload), () => completeUpload(room, call, upload, parts, wanted)),
    abortUpload: (call, upload) =>
      run(call, write("AbortMultipartUpload", upload), () => abortUpload(room, call, upload)),
    parts: (call, upload, afterPartNumber, limit) =>
      run(call, readOf("ListParts", upload.bucket, upload.name), () =>
        listParts(room, call, upload, afterPartNumber, limit),
      ),
    uploads: (call, bucket, query) =>
      run(call, readOf("ListMultipartUploads", bucket), () => listUploads(room, call, bucket, query)),
    rewrap: (call, bucket, cursor) =>
      run(call, { operation: "RewrapObjects", kind: "key", bucket }, () => rewrapObjects(room, call, bucket, cursor)),
    rewrapUploads: (call, bucket, cursor) =>
      run(call, { operation: "RewrapUploads", kind: "key", bucket }, () => rewrapUploads(room, call, bucket, cursor)),
  };
}

interface Sized {
  readonly sizeBytes: number;
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
